"""Running a worker: start, take events until told to stop, drain, and say how it ended."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading

from mode import get_logger

from stream.runtime.app import OfferstreamApp
from stream.runtime.health import Health, heartbeat
from stream.runtime.watching import WorkerSensor, watch_of

logger = get_logger(__name__)


def run(app: OfferstreamApp, health: Health) -> int:
    """Run until SIGTERM, SIGINT or a crash; return the exit code.

    A stop drains: no new batch is taken, what is decided becomes durable, offsets are committed.
    What is not drained in time is left to the next owner, who decides it again.
    """
    return asyncio.run(_run(app, health))


async def _run(app: OfferstreamApp, health: Health) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app.sensors.add(WorkerSensor(health))
    told = asyncio.create_task(stop.wait())
    working = asyncio.create_task(_work(app, health))
    beating = asyncio.create_task(heartbeat(health))
    await asyncio.wait({told, working}, return_when=asyncio.FIRST_COMPLETED)
    crashed = working.done()
    if crashed:
        logger.error("the worker crashed", exc_info=working.exception())
    working.cancel()
    health.unready("draining")
    deadline = _Deadline(app.settings.worker.drain_timeout)
    if not crashed:
        await app.learning.publish()
    await app.stop()
    deadline.code = int(crashed)
    beating.cancel()
    return deadline.code


async def _work(app: OfferstreamApp, health: Health) -> None:
    """Start, and work until cancelled or crashed."""
    await app.start()
    watching = asyncio.create_task(watch_of(app, health).run())
    try:
        await app.recovered()
        _set_apart()
        health.ready()
        await app.unless_crashed(asyncio.Event().wait())
    finally:
        watching.cancel()


def _set_apart() -> None:
    """Keep what is there by now, modules above all, out of every later full collection."""
    gc.collect()
    gc.freeze()


class _Deadline:
    """Ends the process when its time is over, whatever it waits for."""

    def __init__(self, seconds: float) -> None:
        self.code = 1
        timer = threading.Timer(seconds, self._leave, [seconds])
        timer.daemon = True
        timer.start()

    def _leave(self, seconds: float) -> None:
        logger.error("still not at an end after %g s: leaving what is left", seconds)
        os._exit(self.code)
