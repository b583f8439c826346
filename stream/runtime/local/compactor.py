"""The compactor: compacts what is due, in a thread that gives way, while the app runs."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from mode import Service

from stream.runtime.local.follow import Appended
from stream.runtime.local.log import Log

PAUSE: Final = 1.0  # seconds between two looks at what is due
_BREATH = 0.001  # seconds between two steps, in which the event loop has the interpreter


class Compactor(Service):
    """Look for partitions that are due after appends, at most once a second; sleep when idle.

    Parameters
    ----------
    kept
        The log whose topics it keeps compact.
    """

    abstract = False

    def __init__(self, kept: Log, **options: Any) -> None:
        self.kept = kept
        self._work: asyncio.Future[None] | None = None
        super().__init__(**options)

    async def on_stop(self) -> None:
        """Wait for the step that is under way: nothing may be renamed in a log that is closed."""
        if self._work is not None:
            await asyncio.wait([self._work])

    @Service.task
    async def _compact_due(self) -> None:
        with Appended(self.kept) as appended:
            while not self.should_stop:
                appended.clear()
                for topic, partition in self.kept.due():
                    await self._compact(topic, partition)
                await appended.wait()
                await self.sleep(PAUSE)

    async def _compact(self, topic: str, partition: int) -> None:
        self._work = asyncio.ensure_future(asyncio.to_thread(self._steps, topic, partition))
        try:
            await asyncio.shield(self._work)
        except OSError as error:  # no room for a copy: not the end, appending may well go on
            self.logger.warning("cannot compact %s-%d: %s", topic, partition, error)
            await self.sleep(60 * PAUSE)
        finally:
            self._work = None

    def _steps(self, topic: str, partition: int) -> None:
        for _ in self.kept.compact(topic, partition):
            if self.should_stop:
                return  # what was written so far is removed when the log is opened again
            time.sleep(_BREATH)
