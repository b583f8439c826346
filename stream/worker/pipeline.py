"""The worker's execution of scripts: batches of the event topics, carried through in order.

What a batch does, and in which order, is its :mod:`stream.worker.script`. A batch is decided while
those before it are made durable. A large one is decided in turns, which become durable together. A
write to the changelog fits into one record batch, so that it is durable whole or not at all; where
a batch of records would make a larger one, it makes several.
Any failure crashes the worker: what was not acknowledged is decided again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from mode import get_logger

from stream.broker.progress import Progress
from stream.config import Settings
from stream.decide.rows.record import Desk
from stream.decide.world import World
from stream.domain.event import RejectionCode
from stream.worker.breaker import Breaker
from stream.worker.checks.identity import ComparedState
from stream.worker.checks.topics import MAX_CHANGELOG_BATCH
from stream.worker.faust.records import Batch, InFlight
from stream.worker.faust.table import BatchTable
from stream.worker.mendable import is_mendable
from stream.worker.partition import Flush, Partition
from stream.worker.script import Acknowledge, Append, Effect, Keep, Script, Send, Settle, script

logger = get_logger(__name__)
LARGEST_WRITE = MAX_CHANGELOG_BATCH * 3 // 4
TURN = 100  # records decided in one go, some 20 ms: heartbeats, commits and probes have their turn
PASSES = 8  # of the loop between two turns: a pipe moves 64 KiB in each, models are megabytes
BUGS = f"rejected:{RejectionCode.INTERNAL}"


class Observer(Protocol):
    """Who is told what happened; metrics, in a worker."""

    def decided(self, flush: Flush, seconds: float) -> None:
        """Records were decided."""

    def done(self, flush: Flush, stages: Mapping[str, float]) -> None:
        """They are durable, and a batch acknowledged, after so many seconds in each stage."""


class Pending(NamedTuple):
    """A decided batch on its way: the first stage of its script, begun, and the stages left.

    ``spent`` are the seconds that it took to decide, ``decided`` is the time of a clock in seconds.
    """

    flush: Flush
    begun: Sequence[Awaitable[Any] | None]
    left: Script
    spent: float
    decided: float


class Flow:
    """A partition with the batches that are being made durable, in order."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.pending: asyncio.Queue[Pending] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None
        self.idle = asyncio.Event()
        self.idle.set()
        self.deciding = asyncio.Lock()

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
        known: ComparedState | None = None,
        turn: int = TURN,
        desk: Desk | None = None,
    ) -> None:
        self._app = app
        self._table = table
        self._topics = settings.topics
        # A share of what all may hold together; a worker may own every partition.
        self._cached = max(settings.worker.cached_customers // settings.partitions, 1)
        self._largest_write = largest_write
        self._known = known
        self._world = world
        self._observer = observer
        self._flows: dict[int, Flow] = {}
        self._breaker = Breaker()
        self._turn = turn
        self._desk = desk or Desk()  # one for all partitions: they are decided one at a time
        self.progress = Progress()

    async def take(self, event: InFlight) -> None:
        """Decide a batch and begin its script; the rest of it follows in the partition's task.

        A large batch is decided in turns, and the event loop has one between them. They are counted
        in records and not in time, so that a replay in lockstep makes the same again. What they
        come to is sent together, as far as one write holds it.
        """
        rest = event.value
        if rest.void:
            return
        flow = self._flow(rest.partition)
        async with flow.deciding:
            await self._decide(flow, event)

    async def _decide(self, flow: Flow, event: InFlight) -> None:
        rest, made, spent = event.value, None, 0.0
        while len(rest) and not event.value.void:
            began = perf_counter()
            alone, turn = made is None and flow.idle.is_set(), rest.first(self._turn)
            flush = flow.partition.decide(turn, self._world(), self._largest_write, alone)
            seconds = perf_counter() - began
            if made is not None and not self._fits(made, flush):
                await self._send(flow, made, spent)
                made, spent = None, 0.0
            elif flush is None:
                await flow.idle.wait()
            if flush is None:
                continue
            self._breaker.note(len(flush.batch), flush.decided.tally[BUGS])
            made, spent = flush if made is None else made.joined(flush), spent + seconds
            rest = rest.after(len(flush.batch))
            for _ in range(PASSES if len(rest) else 0):
                await asyncio.sleep(0)
        if made is not None:
            await self._send(flow, made, spent, None if len(rest) else event)
            await asyncio.sleep(0)

    def _fits(self, made: Flush, flush: Flush | None) -> bool:
        """Whether one write holds what was made and what was decided next, if anything was."""
        return flush is not None and made.size + flush.size <= self._largest_write

    async def _send(
        self, flow: Flow, flush: Flush, spent: float, delivery: InFlight | None = None
    ) -> None:
        """Begin the script of what took so many seconds to decide."""
        partition = flow.partition
        if self._flows.get(partition.number) is not flow:
            return  # a rebalance took it: whoever is next decides it again
        decided = perf_counter()
        self._observer.decided(flush, spent)
        first, *left = script(partition.number, flush, delivery, self._topics)
        begun = await self._begin(partition, first, ())
        flow.put(Pending(flush, begun, tuple(left), spent, decided))

    def forget(self) -> None:
        """Drop what is known of partitions: a rebalance or a recovery may have changed it."""
        for flow in self._flows.values():
            if flow.task is not None:
                flow.task.cancel()
        self._flows.clear()

    def _flow(self, number: int) -> Flow:
        flow = self._flows.get(number)
        if flow is None:
            partition = Partition(number, self._table, self._cached, self._known, self._desk)
            flow = self._flows[number] = Flow(partition)
            flow.task = asyncio.create_task(self._carry(flow), name=f"partition-{number}")
        return flow

    async def _carry(self, flow: Flow) -> None:
        try:
            while True:
                pending = await flow.pending.get()
                await self._finish(flow.partition, pending)
                if flow.pending.empty():
                    flow.idle.set()
                    await self._let_go(flow, pending.flush.batch.first(0))
        except Exception as error:
            if not is_mendable(error):
                logger.exception("partition %d could not be made durable", flow.partition.number)
            await self._app.crash(error)

    async def _let_go(self, flow: Flow, nothing: Batch) -> None:
        """Write a ledger that names no erased customer whose recalls are durable.

        The next batch would do; but none may follow, and nobody be named for good.
        """
        partition = flow.partition
        if flow.deciding.locked() or not partition.owes:
            return
        async with flow.deciding:
            flush = partition.decide(nothing, self._world(), self._largest_write, True)
            assert flush is not None, "nothing is on its way"
            await self._send(flow, flush, 0.0)

    async def _finish(self, partition: Partition, pending: Pending) -> None:
        results = await _durable(pending.begun)
        stored = perf_counter()
        for stage in pending.left:
            results = await _durable(await self._begin(partition, stage, results))
        stages = {
            "decide": pending.spent,
            "changelog": stored - pending.decided,
            "effects": perf_counter() - stored,
        }
        flush = pending.flush
        self._observer.done(flush, stages)
        self.progress.advance(flush.batch.next_offsets)

    async def _begin(
        self, partition: Partition, stage: Sequence[Effect], before: Sequence[Any]
    ) -> Sequence[Awaitable[Any] | None]:
        """Begin a stage's effects, in order; ``before`` is what came of the stage before."""
        return [await self._effect(partition, effect, before) for effect in stage]

    async def _effect(
        self, partition: Partition, effect: Effect, before: Sequence[Any]
    ) -> Awaitable[Any] | None:
        """Begin an effect; what comes is done when it is durable, None if it is at once."""
        match effect:
            case Append(number, writes):
                return await self._table.send(number, writes)
            case Keep(flush, writes):
                written, *_ = before  # the changelog's comes first
                self._table.store(partition.number, writes, written.offset)
                partition.stored(flush)
            case Send(topic, number, records):
                sent: Awaitable[Any] = await self._app.send_batch(topic, number, records)
                return sent
            case Settle(flush):
                partition.safe(flush)
            case Acknowledge(delivery):
                delivery.ack()
        return None


async def _durable(begun: Sequence[Awaitable[Any] | None]) -> Sequence[Any]:
    """What came of effects, when all of them are durable."""
    return await asyncio.gather(*[effect for effect in begun if effect is not None])
