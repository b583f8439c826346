"""The compactor: compacts what is due, in a thread that gives way, while the app runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from mode import Service

from stream.broker.local.appended import Appended
from stream.broker.local.log import CorruptLogError, Log

PAUSE: Final = 1.0  # seconds between two looks at what is due
LOOK: Final = 60.0  # seconds until a look at what waited for long, where nothing is appended
_BREATH = 0.001  # seconds between two steps, in which the event loop has the interpreter


class Compactor(Service):
    """Look for partitions that are due, after appends at most once a second, else once a minute.

    Parameters
    ----------
    kept
        The log whose topics it keeps compact.
    """

    abstract = False

    def __init__(self, kept: Log, **options: Any) -> None:
        self.kept = kept
        self._work: asyncio.Future[None] | None = None
        self._damaged: set[str] = set()
        super().__init__(**options)

    async def on_stop(self) -> None:
        """Wait for the step that is under way: nothing may be renamed in a log that is closed."""
        if self._work is not None:
            await asyncio.wait([self._work])

    @Service.task
    async def _compact_due(self) -> None:
        with Appended(self.kept) as appended:
            looked = time.monotonic()  # who begins to read has committed by the first look
            while not self.should_stop:
                appended.clear()
                if time.monotonic() >= looked + LOOK:
                    looked = time.monotonic()
                    await self._apart("remove what is kept no longer", self.kept.expire)
                for topic, partition in self.kept.due():
                    steps = partial(self._steps, topic, partition)
                    if (what := f"compact {topic}-{partition}") not in self._damaged:
                        await self._apart(what, steps)
                await appended.wait(LOOK)
                await self.sleep(PAUSE)

    async def _apart(self, what: str, work: Callable[[], None]) -> None:
        self._work = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            await asyncio.shield(self._work)
        except OSError as error:  # no room for a copy: not the end, appending may well go on
            self.logger.warning("cannot %s: %s", what, error)
            await self.sleep(60 * PAUSE)
        except CorruptLogError as error:  # told now, and again by whoever reads it
            self.logger.error("cannot %s: %s", what, error)
            self._damaged.add(what)
        finally:
            self._work = None

    def _steps(self, topic: str, partition: int) -> None:
        for _ in self.kept.compact(topic, partition):
            if self.should_stop:
                return  # what was written so far is removed when the log is opened again
            time.sleep(_BREATH)
