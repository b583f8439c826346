"""What is valid and large, or refused and larger, must fit through a broker's limits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stream.broker.opening import open_cluster
from stream.broker.records import Record
from stream.broker.whole import read_topic
from stream.config import Settings, Topics
from stream.domain.event import Line
from stream.worker.checks.topics import apply, plan
from tests.builders import NOON, a_click, a_purchase
from tests.topology.embedded import PatientEngine, publication, settings_in

LINES = tuple(Line(f"item-{n}".ljust(120, "x"), 100) for n in range(500))


@pytest.fixture
async def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    settings = replace(
        settings_in(tmp_path),
        broker=f"kafka://{kafka}",
        app_id=topic_prefix,
        topics=Topics(prefix=topic_prefix),
    )
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
    return settings


async def test_one_customers_many_large_orders_pass(settings: Settings) -> None:
    orders = [a_purchase(n, "hot", lines=LINES, time=NOON + n * 60_000) for n in range(60)]
    async with PatientEngine(settings) as engine:
        await engine.publish([publication(event) for event in (*orders, a_click(0, "c2"))])
        await engine.settle()
        assert engine.status().counts["applied"] == 61
        assert dict(engine.customers())["hot"].profile.orders == 60


async def test_a_record_that_only_compression_let_in_becomes_a_dead_letter(
    settings: Settings,
) -> None:
    """Three MiB that compress to nothing: their letter, as it is, would be refused."""
    topic, padding = settings.topics.clicks, b"x" * (3 << 20)
    producer = AIOKafkaProducer(
        bootstrap_servers=list(settings.bootstrap_servers),
        compression_type="gzip",
        max_request_size=8 << 20,
        max_batch_size=8 << 20,
    )
    async with producer:
        await producer.send_and_wait(topic, padding, partition=0)
        await producer.send_and_wait(topic, None, key=padding, partition=0)
        await producer.send_and_wait(topic, b"{}", key=b"c", headers=[("h", padding)], partition=0)
    letters: list[Record] = []
    async with PatientEngine(settings) as engine:
        await engine.publish([publication(a_click(0, "c1"))])
        await engine.settle()
        counts = engine.status().counts
    assert (counts["rejected:oversize"], counts["applied"]) == (3, 1)
    await read_all(settings, letters)
    assert [len(letter.value or b"") for letter in letters] == [4096, 0, 2]
    assert [len(letter.key or b"") for letter in letters] == [0, 4096, 1]


async def read_all(settings: Settings, letters: list[Record]) -> None:
    """Read the dead letters; it runs an event loop of its own."""

    topic = settings.topics.dead_letters
    await asyncio.to_thread(read_topic, settings, topic, settings.partitions, letters.append)


async def test_many_may_send_a_little_to_one_partition_at_the_same_time(
    settings: Settings,
) -> None:
    """All of a worker's partitions send their lessons to the same one."""
    senders, turns = 200, 30
    settings = replace(settings, kafka=replace(settings.kafka, request_timeout=10.0))
    async with PatientEngine(settings) as engine:
        topic = settings.topics.late

        async def send(sender: int) -> None:
            for turn in range(turns):
                value = b"%d %d" % (sender, turn)
                await (await engine.app.send_batch(topic, 0, [(None, value, None, ())]))

        await asyncio.gather(*map(send, range(senders)))
    found: list[Record] = []
    await asyncio.to_thread(read_topic, settings, topic, 1, found.append)
    said = [tuple(map(int, (record.value or b"").split())) for record in found]
    for sender in range(senders):
        assert [turn for who, turn in said if who == sender] == [*range(turns)]
