"""Watching: how far a worker has come, told to metrics and health once a second.

Rules: it asks, and changes nothing; the hot path knows nothing of it. What waits is the broker's
end less what is done and durable, so records that were fetched and not yet acknowledged wait, too.
What nobody knows, as no broker answers, is shown as such.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from faust.types import TP

import faust
from stream.worker.telemetry.health import Health

if TYPE_CHECKING:
    from stream.worker.app import OfferstreamApp

log = logging.getLogger(__name__)

INTERVAL: Final = 1.0  # seconds: fine enough for alerts, too rare to cost anything
RECOVERING: Final = "recovering"
_SAMPLES: Final = 600


class Position(Protocol):
    """What is asked of a consumer; ``commits`` counts those that a broker confirmed."""

    commits: int

    def assignment(self) -> Collection[TP]:
        """The partitions that are read."""

    def highwater(self, tp: TP) -> int | None:
        """The offset that a partition's next record gets; None if it is not known yet."""

    def readable(self, tp: TP) -> int | None:
        """Where what may be read ends: of a transaction that is open nothing may, as yet."""

    def reached(self, tp: TP, done: int) -> int:
        """How far a partition is done when all before ``done`` is: some offsets are no records."""

    def silence(self) -> float:
        """Seconds since a broker last answered."""


class Arrivals:
    """When a partition's end was first seen where it is: so how long the oldest record waits.

    >>> arrivals = Arrivals()
    >>> arrivals.waited(end=10, done=4, now=100.0), arrivals.waited(end=12, done=10, now=103.0)
    (0.0, 0.0)
    >>> arrivals.waited(end=12, done=10, now=105.0), arrivals.waited(end=12, done=12, now=106.0)
    (2.0, 0.0)
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque()

    def waited(self, end: int, done: int, now: float) -> float:
        """Seconds since the oldest record at or behind ``done`` was first known to be there."""
        if not self._seen or end > self._seen[-1][0]:
            if len(self._seen) == _SAMPLES:  # stuck for long: the oldest are what counts
                self._seen.pop()
            self._seen.append((end, now))
        while self._seen and self._seen[0][0] <= done:
            self._seen.popleft()
        return max(now - self._seen[0][1], 0.0) if self._seen and end > done else 0.0


class Watch:
    """Looks at where a worker stands.

    Parameters
    ----------
    events, others
        The topics whose lag is shown; the customers' partitions are those of the event topics.
    consumer
        Gives the partitions that are read, and their ends.
    done
        The next offset of each partition: all before it is done and durable.
    recovery
        How many changelog records are still to be recovered.
    keys
        How many keys the customers' table holds.
    health
        Who is told, with its metrics.
    clock
        A clock, in seconds.
    """

    def __init__(
        self,
        events: Collection[str],
        others: Collection[str],
        consumer: Position,
        done: Callable[[], Mapping[TP, int]],
        recovery: Callable[[], int],
        keys: Callable[[], int],
        health: Health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events, self._topics = frozenset(events), frozenset((*events, *others))
        self._consumer = consumer
        self._done, self._recovery, self._keys = done, recovery, keys
        self._metrics, self._health, self._clock = health.metrics, health, clock
        self._arrivals: dict[TP, Arrivals] = {}
        self._last: object = None
        self._committed = consumer.commits

    async def run(self, interval: float = INTERVAL) -> None:
        """Look until cancelled; a look that fails is logged, and the next is taken."""
        while True:
            try:
                self.look()
            except Exception:  # a partition may move while one looks at it
                log.warning("could not see where the worker stands", exc_info=True)
            await asyncio.sleep(interval)

    def look(self) -> None:
        """Tell where the worker stands now."""
        done, remaining = self._done(), self._recovery()
        read = {tp for tp in self._consumer.assignment() if tp.topic in self._topics}
        self._forget(self._arrivals.keys() - read, read)
        known = self._health.broker(self._consumer.silence())
        waiting = sum(self._lag(tp, done.get(tp), known) for tp in sorted(read))
        self._commits()
        self._metrics.recovering(remaining)
        self._metrics.state_keys("customers", self._keys())
        self._health.backlog(waiting + remaining)
        position = (sum(done.values()), remaining)
        if position != self._last:
            self._last = position
            self._health.moved()

    def _commits(self) -> None:
        """Show that offsets were committed since the last look."""
        if self._consumer.commits != self._committed:
            self._committed = self._consumer.commits
            self._metrics.committed()

    def _lag(self, tp: TP, done: int | None, known: bool) -> int:
        """Show a partition's lag, if a broker tells its end; return what surely waits there."""
        end = self._consumer.highwater(tp)
        if end is None:
            return 0
        if not known:
            self._metrics.lag_unknown(tp.topic, tp.partition)
            return 0
        if done is not None:
            done = self._consumer.reached(tp, done)
        arrivals = self._arrivals.setdefault(tp, Arrivals())
        records = max(end - (done or 0), 0)
        seconds = arrivals.waited(end, done or 0, self._clock())
        self._metrics.lag(tp.topic, tp.partition, records, seconds)
        if done is None:
            return 0  # a new group's first records may be deleted
        return max(min(end, self._consumer.readable(tp) or 0) - done, 0)

    def _forget(self, lost: Collection[TP], kept: Collection[TP]) -> None:
        for tp in lost:
            del self._arrivals[tp]
            self._metrics.lag_gone(tp.topic, tp.partition)
        for partition in self._partitions(lost) - self._partitions(kept):
            self._metrics.partition_gone(partition)

    def _partitions(self, tps: Collection[TP]) -> set[int]:
        return {tp.partition for tp in tps if tp.topic in self._events}


