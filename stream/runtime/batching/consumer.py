"""A consumer that hands on batches: one Faust message for the records of a partition and poll.

Rules:

- Topics of one *group*, such as the event topics, travel together: a batch holds records of all of
  them for one partition, merged by event time.
- A batch is acknowledged as a whole. Offsets are committed in the order of delivery, and only up
  to the first batch that is not acknowledged.
- A lane (a group's partition) holds a bounded number of batches that are not acknowledged, and of
  records and bytes that wait; while too many wait it is not fetched.
- Fetching and handing on are two loops: an acknowledgement lets the next batch go at once, and the
  next fetch is under way while batches are handed on.
- What was delivered before a rebalance or a seek is forgotten: its acknowledgement does nothing.
- Nothing is taken of a group's topics between a rebalance and the end of the recovery that follows
  it: Faust lets them flow before it has sought the commits and before it has cleared the agents'
  queues, so that records came twice, or never.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Protocol, cast

from faust.transport.consumer import Consumer
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage
from mode.utils.futures import notify

from stream.runtime.batching.lane import Group, LaneQueue
from stream.runtime.batching.records import Batch, Lane, Record

POLL = 1.0
POLL_WHILE_CLOSED = 0.02  # s; who may be fetched again waits no longer for the next fetch


class BatchingApp(Protocol):
    """What the consumer asks of its app."""

    #: The group of each topic that is read in batches.
    groups: Mapping[str, Group]

    def let_go(self) -> None:
        """Give up the batches of groups that are not awaited."""

    def on_positions(self, offsets: Mapping[TP, int], /) -> None:
        """Take note of where reading goes on."""

    def absorbed(self, tp: TP, records: Sequence[Record], /) -> Sequence[Record]:
        """Take in records of a changelog; those that Faust's recovery is to see."""


