"""Who is compared: the same in both jobs, each in an environment that is whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import systems
from bench.run import Run
from bench.systems import CONTENDERS
from bench.told import Told

RUN = Run("127.0.0.1:9092", "bench-1.", 4, "state", "/tmp/bench", 6067)


def test_both_jobs_have_the_same_systems_and_each_says_what_a_crash_leaves() -> None:
    state, whole = CONTENDERS["state"], CONTENDERS["whole"]
    assert [each.name for each in state] == [each.name for each in whole]
    assert all(each.after_crash for each in (*state, *whole))


def test_a_system_that_lives_apart_is_there_when_its_installation_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(systems, "ROOT", tmp_path)
    (apart, *_) = (each for each in CONTENDERS["state"] if each.apart)
    assert not apart.installed
    apart.python.parent.mkdir(parents=True)
    apart.python.touch()
    assert not apart.installed
    (apart.home / ".ready").touch()
    assert apart.installed
    assert apart.command(RUN)[0] == str(tmp_path / f".venv-bench-{apart.name}" / "bin" / "python")


def test_what_a_program_is_told_needs_nothing_of_the_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (program,) = (each for each in CONTENDERS["state"] if each.name == "pathway")
    monkeypatch.setattr("sys.argv", ["", program.command(RUN)[-1]])
    assert Told.told().tell() == RUN.tell()
