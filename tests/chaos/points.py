"""Named points in a worker's life at which a process may be killed.

The product has no hooks. A doomed process wraps one of its own functions before it starts, and
kills itself (SIGKILL: nothing is flushed, nobody told) at the n-th time that it gets there. A
function that is no longer there fails the test aloud.
"""

from __future__ import annotations

import importlib
import inspect
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

BEFORE, AFTER, DURABLE = "before", "after", "durable"
Matches = Callable[..., bool]


@dataclass(frozen=True)
class Point:
    """When which function is called, returns, or what it handed over is durable.

    ``often`` is the highest crossing that is sure to come soon.
    """

    when: str
    function: str
    matches: Matches = lambda *_: True
    often: int = 12
    fresh: bool = False


def of_events(consumer: Any, message: Any) -> bool:
    """Whether a batch of events is acknowledged."""
    lane = getattr(message.value, "lane", None)
    return lane is not None and lane.group == "events"


def to(kind: str) -> Matches:
    """Whether records go to a topic, and are not a new owner's first word."""

    def matches(producer: Any, topic: str, partition: int, records: Any) -> bool:
        fence = len(records) == 1 and records[0][0] == b"fence"
        return topic == getattr(producer.app.settings.topics, kind) and not fence

    return matches


def begins(kind: str) -> Matches:
    """Whether an effect of a script is of a kind."""
    return lambda pipeline, partition, effect, before: type(effect).__name__ == kind


def outside_recovery(*_: Any) -> bool:
    """Whether a batch's flow stores, and not recovery."""
    callers = {frame.function for frame in inspect.stack(0)}
    return "absorb" not in callers


PARTITION = "stream.worker.partition:Partition"
PIPELINE = "stream.worker.pipeline:Pipeline"
TABLE = "stream.worker.faust.table:BatchTable"
PRODUCER, CONSUMER = "{transport}Producer", "{transport}Consumer"
TRANSPORTS = {
    "kafka": "stream.worker.faust.kafka:Kafka",
    "local": "stream.worker.faust.local.batches:Local",
}
POINTS = {
    "before decide": Point(BEFORE, f"{PARTITION}.decide"),
    "after decide": Point(AFTER, f"{PARTITION}.decide"),
    "before the changelog": Point(BEFORE, f"{TABLE}.send"),
    "changelog on its way": Point(AFTER, f"{TABLE}.send"),
    "changelog durable": Point(DURABLE, f"{TABLE}.send"),
    "before the store": Point(BEFORE, f"{TABLE}.store", outside_recovery),
    "after the store": Point(AFTER, f"{TABLE}.store", outside_recovery),
    "before the effects": Point(BEFORE, f"{PIPELINE}._effect", begins("Send")),
    "offers on their way": Point(AFTER, f"{PRODUCER}.send_batch", to("offers")),
    "offers durable": Point(DURABLE, f"{PRODUCER}.send_batch", to("offers")),
    "before the ack": Point(BEFORE, f"{PIPELINE}._effect", begins("Acknowledge")),
    "after the ack": Point(AFTER, f"{CONSUMER}.ack", of_events),
    "before the commit": Point(BEFORE, f"{CONSUMER}._commit", often=3),
    "after the commit": Point(AFTER, f"{CONSUMER}._commit", often=3),
    "before the fence": Point(BEFORE, f"{TABLE}._own", often=2),
    "after the fence": Point(AFTER, f"{TABLE}._own", often=2),
    "in recovery": Point(AFTER, f"{TABLE}.absorb", often=2, fresh=True),
    "before a publication": Point(BEFORE, f"{PRODUCER}.send_batch", to("models"), often=1),
    "publication durable": Point(DURABLE, f"{PRODUCER}.send_batch", to("models"), often=1),
}


@dataclass(frozen=True)
class Doom:
    """The point at which a process dies, at which crossing, and on which transport."""

    point: str
    crossing: int
    transport: str = "kafka"

    def arm(self) -> None:
        """Wrap the point's function in this process."""
        point = POINTS[self.point]
        function = point.function.format(transport=TRANSPORTS[self.transport])
        module, _, path = function.partition(":")
        owner_name, _, name = path.rpartition(".")
        owner: Any = getattr(importlib.import_module(module), owner_name)
        setattr(owner, name, _wrapped(getattr(owner, name), point, _Countdown(self.crossing)))


class _Countdown:
    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _wrapped(function: Any, point: Point, crossed: _Countdown) -> Any:
    async def durable(handed_over: Awaitable[Any]) -> Any:
        result = await handed_over
        crossed()
        return result

    def after(result: Any) -> Any:
        if point.when == AFTER:
            crossed()
        return durable(result) if point.when == DURABLE else result

    @wraps(function)
    async def in_turns(*args: Any, **kwargs: Any) -> Any:
        if not point.matches(*args, **kwargs):
            return await function(*args, **kwargs)
        if point.when == BEFORE:
            crossed()
        return after(await function(*args, **kwargs))

    @wraps(function)
    def at_once(*args: Any, **kwargs: Any) -> Any:
        if not point.matches(*args, **kwargs):
            return function(*args, **kwargs)
        if point.when == BEFORE:
            crossed()
        return after(function(*args, **kwargs))

    return in_turns if inspect.iscoroutinefunction(function) else at_once
