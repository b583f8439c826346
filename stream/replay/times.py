"""Texts and numbers of a log → event times in milliseconds since the epoch.

Rules:

- A time is what one of the mapping's formats makes of the value; the first that can, wins.
- A time without an offset of its own is in the mapping's zone; an hour that a clock change
  repeats is the first of the two.
- What no format can read is None: the row is published with the value as it stands, and the
  pipeline's decoder says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from stream.replay.mapping import TimeFormat

#: Reads a value of a row; None if it is no time.
TimeReader: TypeAlias = Callable[[object], int | None]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FURTHEST: Final = 253_402_300_800_000  # the year 10000: beyond it, nothing is a time


def time_reader(format: TimeFormat) -> TimeReader:
    """Build the reader of a mapping's times.

    Examples
    --------
    >>> read = time_reader(TimeFormat(("iso", "epoch_s"), zone="Europe/London"))
    >>> read("2019-07-01 01:00:00"), read("2019-10-01 00:00:00 UTC"), read("1396437466.94")
    (1561939200000, 1569888000000, 1396437466940)
    >>> read("yesterday") is None
    True
    """
    zone: tzinfo = UTC if format.zone == "UTC" else ZoneInfo(format.zone)
    readers = tuple(_reader(text, zone) for text in format.formats)
    if len(readers) == 1:
        return readers[0]

    def first_of(value: object) -> int | None:
        for read in readers:
            time = read(value)
            if time is not None:
                return time
        return None

    return first_of


def _reader(text: str, zone: tzinfo) -> TimeReader:
    match text:
        case "iso":
            return _iso_reader(zone)
        case "epoch_s":
            return lambda value: _epoch(value, 1_000)
        case "epoch_ms":
            return lambda value: _epoch(value, 1)
    return _pattern_reader(text, zone)


def _iso_reader(zone: tzinfo) -> TimeReader:
    def read(value: object) -> int | None:
        if not isinstance(value, str) or not _is_iso_like(value):
            return None
        if value.endswith((" UTC", " GMT")):
            value = value[:-4] + "Z"
        try:
            return _milliseconds(datetime.fromisoformat(value), zone)
        except (ValueError, OverflowError):
            return None

    return read


def _is_iso_like(value: str) -> bool:
    """Tell a date from a long number, which ``fromisoformat`` may take for a compact date."""
    return value[4:5] == "-" or value[8:9] == "T" or len(value) == 8


def _pattern_reader(pattern: str, zone: tzinfo) -> TimeReader:
    @lru_cache(maxsize=65_536)  # strptime takes 5 µs, and times of a log come in runs
    def read_text(text: str) -> int | None:
        try:
            when = datetime.strptime(text, pattern)  # noqa: DTZ007 - the zone comes next
            return _milliseconds(when, zone)
        except (ValueError, OverflowError):
            return None

    # A pattern of digits only, such as %Y%m%d, meets numbers in JSON lines.
    return lambda value: read_text(str(value)) if isinstance(value, str | int) else None


def _milliseconds(when: datetime, zone: tzinfo) -> int:
    aware = when if when.tzinfo is not None else when.replace(tzinfo=zone)
    return (aware - _EPOCH) // _MILLISECOND


def _epoch(value: object, scale: int) -> int | None:
    """Read seconds or milliseconds, whole or with a fraction.

    >>> _epoch("1396437466.94", 1_000), _epoch(1433221332117, 1), _epoch("nan", 1)
    (1396437466940, 1433221332117, None)
    """
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        time = int(value) * scale
    except (ValueError, OverflowError):
        try:
            time = round(float(value) * scale)
        except (ValueError, OverflowError):
            return None
    else:
        if isinstance(value, float):
            time = round(value * scale)
    return time if -_FURTHEST < time < _FURTHEST else None
