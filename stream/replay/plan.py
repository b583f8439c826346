"""A first pass over the files: how many rows there are, and in which order to read them.

Rules:

- Rows are read in the order of their times, those of the same time in the files' own order.
- Files that are in that order already, one after the other in whatever sequence, need no memory for
  it. All others take an index: 28 bytes a row, kept as arrays of numbers.
- A row whose time cannot be read keeps the place after the row before it. The lines of an order
  that stand together stay together, at the time of the last.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.replay.outcome import OrderKey

_NEVER: Final = -(2**63)


class Glance(NamedTuple):
    """What the plan needs to know of a row.

    ``file`` is the place of its file among all, ``part`` the place in the line's exploded array;
    ``time`` None if it cannot be read or does not matter; ``order`` None if the row is no line of
    an order that may have several; ``order`` and ``refused`` are told only where orders matter.
    """

    file: int
    offset: int
    part: int
    time: int | None
    order: OrderKey | None
    refused: bool


class Addresses(NamedTuple):
    """Where the rows are, in the order of reading; all arrays have the shape (rows,).

    ``numbers`` count from 0 in the file; ``offsets`` are in bytes; ``files`` and ``parts`` as in
    ``Glance``.
    """

    numbers: npt.NDArray[np.int64]
    files: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int32]


class ReadingPlan(NamedTuple):
    """How to read the files.

    ``addresses`` None means as they stand, one after the other: ``spans`` are the places of the
    files and their rows, in the order of reading. ``order_lines`` is the number of lines of each
    order, where they may stand apart. ``first_ms`` and ``last_ms`` are the first and last time.
    """

    rows: int
    spans: tuple[tuple[int, int], ...]
    addresses: Addresses | None
    order_lines: dict[OrderKey, int]
    first_ms: int | None
    last_ms: int | None


class _Runs:
    """Tells where a run of lines of one order begins.

    A refused row belongs to the run in which it stands; any other row is a run of its own.
    """

    def __init__(self, together: bool) -> None:
        self._together = together
        self._first = True
        self._order: tuple[str, ...] | None = None

    def starts(self, glance: Glance) -> bool:
        """Whether the row begins another run than that of the row before it."""
        first, self._first = self._first, False
        if glance.refused and self._together:
            return first
        order = glance.order[:2] if glance.order is not None and self._together else None
        same = order is not None and order == self._order
        self._order = order
        return not same


def make_plan(glances: Callable[[bool], Iterator[Glance]], lines_together: bool) -> ReadingPlan:
    """Look through the files, once if they are in the order of time, else once more from the start.

    Parameters
    ----------
    glances
        Starts a pass over the rows; asked whether the rows' orders matter in it.
    lines_together
        The lines of an order stand together; else each order's lines are counted.
    """
    plan = _in_order(glances(not lines_together), lines_together)
    return _indexed(glances(True), lines_together) if plan is None else plan


class _Span:
    """A file's rows, and the times between which they are."""

    def __init__(self, file: int) -> None:
        self.file = file
        self.rows = 0
        self.first: int | None = None
        self.last = _NEVER


def _in_order(glances: Iterator[Glance], together: bool) -> ReadingPlan | None:
    """Count the rows; None as soon as one is earlier than a row before it in its file.

    And None if the files' times overlap, so that no sequence of them is in the order of time.
    """
    order_lines: dict[OrderKey, int] = {}
    spans: list[_Span] = []
    span = _Span(-1)
    for glance in glances:
        if glance.file != span.file:
            span = _Span(glance.file)
            spans.append(span)
        span.rows += 1
        time, order = glance.time, glance.order
        if time is not None:
            if time < span.last:
                return None
            span.last = time
            span.first = time if span.first is None else span.first
        if order is not None and not together:
            order_lines[order] = order_lines.get(order, 0) + 1
    return _in_sequence(spans, order_lines)


def _in_sequence(spans: list[_Span], order_lines: dict[OrderKey, int]) -> ReadingPlan | None:
    """Put files after each other by their times; those without any keep their places."""
    if all(span.first is not None for span in spans):
        spans = sorted(spans, key=lambda span: (span.first or 0, span.last))
    first, last = None, _NEVER
    for span in spans:
        if span.first is not None:
            if span.first < last:
                return None
            last = span.last
            first = span.first if first is None else first
    places = tuple((span.file, span.rows) for span in spans)
    rows = sum(span.rows for span in spans)
    return ReadingPlan(rows, places, None, order_lines, first, None if first is None else last)


def _indexed(glances: Iterator[Glance], together: bool) -> ReadingPlan:
    runs = _Runs(together)
    order_lines: dict[OrderKey, int] = {}
    times, offsets, parts, starts = array("q"), array("q"), array("i"), array("b")
    numbers, files = array("q"), array("i")
    last, file, number = _NEVER, -1, 0
    for glance in glances:
        starts.append(runs.starts(glance))
        if glance.time is not None:
            last = glance.time
        if glance.file != file:
            file, number = glance.file, 0
        numbers.append(number)
        number += 1
        times.append(last)
        files.append(file)
        offsets.append(glance.offset)
        parts.append(glance.part)
        if glance.order is not None and not together:
            order_lines[glance.order] = order_lines.get(glance.order, 0) + 1
    when = _run_times(np.frombuffer(times, np.int64), np.frombuffer(starts, np.int8))
    sequence = np.argsort(when, kind="stable")
    known = when[when != _NEVER]
    return ReadingPlan(
        len(sequence),
        (),
        Addresses(
            np.frombuffer(numbers, np.int64)[sequence],
            np.frombuffer(files, np.int32)[sequence],
            np.frombuffer(offsets, np.int64)[sequence],
            np.frombuffer(parts, np.int32)[sequence],
        ),
        order_lines,
        int(known.min()) if len(known) else None,
        int(known.max()) if len(known) else None,
    )


def _run_times(times: npt.NDArray[np.int64], starts: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """Give every row of a run the time of the run's last row.

    >>> _run_times(np.array([5, 3, 4, 9]), np.array([1, 1, 0, 1], np.int8)).tolist()
    [5, 4, 4, 9]
    """
    begins = np.flatnonzero(starts)
    ends = np.append(begins[1:], len(times))
    return np.repeat(times[ends - 1], ends - begins)
