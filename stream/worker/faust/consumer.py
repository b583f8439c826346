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
- A record that cannot be read yet, as its schema is being fetched, is held with all behind it: its
  lane hands on nothing and its topic's partition is not fetched until then.
- Where a group's topics end is asked before the first of them is taken: a topic that was not
  fetched yet is not taken for an empty one.
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

from stream.broker.records import Record
from stream.broker.turns import in_turns
from stream.config import ConfigError
from stream.worker.faust.lane import LaneQueue, TopicGroup
from stream.worker.faust.records import Arrived, Batch, Content, Lane
from stream.worker.faust.store import StoreFault

POLL = 1.0
ASK = 10.0  # s, at most half of the time for a request: for where topics end
POLL_WHILE_CLOSED = 0.02  # s; who may be fetched again waits no longer for the next fetch


class BatchingApp(Protocol):
    """What the consumer asks of its app."""

    #: The group of each topic that is read in batches.
    groups: Mapping[str, TopicGroup]

    def let_go(self) -> None:
        """Give up the batches of groups that are not awaited."""

    async def places(self, commits: Mapping[TP, int | None], /) -> Mapping[TP, int]:
        """Where reading goes on in each partition, once it is compared with what is kept."""

    async def jumped(self, jumps: Mapping[TP, tuple[int, int]], /) -> None:
        """Judge reading that did not go on where it should have: expected and got offsets."""

    def on_positions(self, offsets: Mapping[TP, int], /) -> None:
        """Take note of where reading goes on."""

    def absorbed(self, tp: TP, records: Sequence[Record], /) -> Sequence[Record]:
        """Take in records of a changelog; those that Faust's recovery is to see."""


