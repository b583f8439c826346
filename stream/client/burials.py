"""Dead letters: finding them, and sending them again.

Rules. A letter is sent again as it was, byte for byte, to the topic that it came from, by its key,
with the number of its deaths in a header. Of one that was cut, only a part is left: it is not sent.
One that has died as often as the limit says is not sent either, so that nothing goes in circles for
ever. Sent twice, an event counts once, by its id.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, NamedTuple

from stream.broker.opening import open_broker
from stream.broker.protocol import Broker
from stream.broker.records import Record
from stream.client.producer import Acknowledged, EventProducer, NotSent
from stream.codec.deadletters import DeadLetter, Restored, restore, retried
from stream.config import ConfigError, Settings
from stream.domain.event import RejectionCode

PRODUCER_HEADERS: Final = ("producer", "ce_source", "client.id")
_POINTER: Final = re.compile(r"/\S*")


class Letter(NamedTuple):
    """A dead letter, and where it lies: ``time`` is that of its burial, in ms since 1970."""

    partition: int
    offset: int
    time: int
    restored: Restored

    @property
    def place(self) -> str:
        """Its name for people: partition and offset."""
        return f"{self.partition}:{self.offset}"

    @property
    def field(self) -> str:
        """The JSON pointer of the field that was wrong; empty if it was none."""
        found = _POINTER.match(self.restored.rejection.detail)
        return found[0] if found else ""

    @property
    def producer(self) -> str:
        """Who sent it: by its header, else by its topic."""
        record = self.restored.record
        headers = {name.lower(): raw for name, raw in record.headers if raw}
        named = next((headers[name] for name in PRODUCER_HEADERS if name in headers), None)
        return record.topic if named is None else named.decode(errors="backslashreplace")


class Filter(NamedTuple):
    """Which letters are meant; what is None, or empty, leaves all in.

    ``since`` and ``until`` are times of burial in ms since 1970, ``until`` itself left out.
    """

    codes: frozenset[RejectionCode] = frozenset()
    field: str | None = None
    producer: str | None = None
    topic: str | None = None
    since: int | None = None
    until: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.codes or letter.restored.rejection.code in self.codes)
            and self.field in (None, letter.field)
            and self.producer in (None, letter.producer)
            and self.topic in (None, letter.restored.record.topic)
            and (self.since is None or letter.time >= self.since)
            and (self.until is None or letter.time < self.until)
        )


class Replayed(NamedTuple):
    """What became of letters that were meant.

    ``sent`` are acknowledged, ``failed`` not; ``cut`` have only a part left, ``often`` have died as
    often as the limit says, ``elsewhere`` come from topics that are not the settings' own.
    """

    sent: int = 0
    failed: int = 0
    cut: int = 0
    often: int = 0
    elsewhere: int = 0


async def letters(
    broker: Broker,
    settings: Settings,
    wanted: Filter,
    seen: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[Letter]:
    """The letters that are on the topic now, partition by partition in order.

    Parameters
    ----------
    broker, settings
    wanted
        Which of them.
    seen
        Called with the number of records read, now and then.

    Raises
    ------
    ConfigError
        If the topic cannot be read.
    """
    topic, ended, count = settings.topics.dead_letters, asyncio.Event(), 0
    found = broker.tail(topic, wanted.since, ended.set)
    async with aclosing(found):  # type: ignore[type-var]
        async for records in found:
            for record in records:
                letter = _letter(record)
                if letter is not None and wanted.takes(letter):
                    yield letter
            count += len(records)
            seen(count)
            if ended.is_set():
                return


def _letter(record: Record) -> Letter | None:
    headers = tuple(record.headers)
    try:
        restored = restore(DeadLetter(record.key, record.value, headers))
    except ValueError:
        return None  # not a worker's
    return Letter(record.partition, record.offset, record.timestamp, restored)


async def replay(
    settings: Settings,
    wanted: Filter,
    *,
    most: int,
    rate: float | None = None,
    dry: bool = False,
    shown: Callable[[Replayed, int], None] = lambda *_: None,
) -> Replayed:
    """Send letters again.

    Parameters
    ----------
    settings
    wanted
        Which of them.
    most
        One that has died so often stays.
    rate
        Letters a second, at most; None: as many as go.
    dry
        Count only: ``sent`` are those that would be.
    shown
        Called with what became of letters so far, and the number of records read.

    Raises
    ------
    ConfigError
        If the topics cannot be read or written.
    """
    counts: Counter[str] = Counter()
    read = 0

    def seen(records: int) -> None:
        nonlocal read
        read = records
        shown(Replayed(**counts), read)

    async with (
        open_broker(settings) as broker,
        EventProducer(settings, opened=broker) as producer,
    ):
        sender = _Sender(producer, rate, counts)
        async with aclosing(letters(broker, settings, wanted, seen)) as found:  # type: ignore[type-var]
            async for letter in found:
                why = _kept_back(settings, letter, most)
                if why is not None or dry:
                    counts[why or "sent"] += 1
                else:
                    await sender.send(settings, letter)
        await sender.settle(0)
    return Replayed(**counts)


def _kept_back(settings: Settings, letter: Letter, most: int) -> str | None:
    """Why a letter is not sent again; None if it is."""
    restored = letter.restored
    if not restored.complete:
        return "cut"
    if restored.attempt >= most:
        return "often"
    known = (*settings.topics.events, settings.topics.catalog, settings.topics.campaigns)
    return None if restored.record.topic in known else "elsewhere"


class _Sender:
    """Sends letters, no faster than asked, and counts what was acknowledged."""

    def __init__(self, producer: EventProducer, rate: float | None, counts: Counter[str]) -> None:
        self._producer, self._rate, self._counts = producer, rate, counts
        self._under_way: deque[Awaitable[Acknowledged]] = deque()
        self._began, self._number = time.monotonic(), 0

    async def send(self, settings: Settings, letter: Letter) -> None:
        """Send one, when it is its turn."""
        if self._rate is not None:
            due = self._began + self._number / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        self._number += 1
        record = letter.restored.record
        topic = record.topic.removeprefix(settings.topics.prefix)
        headers = retried(letter.restored)
        try:
            sent = await self._producer.relay(topic, record.key, record.value, headers)
        except NotSent as error:
            raise ConfigError(f"nothing more can be sent: {error}") from error
        self._under_way.append(sent)
        await self.settle(1_000)

    async def settle(self, most: int) -> None:
        """Wait until at most so many are under way."""
        while len(self._under_way) > most:
            try:
                await self._under_way.popleft()
            except NotSent:
                self._counts["failed"] += 1
            else:
                self._counts["sent"] += 1
