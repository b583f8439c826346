"""Running a worker: start, take events until told to stop, drain, and say how it ended."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

from mode import get_logger

from stream.broker.kafka.access import refused_access
from stream.broker.kafka.connection import answers
from stream.config import ConfigError
from stream.decide.warm import warm
from stream.models.base.kernel import COMPILED
from stream.worker.app import OfferstreamApp
from stream.worker.faust.store import Rebuilds, StoreFault
from stream.worker.mendable import is_mendable
from stream.worker.telemetry.health import Health, heartbeat
from stream.worker.telemetry.watching import RECOVERING, WorkerSensor, watch_of

logger = get_logger(__name__)

ENDS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
UNCOMMITTED: Final = 3  # the exit code of an end, as asked, that left something to do again
SILENCE: Final = 2.0  # seconds without an answer in which a broker counts as gone
YOUNG: Final = 10_000  # containers between two collections: 3 % of the CPU at Python's own 700
SLOW: Final = 10.0  # seconds in which kernels that were kept are there
LAST_LESSONS: Final = 5.0  # seconds for what was learned to be published; it can be learned again


def run(build: Callable[[], OfferstreamApp], health: Health, rebuilds: Rebuilds) -> int:
    """Run until SIGTERM, SIGINT, SIGHUP or a crash; return the exit code.

    A stop drains: no new batch is taken, what is decided becomes durable, offsets are committed.
    What is not drained in time, or cannot be as no broker answers, is left to the next owner, who
    decides it again. When a store is damaged the app ends, the store is emptied and an app built
    anew: its start recovers the store.

    Raises
    ------
    ConfigError
        If something is found, at the start or while it runs, that an operator must mend.
    """
    return asyncio.run(_run(build, health, rebuilds))


async def _run(build: Callable[[], OfferstreamApp], health: Health, rebuilds: Rebuilds) -> int:
    told = asyncio.Event()
    with _heeded(told.set):
        return await _lives(build, health, rebuilds, told)


@contextmanager
def _heeded(tell: Callable[[], None]) -> Iterator[None]:
    """Call back on every signal that asks for an end; behind the block none counts any more."""
    loop = asyncio.get_running_loop()
    # What is ignored stays so: `nohup` means it.
    heeded = [n for n in ENDS if signal.getsignal(n) is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, tell)
    try:
        yield
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # it has ended, but for the interpreter


async def _lives(
    build: Callable[[], OfferstreamApp], health: Health, rebuilds: Rebuilds, told: asyncio.Event
) -> int:
    """Run an app, and another one for each store that had to be emptied."""
    try:
        while True:
            reason = await _live(await asyncio.to_thread(build), health, told)
            if isinstance(reason, ConfigError):
                raise reason from None
            if not isinstance(reason, StoreFault):
                return int(reason is not None)
            rebuilds.empty(reason)
            if told.is_set():
                return 0
            health.unready(RECOVERING)
    except StoreFault as fault:
        logger.error("%s", str(fault))
        return 1


async def _live(app: OfferstreamApp, health: Health, told: asyncio.Event) -> BaseException | None:
    """Run an app until it is told to stop, or what it crashed with."""
    app.sensors.add(WorkerSensor(health))
    stop = asyncio.create_task(told.wait())
    working = asyncio.create_task(_work(app, health))
    beating = asyncio.create_task(
        heartbeat(health, learner=lambda: app.learning.waited, schemas=lambda: _schemas(app))
    )
    await asyncio.wait({stop, working}, return_when=asyncio.FIRST_COMPLETED)
    reason = working.exception() if working.done() else None
    reason = refused_access(reason, app.settings) or reason
    if reason is not None and not isinstance(reason, StoreFault | ConfigError):
        trace = None if is_mendable(reason) else reason
        logger.error("the worker ends: %s", reason, exc_info=trace)
    working.cancel()
    stop.cancel()
    if reason is None:
        logger.info("drain: no more events are taken; what is decided becomes durable")
    health.unready("draining")
    end = _End(app, reason)
    watching = asyncio.create_task(end.when_nobody_answers())
    if reason is None:
        await _publish(app)
    await app.stop()
    watching.cancel()
    beating.cancel()
    if isinstance(reason, StoreFault):
        end.cancel()
    end.code = 0 if reason is None else end.code
    if reason is None:
        logger.info("end: as asked; all that was taken is committed")
    gc.unfreeze()  # so that this app's parts may go before another's are set apart
    return reason


def _schemas(app: OfferstreamApp) -> tuple[float, str]:
    return (0.0, "") if app.schemas is None else app.schemas.waited()


def _code_of(reason: BaseException | None) -> int:
    """The exit code of an end that is not waited for."""
    if reason is None:
        return UNCOMMITTED
    return 2 if isinstance(reason, ConfigError) else 1


async def _publish(app: OfferstreamApp) -> None:
    try:
        async with asyncio.timeout(LAST_LESSONS):
            await app.learning.publish()
    except Exception:
        logger.warning("what was learned last is not published: it is learned again", exc_info=True)


async def _work(app: OfferstreamApp, health: Health) -> None:
    """Start, and work until cancelled or crashed."""
    await _warm()
    _set_apart()  # all modules: 100 ms, while nothing is under way yet
    await app.start()
    watching = asyncio.create_task(watch_of(app, health).run())
    try:
        await app.recovered()
        _set_apart()
        health.ready()
        await app.unless_crashed(asyncio.Event().wait())
    finally:
        watching.cancel()


async def _warm() -> None:
    """Have the kernels at hand before a group waits for us; set-up has compiled them, as a rule."""
    if not COMPILED:
        logger.warning("there is no numba for this machine: the same results, more slowly")
        return
    began = monotonic()
    await asyncio.to_thread(warm)
    if monotonic() - began > SLOW:
        logger.warning(
            "kernels were compiled, which took %.0f s: let who runs the worker run "
            "`python -m stream.decide.warm` once, with a home or a package that can be written",
            monotonic() - began,
        )


def _set_apart() -> None:
    """Keep what is there by now out of every later full collection, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)


class _End:
    """Ends the process, whatever it waits for, when its time is over or nobody is left to tell."""

    def __init__(self, app: OfferstreamApp, reason: BaseException | None) -> None:
        self.code = _code_of(reason)
        self._app, self._reason = app, reason
        seconds = app.settings.worker.drain_timeout
        why = f"it is not at an end after {seconds:g} s"
        self._timer = threading.Timer(seconds, self._leave, [why])
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """Let the process go on."""
        self._timer.cancel()

    async def when_nobody_answers(self) -> None:
        """Leave once no broker answers, twice in a row: one that restarts may be back by then."""
        settings = self._app.settings
        missed = 0
        while settings.embedded_log is None and missed < 2:
            missed = 0 if await answers(settings, SILENCE) else missed + 1
            await asyncio.sleep(SILENCE / 4)
        if missed:
            self._leave("no broker answers")

    def _leave(self, why: str) -> None:
        consumer: Any = self._app.consumer
        if isinstance(self._reason, ConfigError):  # the command, which tells it, has no turn
            logger.error("the worker ends: %s", str(self._reason))
        logger.error(
            "%s: leaving; %d records that were read are not committed, and are decided again",
            *(why, consumer.uncommitted()),
        )
        logging.shutdown()
        os._exit(self.code)