class BatchingConsumer(Consumer):
    """Faust's consumer with batches; mixed in before a transport's own consumer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lanes: dict[Lane, LaneQueue] = {}
        self._held: dict[TP, Sequence[Record]] = {}
        self._fetched: dict[TP, int] = {}
        self._expected: dict[TP, int] = {}
        self._committable: dict[TP, int] = {}
        self._ends: Mapping[TP, int] = {}
        self._revocations = 0
        self._left = 0  # how often we have
        self.commits = 0  # that a broker confirmed
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
            if generation == self.app.consumer_generation_id:  # else it is of stores as they were
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
                if self._held:
                    self._stay()
                return await self._others({}), generation
            found = await self._getmany(active_partitions=open_to_more, timeout=timeout) or {}
            if self._flowing and (jumps := self._jumps(found)):
                try:
                    await self._owner.jumped(jumps)
                except (ConfigError, StoreFault) as error:
                    self._leave()
                    await self.app.crash(error)
            return await self._others(found), generation

    def _jumps(self, found: Mapping[TP, Sequence[Record]]) -> dict[TP, tuple[int, int]]:
        """Where the next record is not the next: the client began anew, or some are gone."""
        return {
            tp: (self._expected[tp], records[0].offset)
            for tp, records in found.items()
            if records and self._expected.get(tp, records[0].offset) != records[0].offset
        }

    async def _others(self, found: Mapping[TP, Sequence[Record]]) -> Mapping[TP, Sequence[Record]]:
        """Take in the records of groups; those that are left."""
        if self._flowing:  # else a seek will follow, and fetch them again
            left = self._left
            ours = {tp: records for tp, records in found.items() if tp.topic in self._groups}
            ours |= self._held
            read = {tp: await self._contents(tp, records) for tp, records in ours.items()}
            if left == self._left:
                self._take_in(ours, read)
        return {tp: records for tp, records in found.items() if tp.topic not in self._groups}

    async def _contents(self, tp: TP, records: Sequence[Record]) -> list[Content]:
        """What reading records gives, up to the first that cannot be read yet."""
        group = self._groups[tp.topic]
        read, contents = group.read, list[Content]()
        async for some in in_turns(records):
            for record in some:
                content = read(record)
                if content is None:
                    group.ahead_of(records[len(contents) + 1 :])
                    return contents
                contents.append(content)
        return contents

    def _take_in(
        self, found: Mapping[TP, Sequence[Record]], read: Mapping[TP, Sequence[Content]]
    ) -> None:
        for tp, records in found.items():
            if records:
                lane, count = self._lane(self._groups[tp.topic], tp), len(read[tp])
                lane.merge.add(tp.topic, records[:count], read[tp])
                if count < len(records):
                    self._held[tp] = records[count:]
                    lane.held.add(tp.topic)
                elif self._held.pop(tp, None) is not None:
                    lane.held.discard(tp.topic)
                self._fetched[tp] = records[-1].offset + 1
                if tp in self._expected:
                    self._expected[tp] = records[-1].offset + 1

    def _messages(self, others: Mapping[TP, Sequence[Record]]) -> Iterator[Message]:
        for tp, found in others.items():
            for record in self._owner.absorbed(tp, found):
                yield self._to_message(tp, record)

    def _batches(self) -> Iterator[Message]:
        # In order: what is decided first is learned first, and Faust keeps partitions in sets.
        for name, lane in sorted(self._lanes.items()):
            behind = partial(self._is_behind, name.partition)
            while lane.is_ready() and (arrived := self._take(name, lane, behind)):
                yield self._deliver(lane, Batch(name, arrived))

    def _take(self, name: Lane, lane: LaneQueue, behind: Callable[[str], bool]) -> list[Arrived]:
        known = lane.merge.left_behind
        arrived = lane.take(behind, monotonic())
        if left := sorted(lane.merge.left_behind - known):
            text = "partition %d: nothing came of %s for %g s, though the broker has more; "
            text += "the other topics go on without, so the order of time may be lost"
            self.log.warning(text, name.partition, ", ".join(left), lane.group.wait)
        return arrived

    def _lane(self, group: TopicGroup, tp: TP) -> LaneQueue:
        name = Lane(group.name, tp.partition)
        if name not in self._lanes:
            self._lanes[name] = LaneQueue(group)
        return self._lanes[name]

    def _takes_more(self, tp: TP) -> bool:
        group = self._groups.get(tp.topic)
        if tp in self._held:
            return False
        return group is None or (self._flowing and self._lane(group, tp).takes_more(tp.topic))

    def _is_behind(self, partition: int, topic: str) -> bool:
        """Whether the broker holds records of a topic that have not been fetched."""
        tp = TP(topic, partition)
        if tp not in self._active_partitions:
            return False
        end = self.readable(tp)
        end = self._ends.get(tp, end) if end is None else max(end, self._ends.get(tp, 0))
        if end is None:
            return True  # nobody knows yet
        committed = self._read_offset[tp] or 0
        return max(self._fetched.get(tp, committed), self._next_offset(tp) or 0) < end

    def readable(self, tp: TP) -> int | None:
        """Where what may be read of a partition ends; None until its first fetch."""
        return self.highwater(tp)

    def reached(self, tp: TP, done: int) -> int:
        """How far a partition is done: behind its last record there may be what is none."""
        if done < self._fetched.get(tp, done):
            return done
        return max(done, self._next_offset(tp) or 0)

    def _stay(self) -> None:
        """Tell the group that we are there, though nothing may be fetched for now."""

    async def skipped(self, starts: Mapping[TP, int]) -> Mapping[TP, tuple[int, int]]:
        """Where records that were expected are gone and none came behind: expected and first."""
        async with self._fetching:
            jumps = {
                tp: (self._expected[tp], start)
                for tp, start in starts.items()
                if self._expected.get(tp, start) < start <= (self._next_offset(tp) or 0)
            }
            self._expected |= {tp: start for tp, (_, start) in jumps.items()}
        return jumps

    def _next_offset(self, tp: TP) -> int | None:
        """The offset that is fetched next, None if the transport does not know it.

        It may be beyond the last record that was fetched: not every offset holds a record.
        """
        raise NotImplementedError

    async def _ask_for_ends(self) -> Mapping[TP, int]:
        """Where the groups' topics end; nothing if the broker does not tell in time."""
        tps = [tp for tp in self.assignment() if tp.topic in self._groups]
        try:
            async with asyncio.timeout(min(ASK, self.app.conf.broker_request_timeout / 2)):
                return await self.highwaters(*tps)
        except Exception as error:  # each topic is waited for instead, until its first fetch
            text = "the broker did not tell where topics end (%s): they are merged as they arrive"
            self.log.warning(text, type(error).__name__)
            return {}

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

    async def _commit_offsets(
        self, offsets: Mapping[TP, int], start_new_transaction: bool = True
    ) -> bool:
        # Stock: waits first until nothing is being sent, which under a backlog may never be. What
        # is acknowledged is durable with all its effects, so a commit has nothing to wait for.
        assigned = self.assignment()
        ours = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        if not ours:
            return False
        done: bool = await self._commit(ours)
        self._committed_offset.update(ours)
        self.commits += done
        return done

    def silence(self) -> float:
        """Seconds since a broker last answered: none, where there is none to ask."""
        return 0.0

    def uncommitted(self) -> int:
        """How many records were fetched since the last commits: whoever is next fetches them."""
        begun = {tp: self._committed_offset[tp] or self._read_offset[tp] for tp in self._fetched}
        return sum(max(end - (begun[tp] or 0), 0) for tp, end in self._fetched.items())

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
        """Seek to where reading goes on; what was delivered of these lanes no longer counts."""
        self._leave()
        revocations = self._revocations
        async with self._fetching:  # a fetch under way would move on from where we seek to
            await super().perform_seek()
            try:
                await self._seek_places()
            except (ConfigError, StoreFault) as error:
                await self.app.crash(error)
                return
        self._ends = await self._ask_for_ends()
        self._sought = revocations == self._revocations
        self._owner.on_positions(
            {tp: at for tp, at in self._read_offset.items() if at and tp.topic in self._groups}
        )

    async def _seek_places(self) -> None:
        """Seek where the commits are not what is accounted for; the rest stands there by now."""
        ours = [tp for tp in self.assignment() if tp.topic in self._groups]
        commits = {tp: self._read_offset[tp] for tp in ours}
        places = await self._owner.places(commits)
        moved = {tp: at for tp, at in places.items() if at != commits[tp]}
        if moved:
            await super().seek_wait(moved)  # type: ignore[safe-super]  # the transport's
        for tp, at in moved.items():
            self._committed_offset[tp] = None  # Faust commits only what is higher
            self._read_offset[tp] = at or None
        self._expected = {tp: at for tp, at in places.items() if self._groups[tp.topic].dense}

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
        self._left += 1
        self._sought = self._flowing = False
        for lane in self._lanes.values():
            lane.give_up()
        self._owner.let_go()
        self._lanes.clear()
        self._held.clear()
        self._fetched.clear()
        self._expected.clear()
        self._committable.clear()
