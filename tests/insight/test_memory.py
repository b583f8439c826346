"""The peak that is told is the process's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stream.insight.evaluate import memory
from stream.insight.evaluate.memory import peak_resident_mb

ASK = "from stream.insight.evaluate.memory import peak_resident_mb; print(peak_resident_mb())"


def told(before: str = "") -> float:
    """The peak that a process of its own tells."""
    command = [sys.executable, "-c", before + ASK]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_what_was_held_once_still_counts() -> None:
    assert told("held = b'x' * (200 << 20); del held; ") > 200


def test_a_large_parent_does_not_count() -> None:
    held = b"x" * (200 << 20)
    assert 5 < told() < 150
    del held


def test_elsewhere_the_system_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "STATUS", memory.STATUS / "missing")
    assert peak_resident_mb() > 5
