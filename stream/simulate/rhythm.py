"""When people shop: a week with busy evenings and quiet nights.

Visits are a Poisson process whose rate follows the week. Its next point is found exactly, by
walking an exponential amount of *busy time* along the cumulated rate.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_WEEK_MS = 7 * DAY_MS
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday

# Relative traffic of an online shop by hour of the day: lunch and evening peaks.
_HOURS = (3, 2, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 14, 13, 12, 12, 13, 15, 18, 21, 23, 22, 16, 9)
_WEEKDAYS = (1.0, 0.97, 0.95, 0.97, 0.95, 1.05, 1.15)


class Rhythm:
    """The rate of visits over the week, with mean 1; ``daily=False`` makes it flat."""

    def __init__(self, *, daily: bool = True) -> None:
        rates = [h * d for d in _WEEKDAYS for h in _HOURS] if daily else [1.0] * 168
        scale = 168 / sum(rates)
        self._rates = [rate * scale for rate in rates]
        self._total = [0.0, *accumulate(rate * HOUR_MS for rate in self._rates)]

    def after(self, time: int, busy: float) -> int:
        """Find the time that lies ``busy`` ms of mean traffic after ``time`` (both ms).

        >>> Rhythm(daily=False).after(1_000, 500.0)
        1500
        >>> Rhythm().after(0, 7 * 86_400_000.0)  # a whole week has its mean
        604800000
        """
        shift = _EPOCH_WEEKDAY * DAY_MS
        week, offset = divmod(time + shift, _WEEK_MS)
        hour = offset // HOUR_MS
        target = self._total[hour] + (offset - hour * HOUR_MS) * self._rates[hour] + busy
        weeks, rest = divmod(target, self._total[-1])
        hour = min(bisect_right(self._total, rest) - 1, 167)
        within = (rest - self._total[hour]) / self._rates[hour]
        return round((week + int(weeks)) * _WEEK_MS + hour * HOUR_MS + within) - shift
