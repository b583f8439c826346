"""Simulated time: what happens next, in order, and what it publishes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import orjson

Topic: TypeAlias = Literal["clicks", "purchases", "feedback", "customers", "catalog", "campaigns"]
Action: TypeAlias = Callable[..., None]


EVENTS: Final = frozenset({"clicks", "purchases", "feedback", "customers"})
"""The topics whose records are events of customers."""


class TimedRecord(NamedTuple):
    """What a shop would send: the kind of topic, key and value as bytes, time in ms."""

    topic: Topic
    key: bytes
    value: bytes
    time: int


class Timeline:
    """A queue of actions; running it gives the records that they publish, in time order."""

    def __init__(self, start: int) -> None:
        self.now = start
        self._queue: list[tuple[int, int, Action, tuple[Any, ...]]] = []
        self._count = 0
        self._out: list[TimedRecord] = []

    def at(self, time: int, action: Action, *arguments: Any) -> None:
        """Let ``action`` happen at ``time`` (ms), but not in the past."""
        self._count += 1
        heappush(self._queue, (max(time, self.now), self._count, action, arguments))

    def after(self, wait: float, action: Action, *arguments: Any) -> None:
        """Let ``action`` happen ``wait`` ms from now; ``wait`` is at least 0."""
        self._count += 1
        heappush(self._queue, (self.now + int(wait), self._count, action, arguments))

    def publish(self, topic: Topic, key: str, value: Mapping[str, object]) -> None:
        """Send a record, now."""
        self._out.append(TimedRecord(topic, key.encode(), orjson.dumps(value), self.now))

    def run(self, until: int) -> list[TimedRecord]:
        """Let everything before ``until`` (ms) happen."""
        queue = self._queue
        while queue and queue[0][0] < until:
            self.now, _, action, arguments = heappop(queue)
            action(*arguments)
        self.now = until
        records, self._out = self._out, []
        return records
