"""A run that held more than it may fails, and says which process and which test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import waiting
from tests.kafka.install import ROOT

GREEDY = """
import subprocess, sys

def test_modest() -> None:
    assert True

def test_greedy() -> None:
    assert len(b"x" * {own}_000_000) > 0

def test_with_a_greedy_child() -> None:
    subprocess.run([sys.executable, "-c", "b'x' * {child}_000_000"], check=True)
"""
CONFTEST = """
from tests.memory import Peaks

def pytest_configure(config):
    config.pluginmanager.register(Peaks(most=200))
"""


def ran(directory: Path, own: int, child: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Run tests of a directory of their own."""
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "test_it.py").write_text(GREEDY.format(own=own, child=child))
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", directory, directory]
    return waiting.run([*command, *options], cwd=directory, env={"PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("-n", "1")], ids=["alone", "xdist"])
def test_a_modest_run_tells_its_peak(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = ran(tmp_path, 70, 1, *options)
    assert done.returncode == 0, done.stdout
    told = next(line for line in done.stdout.splitlines() if " MB, of which " in line)
    assert "test_it.py::test_greedy" in told
    assert 100 <= int(told.split(": ")[1].split()[0]) < 200


@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("-n", "1")], ids=["alone", "xdist"])
@pytest.mark.parametrize(("own", "child"), [(250, 1), (1, 250)])
def test_one_that_holds_too_much_fails(
    tmp_path: Path, own: int, child: int, options: tuple[str, ...]
) -> None:
    done = ran(tmp_path, own, child, *options)
    assert done.returncode == 1, done.stdout
    assert "3 passed" in done.stdout
    assert "more than 200 MB fail the run" in done.stdout
