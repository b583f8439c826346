"""The watchdog over the event loop tells who held it, by CPU time alone."""

from __future__ import annotations

import asyncio
import gc
import time

from tests.holding import Watchdog


def work(ms: float) -> None:
    """Take so much CPU time of this thread."""
    until = time.thread_time() + ms / 1e3
    while time.thread_time() < until:
        pass


async def test_a_callback_that_works_is_told_with_its_place() -> None:
    watchdog = Watchdog(least=20.0)
    with watchdog.watching():
        await asyncio.sleep(0)
        work(60.0)
        while not watchdog.sees:
            work(1.0)
        await asyncio.sleep(0)
    [hold] = watchdog.holds
    assert watchdog.longest == hold.ms >= 60.0
    assert f"{__file__}:" in str(watchdog)


async def test_neither_sleep_nor_threads_nor_what_the_collector_does_is_a_hold() -> None:
    watchdog, much = Watchdog(least=20.0), [[n] for n in range(200_000)]
    with watchdog.watching():
        await asyncio.sleep(0)
        time.sleep(0.05)  # noqa: ASYNC251  # it blocks the loop, and costs no CPU
        await asyncio.to_thread(work, 60.0)
        for _ in range(5):
            gc.collect()
        await asyncio.sleep(0)
    assert not watchdog.holds
    assert much


async def test_calls_are_counted_by_callback() -> None:
    watchdog, seen = Watchdog(least=1_000.0), list[int]()
    take = watchdog.counted("taken", seen.append)
    with watchdog.watching():
        for size in (2, 5, 3):
            await asyncio.sleep(0)
            for n in range(size):
                take(n)
        await asyncio.to_thread(take, 9)
    assert watchdog.most == {"taken": 5}
    assert len(seen) == 11
