"""The ordered flush of decided batches: state first, effects when it is durable, ack last.

For each partition, in the order of its batches: the changed records are appended to the
changelog; when they are durable they enter the store, and offers, examples, late events and dead
letters are sent; when those are durable the batch is acknowledged. The next batch is decided
meanwhile. A write to the changelog fits into one record batch, so that it is durable whole or not
at all; a batch of records that would make a larger one is decided in parts. Any failure crashes the
worker: what was not acknowledged is decided again.
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
from stream.runtime.topics import MAX_CHANGELOG_BATCH

logger = get_logger(__name__)
LARGEST_WRITE = MAX_CHANGELOG_BATCH * 3 // 4
BUGS = f"rejected:{RejectionCode.INTERNAL}"


class Observer(Protocol):
    """Who is told what happened; metrics, in a worker."""

    def decided(self, batch: Batch, flush: Flush, seconds: float) -> None:
        """A batch was decided."""

    def done(self, batch: Batch, flush: Flush, stages: Mapping[str, float]) -> None:
        """A batch is durable and acknowledged, after so many seconds in each stage."""


class Pending(NamedTuple):
    """Decided records on their way: their flush, its changelog, and when it was that.

    ``event`` is the delivery that they are the last of, if they are.
    """

    event: Delivery | None
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
        self.idle = asyncio.Event()
        self.idle.set()

    def put(self, pending: Pending) -> None:
        """Let a flush follow those before it."""
        self.idle.clear()
        self.pending.put_nowait(pending)


class Pipeline:
    """Takes batches of the event topics and carries them through."""

    def __init__(
        self,
        app: Any,
        table: BatchTable,
        settings: Settings,
        world: Callable[[], World],
        observer: Observer,
        largest_write: int = LARGEST_WRITE,
    ) -> None:
        self._app = app
        self._table = table
        self._topics = settings.topics
        self._cached = settings.worker.cached_customers
        self._largest_write = largest_write
        self._world = world
        self._observer = observer
        self._flows: dict[int, Flow] = {}
        self._breaker = Breaker()
        self.progress = Progress()

    async def take(self, event: Delivery) -> None:
        """Decide a batch and hand its changelog over; the rest follows in its own task."""
        rest = event.value
        if rest.void:
            return
        flow = self._flow(rest.partition)
        while len(rest):
            taken = perf_counter()
            alone = flow.idle.is_set()
            world, limit = self._world(), self._largest_write
            flush = flow.partition.decide(rest, world, limit, alone)
            if flush is None:
                await flow.idle.wait()
                continue
            self._breaker.note(len(flush.batch), flush.decided.tally[BUGS])
            decided = perf_counter()
            self._observer.decided(flush.batch, flush, decided - taken)
            changelog = await self._table.send(rest.partition, flush.writes)
            rest = rest.after(len(flush.batch))
            last = None if len(rest) else event
            flow.put(Pending(last, flush, changelog, taken, decided))

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
                if flow.pending.empty():
                    flow.idle.set()
        except Exception as error:
            logger.exception("partition %d could not be made durable", flow.partition.number)
            await self._app.crash(error)

    async def _finish(self, partition: Partition, pending: Pending) -> None:
        flush = pending.flush
        written = await pending.changelog
        stored = perf_counter()
        self._table.store(partition.number, flush.writes, written.offset)
        partition.stored(flush)
        await self._send_effects(partition.number, flush)
        partition.safe(flush)
        if pending.event is not None:
            pending.event.ack()
        stages = {
            "decide": pending.decided - pending.taken,
            "changelog": stored - pending.decided,
            "effects": perf_counter() - stored,
        }
        self._observer.done(flush.batch, flush, stages)
        self.progress.advance(flush.batch.next_offsets)

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
