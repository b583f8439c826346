"""The ordered flush: changelog, store, effects, ack; each when the one before is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from stream.broker.local.frame import StoredRecord
from stream.broker.records import Outgoing
from stream.codec.customers import decode_ledger, decode_state
from stream.config import Settings
from stream.decide.ledger import Entry
from stream.domain.event import Event, Line, Rejection, RejectionCode, Source
from stream.worker.breaker import Tripped
from stream.worker.faust.records import Arrived, Batch, Lane
from stream.worker.faust.table import Write
from stream.worker.partition import ledger_key
from stream.worker.pipeline import Pipeline
from tests.builders import NOON, SECOND, a_click, a_purchase, a_world

TOPICS = ("clicks", "purchases", "feedback", "customers")


class Broker:
    """Takes what is sent, in order, and says that it is durable when told to."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.waiting: list[tuple[str, asyncio.Future[Any]]] = []
        self.at_once = False

    def take(self, what: str) -> Awaitable[Any]:
        self.log.append(what)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.at_once:
            future.set_result(SimpleNamespace(offset=0))
        else:
            self.waiting.append((what, future))
        return future

    async def durable(self, what: str) -> None:
        """The oldest write of a kind is durable; let everything that can happen, happen."""
        found = next(entry for entry in self.waiting if entry[0] == what)
        self.waiting.remove(found)
        found[1].set_result(SimpleNamespace(offset=0))
        await rested()

    async def lost(self, what: str) -> None:
        """The oldest write of a kind has failed."""
        found = next(entry for entry in self.waiting if entry[0] == what)
        found[1].set_exception(ConnectionError("away"))
        await rested()


