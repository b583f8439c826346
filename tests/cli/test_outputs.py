"""Outputs destroy no input and no other output, and are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.cli.outputs import outputs
from stream.config import ConfigError
from tests.reading.packing import MAPPING

LOG = "ts,user,sku,price\n2024-01-01,ada,a,1\n"


def written(path: Path, content: bytes, inputs: list[Path] | None = None) -> None:
    with outputs({"--out": path}, inputs or []) as made:
        made["--out"].write(content)


def test_an_output_is_there_when_all_went_well(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    path.chmod(0o640)
    with outputs({"--out": path, "--other": None}) as made:
        made["--out"].write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208 - hidden files, too


def test_what_was_there_stays_when_the_command_fails(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError), outputs({"--out": path}) as made:
        made["--out"].write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208 - hidden files, too


def test_an_output_that_is_an_input_is_refused_under_any_name(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(LOG)
    (tmp_path / "hard").hardlink_to(log)
    (tmp_path / "soft").symlink_to(log)
    for name in ("log.csv", "hard", "soft", "../" + tmp_path.name + "/log.csv"):
        with pytest.raises(ConfigError, match="which is read: name another file"):
            written(tmp_path / name, b"", [log])
    assert log.read_text() == LOG


def test_two_outputs_of_one_name_are_refused(tmp_path: Path) -> None:
    same = {"--a": tmp_path / "x", "--b": tmp_path / "." / "x"}
    with pytest.raises(ConfigError, match="--b and --a are both"), outputs(same):
        pass


@pytest.mark.parametrize(
    ("name", "words"), [("gone/x", "there is no directory"), (".", "is a dir")]
)
def test_what_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, name: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        written(tmp_path / name, b"")


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    written(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"
    written(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("option", ["--offers", "--refused"])
@pytest.mark.parametrize("over", ["log.csv", "m.toml"])
def test_a_replay_never_writes_over_what_it_reads(tmp_path: Path, option: str, over: str) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "m.toml").write_text(MAPPING)
    arguments = ["replay", str(tmp_path), "--mapping", str(tmp_path / "m.toml")]
    result = CliRunner().invoke(main, [*arguments, option, str(tmp_path / over)])
    assert result.exit_code == 2
    assert "which is read" in result.output
    assert (tmp_path / "log.csv").read_text() == LOG
    assert (tmp_path / "m.toml").read_text() == MAPPING


def test_a_plot_never_replaces_its_data(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text("a,y\n1,0\n2,1\n")
    for command in (
        ["propensity", "--csv", str(file), "--label", "y", "--champion-only"],
        ["segments", "--csv", str(file), "--columns", "a"],
        ["next-item", "--train", str(file), "--test", str(file)],
    ):
        result = CliRunner().invoke(main, ["evaluate", *command, "--plot", str(file)])
        assert result.exit_code == 2, result.output
        assert file.read_text() == "a,y\n1,0\n2,1\n"
