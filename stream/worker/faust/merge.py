"""Merging the topics of one partition by event time, as far as they have arrived.

A click and the purchase after it stand in two topics; whichever is fetched first must not decide
what is made of them. Rules, after Kafka Streams' KIP-353 and KIP-695:

- The next record is the one with the lowest time among the heads of the topics; within a topic,
  records keep the order of their offsets.
- A topic whose buffer is empty while the broker holds more of it is *behind*: nothing is taken
  until it has arrived. The wait is over when for so long nothing has arrived of any topic that is
  behind; from then on they are not waited for, until something does.
- A topic that is empty at its end holds nobody up: caught up, nobody waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from stream.broker.records import Record
from stream.worker.faust.records import Arrived, Content


class Merge:
    """What has arrived of the topics of one partition and was not delivered yet.

    Parameters
    ----------
    topics
        That are merged.
    wait
        Seconds for which topics that are behind are waited for while nothing of them arrives.

    Attributes
    ----------
    left_behind : frozenset[str]
        The topics that are not waited for any more, though they are behind.
    """

    def __init__(self, topics: Iterable[str], wait: float) -> None:
        self._buffers: dict[str, deque[Arrived]] = {topic: deque() for topic in topics}
        self._times = dict.fromkeys(self._buffers, 0)
        self._wait = wait
        self._since: float | None = None
        self._behind: frozenset[str] = frozenset()
        self.left_behind: frozenset[str] = frozenset()
        self.size = 0
        self.bytes = 0

    def add(self, topic: str, records: Iterable[Record], read: Iterable[Content]) -> None:
        """Take in what arrived of a topic, in the order of its offsets, and what reading it gave.

        A record that says no time keeps its place behind the one before it.
        """
        buffer, time = self._buffers[topic], self._times[topic]
        for record, (said, content) in zip(records, read, strict=True):
            time = time if said is None else said
            buffer.append(Arrived(time, record, content))
            self.size += 1
            self.bytes += len(record.value or b"")
        self._times[topic] = time
        if buffer and topic in self._behind:
            self._since = None  # what is waited for arrives: the wait begins anew

    def take(self, limit: int, is_behind: Callable[[str], bool], now: float) -> list[Arrived]:
        """The next records in order, at most ``limit``; empty if there is one to wait for.

        ``is_behind`` says of a topic whose buffer is empty whether the broker holds more of it;
        ``now`` is in seconds, of a clock that never goes back.
        """
        behind = frozenset(filter(is_behind, filter(self.lacks, self._buffers)))
        self._behind = behind
        if not behind:
            self._since = None
        if not self.size or (behind and self._waits(now)):
            return []
        self.left_behind = behind
        taken: list[Arrived] = []
        while len(taken) < limit and self.size:
            topic, run = self._next(limit - len(taken))
            taken += run
            if self.lacks(topic) and topic not in behind and is_behind(topic):
                break  # the next of this topic may be older than the others' heads
        return taken

    def lacks(self, topic: str) -> bool:
        """Whether nothing waits of a topic."""
        return not self._buffers[topic]

    def remaining(self, now: float) -> float:
        """Seconds until what waits is taken all the same; infinite if nothing waits."""
        if self._since is None or not self.size:
            return float("inf")
        return max(self._since + self._wait - now, 0.0)

    def _waits(self, now: float) -> bool:
        if self._since is None:
            self._since = now
        return now - self._since < self._wait

    def _next(self, limit: int) -> tuple[str, list[Arrived]]:
        """The topic whose turn it is, and what comes of it before another's, at most ``limit``."""
        (_, topic), *others = sorted(
            (buffer[0].time, topic) for topic, buffer in self._buffers.items() if buffer
        )
        buffer = self._buffers[topic]
        most = min(limit, len(buffer))
        run = [buffer.popleft()]
        while len(run) < most and (not others or (buffer[0].time, topic) < others[0]):
            run.append(buffer.popleft())
        self.size -= len(run)
        self.bytes -= sum([len(arrived.record.value or b"") for arrived in run])
        return topic, run
