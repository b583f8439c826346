"""Records as they come from a broker and as they go to one, whatever the transport."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import msgspec
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from stream.codec.recordbatch import SetAside
from stream.core.value import Value

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
Outgoing: TypeAlias = tuple[bytes | None, bytes | None, int | None, Headers]
"""Key, value, timestamp in ms (None: now), headers."""


class Record(Protocol):
    """A record as both transports give it; ``timestamp`` in ms."""

    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Headers: ...  # noqa: D102


class Fetched(msgspec.Struct, gc=False):
    """A record that was fetched, with the attributes of aiokafka's ``ConsumerRecord``."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def checksum(self) -> None:
        """Always None: batches have checksums, records don't."""
        return

    @property
    def serialized_key_size(self) -> int:
        """Size of the key in bytes, -1 without one."""
        return -1 if self.key is None else len(self.key)

    @property
    def serialized_value_size(self) -> int:
        """Size of the value in bytes, -1 without one."""
        return -1 if self.value is None else len(self.value)


@dataclass
class Unreadable(ConsumerRecord):  # type: ignore[misc]  # aiokafka has no types
    """What stands for bytes that a broker keeps and that make no record; they are its value."""

    aside: SetAside


def value_of(record: Record) -> bytes | None:
    """A record's value; None of one that can't be read, which has none for anybody."""
    return None if isinstance(record, Unreadable) else record.value


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
Read: TypeAlias = Callable[[Record], Content]


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


class Delivery(Protocol):
    """A batch in an agent's hands, to be acknowledged when its effects are durable."""

    @property
    def value(self) -> Batch:
        """The batch."""

    def ack(self) -> bool:
        """Let the batch's offsets be committed."""


class BatchProducer(Protocol):
    """A producer of record batches."""

    async def own(self, tp: TP) -> None:
        """Become the only writer of a partition; see :mod:`stream.runtime.batching.fencing`."""

    async def disown(self, tp: TP) -> None:
        """Let go of a partition."""

    async def send_batch(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> Awaitable[Any]:
        """Hand over the records of one partition.

        Returns an awaitable that is done when all of them are durable; its result's ``offset`` is
        that of the last.
        """
