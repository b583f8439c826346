"""A consumer that hands on batches: one Faust message for the records of a partition and poll.

Rules:

- Topics of one *group*, such as the event topics, travel together: a batch holds what has arrived
  of each of them for one partition.
- A batch is acknowledged as a whole. Offsets are committed in the order of delivery, and only up
  to the first batch that is not acknowledged.
- A lane (a group's partition) holds at most so many batches that are not acknowledged;
  until one is, it is not fetched.
- What was delivered before a rebalance or a seek is forgotten: its acknowledgement does nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

from faust.transport.consumer import Consumer
from faust.types import TP, Message
from faust.types.tuples import ConsumerMessage
from mode.utils.futures import notify

from stream.runtime.batching.records import Batch, Lane, Record

AHEAD = 3
POLL = 1.0
POLL_WHILE_FULL = 0.02  # s; a lane that gets room again waits no longer for its next fetch


class BatchingApp(Protocol):
    """What the consumer asks of its app.

    ``batch_groups`` gives the group of each topic that is read in batches, ``batches_ahead`` how
    many batches that are not acknowledged a lane of a group may hold.
    """

    batch_groups: Mapping[str, str]
    batches_ahead: Mapping[str, int]

    def on_positions(self, offsets: Mapping[TP, int], /) -> None:
        """Take note of where reading goes on."""


class BatchingConsumer(Consumer):
    """Faust's consumer with batches; mixed in before a transport's own consumer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lanes: defaultdict[Lane, deque[Batch]] = defaultdict(deque)
        self._committable: dict[TP, int] = {}
        super().__init__(*args, **kwargs)
        self._owner = cast(BatchingApp, self.app)
        self._groups = self._owner.batch_groups
        self._ahead = self._owner.batches_ahead

    # -- fetching

    async def _drain_messages(self, fetcher: Any) -> None:
        # Stock: four asyncio tasks for every message. Here: one await for every batch.
        try:
            while not (self.should_stop or fetcher.should_stop):
                generation = self.app.consumer_generation_id
                records = await self._poll()
                for message in self._messages(records):
                    if not self.flow_active or generation != self.app.consumer_generation_id:
                        break  # a rebalance: all of it is fetched again from the commit on
                    await self.wait_first(self.callback(message), self.suspend_flow.wait())
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    async def _poll(self) -> Mapping[TP, Sequence[Record]]:
        if not self.flow_active:
            await self.wait(self.can_resume_flow.wait())
            return {}
        active = self._get_active_partitions()
        full = {tp for tp in active if self._is_full(tp)}
        if not active - full:
            await asyncio.sleep(POLL_WHILE_FULL)
            return {}
        records = await self._getmany(
            active_partitions=active - full, timeout=POLL_WHILE_FULL if full else POLL
        )
        return records or {}

    def _is_full(self, tp: TP) -> bool:
        group = self._groups.get(tp.topic)
        if group is None:
            return False
        return len(self._lanes[Lane(group, tp.partition)]) >= self._ahead.get(group, AHEAD)

    def _messages(self, records: Mapping[TP, Sequence[Record]]) -> Iterator[Message]:
        lanes: dict[Lane, dict[str, list[Record]]] = {}
        for tp, found in records.items():
            group = self._groups.get(tp.topic)
            if group is None:
                yield from (self._to_message(tp, record) for record in found)
            elif found:
                lane = Lane(group, tp.partition)
                lanes.setdefault(lane, {})[tp.topic] = list(found)
        for lane, by_topic in lanes.items():
            yield self._deliver(Batch(lane, by_topic))

    def _deliver(self, batch: Batch) -> Message:
        self._lanes[batch.lane].append(batch)
        topic, records = next(iter(batch.records.items()))
        last = records[-1]
        return ConsumerMessage(
            topic,
            batch.partition,
            last.offset,
            (last.timestamp or 0) / 1000,
            0,
            None,
            None,
            cast(bytes, batch),  # Faust hands a value on as it is
            None,
            tp=TP(topic, batch.partition),
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
        lane = self._lanes[batch.lane]
        while lane and lane[0].acked:
            self._committable.update(lane.popleft().next_offsets())
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

    # -- forgetting what moved

    async def perform_seek(self) -> None:
        """Seek to the committed offsets; what was delivered of these lanes no longer counts."""
        self._forget(tp for tp in list(self._committable))
        self._lanes.clear()
        await super().perform_seek()
        self._owner.on_positions(
            {tp: at for tp, at in self._read_offset.items() if at and tp.topic in self._groups}
        )

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget the lanes that move, after Faust has waited for what was under way."""
        await super().on_partitions_revoked(revoked)
        self._forget(revoked)

    def _forget(self, tps: Iterable[TP]) -> None:
        for tp in list(tps):
            self._committable.pop(tp, None)
            group = self._groups.get(tp.topic)
            if group is not None:
                self._lanes.pop(Lane(group, tp.partition), None)
