"""One lane: what has arrived of a group's partition, and the batches that are under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stream.broker.records import Record
from stream.worker.faust.merge import Merge
from stream.worker.faust.records import Arrived, Batch, Read

BUFFERED_RECORDS = 4_000
BUFFERED_BYTES = 8 << 20


def _nothing(records: Sequence[Record]) -> None:
    """Fetch nothing ahead of records."""


@dataclass(frozen=True, slots=True)
class TopicGroup:
    """Topics whose partitions are read together.

    ``ahead`` is how many batches that are not acknowledged a lane may hold, ``limit`` the most
    records in a batch, ``wait`` the seconds for which topics that are behind are waited for while
    nothing of them arrives.
    A rebalance, and the end, wait for batches under way only where they are ``awaited``. Where
    they are ``gathered``, what arrives while a batch is under way waits for it, or until there is
    enough for a whole one: a lone event goes at once, and a stream of them in few batches (as
    Nagle's algorithm has it, RFC 896). Where they are ``dense`` no record is compacted away, and
    one that is not there was removed. ``ahead_of`` is told what stands behind a record that cannot
    be read yet.
    """

    name: str
    topics: tuple[str, ...]
    read: Read
    ahead: int = 3
    limit: int = 1_000
    wait: float = 10.0
    awaited: bool = True
    gathered: bool = False
    dense: bool = True
    ahead_of: Callable[[Sequence[Record]], None] = _nothing


class LaneQueue:
    """The state of one lane between its fetches and its commits."""

    def __init__(self, group: TopicGroup) -> None:
        self.group = group
        self.merge = Merge(group.topics, group.wait)
        #: Topics that have records which cannot be read yet: all others wait for them.
        self.held: set[str] = set()
        self._under_way: deque[Batch] = deque()

    def is_ready(self) -> bool:
        """Whether the next batch may be delivered."""
        group, under_way = self.group, len(self._under_way)
        if self.held:
            return False
        if under_way and group.gathered and self.merge.size < group.limit:
            return False
        return under_way < group.ahead

    def takes_more(self, topic: str) -> bool:
        """Whether more records of a topic should be fetched: always, if the others wait for it."""
        merge = self.merge
        return merge.lacks(topic) or (
            merge.size < BUFFERED_RECORDS and merge.bytes < BUFFERED_BYTES
        )

    def take(self, is_behind: Callable[[str], bool], now: float) -> list[Arrived]:
        """The records of the next batch; empty if there is nothing, or something to wait for."""
        return self.merge.take(self.group.limit, is_behind, now)

    def deliver(self, batch: Batch) -> None:
        """Note that a batch is under way."""
        self._under_way.append(batch)

    def give_up(self) -> None:
        """Make void what is under way: whoever has it in hand must leave it."""
        for batch in self._under_way:
            batch.void = True

    def done(self) -> list[Batch]:
        """Take off the acknowledged batches up to the first that is not, in order of delivery."""
        done = []
        while self._under_way and self._under_way[0].acked:
            done.append(self._under_way.popleft())
        return done
