"""How fast a replay goes: as fast as it can, so many times history's own pace, or so many a second.

Rules:

- The pace is only ever waited for: a slow machine falls behind, and then makes up for it.
- How many rows go together depends on the pace and never on the clock, so that what is decided
  does not either.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from stream.config import ConfigError

_FASTEST_CHUNK: Final = 1_000
_PACED_CHUNK: Final = 50


class Pace(NamedTuple):
    """``times`` as fast as it happened, ``rate`` rows a second; neither: as fast as it can."""

    times: float | None = None
    rate: float | None = None

    @property
    def chunk(self) -> int:
        """How many records are published together: fewer where people watch."""
        if self.rate is not None:
            return max(1, min(_FASTEST_CHUNK, round(self.rate / 10)))
        return _FASTEST_CHUNK if self.times is None else _PACED_CHUNK

    def wait(self, rows: int, passed_ms: int, elapsed: float) -> float:
        """Seconds to wait before going on.

        Parameters
        ----------
        rows
            Published so far.
        passed_ms
            From the first event's time to that of what comes next.
        elapsed
            Seconds since the beginning.

        >>> (
        ...     Pace(times=60).wait(0, 120_000, 0.5),
        ...     Pace(rate=100).wait(50, 0, 0.1),
        ...     Pace().wait(9, 9, 9),
        ... )
        (1.5, 0.4, 0.0)
        """
        due = 0.0
        if self.times is not None:
            due = passed_ms / 1_000 / self.times
        elif self.rate is not None:
            due = rows / self.rate
        return max(due - elapsed, 0.0)


def parse_pace(text: str) -> Pace:
    """Read ``max``, ``N`` or ``Nx`` (times history's pace), or ``N/s`` (rows a second).

    Raises
    ------
    ConfigError
        It is none of these.

    >>> parse_pace("max"), parse_pace("60x"), parse_pace("500/s")
    (Pace(times=None, rate=None), Pace(times=60.0, rate=None), Pace(times=None, rate=500.0))
    """
    if text == "max":
        return Pace()
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)(x?|/s)", text)
    number = float(match[1]) if match else 0.0
    if match is None or not 0 < number < float("inf"):
        raise ConfigError(
            f"--speed is {text!r}; it must be max, or N (times as fast as it happened), or N/s "
            "(rows a second)"
        )
    return Pace(rate=number) if match[2] == "/s" else Pace(times=number)
