"""What everybody asks of where topics are, whatever that is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from math import inf
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

from faust.types import TP

from stream.broker.facts import TopicFacts
from stream.broker.progress import Progress
from stream.broker.records import Outgoing, Record

Take: TypeAlias = Callable[[Record], None]
CaughtUp: TypeAlias = Callable[[], None]


class OffsetRange(NamedTuple):
    """The first offset that a partition holds, and the one that its next record gets."""

    start: int
    end: int


class Placed(NamedTuple):
    """Where a record was put."""

    partition: int
    offset: int


class Follower(Protocol):
    """Reads single-partition topics for as long as it runs; ``progress`` says how far it is.

    A worker needs all of the catalog, the campaigns and the models, whatever partitions it owns,
    and needs them during a rebalance too. So they are read without a group, record by record in
    order, and never committed; a compacted topic is the table.
    """

    progress: Progress

    async def run(self) -> None:
        """Follow until cancelled."""

    async def ends(self) -> Mapping[TP, int]:
        """The next offset of each topic, now."""


class Broker(Protocol):
    """Where topics are: what they hold, and putting records there, outside any group.

    It connects when it is first asked. Where it ``makes_topics``, a worker makes what is missing
    itself.
    """

    makes_topics: bool

    async def topics(self, names: Iterable[str]) -> Mapping[str, TopicFacts]:
        """What there is of these topics."""

    async def bounds(self, tps: Iterable[TP]) -> Mapping[TP, OffsetRange]:
        """Where partitions begin and end."""

    async def offsets_at(self, tps: Iterable[TP], time: int) -> Mapping[TP, int]:
        """The first offset appended at a time or later, in ms since 1970; at most the end.

        Where the times of appends are not kept it is the first offset.
        """

    async def records(self, places: Mapping[TP, int]) -> Mapping[TP, Record]:
        """The first record at or behind each place; none where the partition ends before."""

    async def deletions_kept(self, topic: str) -> int | None:
        """How long a compacted topic keeps deletions, in ms; None where that is not told."""

    def read(
        self, spans: Mapping[TP, tuple[int, int]], patience: float = inf
    ) -> AsyncIterator[list[Record]]:
        """The records of partitions from an offset to before another, partition by partition.

        No list is empty. What a topic no longer holds is passed over. A broker that is away is
        asked until it answers, or nothing came for ``patience`` seconds.
        """

    def tail(
        self,
        topic: str,
        since: int | None,
        caught_up: CaughtUp,
        places: Mapping[TP, int] = MappingProxyType({}),
    ) -> AsyncIterator[Sequence[Record]]:
        """The records of all partitions of a topic, for ever; at times, none.

        Parameters
        ----------
        topic
        since
            Ms since 1970: what was appended before is passed over, as `offsets_at` says; None: all
            that is there.
        caught_up
            Called once all that was there at the start was handed over.
        places
            Where to begin in some partitions, whatever ``since`` says; one behind the end of its
            partition is of an earlier life of the topic, and does not count.

        Raises
        ------
        ConfigError
            If the topic is not there or may not be read.
        """

    async def send(
        self, topic: str, record: Outgoing, partition: int | None = None
    ) -> Awaitable[Placed]:
        """Put a record into the order in which records are sent; by its key without a partition.

        What is returned is done when the record is durable.
        """

    async def publish(self, records: Mapping[TP, Sequence[Outgoing]]) -> None:
        """Append records; they are durable on return."""

    async def committed(self, group: str, tps: Iterable[TP]) -> Mapping[TP, int]:
        """Where a group goes on reading, of those partitions where it ever committed."""

    async def commit(self, group: str, places: Mapping[TP, int]) -> None:
        """Remember where a group of which nobody is a member goes on; it is durable on return."""

    async def overrule(self, owner: str, tp: TP, record: Outgoing) -> None:
        """Append a record in place of a partition's owner, who is fenced off if it still runs."""

    def follow(self, topics: Mapping[str, Take]) -> Follower:
        """Who hands each record of these topics to what takes it."""

    async def close(self) -> None:
        """Ask no more."""
