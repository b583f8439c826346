"""How quiet the machine is: what others take of it, and how long a fixed piece of work lasts.

Rules: a share is of all the cores' time; :mod:`bench.clocks` reads it. Steal is what a hypervisor
gave to other machines, where it says so; where it does not, the spin tells.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

OTHERS, STEAL, SPIN = 0.05, 0.02, 1.15  # beyond these a machine is not quiet


class Clocks(NamedTuple):
    """Seconds until now: of time, and of CPU that ours, others and the hypervisor took."""

    time: float
    ours: float
    busy: float
    steal: float


class Quietness(NamedTuple):
    """Shares of the cores' time that others and the hypervisor took, and seconds of a spin."""

    others: float
    steal: float
    spin: float

    @classmethod
    def between(
        cls, start: Clocks, end: Clocks, spin: float, cores: int | None = None
    ) -> Quietness:
        """What happened between two readings.

        >>> start = Clocks(0.0, 0.0, 0.0, 0.0)
        >>> Quietness.between(start, Clocks(10.0, 6.0, 8.0, 1.0), 0.01, cores=2)
        Quietness(others=0.1, steal=0.05, spin=0.01)
        """
        capacity = (end.time - start.time) * (cores or os.cpu_count() or 1)
        ours, busy, steal = (end[n] - start[n] for n in (1, 2, 3))
        return cls(max(0.0, busy - ours) / capacity, steal / capacity, spin)


def summary(turns: Sequence[Quietness]) -> dict[str, Any] | None:
    """How quiet it was in so many turns; None if there were none.

    ``spin`` is the median over the shortest. ``quiet`` says whether a ratio of rates may be
    believed.

    >>> summary([Quietness(0.01, 0.0, 0.010), Quietness(0.02, 0.0, 0.011)])["quiet"]
    True
    """
    if not turns:
        return None
    others, steal, spins = zip(*turns, strict=True)
    slowed = median(spins) / min(spins)
    return {
        "others": median(others),
        "others_most": max(others),
        "steal": median(steal),
        "steal_most": max(steal),
        "spin": slowed,
        "spin_most": max(spins) / min(spins),
        "turns": len(turns),
        "quiet": median(others) <= OTHERS and median(steal) <= STEAL and slowed <= SPIN,
    }
