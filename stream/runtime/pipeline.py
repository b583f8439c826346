"""The ordered flush of decided batches: state first, effects when it is durable, ack last.

For each partition, in the order of its batches: the changed records are appended to the
changelog; when they are durable they enter the store, and offers, examples, late events and dead
letters are sent; when those are durable the batch is acknowledged. The next batch is decided
meanwhile. Any failure crashes the worker: what was not acknowledged is decided again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from mode import get_logger

from stream.config import Settings
from stream.core.event import RejectionCode
from stream.core.world import World
from stream.runtime.batching.records import Batch, Delivery, Outgoing
from stream.runtime.batching.table import BatchTable
from stream.runtime.breaker import Breaker
from stream.runtime.deadletters import letter
from stream.runtime.partition import Flush, Partition
from stream.runtime.progress import Progress

logger = get_logger(__name__)
BUGS = f"rejected:{RejectionCode.INTERNAL}"


class Observer(Protocol):
    """Who is told what happened; metrics, in a worker."""

    def decided(self, batch: Batch, flush: Flush, seconds: float) -> None:
        """A batch was decided."""

    def done(self, batch: Batch, flush: Flush, stages: Mapping[str, float]) -> None:
        """A batch is durable and acknowledged, after so many seconds in each stage."""


class Pending(NamedTuple):
    """A decided batch on its way: its delivery, its flush, its changelog, and when it was that."""

    event: Delivery
    flush: Flush
    changelog: Awaitable[Any]
    taken: float
    decided: float


class Flow:
    """A partition with the batches that are being made durable, in order."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.pending: asyncio.Queue[Pending] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None


class Pipeline:
    """Takes batches of the event topics and carries them through."""

    def __init__(
        self,
        app: Any,
        table: BatchTable,
        settings: Settings,
        world: Callable[[], World],
        observer: Observer,
    ) -> None:
        self._app = app
        self._table = table
        self._topics = settings.topics
        self._cached = settings.worker.cached_customers
        self._world = world
        self._observer = observer
        self._flows: dict[int, Flow] = {}
        self._breaker = Breaker()
        self.progress = Progress()

    async def take(self, event: Delivery) -> None:
        """Decide a batch and hand its changelog over; the rest follows in its own task."""
        batch = event.value
        taken = perf_counter()
        flow = self._flow(batch.partition)
        flush = flow.partition.decide(batch, self._world())
        self._breaker.note(len(batch), flush.decided.tally[BUGS])
        decided = perf_counter()
        self._observer.decided(batch, flush, decided - taken)
        changelog = await self._table.send(batch.partition, flush.writes)
        flow.pending.put_nowait(Pending(event, flush, changelog, taken, decided))

    def forget(self) -> None:
        """Drop what is known of partitions: a rebalance or a recovery may have changed it."""
        for flow in self._flows.values():
            if flow.task is not None:
                flow.task.cancel()
        self._flows.clear()

    def _flow(self, number: int) -> Flow:
        flow = self._flows.get(number)
        if flow is None:
            partition = Partition(number, self._table, self._cached)
            flow = self._flows[number] = Flow(partition)
            flow.task = asyncio.create_task(self._carry(flow), name=f"partition-{number}")
        return flow

    async def _carry(self, flow: Flow) -> None:
        try:
            while True:
                await self._finish(flow.partition, await flow.pending.get())
        except Exception as error:
            logger.exception("partition %d could not be made durable", flow.partition.number)
            await self._app.crash(error)

    async def _finish(self, partition: Partition, pending: Pending) -> None:
        event, flush = pending.event, pending.flush
        written = await pending.changelog
        stored = perf_counter()
        self._table.store(partition.number, flush.writes, written.offset)
        partition.stored(flush)
        await self._send_effects(partition.number, flush)
        partition.safe(flush)
        event.ack()
        batch = event.value
        stages = {
            "decide": pending.decided - pending.taken,
            "changelog": stored - pending.decided,
            "effects": perf_counter() - stored,
        }
        self._observer.done(batch, flush, stages)
        self.progress.advance(batch.next_offsets)

    async def _send_effects(self, number: int, flush: Flush) -> None:
        outgoing = [
            await self._app.send_batch(topic, partition, records)
            for topic, partition, records in self._effects(number, flush)
            if records
        ]
        await asyncio.gather(*outgoing)

    def _effects(self, number: int, flush: Flush) -> Iterable[tuple[str, int, Sequence[Outgoing]]]:
        topics = self._topics
        yield topics.offers, number, [(key, value, None, ()) for key, value in flush.offers]
        yield topics.examples, 0, [(None, lesson, None, ()) for lesson in flush.lessons]
        yield topics.late, number, [(r.key, r.value, r.timestamp, r.headers) for r in flush.late]
        letters = [letter(*refused) for refused in flush.rejected]
        letters += [letter(*failed, "decide") for failed in flush.failed]
        yield topics.dead_letters, number, letters
