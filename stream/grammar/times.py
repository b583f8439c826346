"""Texts and numbers → times in milliseconds since the epoch.

Rules:

- ISO 8601 is read as RFC 3339 and its usual cousins write it: a space for the ``T``, ``UTC`` or
  ``GMT`` behind, small letters. A leap second is the second before it.
- A time without an offset of its own is in the zone that the reader was told; an hour that a clock
  change repeats is the first of the two.
- Of several formats all are tried. Where two read different times, what decides is told by
  `decided`, for a file as a whole: nothing is guessed row by row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import combinations
from typing import Final, NamedTuple, TypeAlias, TypeVar

#: Reads a value; None if it is no time.
TimeReader: TypeAlias = Callable[[object], int | None]

EPOCHS: Final = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1, "epoch_ns": 0}
"""Formats of numbers, with the microseconds that one of them is (0 for a thousandth)."""
WORDS: Final = ("iso", *EPOCHS)
"""Formats that have a name; all others are patterns of strptime."""

_N = TypeVar("_N", int, float)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FURTHEST: Final = 253_402_300_800_000  # the year 10000: beyond it, nothing is a time
_NAMED_UTC: Final = re.compile(r"\s*(?:UTC|GMT|Z)$", re.IGNORECASE)
_OFFSET: Final = re.compile(r"\s+([+-][0-9]{2}:?[0-9]{2})$")
_LEAP: Final = re.compile(r"([Tt ][0-2][0-9]:?[0-5][0-9]:?)60(?![0-9])")
_YEAR: Final = re.compile(r"%[YyGcxs]")


def pattern_fault(pattern: str) -> str | None:
    """Say why a text is no pattern of strptime for a point in time; None if it is one.

    >>> pattern_fault("%Y-%m-%d"), pattern_fault("%Q")
    (None, "'Q' is a bad directive in format '%Q'")
    """
    try:
        datetime.strptime("\0", pattern)  # noqa: DTZ007 - it is only asked whether it is known
    except ValueError as error:
        if "does not match" not in str(error):
            return str(error)
    except (re.error, IndexError, KeyError) as error:
        return str(error)
    if not _YEAR.search(pattern.replace("%%", "")):
        return "it has no year (%Y)"
    return None


def time_reader(text: str, zone: tzinfo = UTC) -> TimeReader:
    """Build the reader of one format: a word of `WORDS`, or a pattern of strptime.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> read = time_reader("iso", ZoneInfo("Europe/London"))
    >>> read("2019-07-01 01:00:00"), read("2019-10-01 00:00:00 UTC"), read("yesterday")
    (1561939200000, 1569888000000, None)
    >>> time_reader("iso")("2016-12-31t23:59:60z"), time_reader("epoch_us")(1433221332117000)
    (1483228799000, 1433221332117)
    """
    if text in EPOCHS:
        scale = EPOCHS[text]
        return lambda value: _epoch(value, scale)
    return _iso_reader(zone) if text == "iso" else _pattern_reader(text, zone)


def moment(text: str) -> datetime:
    """Read a date-time of RFC 3339 or ISO 8601, with what Python itself does not read.

    Raises
    ------
    ValueError
        It is none, or in no calendar.

    >>> moment("2016-12-31t23:59:60.5z").isoformat()
    '2016-12-31T23:59:59.500000+00:00'
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        upper = _OFFSET.sub(r"\1", _LEAP.sub(r"\g<1>59", text.upper()))
        return datetime.fromisoformat(upper)


class FormatChoice(NamedTuple):
    """Formats at work on one file: their names, and which of them wins over which.

    ``wins`` has the pairs (winner, loser) of places in ``names``.
    """

    names: tuple[str, ...]
    readers: tuple[TimeReader, ...]
    wins: frozenset[tuple[int, int]] = frozenset()


class Undecided(Exception):
    """Two formats read different times, and nothing said so far decides."""


class Reading(NamedTuple):
    """Two formats that read a value differently: the value, the formats, the times in ms.

    ``pair`` are their places; ``both`` says that each fits values that the other does not.
    """

    value: object
    first: str
    second: str
    times: tuple[int, int]
    pair: tuple[int, int]
    both: bool = False

    def __str__(self) -> str:
        one, other = (
            datetime.fromtimestamp(time / 1_000, UTC).strftime("%d %B %Y %H:%M")
            for time in self.times
        )
        return f"{self.value!r} is {one} by {self.first!r} and {other} by {self.second!r}"


def choice_of(names: Sequence[str], zone: tzinfo = UTC) -> FormatChoice:
    """Put formats to work, nothing being decided among them."""
    return FormatChoice(tuple(names), tuple(time_reader(name, zone) for name in names))


