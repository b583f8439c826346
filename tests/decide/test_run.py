"""Events that are taken together come to the same bytes as one by one."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from stream.decide.ledger import Decided
from stream.decide.rows.layout import LETTERS
from stream.decide.rows.record import Desk
from stream.decide.rows.track import AT_END, FULL, run_on
from tests.decide.streams import drawn_shop, drawn_stream

BATCHES = 15
STREAMS = 12


def decided(seed: int) -> list[Decided]:
    """What streams of batches come to."""
    found = []
    for number in range(STREAMS):
        chance = Random(seed + number)
        found += [drawn.decided for drawn in drawn_stream(drawn_shop(chance), chance, BATCHES)]
    return found


def told(one: Decided) -> list[object]:
    """All that a batch comes to; bugs by their places."""
    failed = [index for index, _ in one.failed]
    written = list(one.changed.items()), one.effects, sorted(one.pages.items())
    return [one.ledger, *written, one.late, one.rejected, failed, one.offers, one.tally]


@pytest.mark.parametrize("most", [0, 1, 3], ids=["never", "one", "three"])
def test_however_many_are_taken_together_the_same_comes_of_it(
    most: int, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    together = decided(seed)
    monkeypatch.setattr("stream.decide.run.EVENTS", most)
    for one, other in zip(together, decided(seed), strict=True):
        assert told(one) == told(other)


def test_what_has_no_room_on_the_tape_is_taken_by_itself(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    together, stops = decided(seed), set[int]()

    class Short(Desk):
        """A desk on whose tape there is little room beside what a step may add."""

        def __init__(self) -> None:
            super().__init__()
            tape = np.empty(2 * LETTERS + 6_000, np.uint8)
            self.track = (tape, *self.track[1:])
            self.tape = memoryview(tape)

    monkeypatch.setattr("tests.decide.streams.Desk", Short)
    monkeypatch.setattr("stream.decide.run.TAPE", 4_000)
    monkeypatch.setattr("stream.decide.run.run_on", _noting(stops))
    for one, other in zip(together, decided(seed), strict=True):
        assert told(one) == told(other)
    assert {AT_END, FULL} <= stops


def _noting(stops: set[int]) -> Callable[..., tuple[int, int]]:
    """The kernel, of which it is noted why it stopped."""

    def run(*arguments: Any) -> tuple[int, int]:
        at, why = run_on(*arguments)
        stops.add(why)
        return at, why

    return run