class BatchingConsumer(Consumer):
    """Faust's consumer with batches; mixed in before a transport's own consumer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lanes: dict[Lane, LaneQueue] = {}
        self._fetched: dict[TP, int] = {}
        self._committable: dict[TP, int] = {}
        self._revocations = 0
        self._sought = self._flowing = False
        self._fetching = asyncio.Lock()
        self._changed = asyncio.Event()  # something was fetched, or acknowledged
        super().__init__(*args, **kwargs)
        self._owner = cast(BatchingApp, self.app)
        self._groups = self._owner.groups

    # -- fetching

    async def _drain_messages(self, fetcher: Any) -> None:
        # Stock: four asyncio tasks for every message, and one loop that fetches and hands on.
        def runs() -> bool:
            return not (self.should_stop or fetcher.should_stop)

        loops = [asyncio.ensure_future(loop(runs)) for loop in (self._fetch, self._hand_on_batches)]
        try:
            done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
            for loop in done:
                loop.result()
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise
        finally:
            for loop in loops:
                loop.cancel()

    async def _fetch(self, runs: Callable[[], bool]) -> None:
        while runs():
            others, generation = await self._poll()
            await self._hand_on(self._messages(others), generation)
            self._changed.set()
            await asyncio.sleep(0)  # a local log may have more at once

    async def _hand_on_batches(self, runs: Callable[[], bool]) -> None:
        while runs():
            now = monotonic()
            ready = (lane for lane in self._lanes.values() if lane.is_ready())
            wait = min([POLL, *(lane.merge.remaining(now) for lane in ready)])
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            self._changed.clear()
            await self._hand_on(self._batches(), self.app.consumer_generation_id)

    async def _hand_on(self, messages: Iterable[Message], generation: int) -> None:
        for message in messages:
            if not self.flow_active or generation != self.app.consumer_generation_id:
                break  # a rebalance: all of it is fetched again from the commit on
            handing = asyncio.ensure_future(self.callback(message))
            await asyncio.sleep(0)
            if handing.done():  # nearly always
                handing.result()
            else:
                await self.wait_first(handing, self.suspend_flow.wait())

    async def _poll(self) -> tuple[Mapping[TP, Sequence[Record]], int]:
        """Take in what comes next; what belongs to no group, and the generation it is of."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow.wait())
            return {}, -1
        async with self._fetching:
            generation: int = self.app.consumer_generation_id
            active = self._get_active_partitions()
            open_to_more = {tp for tp in active if self._takes_more(tp)}
            timeout = POLL if open_to_more == active and self._flowing else POLL_WHILE_CLOSED
            if not open_to_more:
                await asyncio.sleep(timeout)
                return {}, generation
            found = await self._getmany(active_partitions=open_to_more, timeout=timeout) or {}
            return self._others(found), generation

    def _others(self, found: Mapping[TP, Sequence[Record]]) -> Mapping[TP, Sequence[Record]]:
        """Take in the records of groups; those that are left."""
        if self._flowing:  # else a seek will follow, and fetch them again
            for tp, records in found.items():
                group = self._groups.get(tp.topic)
                if group is not None and records:
                    self._lane(group, tp).merge.add(tp.topic, records, group.read)
                    self._fetched[tp] = records[-1].offset + 1
        return {tp: records for tp, records in found.items() if tp.topic not in self._groups}

    def _messages(self, others: Mapping[TP, Sequence[Record]]) -> Iterator[Message]:
        for tp, found in others.items():
            for record in self._owner.absorbed(tp, found):
                yield self._to_message(tp, record)

    def _batches(self) -> Iterator[Message]:
        # In order: what is decided first is learned first, and Faust keeps partitions in sets.
        for name, lane in sorted(self._lanes.items()):
            behind = partial(self._is_behind, name.partition)
            while lane.is_ready() and (arrived := lane.take(behind, monotonic())):
                yield self._deliver(lane, Batch(name, arrived))

    def _lane(self, group: Group, tp: TP) -> LaneQueue:
        name = Lane(group.name, tp.partition)
        if name not in self._lanes:
            self._lanes[name] = LaneQueue(group)
        return self._lanes[name]

    def _takes_more(self, tp: TP) -> bool:
        group = self._groups.get(tp.topic)
        return group is None or (self._flowing and self._lane(group, tp).takes_more())

    def _is_behind(self, partition: int, topic: str) -> bool:
        """Whether the broker holds records of a topic that have not been fetched."""
        tp = TP(topic, partition)
        if tp not in self._active_partitions:
            return False
        end: int | None = self.highwater(tp)  # None until the first fetch, whatever its type says
        return end is not None and self._fetched.get(tp, self._read_offset[tp] or 0) < end

    def _deliver(self, lane: LaneQueue, batch: Batch) -> Message:
        lane.deliver(batch)
        last = batch.arrived[-1].record
        return ConsumerMessage(
            last.topic,
            batch.partition,
            last.offset,
            (last.timestamp or 0) / 1000,
            0,
            None,
            None,
            cast(bytes, batch),  # Faust hands a value on as it is
            None,
            tp=TP(last.topic, batch.partition),
            generation_id=self.app.consumer_generation_id,
        )

    # -- acknowledging and committing

    def ack(self, message: Message) -> bool:
        """Mark a batch as done; its offsets become committable in the order of delivery."""
        batch: object = message.value
        if not isinstance(batch, Batch):
            return bool(super().ack(message))
        message.acked = batch.acked = True
        self._unacked_messages.discard(message)
        if batch.lane in self._lanes:
            for done in self._lanes[batch.lane].done():
                self._committable.update(done.next_offsets)
            self._changed.set()
        notify(self._waiting_for_ack)
        return True

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for tp in list(self._committable):
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic in self._groups:
            return self._committable.get(tp)
        offset: int | None = super()._new_offset(tp)
        return offset

    async def wait_empty(self) -> None:
        """Wait for what is under way, before a rebalance or the end."""
        self._owner.let_go()
        let_go = {topic for topic, group in self._groups.items() if not group.awaited}
        for lane in self._lanes.values():
            if not lane.group.awaited:
                lane.give_up()
        self._unacked_messages -= {m for m in self._unacked_messages if m.topic in let_go}
        await super().wait_empty()

    # -- forgetting what moved

    async def perform_seek(self) -> None:
        """Seek to the committed offsets; what was delivered of these lanes no longer counts."""
        self._leave()
        revocations = self._revocations
        async with self._fetching:  # a fetch under way would move on from where we seek to
            await super().perform_seek()
        self._sought = revocations == self._revocations
        self._owner.on_positions(
            {tp: at for tp, at in self._read_offset.items() if at and tp.topic in self._groups}
        )

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek, when no fetch is under way: it would bring what stands there, and be dropped."""
        async with self._fetching:
            await super().seek_wait(partitions)  # type: ignore[safe-super]  # the transport's

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget all lanes, after Faust has waited for what was under way: a seek will follow."""
        self._revocations += 1
        await super().on_partitions_revoked(revoked)
        self._leave()

    def resume_flow(self) -> None:
        """Let groups flow, if it is not for the changelogs' sake alone."""
        super().resume_flow()
        self._flowing = self._sought

    def _leave(self) -> None:
        """Forget what was fetched and delivered, until we stand at the commits again."""
        self._sought = self._flowing = False
        for lane in self._lanes.values():
            lane.give_up()
        self._owner.let_go()
        self._lanes.clear()
        self._fetched.clear()
        self._committable.clear()
