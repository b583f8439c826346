"""The producer: what an app sends goes into the local log, and is acknowledged when durable.

- What is sent in one turn of the event loop becomes one frame per partition.
- `Producer.send_batch` appends its records at once, in a frame of their own: all of them or none.
- A send of Faust's own that fails stops the app: Faust would log it and go on, and acknowledge an
  event whose effects are nowhere.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial as bind
from typing import Any, TypeAlias

from faust.transport import base
from faust.types import TP, HeadersArg, RecordMetadata
from mode.utils.times import Seconds, want_seconds

from stream.broker.local.frame import Headers, LogRecord
from stream.codec.partition import partition_for
from stream.worker.faust.local.compactor import Compactor
from stream.worker.faust.local.shared import SharedLog

Sent: TypeAlias = "list[tuple[LogRecord, asyncio.Future[RecordMetadata]]]"
Results: TypeAlias = "list[tuple[asyncio.Future[RecordMetadata], RecordMetadata]]"


class Producer(base.Producer):
    """Faust's producer over the local log."""

    transport: SharedLog  # type: ignore[assignment]  # Faust's transport, which it is, too

    def __post_init__(self) -> None:
        """Prepare what stands between a send and its frame."""
        self._pending: dict[TP, Sent] = {}  # sent, not appended yet
        self._rounds: set[asyncio.Future[None]] = set()  # that acknowledge what was appended
        self._turns: Counter[str] = Counter()
        self._on_produce = self.app.on_produce_message.send

    async def on_start(self) -> None:
        """Open the log."""
        await asyncio.to_thread(self.transport.hold, self)
        await super().on_start()
        await self.add_runtime_dependency(Compactor(self.transport.log, beacon=self.beacon))

    async def on_shutdown(self) -> None:
        """Let go of the log, when nothing of the producer runs any more."""
        try:
            self._write()
            await self._acknowledged()
        finally:
            await self.transport.release(self)

    # ------------------------------------------------------------------------------------ sending

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Send a record; ``timestamp`` is in seconds. The future is done when it is durable."""
        listed = _listed(headers)
        self._on_produce(
            key=key, value=value, partition=partition, timestamp=timestamp, headers=listed
        )
        milliseconds = int((timestamp or time.time()) * 1000)
        if partition is None:
            partition = self._partition(topic, key)
        if not self._pending:
            self.loop.call_soon(self._write)
        future: asyncio.Future[RecordMetadata] = self.loop.create_future()
        sent = self._pending.setdefault(TP(topic, partition), [])
        sent.append((LogRecord(key, value, milliseconds, tuple(listed)), future))
        return future

    async def send_and_wait(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: HeadersArg | None,
        *,
        transactional_id: str | None = None,
    ) -> RecordMetadata:
        """Send a record and wait until it is durable."""
        return await (await self.send(topic, key, value, partition, timestamp, headers))

    def send_batch(
        self,
        topic: str,
        partition: int,
        records: Sequence[tuple[bytes | None, bytes | None, int, Headers]],
    ) -> Awaitable[RecordMetadata]:
        """Append records, all of them or none, behind what was sent before.

        Parameters
        ----------
        topic
            Is created with the default partitions if it is missing.
        partition
            Of all the records.
        records
            Tuples of key, value, timestamp in ms, headers.

        Returns
        -------
        Awaitable[RecordMetadata]
            Done when the records are durable, with the offset of the last one. Fails with
            ``OSError`` when nothing was appended, or when the disk failed.
        """
        self._write()
        tp = TP(topic, partition)
        future: asyncio.Future[RecordMetadata] = self.loop.create_future()
        try:
            self.transport.ensure_topic(topic)
            first = self.transport.log.append(topic, partition, records)
        except OSError as error:
            future.set_exception(error)
            return future
        last = first + len(records) - 1
        timestamp = records[-1][2] if records else None
        self._await_durable([(future, _metadata(tp, last, timestamp))], future.set_exception)
        return future

    async def flush(self) -> None:
        """Wait until everything that was sent is durable."""
        await self.buffer.flush()
        self._write()
        await self._acknowledged()

    # ------------------------------------------------------------------------------------- topics

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: Seconds = 1000.0,
        retention: Seconds | None = None,
        compacting: bool | None = None,
        deleting: bool | None = None,
        ensure_created: bool = False,
    ) -> None:
        """Create a topic, unless it exists; what only a cluster can do is ignored."""
        self.transport.create_topic(
            topic,
            partitions,
            compacting=compacting,
            retention=want_seconds(retention) if retention else None,
            config=config or {},
        )

    def key_partition(self, topic: str, key: bytes) -> TP:
        """Return the partition that a key's records go to."""
        return TP(topic, self._partition(topic, key))

    def supports_headers(self) -> bool:
        """Return True: records keep their headers."""
        return True

    # ------------------------------------------------------------------------------------ private

    def _partition(self, topic: str, key: bytes | None) -> int:
        count = self.transport.ensure_topic(topic)
        if self.partitioner is not None:
            everyone = list(range(count))
            return int(self.partitioner(key, everyone, everyone))
        if key is not None:
            return partition_for(key, count)
        self._turns[topic] += 1
        return self._turns[topic] % count

    def _write(self) -> None:
        """Append what was sent, one frame per partition."""
        pending, self._pending = self._pending, {}
        for tp, sent in pending.items():
            futures = [future for _, future in sent]
            try:
                self.transport.ensure_topic(tp.topic)
                first = self.transport.log.append(*tp, [record for record, _ in sent])
            except Exception as error:
                self._give_up(futures, error)
                continue
            results = [
                (future, _metadata(tp, offset, record.timestamp))
                for offset, (record, future) in enumerate(sent, first)
            ]
            self._await_durable(results, bind(self._give_up, futures))

    def _await_durable(self, results: Results, give_up: Callable[[BaseException], None]) -> None:
        round_ = self.transport.durable()
        self._rounds.add(round_)

        def acknowledge(_: object) -> None:
            self._rounds.discard(round_)
            error = round_.exception()
            if error is not None:
                give_up(error)
                return
            for future, metadata in results:
                if not future.done():  # else whoever waited was cancelled
                    future.set_result(metadata)

        round_.add_done_callback(acknowledge)

    async def _acknowledged(self) -> None:
        while self._rounds:
            await asyncio.wait(self._rounds)

    def _give_up(self, futures: list[asyncio.Future[RecordMetadata]], error: BaseException) -> None:
        for future in futures:
            if not future.done():
                future.set_exception(error)
        self.add_future(self.crash(error))


def _listed(headers: HeadersArg | None) -> list[tuple[str, bytes]]:
    if headers is None:
        return []
    return list(headers.items()) if isinstance(headers, Mapping) else list(headers)


def _metadata(tp: TP, offset: int, timestamp: int | None) -> RecordMetadata:
    return RecordMetadata(tp.topic, tp.partition, tp, offset, timestamp, 0)
