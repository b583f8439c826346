"""A local log as a broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from math import inf
from types import MappingProxyType

from faust.types import TP

from stream.broker.facts import MISSING, TopicFacts
from stream.broker.local.appended import Appended
from stream.broker.local.follow import LocalFollower
from stream.broker.local.frame import Headers
from stream.broker.local.log import Log
from stream.broker.local.opening import open_log
from stream.broker.protocol import CaughtUp, Follower, OffsetRange, Placed, Take
from stream.broker.records import Outgoing, Record
from stream.codec.partition import partition_for
from stream.config import ConfigError, Settings


class LocalBroker:
    """Asks a local log, which ``log`` gives; who opened it closes it."""

    makes_topics = True

    def __init__(self, log: Callable[[], Log]) -> None:
        self._log = log

    async def topics(self, names: Iterable[str]) -> Mapping[str, TopicFacts]:
        """What there is of these topics."""
        log = self._log()
        widths = {name: log.partitions(name) for name in names}
        return {
            name: TopicFacts(log.topic_id(name), wide or 0, MISSING if wide is None else 0)
            for name, wide in widths.items()
        }

    async def bounds(self, tps: Iterable[TP]) -> Mapping[TP, OffsetRange]:
        """Where partitions begin and end."""
        log = self._log()
        return {tp: OffsetRange(log.earliest(*tp), log.highwater(*tp)) for tp in tps}

    async def offsets_at(self, tps: Iterable[TP], time: int) -> Mapping[TP, int]:
        """The first offset: when records were appended is not kept."""
        return {tp: bound.start for tp, bound in (await self.bounds(tps)).items()}

    async def records(self, places: Mapping[TP, int]) -> Mapping[TP, Record]:
        """The first record at or behind each place; none where the partition ends before."""
        log = self._log()
        within = {tp: at for tp, at in places.items() if at < log.highwater(*tp)}
        found = {tp: log.read(*tp, at, 1) for tp, at in within.items()}
        return {tp: records[0] for tp, records in found.items() if records}

    async def deletions_kept(self, topic: str) -> int | None:
        """How long a compacted topic keeps deletions, in ms; None if there is no such topic."""
        known = self._log().topics().get(topic)
        return None if known is None else known.tombstone_ms

    async def read(
        self, spans: Mapping[TP, tuple[int, int]], patience: float = inf
    ) -> AsyncIterator[list[Record]]:
        """The records of partitions from an offset to before another, partition by partition."""
        for tp, span in spans.items():
            for records in _within(self._log(), tp, span):
                yield records

    async def tail(
        self,
        topic: str,
        since: int | None,
        caught_up: CaughtUp,
        places: Mapping[TP, int] = MappingProxyType({}),
    ) -> AsyncIterator[Sequence[Record]]:
        """The records of all partitions of a topic, for ever; at times, none."""
        log = self._log()
        at = {number: log.earliest(topic, number) for number in range(_width(log, topic))}
        at |= {n: place for (_, n), place in places.items() if place <= log.highwater(topic, n)}
        with Appended(log, {topic}) as appended:
            while True:
                appended.clear()
                idle = True
                for number, offset in at.items():
                    records = log.read(topic, number, offset)
                    if records:
                        idle = False
                        at[number] = records[-1].offset + 1
                        yield records
                    await asyncio.sleep(0)
                if idle:
                    caught_up()
                    yield ()
                    await appended.wait()

    async def send(
        self, topic: str, record: Outgoing, partition: int | None = None
    ) -> Awaitable[Placed]:
        """Append a record, by its key without a partition."""
        log = self._log()
        if partition is None:
            partition = partition_for(record[0] or b"", _width(log, topic))
        offset = log.append(topic, partition, [_stamped(record)])
        placed: asyncio.Future[Placed] = asyncio.get_running_loop().create_future()
        placed.set_result(Placed(partition, offset))
        return placed

    async def publish(self, records: Mapping[TP, Sequence[Outgoing]]) -> None:
        """Append records; they are durable on return."""
        log = self._log()
        for tp, some in records.items():
            log.append(*tp, [_stamped(record) for record in some])
        await asyncio.to_thread(log.sync)

    async def committed(self, group: str, tps: Iterable[TP]) -> Mapping[TP, int]:
        """Where a group goes on reading, of those partitions where it ever committed."""
        log = self._log()
        found = {tp: log.committed(group, *tp) for tp in tps}
        return {tp: at for tp, at in found.items() if at is not None}

    async def commit(self, group: str, places: Mapping[TP, int]) -> None:
        """Remember where a group goes on; it is durable on return."""
        log = self._log()
        log.commit(group, {(tp.topic, tp.partition): at for tp, at in places.items()})
        await asyncio.to_thread(log.sync)

    async def overrule(self, owner: str, tp: TP, record: Outgoing) -> None:
        """Append a record: no owner runs while the log is open here."""
        await self.publish({tp: [record]})

    def follow(self, topics: Mapping[str, Take]) -> Follower:
        """Who hands each record of these topics to what takes it."""
        return LocalFollower(self._log, topics)

    async def close(self) -> None:
        """Do nothing: the log is somebody else's."""


@asynccontextmanager
async def opened(settings: Settings, *, make: bool) -> AsyncIterator[LocalBroker]:
    """Open the local log that the settings name, for a command.

    Raises
    ------
    ConfigError
        If there is none and none is to be made, another process has it open, or it is damaged.
    """
    with open_log(settings, make=make) as log:
        yield LocalBroker(lambda: log)


def _within(log: Log, tp: TP, span: tuple[int, int]) -> Iterator[list[Record]]:
    start, end = span
    at = max(start, log.earliest(*tp))
    while at < end and (found := log.read(*tp, at)):
        records: list[Record] = [record for record in found if record.offset < end]
        if records:
            yield records
        at = found[-1].offset + 1


def _width(log: Log, topic: str) -> int:
    count = log.partitions(topic)
    if count is None:
        raise ConfigError(f"topic {topic} is missing in {log.directory}: let a worker run on it")
    return count


def _stamped(record: Outgoing) -> tuple[bytes | None, bytes | None, int, Headers]:
    key, value, when, headers = record
    now = time.time_ns() // 1_000_000 if when is None else when
    return key, value, now, tuple(headers)
