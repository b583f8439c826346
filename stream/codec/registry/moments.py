"""Times as texts, exact to the nanosecond: RFC 3339, as every door reads them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # the text says the zone
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()


def moment(count: int, digits: int, zone: str = "Z") -> str | int:
    """A time since the epoch as a text; the count itself if it is in no calendar's year.

    Parameters
    ----------
    count
        Of units of 10 to the power of ``-digits`` seconds.
    digits
        3, 6 or 9.
    zone
        What stands behind it: empty for a local time.

    Examples
    --------
    >>> moment(1569888001000, 3), moment(-1, 9), moment(2**62, 3) == 2**62
    ('2019-10-01T00:00:01.000Z', '1969-12-31T23:59:59.999999999Z', True)
    """
    seconds, rest = divmod(count, 10**digits)
    try:
        when = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return count
    return f"{when.isoformat()}.{rest:0{digits}}{zone}"


def day(count: int) -> str | int:
    """A day, counted from the epoch, as a text; the count itself if it is in no calendar's year.

    >>> day(0), day(18_170)
    ('1970-01-01', '2019-10-01')
    """
    try:
        return date.fromordinal(_FIRST_DAY + count).isoformat()
    except (ValueError, OverflowError):
        return count


def time_of_day(count: int, digits: int) -> str | int:
    """A time of day, counted from midnight, as a text; the count itself if no day is so long.

    >>> time_of_day(3_723_004, 3)
    '01:02:03.004'
    """
    seconds, rest = divmod(count, 10**digits)
    if not 0 <= seconds < 86_400:
        return count
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:0{digits}}"
