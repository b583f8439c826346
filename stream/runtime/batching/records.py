"""Records as they come from a broker and as they go to one, whatever the transport."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from faust.types import TP

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


class Lane(NamedTuple):
    """A partition of a group of topics: the unit of order, state and back-pressure."""

    group: str
    partition: int


class Batch:
    """The records of one lane and poll, by topic and in order of offset."""

    __slots__ = ("__weakref__", "acked", "lane", "records")

    def __init__(self, lane: Lane, records: dict[str, list[Record]]) -> None:
        self.lane = lane
        self.records = records
        self.acked = False

    @property
    def partition(self) -> int:
        """The partition that all records have in common."""
        return self.lane.partition

    def __len__(self) -> int:
        return sum(map(len, self.records.values()))

    def next_offsets(self) -> dict[TP, int]:
        """The offsets to commit when the batch is done, by topic and partition."""
        return {
            TP(topic, self.lane.partition): records[-1].offset + 1
            for topic, records in self.records.items()
        }


class Delivery(Protocol):
    """A batch in an agent's hands, to be acknowledged when its effects are durable."""

    @property
    def value(self) -> Batch:
        """The batch."""

    def ack(self) -> bool:
        """Let the batch's offsets be committed."""


class BatchProducer(Protocol):
    """A producer of record batches."""

    async def send_batch(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> Awaitable[Any]:
        """Hand over the records of one partition.

        Returns an awaitable that is done when all of them are durable; its result's ``offset`` is
        that of the last.
        """
