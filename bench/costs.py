"""What a system's turns cost in CPU, what it puts off included, and idling left out.

Rules: a turn's cost is counted until the system's next turn. What the system takes for nothing is
measured at the end, when all is durable, and taken off for the time between turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Meter(NamedTuple):
    """Seconds until now: of time, of CPU, and of the learner's own process in it."""

    time: float
    cpu: float
    learner: float


class Turn(NamedTuple):
    """The readings at a turn's start and end, and its number of events."""

    start: Meter
    end: Meter
    events: int


class Cost(NamedTuple):
    """CPU in µs per event, and what of it the learner's own process took."""

    cpu: float
    learner: float


def costs(turns: Sequence[Turn], rested: Meter, last: Meter) -> list[Cost]:
    """What each turn cost.

    Parameters
    ----------
    turns
        In the order of their times.
    rested, last
        Readings after the last turn, between which the system had nothing to do.

    >>> turn = Turn(Meter(0.0, 0.0, 0.0), Meter(1.0, 0.8, 0.2), 1_000)
    >>> costs([turn], Meter(6.0, 1.5, 0.2), Meter(8.0, 1.7, 0.2))
    [Cost(cpu=1000.0, learner=200.0)]
    """
    ends = [*(turn.start for turn in turns[1:]), rested]
    return [
        Cost(_spent(turn, end, rested, last, 1), _spent(turn, end, rested, last, 2))
        for turn, end in zip(turns, ends, strict=False)
    ]


def _spent(turn: Turn, end: Meter, rested: Meter, last: Meter, which: int) -> float:
    idled = last.time - rested.time
    idle = (last[which] - rested[which]) / idled if idled else 0.0
    spent = end[which] - turn.start[which] - idle * (end.time - turn.end.time)
    return spent / turn.events * 1e6