def watch_of(app: OfferstreamApp, health: Health) -> Watch:
    """Make the watch of an app that was started."""
    topics = app.settings.topics
    # Faust's types tell neither of its recovery nor of our consumer.
    tables: Any = app.tables
    consumer: Any = app.consumer
    return Watch(
        topics.events,
        (topics.examples,),
        consumer,
        lambda: app.pipeline.progress.done | app.learning.progress.done,
        tables.recovery.active_remaining_total,
        app.table.keys_held,
        health,
    )


class WorkerSensor(faust.Sensor):
    """Faust's own events that an operator wants to know of: rebalances."""

    def __init__(self, health: Health, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics, self._health, self._clock = health.metrics, health, clock
        self._owned: set[int] | None = None
        super().__init__()

    def on_rebalance_start(self, app: Any) -> dict[str, float]:
        """Partitions move: until their tables are whole, this worker is not ready."""
        if not app.should_stop:
            self._health.unready(RECOVERING)
        return {"started": self._clock()}

    def on_rebalance_end(self, app: Any, state: dict[str, float]) -> None:
        """The tables are whole."""
        self._metrics.rebalanced(self._clock() - state["started"])
        if not app.should_stop:
            self._health.ready()
            self._tell(app)

    def _tell(self, app: Any) -> None:
        """Say once which partitions are taken, and then which came and went."""
        events = app.settings.topics.events
        owned = {tp.partition for tp in app.consumer.assignment() if tp.topic in events}
        if self._owned is None:
            log.info("ready: takes %s", spans(owned))
        elif gained_or_lost := owned ^ self._owned:
            gained, lost = spans(owned & gained_or_lost), spans(self._owned & gained_or_lost)
            log.info("partitions moved: gained %s, lost %s; takes %s", gained, lost, spans(owned))
        self._owned = owned


def spans(partitions: Collection[int]) -> str:
    """Partitions in words.

    >>> spans({0, 1, 2, 5}), spans({7}), spans(())
    ('partitions 0-2, 5', 'partition 7', 'no partition')
    """
    if not partitions:
        return "no partition"
    runs = list[list[int]]()
    for number in sorted(partitions):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    told = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"partition{'' if len(partitions) == 1 else 's'} {told}"
