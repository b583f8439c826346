"""A cluster without a broker: the product's own pipelines, and chance for all that surrounds them.

One partition. The decision, the script of its effects, who executes it, and the lane that says what
may be committed are the product's; the broker, time and death are simulated. At each step a seeded
scheduler picks one thing that could happen next: a worker fetches, is handed a batch, a write lands
or its acknowledgement arrives, offsets are committed; or a worker is killed, or a write fails, or a
worker is paused and another takes over. A paused worker is a zombie: whatever it was about to do
may still happen, at any later time. What a killed worker had sent off may have landed or not; where
writes are torn, a write to the changelog may have landed in part.

Surroundings that are not what they were come on demand: a store whose bytes have rotted, commits
that the group has lost, a changelog without its end, a topic that was made anew. What the worker
compares at its start, and what an operator says then, are the product's, too.

The same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from faust.types import TP
from msgspec.structs import replace

from stream.broker.facts import TopicFacts
from stream.broker.local.frame import StoredRecord
from stream.broker.protocol import OffsetRange
from stream.broker.records import Outgoing, Record
from stream.codec.customers import decode_ledger, decode_state, encode_ledger
from stream.codec.deadletters import CODE
from stream.codec.examples import decode_lesson
from stream.codec.offers import is_recall
from stream.config import ConfigError, Settings
from stream.decide import decide
from stream.decide.ledger import Entry, Ledger
from stream.decide.rows.record import Desk
from stream.decide.rows.state import CustomerState
from stream.decide.world import World
from stream.domain.event import Click, Event, Rejection, RejectionCode, Source
from stream.domain.stamps import next_place
from stream.worker import pipeline
from stream.worker.checks import renewal
from stream.worker.checks.inspection import Inspection
from stream.worker.faust.lane import LaneQueue, TopicGroup
from stream.worker.faust.records import Batch, Lane
from stream.worker.faust.store import StoreFault, Write
from stream.worker.partition import ledger_key

Topics = list[list[Event | Rejection]]
Action = Callable[[], None]
SETTINGS = Settings()
TOPICS = SETTINGS.topics
CHANGELOG = "changelog"
DESK = Desk()  # one for all lives: a worker's is some megabytes
OBSERVER: Any = SimpleNamespace(decided=lambda *_: None, done=lambda *_: None)
BUGGY = "an item that meets a bug"


class Fenced(Exception):
    """A newer owner has written."""


class Lost(Exception):
    """The broker did not answer: whether the write is there is not known."""


def with_a_bug(packed: Callable[..., bytes], event: Event, *more: Any) -> bytes:
    """Pack an event, but for a click on an item."""
    if isinstance(event, Click) and event.item_id == BUGGY:
        raise ValueError("a bug")
    return packed(event, *more)


@dataclass
class Broker:
    """What is durable, and who may add to it.

    ``lives`` counts how often a topic was made anew; ``gone`` is what was accounted for of it then,
    and ``former_commits`` names those whose commit is still that of the life before.
    """

    topics: Topics
    logs: dict[str, list[Outgoing]] = field(default_factory=dict)
    committed: list[int | None] = field(default_factory=lambda: [0] * len(Source))
    generation: int = 0
    written_by: int = 0
    written: list[int] = field(default_factory=lambda: [0])  # where the changelog's batches end
    tells_ids: bool = True
    lives: list[int] = field(default_factory=lambda: [0] * len(Source))
    gone: Topics = field(default_factory=lambda: [[] for _ in Source])
    former_commits: set[int] = field(default_factory=set)

    def append(self, topic: str, records: Sequence[Outgoing], generation: int) -> int:
        """Append records, to the changelog unless a newer owner has written; the last's offset."""
        if topic == CHANGELOG:
            if generation < self.written_by:
                raise Fenced
            self.written_by = generation
        log = self.logs.setdefault(topic, [])
        log.extend(records)
        if topic == CHANGELOG:
            self.written.append(len(log))
        return len(log) - 1

    def record(self, source: int, offset: int) -> StoredRecord:
        """A record of an event topic, whose value says where it stands and when."""
        place = b"%d-%d-%d" % (source, offset, self.lives[source])
        return StoredRecord(TOPICS.events[source], 0, offset, 0, b"key", place)

    def lose_end(self, chance: random.Random) -> None:
        """The changelog loses some of its last batches."""
        length = chance.choice(self.written[-6:])
        del self.logs[CHANGELOG][length:]
        self.written = [end for end in self.written if end <= length]

    def make_anew(
        self, source: int, events: list[Event | Rejection], chance: random.Random
    ) -> None:
        """A topic is deleted, and holds other events now; the group may keep its commits."""
        self.gone[source] += self.topics[source][: self.accounted(source)]
        self.topics[source] = events
        self.lives[source] += 1
        self.former_commits.add(source)
        if chance.random() < 0.5:
            self.committed[source] = None

    def accounted(self, source: int) -> int:
        """How many records of a topic, as it is now, the ledger has accounted for."""
        return next_place(self.ledger().stamps[source])[1]

    def is_settled(self, source: int) -> bool:
        """Whether all that is accounted for of a topic, as it is now, is committed."""
        accounted = self.accounted(source)
        return not accounted or (
            self.committed[source] == accounted and source not in self.former_commits
        )

    def history(self) -> Topics:
        """All events that were there to be accounted for."""
        return [gone + now for gone, now in zip(self.gone, self.topics, strict=True)]

    def ledger(self) -> Ledger:
        """The partition's ledger."""
        stored = self.recovered().get(ledger_key(0))
        return Ledger() if stored is None else decode_ledger(stored)

    def recovered(self) -> dict[bytes, bytes]:
        """The table as its changelog has it."""
        return Disk().recover(self.logs.get(CHANGELOG, ())).table

    def customers(self) -> dict[str, CustomerState]:
        """Customers' records without what only a crash tells apart: effects on their way."""
        return {
            key.decode(): replace(decode_state(value), effects=())
            for key, value in self.recovered().items()
            if not key.startswith(b"\0")
        }

    def counts(self) -> Counter[str]:
        """The ledger's counts."""
        return Counter(self.ledger().counts)

    def offers(self) -> list[bytes]:
        """Every offer that was sent, as often as it was."""
        return [value for value in self._of_offers() if not is_recall(value)]

    def recalls(self) -> list[bytes]:
        """Every recall that was sent, as often as it was."""
        return [value for value in self._of_offers() if is_recall(value)]

    def _of_offers(self) -> list[bytes]:
        return [value for _, value, _, _ in self.logs.get(TOPICS.offers, ()) if value is not None]

    def decisions(self) -> list[bytes]:
        """Every word of a decision that was sent, as often as it was."""
        return [value for _, value, _, _ in self.logs.get(TOPICS.decisions, ()) if value]

    def examples(self) -> list[tuple[Any, ...]]:
        """Source, offset and bytes of all examples that were sent."""
        lessons = [decode_lesson(v) for _, v, _, _ in self.logs.get(TOPICS.examples, ()) if v]
        return [tuple(taught) for lesson in lessons for taught in lesson.taught]

    def late(self) -> set[bytes | None]:
        """The places of the records that were set aside as late."""
        return {value for _, value, _, _ in self.logs.get(TOPICS.late, ())}

    def refused(self, code: RejectionCode) -> set[bytes | None]:
        """The places of the records that became dead letters for a reason."""
        letters = self.logs.get(TOPICS.dead_letters, ())
        named = (CODE, code.value.encode())
        return {value for _, value, _, headers in letters if named in headers}


