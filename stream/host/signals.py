"""Ending well: Ctrl-C and SIGTERM ask a command to finish, and the second time insist."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[asyncio.Event]:
    """Give an event that SIGINT or SIGTERM sets; a second signal has its usual effect.

    It must be entered while an event loop runs, in the main thread.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def interrupt(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, interrupt, number)
    try:
        yield stop
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
