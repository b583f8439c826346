"""The machine's clocks, and a fixed piece of work.

Rules: what is ours is this process, the broker and the systems, with all that they started;
whatever else is busy are others.
"""

from __future__ import annotations

from contextlib import suppress
from time import perf_counter

import psutil

from bench.quiet import Clocks

_TURNS = 200_000


def clocks() -> Clocks:
    """Read them."""
    times = psutil.cpu_times()
    steal = getattr(times, "steal", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # in user, too
    return Clocks(perf_counter(), _ours(), sum(times) - guests - idle - steal, steal)


def spin() -> float:
    """Seconds that a fixed loop takes, some ten milliseconds."""
    began = perf_counter()
    total = 0
    for number in range(_TURNS):
        total += number
    return perf_counter() - began


def _ours() -> float:
    """CPU of this process and all below it; of those that ended, as their parents waited."""
    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total
