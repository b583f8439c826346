"""Disks beside a real Kafka: a damaged store is rebuilt, and the erased leave every file."""

from __future__ import annotations

import logging
import operator
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stream.broker.opening import open_cluster
from stream.config import Settings, Topics
from stream.domain.event import Event
from stream.worker.checks.topics import apply, plan
from stream.worker.engine import Engine
from tests.builders import a_click, a_purchase, an_update
from tests.kafka.broker import Broker
from tests.topology.embedded import publication, settings_in
from tests.topology.test_damaged_store import DAMAGE, store_of
from tests.topology.test_erased_files import CUSTOMERS, ERASED, gone_from, holding
from tests.waiting import eventually


def settings_for(address: str, prefix: str, directory: Path) -> Settings:
    """A worker's settings on Kafka; nothing is learned, so that it is quick."""
    settings = replace(
        settings_in(directory, partitions=2),
        broker=f"kafka://{address}",
        app_id=f"{prefix}app",
        topics=Topics(prefix=prefix),
        store="rocksdb",
    )
    return replace(settings, learning=replace(settings.learning, enabled=False))


def history(chance: random.Random, first: int, names: list[str]) -> list[Event]:
    """Some events of each customer, which end about now."""
    now = time.time_ns() // 1_000_000
    made: list[Event] = []
    for n, name in enumerate(3 * names, first):
        at, item = now - (3 * len(names) - n + first) * 100, f"i{chance.randrange(30)}"
        bought = chance.random() < 0.2
        made.append((a_purchase if bought else a_click)(n, name, item, time=at))
    return made


async def made(settings: Settings, **config: str) -> None:
    """Create the topics; ``config`` is the changelog's own."""
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
        if config:
            await cluster.alter(settings.customers_changelog, config)


async def decide(engine: Engine, events: list[Event]) -> None:
    """Let the engine decide events."""
    await engine.publish([publication(event) for event in events])
    await engine.settle()


def views(engine: Engine) -> dict[str, int]:
    """What was counted of each customer."""
    return {name: state.profile.views + state.profile.orders for name, state in engine.customers()}


@pytest.mark.parametrize("what", ["a block of an SST", "values that do not decode"])
async def test_a_damaged_store_is_rebuilt_from_its_topic(
    what: str,
    kafka: str,
    topic_prefix: str,
    tmp_path: Path,
    seed: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    chance = random.Random(seed)
    settings = settings_for(kafka, topic_prefix, tmp_path)
    await made(settings)
    async with Engine(settings) as engine:
        await decide(engine, history(chance, 0, CUSTOMERS))
    for number in (0, 1):
        DAMAGE[what](store_of(settings, number), chance)
    with caplog.at_level(logging.ERROR):
        async with Engine(settings) as engine:
            await decide(engine, history(chance, 2_000, CUSTOMERS))
            assert views(engine) == dict.fromkeys(CUSTOMERS, 6)
            assert engine.status().counts["applied"] == 6 * len(CUSTOMERS)
            assert "rejected" not in engine.status().counts
    emptied = [r.getMessage() for r in caplog.records if "emptied" in r.getMessage()]
    assert len(emptied) == 2


async def test_the_erased_leave_the_store_and_once_compacted_the_changelog(
    broker: Broker, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    settings = settings_for(broker.address, "", tmp_path / "worker")
    changelog = settings.customers_changelog
    short = {
        "max.compaction.lag.ms": "200",
        "delete.retention.ms": "0",
        "segment.ms": "200",
        "min.cleanable.dirty.ratio": "0.01",
        "file.delete.delay.ms": "0",
    }
    await made(settings, **short)
    async with Engine(settings) as engine:
        await decide(engine, history(chance, 0, CUSTOMERS))
        assert holding(broker.directory, changelog)
        now = time.time_ns() // 1_000_000
        gone = [an_update(9_000 + n, name, erase=True, time=now) for n, name in enumerate(ERASED)]
        await decide(engine, gone)
        await engine.app.table.purge()
        await gone_from(settings.data_dir)

        async def stirred() -> object:
            await engine.app.table.stir()  # what a worker does each half an hour
            return holding(broker.directory, changelog)

        await eventually("a compacted changelog", stirred, operator.not_, every=0.3)
        left = set(CUSTOMERS) - set(ERASED)
        assert set(views(engine)) == left
    async with Engine(replace(settings, data_dir=tmp_path / "another")) as engine:
        assert set(views(engine)) == left
