"""Running a worker: start, take events until told to stop, drain, and say how it ended."""

from __future__ import annotations

import asyncio
import signal

from mode import get_logger

from stream.runtime.app import OfferstreamApp
from stream.runtime.health import Health, heartbeat
from stream.runtime.watching import WorkerSensor, watch_of

logger = get_logger(__name__)


def run(app: OfferstreamApp, health: Health) -> int:
    """Run until SIGTERM, SIGINT or a crash; return the exit code.

    A stop drains: no new batch is taken, what is decided becomes durable, offsets are committed.
    """
    return asyncio.run(_run(app, health))


async def _run(app: OfferstreamApp, health: Health) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app.sensors.add(WorkerSensor(health))
    tasks = [asyncio.create_task(heartbeat(health))]
    try:
        await app.start()
        tasks.append(asyncio.create_task(watch_of(app, health).run()))
        await app.recovered()
        health.ready()
        await app.unless_crashed(stop.wait())
    except Exception:
        logger.exception("the worker crashed")
        return 1
    finally:
        health.unready("draining")
        try:
            async with asyncio.timeout(app.settings.worker.drain_timeout):
                await app.learning.publish()
                await app.stop()
        finally:
            for task in tasks:
                task.cancel()
    return 0
