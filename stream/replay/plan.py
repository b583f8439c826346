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
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from stream.replay.outcome import OrderKey

_NEVER: Final = -(2**63)
_TICK: Final = 8_192  # rows between two words about progress

#: Told now and then: rows so far.
Tick: TypeAlias = Callable[[int], None]


class Glance(NamedTuple):
    """What the plan needs to know of a row.

    ``part`` is the place in the line's exploded array; ``time`` None if it cannot be read or does
    not matter; ``order`` None if the row is no line of an order that may have several; ``refused``
    is told only where there are such orders.
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


def make_plan(
    glances: Callable[[], Iterator[Glance]], lines_together: bool, tick: Tick = lambda rows: None
) -> Plan:
    """Look through a file, once if it is in the order of time, else once more from the start.

    Parameters
    ----------
    glances
        Starts a pass over the rows.
    lines_together
        The lines of an order stand together; else each order's lines are counted.
    tick
        Told the number of rows so far.
    """
    plan = _in_order(_ticking(glances(), tick), lines_together)
    return _indexed(_ticking(glances(), tick), lines_together) if plan is None else plan


def _ticking(glances: Iterable[Glance], tick: Tick) -> Iterator[Glance]:
    rows = 0
    for rows, glance in enumerate(glances, 1):
        yield glance
        if rows % _TICK == 0:
            tick(rows)
    tick(rows)


def _in_order(glances: Iterator[Glance], together: bool) -> Plan | None:
    """Count the rows; None as soon as one is earlier than what stands before it."""
    runs = _Runs(together)
    order_lines: dict[OrderKey, int] = {}
    rows, low, high, last = 0, None, _NEVER, _NEVER
    for glance in glances:
        rows += 1
        if runs.starts(glance):
            if last < high:
                return None
            high = last
        if glance.time is not None:
            last = glance.time
            low = last if low is None else min(low, last)
        if glance.order is not None and not together:
            order_lines[glance.order] = order_lines.get(glance.order, 0) + 1
    if last < high:
        return None
    return Plan(rows, None, order_lines, low, None if low is None else last)


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
