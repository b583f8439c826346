"""``offerstream demo`` for real: the embedded engine, in a process, to an end in good order."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from stream.cli.demo import demo, demo_settings
from stream.core.admission import Outcome

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-c", "from stream.cli import main; main()", "demo")


def environment(directory: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "TMPDIR": str(directory), "TERM": "xterm-256color"}


def run(directory: Path, options: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options],
        env=environment(directory),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_it_makes_offers_ends_by_itself_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ended = run(tmp_path, ["--seconds", "12", "--customers", "400", "--json"])
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    told = orjson.loads(ended.stdout)
    assert told["offers"] > 0
    assert told["answers"]["unwanted"] <= 1
    first = told["latest_offers"][0]["items"][0]
    assert first["reason"] and not first["name"].startswith("item-")
    counts = told["counts"]
    assert any(name.startswith("denied:") for name in counts)
    assert sum(counts.get(outcome, 0) for outcome in Outcome) == told["events"]
    assert list(tmp_path.iterdir()) == []


def test_in_a_pipe_it_prints_plain_lines_and_a_summary(tmp_path: Path) -> None:
    ended = run(tmp_path, ["--seconds", "9", "--customers", "300"])
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("offerstream demo: 9 s")
    assert sum(" events (" in line for line in lines) >= 2
    assert "What happened" in lines
    assert "What to try next" in lines
    assert "\x1b" not in ended.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_with_the_summary(tmp_path: Path, number: int) -> None:
    with subprocess.Popen(
        [*COMMAND, "--seconds", "600", "--customers", "300"],
        env=environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        for line in process.stdout:
            if " events (" in line:
                break
        process.send_signal(number)
        told = process.stdout.read()
        assert process.wait(timeout=100) == 0, process.stderr.read()
    assert "What happened" in told
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_it_draws_panels_and_then_the_summary(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--seconds", "8", "--customers", "300"],
        env=environment(tmp_path) | {"COLUMNS": "120", "LINES": "40"},
        cwd=tmp_path,
        stdout=terminal,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(terminal)
        told = b"".join(iter(lambda: read(controller), b"")).decode(errors="replace")
        assert process.wait(timeout=100) == 0
    os.close(controller)
    for words in ("latest offers", "segments found", "suppressed and rejected", "What happened"):
        assert words in told


def read(controller: int) -> bytes:
    """Read from a terminal; its end is an error on Linux."""
    try:
        return os.read(controller, 65_536)
    except OSError:
        return b""


def test_its_settings_hold_more_customers_out_and_stay_in_its_directory(tmp_path: Path) -> None:
    settings = demo_settings(tmp_path)
    assert settings.core.policy.holdout == 0.2
    assert settings.embedded_log == tmp_path / "log"
    assert settings.data_dir == tmp_path / "state"


@pytest.mark.parametrize("options", [["--seconds", "0"], ["--customers", "1"], ["--seed", "-1"]])
def test_impossible_options_are_refused(options: list[str]) -> None:
    assert CliRunner().invoke(demo, options).exit_code == 2
