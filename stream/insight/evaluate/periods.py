"""Series of a file: rows with times and values, as one value a period.

Rules
-----
- The period is found from the gaps between times: year, quarter, month, week, day, hour, or a step
  where times are mere numbers. Rows at any moment, as of orders, are added up by day, or by
  hour where there are fewer than 45 days of them.
- Several rows of a period are added up. Where there are such, or times are irregular, a period
  without a row is 0: nothing was sold. Else it is a gap, NaN: nobody measured.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.config import ConfigError
from stream.insight.evaluate.dates import TICK, Tick, times_of
from stream.reading.table import Table

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

LONGEST: Final = 5_000_000  # periods of a series
_DAY: Final = 86_400.0
_EVENTS: Final = 45  # days


class SeriesPeriod(NamedTuple):
    """How long a period is, and the seasons it usually has, in periods."""

    name: str
    seasons: tuple[int, ...]
    regular: bool


class Series(NamedTuple):
    """A name, the number of the first period, and a value for each period from there on."""

    name: str
    first: int
    values: Floats


class SeriesTable(NamedTuple):
    """The series of a file, by name in order, and how many rows were left out."""

    period: SeriesPeriod
    series: list[Series]
    rows: int
    left_out: int


def read_series(
    table: Table,
    time: str,
    value: str,
    by: str | None = None,
    tick: Tick = lambda done: None,
) -> SeriesTable:
    """Return the series of a table.

    Parameters
    ----------
    table
        In any order; it is read twice.
    time, value, by
        Columns; without ``by`` all rows are one series.
    tick
        Told the bytes that were read, up to twice those of the table.

    Raises
    ------
    ConfigError
        If the table can't be read, or its times or values can't.
    """
    read = times_of(table, time, tick)
    times, values, owners, names = [], [], [], dict[str, int]()
    left_out = 0
    for number, row in enumerate(table.cells([time, value, *([by] if by else [])])):
        if number % TICK == 0:
            tick(table.size + table.read)
        when, amount = read(row[0]), finite(row[1])
        if when is None or amount is None:
            left_out += 1
            continue
        times.append(when)
        values.append(amount)
        owners.append(names.setdefault(row[2] if by else "", len(names)))
    if not times:
        raise ConfigError(f"--value {value}: no row has a time and a number")
    left_out += table.left_out.total()
    return _table(np.array(times), np.array(values), np.array(owners), list(names), left_out)


def finite(text: str) -> float | None:
    """Return a cell as a finite number; None if it is none.

    Examples
    --------
    >>> finite("1e3"), finite("1_000"), finite("nan"), finite("")
    (1000.0, None, None, None)
    """
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _table(
    times: Floats, values: Floats, owners: Numbers, names: list[str], left_out: int
) -> SeriesTable:
    period = period_of(times)
    numbers = numbered(times, period.name)
    keys = np.stack([owners, numbers], axis=1)
    found, place = np.unique(keys, axis=0, return_inverse=True)
    sums = np.bincount(place.reshape(-1), values)
    empty = 0.0 if len(found) < len(keys) or not period.regular else math.nan
    series = []
    for owner in sorted(range(len(names)), key=lambda at: names[at]):
        mine = found[:, 0] == owner
        at = found[mine, 1]
        size = int(at[-1] - at[0]) + 1
        if size > LONGEST:
            raise ConfigError(f"--time: {size:,} periods of a {period.name}: is the form right?")
        filled = np.full(size, empty)
        filled[at - at[0]] = sums[mine]
        series.append(Series(names[owner], int(at[0]), filled))
    longest = max(len(one.values) for one in series)
    return SeriesTable(_shortened(period, longest), series, len(times), left_out)


def _shortened(period: SeriesPeriod, longest: int) -> SeriesPeriod:
    """Return the period with the seasons that the longest series can tell of."""
    needed = {period.seasons[0]: 2, 52: 3, 168: 3, 365: 2}
    seasons = tuple(m for m in period.seasons if longest >= needed[m] * m + 2)
    return period._replace(seasons=seasons or (1,))


def period_of(times: Floats) -> SeriesPeriod:
    """Return the period of some times, in seconds since 1970 or mere numbers.

    Examples
    --------
    >>> days = np.array([0.0, 31, 59, 90, 120]) * 86_400
    >>> period_of(days + 1e9).name, period_of(np.arange(9) * 3600 + 1e9).name
    ('month', 'hour')
    >>> period_of(np.arange(9.0)).name
    'step'
    """
    moments = np.unique(times)
    gaps = np.diff(moments)
    if not len(gaps) or (np.abs(moments).max() < 1e7 and gaps.max() < 1e5):
        return SeriesPeriod("step", (1,), True)
    usual = float(np.median(gaps))
    for least, name, seasons in _LONG:
        if usual >= least * _DAY:
            return SeriesPeriod(name, seasons, True)
    clock = moments % _DAY
    same = float((clock == np.bincount((clock).astype(int)).argmax()).mean())
    if usual >= 0.9 * _DAY or same > 0.95:
        weekly = usual > 6.5 * _DAY and float((gaps % (7 * _DAY) == 0).mean()) > 0.9
        if weekly:
            return SeriesPeriod("week", (52,), same > 0.95)
        return SeriesPeriod("day", (7, 365), same > 0.95)
    regular = float((np.abs(gaps - usual) < 0.01 * usual).mean()) > 0.8
    if regular or np.ptp(moments) < _EVENTS * _DAY:
        return SeriesPeriod("hour", (24, 168), regular)
    return SeriesPeriod("day", (7, 365), False)


_LONG: Final[tuple[tuple[int, str, tuple[int, ...]], ...]] = (
    (300, "year", (1,)),
    (80, "quarter", (4,)),
    (27, "month", (12,)),
)


def numbered(times: Floats, period: str) -> Numbers:
    """Return the number of the period that each time, in seconds since 1970, is in.

    Examples
    --------
    >>> numbered(np.array([0.0, 31 * 86_400]), "month").tolist()
    [0, 1]
    """
    whole = np.floor(times)
    if period in ("year", "quarter", "month"):
        # a month that is told by its last day is that month in any zone
        months = whole.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
        return np.asarray(months // {"year": 12, "quarter": 3, "month": 1}[period])
    if period == "week":
        return np.asarray(np.floor((times - times.min()) / (7 * _DAY)).astype(np.int64))
    lasting = {"day": _DAY, "hour": 3_600.0, "step": 1.0}[period]
    return np.asarray(np.floor(times / lasting).astype(np.int64))
