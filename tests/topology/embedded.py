"""The whole app over a local log in a directory: bytes in, bytes out, everything of it readable."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from msgspec import structs

from stream.broker.local.frame import StoredRecord
from stream.codec.customers import decode_ledger
from stream.codec.events.decoding import encode
from stream.codec.partition import partition_for
from stream.codec.reference import encode_item
from stream.config import CoreSettings, LearningSettings, PolicySettings, Settings, Topics
from stream.decide.ledger import Ledger
from stream.decide.rows.state import CustomerState
from stream.domain.event import CatalogItem, Event, Source
from stream.worker.checks.topics import verify
from stream.worker.engine import Engine, Publication
from stream.worker.partition import ledger_key
from tests.builders import DAY, NEW_ITEMS, NOON, OPEN
from tests.memory import garbage
from tests.waiting import within

OUTCOMES = ("applied", "duplicate", "late", "suppressed", "rejected")
KINDS = {
    "Click": "clicks",
    "Purchase": "purchases",
    "Feedback": "feedback",
    "CustomerUpdate": "customers",
}


def settings_in(
    directory: Path, partitions: int = 1, policy: PolicySettings = OPEN, **core: Any
) -> Settings:
    """Settings of an app that lives in a directory, its models small and soon in use."""
    return Settings(
        broker=f"local://{directory / 'log'}",
        data_dir=directory / "state",
        partitions=partitions,
        topics=Topics(prefix="shop."),
        core=CoreSettings(policy=policy, **core),
        learning=LearningSettings(
            propensity_bits=12,
            step=8,
            publish_interval=0.2,
            items=4_096,
            sessions=4_096,
            baskets=4_096,
        ),
    )


class PatientEngine(Engine):
    """An engine that is waited for, but not for ever."""

    async def __aenter__(self) -> Self:
        return await within("the engine's start", super().__aenter__())

    async def __aexit__(self, *error: Any) -> None:
        await super().__aexit__(*error)
        garbage.collect()

    async def settle(self) -> None:
        """Wait until everything in the topics is decided, learned and in use."""
        await within("all that was published, decided and learned", super().settle(), self.status)


@asynccontextmanager
async def running(
    settings: Settings, *, lockstep: bool = False, stocked: bool = True
) -> AsyncIterator[Engine]:
    """An engine that runs, with its topics made; if stocked, with two new items in the catalog."""
    await asyncio.to_thread(verify, settings)
    async with PatientEngine(settings, lockstep=lockstep) as engine:
        if stocked and not stored(engine, "catalog"):
            await engine.publish([_new(item) for item in NEW_ITEMS])
            await engine.settle()
        yield engine


def _new(item_id: str) -> Publication:
    item = CatalogItem(item_id, added=NOON - DAY)
    return "catalog", item_id.encode(), encode_item(item), (), None


def publication(event: Event, arrives: int | None = None) -> Publication:
    """An event as a record to publish; it arrives in the moment in which it happens."""
    kind = KINDS[type(event).__name__]
    key = event.customer_id.encode()
    return kind, key, encode(event), (), event.time if arrives is None else arrives


def stored(engine: Engine, kind: str) -> list[StoredRecord]:
    """Every record of a topic, partition by partition."""
    log, topic = engine.app.open_log(), getattr(engine.settings.topics, kind)
    found = []
    for number in range(log.partitions(topic) or 0):
        at = log.earliest(topic, number)
        while records := log.read(topic, number, at):
            found += records
            at = records[-1].offset + 1
    return found


async def place(engine: Engine, record: Publication) -> tuple[str, int, int]:
    """Publish one record; the topic, partition and offset where it stands."""
    kind, key, *_ = record
    topic = getattr(engine.settings.topics, kind)
    number = partition_for(key, engine.settings.partitions)
    offset = engine.app.open_log().highwater(topic, number)
    await engine.publish([record])
    return topic, number, offset


async def place_keyless(
    engine: Engine, kind: str, value: bytes, timestamp: int
) -> tuple[str, int, int]:
    """Publish a record without a key, to partition 0: `Engine.publish` would refuse it."""
    topic = getattr(engine.settings.topics, kind)
    offset = engine.app.open_log().highwater(topic, 0)
    await (await engine.app.send_batch(topic, 0, [(None, value, timestamp, ())]))
    return topic, 0, offset


@dataclass(frozen=True)
class Seen:
    """What can be seen of an engine from outside at one moment."""

    counts: Counter[str]
    letters: list[StoredRecord]
    late: list[StoredRecord]
    offers: list[StoredRecord]
    customers: dict[str, CustomerState]
    stream_times: list[int]
    metrics: dict[str, float]

    def grown(self, before: Seen) -> Counter[str]:
        """How the ledgers' counts have grown."""
        return Counter({k: n for k in self.counts if (n := self.counts[k] - before.counts[k])})

    def metric(self, name: str, before: Seen) -> float:
        """How a metric's sample, with its labels, has grown."""
        return self.metrics.get(name, 0.0) - before.metrics.get(name, 0.0)


async def look(engine: Engine) -> Seen:
    """Wait until all is settled, and look."""
    await engine.settle()
    lines = engine.metrics.text().decode().splitlines()
    samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return Seen(
        Counter(engine.status().counts),
        stored(engine, "dead_letters"),
        stored(engine, "late"),
        stored(engine, "offers"),
        dict(engine.customers()),
        [ledger_of(engine, number).stream_time for number in range(engine.settings.partitions)],
        {name.removeprefix("offerstream_"): float(value) for name, value in samples},
    )


def ledger_of(engine: Engine, partition: int) -> Ledger:
    """A partition's ledger, as the table has it."""
    stored = engine.app.table.read(partition, ledger_key(partition))
    return Ledger() if stored is None else decode_ledger(stored)


def judged(counts: Counter[str]) -> int:
    """How many records have an outcome."""
    return sum(counts[outcome] for outcome in OUTCOMES)


def arrived(engine: Engine) -> int:
    """How many records stand in the event topics."""
    return sum(len(stored(engine, kind)) for kind in KINDS.values())


def unstamped(state: CustomerState) -> CustomerState:
    """A record without its place in the topics and what is still on its way."""
    return structs.replace(state, stamps=(-1,) * len(Source), effects=())


def in_other(settings: Settings, directory: Path, prefix: str) -> Settings:
    """The same settings in another directory, under another prefix and application id."""
    return replace(
        settings,
        broker=f"local://{directory / 'log'}",
        data_dir=directory / "state",
        app_id=f"{prefix}app",
        topics=Topics(prefix=prefix),
    )


def ids(records: Sequence[StoredRecord]) -> list[tuple[int, int]]:
    """Where records stand."""
    return [(record.partition, record.offset) for record in records]
