"""A first pass over a file: how many rows it has, and in which order to read them.

Rules:

- Rows are read in the order of their times, those of the same time in the file's own order.
- A file that is in that order already needs no memory for it. Any other takes an index: 24 bytes
  a row, kept as arrays of numbers.
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

    ``part`` is the place in the line's exploded array; ``time`` None if it cannot be read or does
    not matter; ``order`` None if the row is no line of an order that may have several; ``order``
    and ``refused`` are told only where orders matter.
    """

    offset: int
    part: int
    time: int | None
    order: OrderKey | None
    refused: bool


class Addresses(NamedTuple):
    """Where the rows are, in the order of reading; all arrays have the shape (rows,).

    ``numbers`` count from 0 in the file; ``offsets`` are in bytes; ``parts`` as in ``Glance``.
    """

    numbers: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int32]


class Plan(NamedTuple):
    """How to read a file.

    ``addresses`` None means as it stands. ``order_lines`` is the number of lines of each order,
    where they may stand apart. ``first_ms`` and ``last_ms`` are the earliest and latest time.
    """

    rows: int
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


def make_plan(glances: Callable[[bool], Iterator[Glance]], lines_together: bool) -> Plan:
    """Look through a file, once if it is in the order of time, else once more from the start.

    Parameters
    ----------
    glances
        Starts a pass over the rows; asked whether the rows' orders matter in it.
    lines_together
        The lines of an order stand together; else each order's lines are counted.
    """
    plan = _in_order(glances(not lines_together), lines_together)
    return _indexed(glances(True), lines_together) if plan is None else plan


def _in_order(glances: Iterator[Glance], together: bool) -> Plan | None:
    """Count the rows; None as soon as one is earlier than a row before it."""
    order_lines: dict[OrderKey, int] = {}
    rows, first, last = 0, None, _NEVER
    for glance in glances:
        rows += 1
        time, order = glance.time, glance.order
        if time is not None:
            if time < last:
                return None
            last = time
            first = time if first is None else first
        if order is not None and not together:
            order_lines[order] = order_lines.get(order, 0) + 1
    return Plan(rows, None, order_lines, first, None if first is None else last)


def _indexed(glances: Iterator[Glance], together: bool) -> Plan:
    runs = _Runs(together)
    order_lines: dict[OrderKey, int] = {}
    times, offsets, parts, starts = array("q"), array("q"), array("i"), array("b")
    last = _NEVER
    for glance in glances:
        starts.append(runs.starts(glance))
        if glance.time is not None:
            last = glance.time
        times.append(last)
        offsets.append(glance.offset)
        parts.append(glance.part)
        if glance.order is not None and not together:
            order_lines[glance.order] = order_lines.get(glance.order, 0) + 1
    when = _run_times(np.frombuffer(times, np.int64), np.frombuffer(starts, np.int8))
    numbers = np.argsort(when, kind="stable")
    known = when[when != _NEVER]
    return Plan(
        len(numbers),
        Addresses(
            numbers,
            np.frombuffer(offsets, np.int64)[numbers],
            np.frombuffer(parts, np.int32)[numbers],
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
