"""Session steps as columns: what the recommender learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from stream.models.base.names import Codes, Names

Numbers = NDArray[np.int64]
NONE = -1  # in place of a segment


class TimedStep(NamedTuple):
    """One step of a session: ``item`` at ``time`` (ms) after ``previous`` (newest last).

    ``session`` is a number of the session's own, of at most 63 bits.
    """

    session: int
    previous: Sequence[str]
    item: str
    time: int
    segment: int | None = None


class Steps(NamedTuple):
    """Several steps.

    Attributes
    ----------
    sessions, times
        int64 ``[steps]``; times in ms.
    segments
        int32 ``[steps]``, -1 for none.
    items
        int32 ``[steps]``: codes of some `Names`.
    starts, previous
        int64 ``[steps + 1]``, int32: the items before step ``i``, newest last, are
        ``previous[starts[i]:starts[i + 1]]``.

    Examples
    --------
    >>> names = Names()
    >>> steps = Steps.of([TimedStep(7, [], "tea", 0), TimedStep(7, ["tea"], "milk", 5)], names)
    >>> len(steps.items), Steps.joined([steps.part(1, 2), steps]).told(names)[0]
    (2, TimedStep(session=7, previous=['tea'], item='milk', time=5, segment=None))
    """

    sessions: Numbers
    segments: Codes
    times: Numbers
    items: Codes
    starts: Numbers
    previous: Codes

    @classmethod
    def of(cls, steps: Sequence[TimedStep], names: Names) -> Self:
        """Some steps as columns."""
        return cls(
            np.array([step.session for step in steps], np.int64),
            np.array([NONE if step.segment is None else step.segment for step in steps], np.int32),
            np.array([step.time for step in steps], np.int64),
            names.codes(step.item for step in steps),
            starts_of([len(step.previous) for step in steps]),
            names.codes(name for step in steps for name in step.previous),
        )

    def told(self, names: Names) -> list[TimedStep]:
        """Each step by itself, in the names of its codes."""
        items = list(map(names.texts.__getitem__, self.items.tolist()))
        previous = list(map(names.texts.__getitem__, self.previous.tolist()))
        starts = self.starts.tolist()
        columns = self.sessions.tolist(), self.times.tolist(), self.segments.tolist()
        return [
            TimedStep(
                session,
                previous[starts[at] : starts[at + 1]],
                items[at],
                time,
                None if segment < 0 else segment,
            )
            for at, (session, time, segment) in enumerate(zip(*columns, strict=True))
        ]

    def before(self, at: int) -> Codes:
        """The items before one step, newest last."""
        return self.previous[self.starts[at] : self.starts[at + 1]]

    def part(self, first: int, last: int) -> Self:
        """Steps ``first`` … ``last - 1``."""
        begin, end = self.starts[first], self.starts[last]
        columns: Any = (column[first:last] for column in self[:4])
        starts = self.starts[first : last + 1] - begin
        rest: Any = (starts, self.previous[begin:end])
        return type(self)(*columns, *rest)

    def copied(self) -> Self:
        """The same, in arrays of their own."""
        columns: Any = (column.copy() for column in self)
        return type(self)(*columns)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All steps of some parts, in their order."""
        columns: Any = (np.concatenate(column) for column in zip(*parts, strict=True))
        lengths = np.concatenate([np.diff(part.starts) for part in parts])
        return cls(*columns)._replace(starts=starts_of(lengths))


def starts_of(lengths: Sequence[int] | Numbers) -> Numbers:
    """Where rows of these lengths begin that stand one after the other, and the last one's end.

    >>> starts_of([2, 0, 1]).tolist()
    [0, 2, 2, 3]
    """
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts
