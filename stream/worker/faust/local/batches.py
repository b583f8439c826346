"""Faust's transport over the local log, with batches in both directions."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from faust.types import TP, AppT
from yarl import URL

from stream.broker.local.log import CorruptLogError
from stream.broker.records import Outgoing
from stream.config import Settings
from stream.worker.faust.consumer import BatchingConsumer
from stream.worker.faust.local import transport as driver
from stream.worker.faust.local.consumer import Consumer
from stream.worker.faust.local.producer import Producer


class LocalConsumer(BatchingConsumer, Consumer):
    """Batches from the local log."""

    def _next_offset(self, tp: TP) -> int | None:
        return self._positions.get(tp)

    async def _drain_messages(self, fetcher: Any) -> None:
        # Stock: the fetcher logs a trace of what ends it, and a damaged file needs a line.
        try:
            await super()._drain_messages(fetcher)
        except CorruptLogError as error:
            await self.app.crash(error)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Move every partition to where the group goes on; where that is, if it ever committed."""
        log, group = self.transport.log, self.app.conf.id
        places = await super().seek_to_committed()
        return {tp: at for tp, at in places.items() if log.committed(group, *tp) is not None}


class LocalProducer(Producer):
    """Record batches to the local log: one append for each partition and batch."""

    async def own(self, tp: TP) -> None:
        """Do nothing: a directory has one process, and the log's lock sees to that."""

    async def disown(self, tp: TP) -> None:
        """Do nothing."""

    async def send_batch(  # type: ignore[override]  # awaited like Kafka's, which may have to wait
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> Awaitable[Any]:
        """Append the records of one partition; see :class:`BatchProducer`."""
        now = time.time_ns() // 1_000_000
        return super().send_batch(
            topic,
            partition,
            [
                (key, value, now if timestamp is None else timestamp, tuple(headers))
                for key, value, timestamp, headers in records
            ],
        )


class LocalTransport(driver.Transport):
    """The local log with batches."""

    Consumer = LocalConsumer
    Producer = LocalProducer


def local_transport(url: list[URL], app: AppT, settings: Settings) -> LocalTransport:
    """The transport over the log that the settings name, kept as they say."""
    transport = LocalTransport(url, app)
    transport.location = replace(
        transport.location,
        fsync=settings.embedded.fsync,
        segment_bytes=settings.embedded.segment_bytes,
    )
    return transport
