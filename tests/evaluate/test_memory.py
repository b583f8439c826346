"""The peak that is told is the process's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stream.evaluate import memory
from stream.evaluate.memory import peak_resident_mb

ASK = "from stream.evaluate.memory import peak_resident_mb; print(peak_resident_mb())"


def test_what_was_held_once_still_counts() -> None:
    before = peak_resident_mb()
    held = b"x" * (200 << 20)
    del held
    assert peak_resident_mb() > max(before, 200)


def test_a_large_parent_does_not_count() -> None:
    held = b"x" * (300 << 20)
    child = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    del held
    assert 5 < float(child.stdout) < 200


def test_elsewhere_the_system_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "STATUS", memory.STATUS / "missing")
    assert peak_resident_mb() > 5
