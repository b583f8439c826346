"""Batches of records: as they are read, decided and acknowledged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from faust.types import TP

from stream.broker.records import Outgoing, Record
from stream.domain.value import Value


class Lane(NamedTuple):
    """A partition of a group of topics: the unit of order, state and back-pressure."""

    group: str
    partition: int


class Arrived(Value, frozen=True):
    """A record, its event time in ms, and what reading it gave."""

    time: int
    record: Record
    content: Any


Content: TypeAlias = tuple[int | None, Any]
"""What reading a record gave: its event time in ms, None if it says none, and its content."""
Read: TypeAlias = Callable[[Record], Content | None]
"""Reads a record; None if it cannot be read yet, as what it takes is being fetched."""


class Batch:
    """Records of one lane, in the order in which they are to be decided."""

    __slots__ = ("__weakref__", "acked", "arrived", "lane", "void")

    def __init__(self, lane: Lane, arrived: Sequence[Arrived]) -> None:
        self.lane = lane
        self.arrived = arrived
        self.acked = False
        #: Whether it was given up: its records are fetched again, by whoever owns them then.
        self.void = False

    @property
    def next_offsets(self) -> dict[TP, int]:
        """The offsets to commit when the batch is done, by topic and partition."""
        ends = {one.record.topic: one.record.offset + 1 for one in self.arrived}
        return {TP(topic, self.partition): offset for topic, offset in ends.items()}

    @property
    def partition(self) -> int:
        """The partition that all records have in common."""
        return self.lane.partition

    @property
    def records(self) -> Iterator[Record]:
        """The records alone."""
        return (one.record for one in self.arrived)

    def first(self, size: int) -> Batch:
        """The first records alone."""
        return Batch(self.lane, self.arrived[:size])

    def after(self, size: int) -> Batch:
        """What comes after the first records."""
        return Batch(self.lane, self.arrived[size:])

    def by_topic(self) -> Counter[str]:
        """How many records there are of each topic."""
        return Counter([one.record.topic for one in self.arrived])

    def __len__(self) -> int:
        return len(self.arrived)


class InFlight(Protocol):
    """A batch in an agent's hands, to be acknowledged when its effects are durable."""

    @property
    def value(self) -> Batch:
        """The batch."""

    def ack(self) -> bool:
        """Let the batch's offsets be committed."""


class BatchProducer(Protocol):
    """A producer of record batches."""

    async def own(self, tp: TP) -> None:
        """Become the only writer of a partition; see :mod:`stream.broker.kafka.fencing`."""

    async def disown(self, tp: TP) -> None:
        """Let go of a partition."""

    async def send_batch(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> Awaitable[Any]:
        """Hand over the records of one partition.

        Returns an awaitable that is done when all of them are durable; its result's ``offset`` is
        that of the last.
        """
