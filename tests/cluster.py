"""A cluster without a broker: workers crash, pause and wake up again, under a seeded scheduler.

One partition. The decision, the partition's overlay and the order of effects are the real ones
(`stream.runtime.partition`); the broker, time and death are simulated. At each step the scheduler
picks one thing that could happen next: a worker takes a batch of some size, appends a changelog
batch, sends one effect, commits; or a worker is killed, or paused, and another takes over. A paused
worker is a zombie: whatever it was about to do may still happen, at any later time.

The same seed gives the same run.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from stream.codec.state import decode_ledger, decode_state
from stream.core.event import Event, Rejection, Source
from stream.core.ledger import Entry, Ledger
from stream.core.state import CustomerState
from stream.core.world import World
from stream.runtime.batching.records import Arrived, Batch, Lane
from stream.runtime.batching.table import BatchTable
from stream.runtime.local.frame import StoredRecord
from stream.runtime.partition import Flush, Partition, ledger_key

Topics = list[list[Event | Rejection]]
Action = Callable[[], None]
TOPICS = ("clicks", "purchases", "feedback", "customers")
LANE = Lane("events", 0)
AHEAD = 3


class Fenced(Exception):
    """A newer owner has written."""


@dataclass
class Broker:
    """What is durable, and who may add to it."""

    topics: Topics
    changelog: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    offers: list[tuple[bytes, bytes]] = field(default_factory=list)
    lessons: list[bytes] = field(default_factory=list)
    dead: list[tuple[str, int]] = field(default_factory=list)
    late: list[tuple[str, int]] = field(default_factory=list)
    committed: list[int] = field(default_factory=lambda: [0] * len(Source))
    generation: int = 0
    written_by: int = 0

    def append(self, epoch: int, writes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Append a changelog batch whole, unless a newer owner has written."""
        if epoch < self.written_by:
            raise Fenced
        self.written_by = epoch
        self.changelog.extend(writes)

    def recovered(self) -> dict[bytes, bytes]:
        """The table as its changelog has it."""
        table: dict[bytes, bytes] = {}
        for key, value in self.changelog:
            if value is None:
                table.pop(key, None)
            else:
                table[key] = value
        return table

    def ledger(self) -> Ledger:
        """The partition's ledger."""
        stored = self.recovered().get(ledger_key(0))
        return Ledger() if stored is None else decode_ledger(stored)

    def customers(self) -> dict[str, CustomerState]:
        """The customers' records."""
        items = self.recovered().items()
        return {key.decode(): decode_state(v) for key, v in items if not key.startswith(b"\0")}


class Store(BatchTable):
    """A worker's own copy of the table: what was durable when it came to know it."""

    def __init__(self, table: dict[bytes, bytes]) -> None:
        self.table = table

    def read(self, partition: int, key: bytes) -> bytes | None:
        return self.table.get(key)


@dataclass
class Flight:
    """A decided batch on its way: what is left of it to do, in order."""

    flush: Flush
    offsets: list[int]
    appended: bool = False
    left: deque[Action] = field(default_factory=deque)


class Worker:
    """One life of a worker, which owns the partition as long as nobody took over."""

    def __init__(self, broker: Broker, world: World, chance: random.Random) -> None:
        broker.generation += 1
        self.broker, self.world, self.chance = broker, world, chance
        self.generation = broker.generation
        broker.append(self.generation, [(b"\0fence", b"")])  # before the table is read
        self.store = Store(broker.recovered())
        self.partition = Partition(0, self.store, 100)
        self.at = list(broker.committed)
        self.flights: deque[Flight] = deque()

    def actions(self) -> Iterator[Action]:
        """All that this worker could do next."""
        topics = self.broker.topics
        if len(self.flights) < AHEAD and any(self.at[s] < len(topics[s]) for s in Source):
            yield self.decide
        waiting = next((flight for flight in self.flights if not flight.appended), None)
        if waiting is not None:
            yield lambda: self.append(waiting)
        if self.flights and self.flights[0].appended:
            yield lambda: self.flights[0].left.popleft()()

    def decide(self) -> None:
        """Take some records of some topics, by event time."""
        heads = {
            source: deque(self._fetched(source, self.chance.randint(0, 4))) for source in Source
        }
        arrived: list[Arrived] = []
        while any(heads.values()):
            source = min((s for s in Source if heads[s]), key=lambda s: heads[s][0].time)
            arrived.append(heads[source].popleft())
            self.at[source] += 1
        if arrived:
            flush = self.partition.decide(Batch(LANE, arrived), self.world, 1 << 30, alone=True)
            assert flush is not None
            self.flights.append(Flight(flush, list(self.at)))

    def append(self, flight: Flight) -> None:
        """Write a batch's changelog; then its effects are free to happen, one by one."""
        broker, flush = self.broker, flight.flush
        broker.append(self.generation, flush.writes)
        flight.appended = True
        steps = flight.left
        steps.append(lambda: self._stored(flush))
        steps.extend(partial_append(broker.offers, offer) for offer in flush.offers)
        steps.extend(partial_append(broker.lessons, lesson) for lesson in flush.lessons)
        steps.extend(partial_append(broker.late, (r.topic, r.offset)) for r in flush.late)
        steps.extend(partial_append(broker.dead, (r.topic, r.offset)) for r, _ in flush.rejected)
        steps.append(lambda: self._commit(flight))

    def _stored(self, flush: Flush) -> None:
        for key, value in flush.writes:
            if value is None:
                self.store.table.pop(key, None)
            else:
                self.store.table[key] = value
        self.partition.stored(flush)

    def _commit(self, flight: Flight) -> None:
        self.partition.safe(flight.flush)
        self.flights.popleft()
        if self.generation == self.broker.generation:
            self.broker.committed = flight.offsets

    def _fetched(self, source: Source, count: int) -> Iterator[Arrived]:
        start = self.at[source]
        for offset, content in enumerate(self.broker.topics[source][start : start + count], start):
            record = StoredRecord(TOPICS[source], 0, offset, 0, b"", b"")
            time = 0 if isinstance(content, Rejection) else content.time
            yield Arrived(time, record, Entry(source, offset, content))


def partial_append(target: list, item: object) -> Action:  # type: ignore[type-arg]
    """Appending an item, later."""
    return lambda: target.append(item)


def run(topics: Topics, world: World, seed: int, faults: int) -> Broker:
    """Run until all is committed, with so many kills and pauses on the way."""
    chance = random.Random(seed)
    broker = Broker(topics)
    owner = Worker(broker, world, chance)
    zombies: list[Worker] = []
    while faults or broker.committed != [len(topic) for topic in topics]:
        if faults and chance.random() < 0.08:
            faults -= 1
            if chance.random() < 0.5:
                zombies.append(owner)
            owner = Worker(broker, world, chance)
            continue
        actor = chance.choice([owner, owner, *zombies])
        actions = list(actor.actions())
        if not actions:
            if actor is owner and not faults:
                continue
            faults -= actor is owner
            continue
        try:
            chance.choice(actions)()
        except Fenced:
            assert actor is not owner, "the owner is never fenced"
            zombies.remove(actor)
    return broker


def counted(broker: Broker) -> Counter[str]:
    """The ledger's counts."""
    return Counter(broker.ledger().counts)