class Inquiry:
    """The broker, as it is asked what it has."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def topics(self, names: Iterable[str]) -> dict[str, TopicFacts]:
        """Topics' ids, where the broker has some."""
        lives = dict(zip(TOPICS.events, self._broker.lives, strict=True))
        told = lives if self._broker.tells_ids else {}
        return {name: TopicFacts(f"life-{told[name]}" if name in told else "", 1) for name in names}

    async def bounds(self, tps: Iterable[TP]) -> dict[TP, OffsetRange]:
        """Where event topics begin and end."""
        return {tp: OffsetRange(0, len(self._broker.topics[_source(tp.topic)])) for tp in tps}

    async def records(self, places: Mapping[TP, int]) -> dict[TP, StoredRecord]:
        """The records that stand there."""
        broker = self._broker
        return {
            tp: broker.record(_source(tp.topic), at)
            for tp, at in places.items()
            if at < len(broker.topics[_source(tp.topic)])
        }

    async def close(self) -> None:
        """Do nothing."""


class Disk:
    """A worker's store: what it was told to keep, and the offset in the changelog behind that.

    A store that has ``rotted`` fails when it is read, or gives bytes that make no sense.
    """

    def __init__(self) -> None:
        self.rotted = ""
        self._kept: list[tuple[int, Sequence[Write]]] = []
        self.table: dict[bytes, bytes] = {}

    def keep(self, end: int, writes: Sequence[Write]) -> None:
        """Put writes in, of which the last lies before ``end`` in the changelog."""
        self._kept.append((end, writes))
        for key, value in writes:
            if value is None:
                self.table.pop(key, None)
            else:
                self.table[key] = value

    def reopened(self, lost: int) -> Disk:
        """The store as it is found after its machine went down: the last writes may be lost."""
        if self.rotted:
            return Disk()  # emptied, as the worker that met it does
        found = Disk()
        for end, writes in self._kept[: len(self._kept) - lost]:
            found.keep(end, writes)
        return found

    def recover(self, log: Sequence[Outgoing]) -> Disk:
        """Take in what the changelog holds behind what is here."""
        known = self._kept[-1][0] if self._kept else 0
        self.keep(len(log), [(key or b"", value) for key, value, _, _ in log[known:]])
        return self


