"""Times in a file, in whatever form, as seconds.

Rules
-----
- The form is found from a sample of all rows: numbers (seconds, milliseconds, micro- or nanoseconds
  since 1970, years, ``YYYYMM``, ``YYYYMMDD``), ISO 8601, quarters, and the usual forms of dates and
  months.
- Where day and month can't be told apart (1/2/2024), that order is taken in which the sample is
  closer to sorted, then that in which it spans less.
- A time without a zone is UTC.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import numpy as np

from stream.config import ConfigError
from stream.reading.table import Table

Reader = Callable[[str], float | None]
Tick = Callable[[int], None]

TICK: Final = 4_096  # rows between two words about progress

_DATES: Final = (
    *("%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d", "%d.%m.%Y", "%d.%m.%y"),
    *("%m-%d-%Y", "%d-%m-%Y", "%m-%d-%y", "%d-%m-%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y"),
    *("%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%Y-%b-%d", "%Y-%m-%d"),
)
_CLOCKS: Final = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S.%f", " %H")
_MONTHS: Final = ("%Y-%m", "%m/%Y", "%Y/%m", "%b-%y", "%b-%Y", "%b %Y", "%B %Y", "%Y %b", "%y-%b")
_PATTERNS: Final = (*(date + clock for date in _DATES for clock in _CLOCKS), *_MONTHS)
_PLAIN: Final = 3  # readers of what has one meaning
_ASKED: Final = 300
_KEPT: Final = 4_000
_QUARTER: Final = re.compile(r"(\d{4})[ -]?[Qq]([1-4])|[Qq]([1-4])[ -]?(\d{4})")
_NUMBER: Final = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?")


def times_of(table: Table, column: str, tick: Tick = lambda done: None) -> Reader:
    """Return what reads the times in a column; all rows are looked at.

    Parameters
    ----------
    table
        It is read once.
    column
        Has the times.
    tick
        Told the bytes that were read.

    Raises
    ------
    ConfigError
        There are no rows, or no times that are known.
    """
    rows = 0

    def times() -> Iterable[str]:
        nonlocal rows
        for rows, (text,) in enumerate(table.cells([column]), 1):
            if rows % TICK == 0:
                tick(table.read)
            yield text

    sample = _spread(times())
    if not rows:
        raise ConfigError(f"{table.name}: has no rows{_left_out(table)}")
    read = time_reader(sample)
    if read is None:
        first = next((text for text in sample if text), None)
        what = "no row has one" if first is None else f"{first!r} is no time that is known"
        raise ConfigError(f"--time {column}: {what}")
    return read


def _left_out(table: Table) -> str:
    return "".join(f"; {count:,} are {reason}" for reason, count in table.left_out.items())


def _spread(texts: Iterable[str]) -> list[str]:
    """At most so many texts, evenly spread over all that have a value.

    >>> _spread(str(n) for n in range(10_000))[:3]
    ['0', '4', '8']
    """
    kept: list[str] = []
    step = 1
    for number, text in enumerate(filter(None, texts)):
        if number % step == 0:
            kept.append(text)
            if len(kept) == _KEPT:
                kept, step = kept[::2], 2 * step
    return kept


def time_reader(sample: Sequence[str]) -> Reader | None:
    """Return what reads times of the form that most of a sample has; None if there is no such.

    Parameters
    ----------
    sample
        Some times, in the order of the file.

    Returns
    -------
    callable or None
        From a text to seconds since 1970, UTC, or to None where it has another form.

    Examples
    --------
    >>> time_reader(["1949-01", "1949-02"])("1970-02")
    2678400.0
    >>> time_reader(["12/31/2010 8:26"])("1/2/1970 0:00"), time_reader(["31/12/10"])("2/1/70")
    (86400.0, 86400.0)
    >>> time_reader(["once"]) is None
    True
    """
    told = [text for text in sample if text]
    told = told[:: 1 + len(told) // _ASKED]
    readers = [_numbers(told), _iso, _quarters, *map(_by_pattern, _PATTERNS)]
    best, key = None, (0.5 * len(told), -math.inf, -math.inf)
    for number, reader in enumerate(readers):
        times = [time for text in told if (time := reader(text)) is not None]
        if times:
            mark = (float(len(times)), _sortedness(times), min(times) - max(times))
            if mark > key:
                best, key = reader, mark
        if number < _PLAIN and told and len(times) == len(told):
            break
    return best


def _sortedness(times: Sequence[float]) -> float:
    """Share of neighbours that are in order, either way."""
    if len(times) < 2:
        return 1.0
    steps = np.diff(times)
    return float(max((steps >= 0).mean(), (steps <= 0).mean()))


def _numbers(sample: Sequence[str]) -> Reader:
    """What reads numbers, by how large those of a sample are."""
    values = [value for text in sample if (value := _number(text)) is not None]
    large = float(np.median(np.abs(values))) if values else 0.0
    whole = all(value == int(value) for value in values)
    if whole and values and all(1000 <= value <= 2999 for value in values):
        return _by_pattern("%Y")
    if whole and values and all(100001 <= value <= 299912 for value in values):
        return _by_pattern("%Y%m")
    if whole and values and all(10000101 <= value <= 29991231 for value in values):
        return _by_pattern("%Y%m%d")
    unit = next((unit for limit, unit in _UNITS if large >= limit), 1.0)

    def read(text: str) -> float | None:
        value = _number(text)
        return None if value is None else value / unit

    return read


_UNITS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))


def _number(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _iso(text: str) -> float | None:
    if len(text) < 8 or text.isdecimal():
        return None
    try:
        when = datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _quarters(text: str) -> float | None:
    found = _QUARTER.fullmatch(text)
    if not found:
        return None
    year, quarter = found[1] or found[4], found[2] or found[3]
    return datetime(max(1, int(year)), 3 * int(quarter) - 2, 1, tzinfo=UTC).timestamp()


def _by_pattern(pattern: str) -> Reader:
    @lru_cache(maxsize=65_536)
    def read(text: str) -> float | None:
        text = text.removesuffix(".0") if pattern in ("%Y", "%Y%m", "%Y%m%d") else text
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC).timestamp()
        except (ValueError, OverflowError):
            return None

    return read