def reader_of(choice: FormatChoice) -> TimeReader:
    """Build the reader of a file's times.

    It raises `Undecided` for a value that two formats read differently, unless one of them wins.
    """
    if len(choice.readers) == 1:
        return choice.readers[0]

    def read(value: object) -> int | None:
        found = [(n, time) for n, r in enumerate(choice.readers) if (time := r(value)) is not None]
        if len(found) < 2:
            return found[0][1] if found else None
        for number, time in found:
            if all(time == other or (number, n) in choice.wins for n, other in found):
                return time
        raise Undecided

    return read


def decided(values: Iterable[object], choice: FormatChoice) -> tuple[FormatChoice, list[Reading]]:
    """Decide among formats by the values that only one of two fits.

    Parameters
    ----------
    values
        All times of a file.
    choice
        The formats.

    Returns
    -------
    tuple
        The formats with their wins, and for each two that nothing decides between, or that both
        fit values that the other does not, a value that they read differently.

    Examples
    --------
    >>> both = choice_of(["%m/%d/%Y", "%d/%m/%Y"])
    >>> made, open = decided(["05/11/2010", "13/12/2010"], both)
    >>> made.wins, open
    (frozenset({(1, 0)}), [])
    >>> str(decided(["05/11/2010"], both)[1][0])
    "'05/11/2010' is 11 May 2010 00:00 by '%m/%d/%Y' and 05 November 2010 00:00 by '%d/%m/%Y'"
    """
    alone: set[tuple[int, int]] = set()  # (n, m): n fits a value that m does not
    differing: dict[tuple[int, int], Reading] = {}
    pairs = list(combinations(range(len(choice.names)), 2))
    last: object = None
    for value in values:
        if value == last:
            continue
        last = value
        times = [read(value) for read in choice.readers]
        for n, m in pairs:
            one, other = times[n], times[m]
            if one is None or other is None:
                if one is not None:
                    alone.add((n, m))
                elif other is not None:
                    alone.add((m, n))
            elif one != other and (n, m) not in differing:
                names = choice.names[n], choice.names[m]
                differing[n, m] = Reading(value, *names, (one, other), (n, m))
    wins = choice.wins | {pair for pair in alone if pair[::-1] not in alone}
    unsettled = [
        reading._replace(both=pair in alone)
        for pair, reading in differing.items()
        if pair not in wins and pair[::-1] not in wins
    ]
    return choice._replace(wins=frozenset(wins)), unsettled


def _iso_reader(zone: tzinfo) -> TimeReader:
    def read(value: object) -> int | None:
        if not isinstance(value, str) or not _is_iso_like(value):
            return None
        if value[-1:] in "CcTt" and (match := _NAMED_UTC.search(value)):
            value = value[: match.start()] + "Z"
        try:
            return _milliseconds(moment(value), zone)
        except (ValueError, OverflowError):
            return None

    return read


def _is_iso_like(value: str) -> bool:
    """Tell a date from a long number, which ``fromisoformat`` may take for a compact date."""
    return value[4:5] == "-" or value[8:9] in ("T", "t") or len(value) == 8


def _pattern_reader(pattern: str, zone: tzinfo) -> TimeReader:
    @lru_cache(maxsize=65_536)  # strptime takes 5 µs, and times of a log come in runs
    def read_text(text: str) -> int | None:
        try:
            when = datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone comes next
            return _milliseconds(when, zone)
        except (ValueError, OverflowError):
            return None

    sign = re.sub(r"%.|\s|\w", "", pattern)[:1]  # that a text of this pattern has

    def read(value: object) -> int | None:
        if isinstance(value, str):
            return read_text(value) if sign in value else None  # most formats fall at once
        # A pattern of digits only, such as %Y%m%d, meets numbers in JSON lines.
        return read_text(str(value)) if isinstance(value, int) else None

    return read


def _milliseconds(when: datetime, zone: tzinfo) -> int:
    aware = when if when.tzinfo is not None else when.replace(tzinfo=zone)
    return (aware - _EPOCH) // _MILLISECOND


def _epoch(value: object, scale: int) -> int | None:
    """Read a number of seconds or less, whole or with a fraction; ``scale`` as in `EPOCHS`.

    >>> _epoch("1396437466.94", 1_000_000), _epoch(1433221332117, 1_000), _epoch("nan", 1_000)
    (1396437466940, 1433221332117, None)
    """
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    if isinstance(value, str) and (len(value) > 64 or "_" in value):
        return None
    try:
        time = _scaled(int(value), scale) if not isinstance(value, float) else None
    except (ValueError, OverflowError):
        time = None
    if time is None:
        try:
            time = round(_scaled(float(value), scale))
        except (ValueError, OverflowError):
            return None
    return time if -_FURTHEST < time < _FURTHEST else None


def _scaled(count: _N, scale: int) -> _N:
    if scale >= 1_000:
        return count * (scale // 1_000)
    return count // (1_000 if scale else 1_000_000)
