"""``offerstream demo`` for real: the embedded engine, in a process, to an end in good order."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from stream.cli.demo import demo, demo_settings
from stream.decide.rows.admission import Outcome
from tests import waiting
from tests.waiting import ended, line_with, reading

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-c", "from stream.cli import main; main()", "demo")


def environment(directory: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "TMPDIR": str(directory), "TERM": "xterm-256color"}


def run(
    directory: Path, seconds: int, *options: str, enough: Callable[[str], bool]
) -> subprocess.CompletedProcess[str]:
    """Run the demo for so long that it says enough: a machine that is slow takes longer."""
    for longer in (1, 5, 20):
        command = [*COMMAND, "--seconds", str(longer * seconds), *options]
        done = waiting.run(command, env=environment(directory), cwd=directory)
        assert done.returncode == 0, done.stderr
        assert list(directory.iterdir()) == []
        if enough(done.stdout):
            return done
    raise AssertionError(f"even {longer * seconds} s were too short: {done.stdout}")


def test_it_makes_offers_ends_by_itself_and_leaves_nothing_behind(tmp_path: Path) -> None:
    offered = lambda said: orjson.loads(said)["offers"] > 0  # noqa: E731
    ended = run(tmp_path, 6, "--customers", "400", "--json", enough=offered)
    assert ended.stderr == ""
    told = orjson.loads(ended.stdout)
    assert told["answers"]["unwanted"] <= 1
    first = told["latest_offers"][0]["items"][0]
    assert first["reason"] and not first["name"].startswith("item-")
    counts = told["counts"]
    assert any(name.startswith("denied:") for name in counts)
    assert sum(counts.get(outcome, 0) for outcome in Outcome) == told["events"]


def test_in_a_pipe_it_prints_plain_lines_and_a_summary(tmp_path: Path) -> None:
    ended = run(tmp_path, 6, "--customers", "300", enough=lambda said: said.count(" events (") >= 2)
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("offerstream demo: ")
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
        line_with(process, " events (")
        process.send_signal(number)
        with reading(process):
            told = process.stdout.read()
        assert ended(process) == 0, process.stderr.read()
    assert "What happened" in told
    assert list(tmp_path.iterdir()) == []


def test_on_a_terminal_it_draws_panels_and_then_the_summary(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--seconds", "6", "--customers", "300"],
        env=environment(tmp_path) | {"COLUMNS": "120", "LINES": "40"},
        cwd=tmp_path,
        stdout=terminal,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(terminal)
        with reading(process):
            told = b"".join(iter(lambda: read(controller), b"")).decode(errors="replace")
        assert ended(process) == 0
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
