"""Damaged files end in one line each: the short form of ``python -m tests.reading.damaging``."""

from __future__ import annotations

from tests.reading.damaging import run


def test_no_damaged_file_is_a_bug_or_costs_one(seed: int) -> None:
    assert run(150, seed) == []
