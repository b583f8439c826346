"""Following a log from asyncio: wake up when something was appended, and sleep until then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Set
from types import TracebackType

from stream.broker.local.log import Log, StoredRecord


class Appended:
    """An event that is set when one of some topics grows.

    While it is entered, it listens; it belongs to the event loop of the thread that made it, and
    hears appends of any thread.

    Parameters
    ----------
    log
        To listen to.
    topics
        Names to listen for, which may be changed; None listens to all.
    """

    def __init__(self, log: Log, topics: Set[str] | None = None) -> None:
        self.topics = topics
        self._log = log
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def __enter__(self) -> Appended:
        self._log.listeners.add(self._on_append)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._log.listeners.discard(self._on_append)

    def set(self) -> None:
        """Wake up who waits, though nothing was appended."""
        self._event.set()

    def clear(self) -> None:
        """Forget what was appended so far: call it before looking, wait after finding nothing."""
        self._event.clear()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for an append since `clear`; False when ``timeout`` seconds passed without one."""
        try:
            async with asyncio.timeout(timeout):
                return await self._event.wait()
        except TimeoutError:
            return False

    def _on_append(self, topic: str, partition: int, end: int) -> None:
        if self._event.is_set() or (self.topics is not None and topic not in self.topics):
            return
        if threading.get_ident() == self._thread:
            self._event.set()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)


async def follow(
    log: Log, topic: str, offsets: Mapping[int, int] | None = None, *, max_records: int = 1_000
) -> AsyncIterator[list[StoredRecord]]:
    """Yield the records of a topic in batches, each of one partition, for ever.

    Parameters
    ----------
    log
        Open, in this process: it may be an app's, ``app.transport.log``.
    topic
        Must exist.
    offsets
        Where to begin, by partition; partitions that are missing begin at the earliest.
    max_records
        The most in a batch.
    """
    count = log.partitions(topic)
    if count is None:
        raise KeyError(f"there is no topic {topic}")
    positions = {number: log.earliest(topic, number) for number in range(count)}
    positions.update(offsets or {})
    with Appended(log, {topic}) as appended:
        while True:
            appended.clear()
            idle = True
            for number, position in positions.items():
                records = log.read(topic, number, position, max_records)
                if records:
                    idle = False
                    positions[number] = records[-1].offset + 1
                    yield records
            if idle:
                await appended.wait()