class Flight(NamedTuple):
    """A write that is under way."""

    topic: str
    records: Sequence[Outgoing]
    future: asyncio.Future[Any]


class Delivery:
    """A batch in the agent's hands; as the product's consumer acknowledges it."""

    def __init__(self, worker: Worker, batch: Batch) -> None:
        self._worker, self.value = worker, batch

    def ack(self) -> bool:
        self.value.acked = True
        for done in self._worker.lane.done():
            self._worker.committable.update(done.next_offsets)
        return True


class Worker:
    """One life of a worker, which owns the partition as long as nobody took over.

    It is also what the pipeline sees of its app and of its table.
    """

    def __init__(self, broker: Broker, disk: Disk, world: World, chance: random.Random) -> None:
        broker.generation += 1
        self.broker, self.chance = broker, chance
        self.generation = broker.generation
        fence: Outgoing = (b"\0fence", b"", None, ())
        broker.append(CHANGELOG, [fence], self.generation)  # before the changelog is read
        self.disk = disk.recover(broker.logs[CHANGELOG])
        self.at = [0] * len(Source)
        self.lost = 0
        self._first_stamps: dict[tuple[str, int], int] = {}
        self.committable: dict[TP, int] = {}
        self.flying: list[Flight] = []
        self.landed: list[tuple[Flight, int]] = []
        self.error: BaseException | None = None
        self.deliveries: asyncio.Queue[Delivery] = asyncio.Queue()
        group = TopicGroup("events", TOPICS.events, self._read, limit=chance.randint(1, 8))
        self.lane = LaneQueue(group)
        table: Any = self
        largest = chance.choice((2_000, pipeline.LARGEST_WRITE))
        self._inspection = Inspection(
            SETTINGS, Inquiry(broker), table, list, self._first_stamps, self._count_lost
        )
        self.pipeline = pipeline.Pipeline(
            self,
            table,
            SETTINGS,
            lambda: world,
            OBSERVER,
            largest,
            known=self._inspection.known,
            turn=chance.choice((2, 100)),
            desk=DESK,
        )
        self.agent = asyncio.create_task(self._work())

    async def compare(self) -> None:
        """Find out where to go on, as the product does.

        Raises
        ------
        ConfigError
            If what must agree does not.
        """
        commits = {TP(t, 0): at for t, at in zip(TOPICS.events, self.broker.committed, strict=True)}
        places = await self._inspection.places(commits)
        self.at = [places[TP(topic, 0)] for topic in TOPICS.events]

    def actions(self) -> Iterator[Action]:
        """All that could happen to this worker next."""
        if any(self.at[source] < len(self.broker.topics[source]) for source in Source):
            yield self.fetch
        if self.lane.merge.size and self.lane.is_ready():
            yield self.hand_on
        for flight in _firsts(self.flying):
            yield partial(self.land, flight)
        for flight in _firsts([flight for flight, _ in self.landed]):
            yield partial(self.acknowledge, flight)
        if self.committable:
            yield self.commit

    def fetch(self) -> None:
        """Fetch some records of some topics."""
        for source, topic in zip(Source, TOPICS.events, strict=True):
            records = self.broker.topics[source]
            start = self.at[source]
            end = min(start + self.chance.randint(0, 4), len(records))
            self.at[source] = end
            found = [self.broker.record(source, n) for n in range(start, end)]
            self.lane.merge.add(topic, found, map(self._read, found))

    def hand_on(self) -> None:
        """Hand the next batch to the agent."""
        arrived = self.lane.take(lambda _: False, 0.0)
        batch = Batch(Lane("events", 0), arrived)
        self.lane.deliver(batch)
        self.deliveries.put_nowait(Delivery(self, batch))

    def land(self, flight: Flight) -> None:
        """A write becomes durable, or is refused."""
        self.flying.remove(flight)
        try:
            offset = self.broker.append(flight.topic, flight.records, self.generation)
        except Fenced as error:
            _fail(flight, error)
        else:
            self.landed.append((flight, offset))

    def acknowledge(self, flight: Flight) -> None:
        """The worker hears that a write is durable."""
        (found,) = (one for one in self.landed if one[0] is flight)
        self.landed.remove(found)
        if not flight.future.done():
            flight.future.set_result(SimpleNamespace(offset=found[1]))

    def lose(self) -> None:
        """A write, or its acknowledgement, is lost."""
        under_way = [*_firsts(self.flying), *_firsts([flight for flight, _ in self.landed])]
        if under_way:
            _fail(self.chance.choice(under_way), Lost())

    def commit(self) -> None:
        """Commit what was acknowledged, in order; the group knows its members."""
        if self.generation == self.broker.generation:
            for tp, offset in self.committable.items():
                self.broker.committed[_source(tp.topic)] = offset
                self.broker.former_commits.discard(_source(tp.topic))
        self.committable.clear()

    def die(self, torn: bool) -> None:
        """End; what was sent off lands, or not, or, where writes are torn, in part."""
        self.agent.cancel()
        self.pipeline.forget()
        while self.flying and self.chance.random() < 0.5:
            flight = self.flying.pop(0)
            records = flight.records
            if torn and flight.topic == CHANGELOG:
                records = records[: self.chance.randint(0, len(records))]
            with suppress(Fenced):
                self.broker.append(flight.topic, records, self.generation)
            if len(records) < len(flight.records):
                break

    # -- what the pipeline sees

    async def send_batch(
        self, topic: str, number: int, records: Sequence[Outgoing]
    ) -> Awaitable[Any]:
        """Hand over records."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.flying.append(Flight(topic, records, future))
        return future

    async def send(self, number: int, writes: Sequence[Write]) -> Awaitable[Any]:
        """Hand over writes to the changelog."""
        return await self.send_batch(CHANGELOG, number, [(k, v, None, ()) for k, v in writes])

    def read(self, number: int, key: bytes) -> bytes | None:
        """What the store holds."""
        stored = self.disk.table.get(key)
        if self.disk.rotted == "blocks":
            raise self.doubt(number, "a checksum does not fit")
        return b"\x01rot" if stored and self.disk.rotted == "bytes" else stored

    def doubt(self, number: int, reason: str) -> StoreFault:
        """What comes of a value that makes no sense."""
        return StoreFault(number, Path("store"), reason, damaged=True)

    def _count_lost(self, topic: str, number: int) -> None:
        self.lost += number

    def store(self, number: int, writes: Sequence[Write], offset: int) -> None:
        """Put writes into the store, which may not be ahead of the changelog."""
        end = offset + 1
        log = self.broker.logs[CHANGELOG][end - len(writes) : end]
        assert [record[:2] for record in log] == [*writes], "the store is not as its changelog"
        self.disk.keep(end, writes)

    async def crash(self, error: BaseException) -> None:
        """End the worker, soon."""
        self.error = error

    def _read(self, record: Record) -> tuple[int | None, Entry]:
        source = Source(_source(record.topic))
        content = self.broker.topics[source][record.offset]
        time = None if isinstance(content, Rejection) else content.time
        stamp = self._first_stamps.get((record.topic, 0), 0) + record.offset
        return time, Entry(source, stamp, content)

    async def _work(self) -> None:
        try:
            while True:
                await self.pipeline.take(await self.deliveries.get())
        except Exception as error:
            self.error = error


def run(
    topics: Topics,
    world: World,
    seed: int,
    faults: int,
    *,
    torn: bool = False,
    kinds: Sequence[str] = ("kill", "pause", "lose"),
    anew: Callable[[int], list[Event | Rejection]] = lambda source: [],
) -> Broker:
    """Run until all is committed, with so many faults on the way.

    Parameters
    ----------
    topics
        The event topics.
    world
        What decisions look at.
    seed
        Of all chance.
    faults
        How many.
    torn
        Whether a kill may tear a write to the changelog: then a customer's record may be ahead of
        the ledger, which tells of what it finds there only that it was applied.
    kinds
        Of faults: ``kill``, ``pause``, ``lose`` a write, ``rot`` of the store, ``forget`` the
        commits, ``cut`` the changelog's end off, make a topic ``anew``.
    anew
        What a topic holds then.
    """
    with quiet(), asyncio.Runner() as runner:
        return runner.run(Cluster(topics, world, seed, torn).run(faults, kinds, anew))


class Cluster:
    """A broker, the owner of its partition, and zombies: workers that were overtaken."""

    def __init__(self, topics: Topics, world: World, seed: int, torn: bool) -> None:
        self.chance = random.Random(seed)
        self.broker = Broker([list(topic) for topic in topics])
        self.broker.tells_ids = self.chance.random() < 0.5
        self.world, self.torn = world, torn
        self.owner: Worker
        self.workers: list[Worker] = []

    async def run(
        self, faults: int, kinds: Sequence[str], anew: Callable[[int], list[Event | Rejection]]
    ) -> Broker:
        """Let things happen until all is committed."""
        broker, chance = self.broker, self.chance
        await self._take_over(Disk())
        while faults or self.owner.error or any(True for _ in self.owner.actions()):
            if faults and chance.random() < 0.08:
                faults -= 1
                await self._suffer(chance.choice(kinds), anew)
            else:
                await self._go_on()
            self._bury()
            if self.owner not in self.workers:
                await self._take_over(self._next_disk())
        for source, topic in enumerate(broker.topics):
            done = broker.committed[source] == len(topic) or broker.lives[source]
            assert done or not topic, "the owner has nothing left to do"
        rotted = self.owner.disk.rotted
        assert rotted or self.owner.disk.table == broker.recovered(), "store and changelog differ"
        self._end()
        await _rested()
        return broker

    async def _go_on(self) -> None:
        """One thing more happens to somebody."""
        actor = self.chance.choice([self.owner, self.owner, *self.workers])
        actions = list(actor.actions())
        if actions:
            self.chance.choice(actions)()
            await _rested()

    async def _suffer(self, fault: str, anew: Callable[[int], list[Event | Rejection]]) -> None:
        broker, chance, owner = self.broker, self.chance, self.owner
        if fault == "lose":
            owner.lose()
            await _rested()
        elif fault == "rot":
            owner.disk.rotted = chance.choice(("blocks", "bytes"))
        elif fault == "pause":
            await self._take_over(Disk())
        elif fault == "kill":
            self.workers.remove(owner)
            owner.die(self.torn)
        else:
            self._end()
            if fault == "forget":
                broker.committed = [None] * len(Source)
            elif fault == "cut":
                broker.lose_end(chance)
                owner.disk = Disk()
            elif fault == "anew":
                source = chance.choice([*Source])
                if broker.is_settled(source):  # else what it caused last could never be sent
                    broker.make_anew(source, anew(source), chance)

    async def _take_over(self, disk: Disk) -> None:
        """A new owner begins; where it is refused, an operator says what a topic holds now."""
        owner = Worker(self.broker, disk, self.world, self.chance)
        try:
            await owner.compare()
        except ConfigError as refused:
            assert any(self.broker.lives), "a start is refused for nothing"
            owner.die(torn=False)
            await _renewed(self.broker, str(refused))
            owner = Worker(self.broker, Disk(), self.world, self.chance)
            await owner.compare()
        except StoreFault:
            owner.die(torn=False)
            owner = Worker(self.broker, Disk(), self.world, self.chance)
            await owner.compare()
        assert not owner.lost, "records count as lost that are there"
        self.owner = owner
        self.workers.append(owner)

    def _next_disk(self) -> Disk:
        """What the next owner finds: nothing, or what the one before left, but for its end."""
        if self.chance.random() < 0.5:
            return Disk()
        return self.owner.disk.reopened(lost=self.chance.randint(0, 2))

    def _bury(self) -> None:
        """Take away the workers that crashed; nothing but a fault may crash one."""
        for worker in self.workers:
            if worker.error is None:
                continue
            expected = {Lost} if worker is self.owner else {Lost, Fenced}
            if worker.disk.rotted:
                expected.add(StoreFault)
            if not isinstance(worker.error, tuple(expected)):
                raise AssertionError("a worker crashed by itself") from worker.error
            worker.die(self.torn)
        self.workers = [worker for worker in self.workers if worker.error is None]

    def _end(self) -> None:
        """Kill all workers."""
        for worker in self.workers:
            worker.die(torn=False)
        self.workers = []


async def _renewed(broker: Broker, refused: str) -> None:
    """An operator's word, for each topic that is not what it was: all that it holds is new."""
    for source, topic in enumerate(TOPICS.events):
        ledgers = {0: broker.ledger()}
        found = await renewal._found(Inquiry(broker), topic, source, ledgers)
        changed = renewal._changed(topic, source, ledgers, found, "start")
        assert not changed or broker.lives[source], f"{topic} was not made anew: {refused}"
        for ledger in changed.values():
            written = (ledger_key(0), encode_ledger(ledger), None, ())
            broker.append(CHANGELOG, [written], broker.generation)


def _source(topic: str) -> int:
    return TOPICS.events.index(topic)


@contextmanager
def quiet() -> Iterator[None]:
    """Have the bug in place, and the crashes that are meant not logged."""
    logging.disable(logging.CRITICAL)
    right = decide.packed
    decide.packed = partial(with_a_bug, right)  # type: ignore[assignment]
    try:
        yield
    finally:
        decide.packed = right
        logging.disable(logging.NOTSET)


def a_rejection() -> Rejection:
    """A record that is no event."""
    return Rejection(RejectionCode.DECODE, "not JSON")


def _firsts(flights: Sequence[Flight]) -> list[Flight]:
    """The oldest write to each topic: writes to one keep their order."""
    return list({flight.topic: flight for flight in reversed(flights)}.values())


def _fail(flight: Flight, error: Exception) -> None:
    if not flight.future.done():
        flight.future.set_exception(error)
        flight.future.exception()  # or asyncio tells of it where nobody waits any more


async def _rested() -> None:
    """Let everything that can go on, go on."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    while ready:  # noqa: ASYNC110  # nothing tells when a loop has nothing left to do
        await asyncio.sleep(0)