class Table:
    """The customers table, in memory."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.kept: dict[bytes, bytes] = {}
        self.writes: list[Sequence[Write]] = []

    def read(self, partition: int, key: bytes) -> bytes | None:
        return self.kept.get(key)

    async def send(self, partition: int, writes: Sequence[Write]) -> Awaitable[Any]:
        self.writes.append(writes)
        return self.broker.take("changelog")

    def store(self, partition: int, writes: Sequence[Write], offset: int) -> None:
        self.broker.log.append("store")
        self.kept |= {key: value for key, value in writes if value is not None}


class App:
    """As much of the app as the pipeline asks for."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.crashed: list[BaseException] = []
        self.sent: list[tuple[str, Sequence[Outgoing]]] = []

    async def send_batch(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> Awaitable[Any]:
        self.sent.append((topic, records))
        return self.broker.take(topic)

    async def crash(self, error: BaseException) -> None:
        self.crashed.append(error)


class Delivery:
    """A batch in the agent's hands."""

    def __init__(self, broker: Broker, batch: Batch) -> None:
        self.broker, self.value, self.acked = broker, batch, False

    def ack(self) -> bool:
        self.acked = True
        self.broker.log.append("ack")
        return True


class Worker:
    """A pipeline with stand-ins around it."""

    def __init__(self, largest_write: int = 800_000) -> None:
        self.broker = Broker()
        self.table, self.app = Table(self.broker), App(self.broker)
        self.offset = [0] * len(Source)
        observer = SimpleNamespace(decided=lambda *_: None, done=lambda *_: None)
        table: Any = self.table
        self.pipeline = Pipeline(self.app, table, Settings(), a_world, observer, largest_write)

    def delivery(self, *contents: Event | Rejection) -> Delivery:
        arrived = []
        for content in contents:
            source = Source.PURCHASES if hasattr(content, "lines") else Source.CLICKS
            offset = self.offset[source]
            self.offset[source] += 1
            record = StoredRecord(TOPICS[source], 0, offset, NOON, b"c1", b"value")
            arrived.append(Arrived(NOON, record, Entry(source, offset, content)))
        return Delivery(self.broker, Batch(Lane("events", 0), arrived))

    async def take(self, *contents: Event | Rejection) -> Delivery:
        delivery = self.delivery(*contents)
        await self.pipeline.take(delivery)
        await rested()
        return delivery


async def rested() -> None:
    """Let everything that can go on, go on."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def worker() -> Any:
    worker = Worker()
    yield worker
    worker.pipeline.forget()


async def test_each_step_waits_until_the_one_before_is_durable(worker: Worker) -> None:
    broker = worker.broker
    delivery = await worker.take(a_click(0), Rejection(RejectionCode.DECODE, "no JSON"))
    assert broker.log == ["changelog"]
    await broker.durable("changelog")
    assert broker.log == ["changelog", "store", "offers", "examples", "dead-letters"]
    for topic in ("dead-letters", "examples"):
        await broker.durable(topic)
        assert not delivery.acked
    await broker.durable("offers")
    assert delivery.acked
    assert broker.log[-1] == "ack"


async def test_the_next_batch_is_decided_meanwhile_and_goes_out_behind(worker: Worker) -> None:
    broker = worker.broker
    first, second = await worker.take(a_click(0)), await worker.take(a_click(1))
    assert broker.log == ["changelog", "changelog"]
    latest = decode_state(dict(worker.table.writes[1])[b"c1"] or b"")
    assert latest.profile.views == 2  # decided from what is not yet stored
    assert len(latest.effects) == 3  # an offer and two lessons that are not yet durable
    broker.waiting.reverse()
    await broker.durable("changelog")  # the second is durable first: nothing may go out
    assert broker.log == ["changelog", "changelog"]
    await broker.durable("changelog")
    assert broker.log[2:] == ["store", "offers", "examples"]
    await broker.durable("offers")
    await broker.durable("examples")
    assert (first.acked, second.acked) == (True, False)
    await broker.durable("examples")
    assert second.acked


async def test_effects_that_are_durable_leave_the_record(worker: Worker) -> None:
    worker.broker.at_once = True
    await worker.take(a_click(0))
    await worker.take(a_click(1))
    kept = decode_state(worker.table.kept[b"c1"])
    assert {effect.offset for effect in kept.effects} == {1}


@pytest.mark.parametrize("lost", ["changelog", "offers", "examples"])
async def test_what_cannot_be_written_crashes_the_worker_and_acknowledges_nothing(
    worker: Worker, lost: str
) -> None:
    delivery = await worker.take(a_click(0))
    if lost != "changelog":
        await worker.broker.durable("changelog")
    await worker.broker.lost(lost)
    assert [type(error) for error in worker.app.crashed] == [ConnectionError]
    assert not delivery.acked
    assert ("store" in worker.broker.log) == (lost != "changelog")


async def test_what_is_forgotten_is_neither_sent_nor_acknowledged(worker: Worker) -> None:
    delivery = await worker.take(a_click(0))
    worker.pipeline.forget()
    ((_, changelog),) = worker.broker.waiting
    if not changelog.done():
        await worker.broker.durable("changelog")
    await rested()
    assert worker.broker.log == ["changelog"]
    assert not delivery.acked


async def test_after_a_rebalance_the_ledger_is_read_again(worker: Worker) -> None:
    worker.broker.at_once = True
    await worker.take(a_click(0))
    worker.pipeline.forget()
    worker.offset = [0] * len(Source)
    await worker.take(a_click(0))  # the same record again
    assert decode_ledger(worker.table.kept[ledger_key(0)]).counts["applied"] == 1
    assert len([topic for topic, _ in worker.app.sent if topic == "offers"]) == 2  # the same bytes
    assert worker.app.sent[0] == next(s for s in worker.app.sent[1:] if s[0] == "offers")


async def test_a_large_batch_is_decided_in_turns_and_others_have_theirs_between(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.pipeline, "_turn", 2)
    worker.broker.at_once = True
    seen: list[int] = []

    async def look() -> None:
        while not worker.table.writes:
            seen.extend(f.partition.ledger.stamps[0] for f in worker.pipeline._flows.values())
            await asyncio.sleep(0)

    looking = asyncio.create_task(look())
    delivery = await worker.take(*[a_click(n, f"c{n}") for n in range(5)])
    await looking
    assert {1, 3} <= set(seen)
    assert len(worker.table.writes) == 1  # they are durable together
    assert decode_ledger(worker.table.kept[ledger_key(0)]).counts["applied"] == 5
    assert delivery.acked and worker.broker.log.count("ack") == 1


async def test_what_was_decided_in_turns_before_a_rebalance_is_not_written_after_it(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.pipeline, "_turn", 2)
    worker.broker.at_once = True
    delivery = worker.delivery(*[a_click(n, f"c{n}") for n in range(5)])
    taking = asyncio.create_task(worker.pipeline.take(delivery))
    await asyncio.sleep(0)
    assert worker.pipeline._flows[0].partition.ledger.stamps[0] == 1
    delivery.value.void = True
    worker.pipeline.forget()
    await taking
    await rested()
    assert not worker.table.writes and not delivery.acked


# -------------------------------------------------------------------------- large writes, and bugs

LARGE = tuple(Line(f"item-{n}".ljust(100, "x"), 100) for n in range(200))


def size_of(writes: Sequence[Write]) -> int:
    return sum(len(key) + len(value or b"") for key, value in writes)


async def test_a_write_that_is_too_large_is_made_in_parts() -> None:
    """One customer's orders: their effects wait in one record, which must fit the broker."""
    worker = Worker(largest_write=90_000)
    worker.broker.at_once = True
    orders = [a_purchase(n, lines=LARGE, time=NOON + n * SECOND) for n in range(30)]
    delivery = await worker.take(*orders, a_click(99, "c2"))
    assert delivery.acked
    assert worker.broker.log.count("ack") == 1
    assert len(worker.table.writes) > 4
    assert max(map(size_of, worker.table.writes)) <= 100_000
    assert decode_state(worker.table.kept[b"c1"]).profile.orders == 30
    assert decode_ledger(worker.table.kept[ledger_key(0)]).counts["applied"] == 31
    await worker.take(a_click(100, "c2"))
    assert len(worker.table.writes[-1]) == 2


async def test_a_large_write_waits_for_those_under_way() -> None:
    worker = Worker(largest_write=90_000)
    first = await worker.take(*[a_purchase(n, lines=LARGE) for n in range(3)])
    assert len(worker.table.writes) == 1
    large = worker.delivery(*[a_purchase(n, lines=LARGE) for n in range(3, 6)])
    taking = asyncio.create_task(worker.pipeline.take(large))
    await rested()
    assert len(worker.table.writes) == 1  # with the effects under way it would be too large
    worker.broker.at_once = True
    await worker.broker.durable("changelog")
    await taking
    await rested()
    assert (first.acked, large.acked) == (True, True)
    assert max(map(size_of, worker.table.writes)) <= 100_000
    worker.pipeline.forget()


async def test_one_record_larger_than_any_write_is_written_all_the_same() -> None:
    """There is nothing to split; the broker may allow more than we ask for."""
    worker = Worker(largest_write=9_000)
    worker.broker.at_once = True
    delivery = await worker.take(a_purchase(0, lines=LARGE), a_click(1))
    assert delivery.acked
    worker.pipeline.forget()


async def test_bugs_that_trip_the_breaker_reach_the_agent_before_anything_is_written(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tripped(self: Any, records: int, bugs: int) -> None:
        assert (records, bugs) == (1, 1)
        raise Tripped

    monkeypatch.setattr("stream.decide.decide.packed", None)  # a bug, if there ever was one
    monkeypatch.setattr("stream.worker.breaker.Breaker.note", tripped)
    with pytest.raises(Tripped):
        await worker.take(a_click(0))
    assert worker.broker.log == []
