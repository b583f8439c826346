"""``offerstream simulate`` on a real Kafka: each record in its place, answers, a good end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from stream.broker.opening import open_cluster
from stream.codec.partition import partition_for
from stream.config import Settings, Topics
from stream.worker.checks.topics import apply, plan
from tests.waiting import within

ROOT = Path(__file__).parents[2]
PARTITIONS = 3
Process = asyncio.subprocess.Process


def settings_for(kafka: str, prefix: str) -> Settings:
    return Settings(
        broker=f"kafka://{kafka}",
        app_id=f"{prefix}app",
        partitions=PARTITIONS,
        topics=Topics(prefix=prefix),
    )


async def make_topics(settings: Settings) -> None:
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings, replication=1))


@asynccontextmanager
async def simulating(settings: Settings, *options: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "from stream.cli import main; main()", "simulate"),
        *("--broker", settings.broker, "--set", f"topics.prefix={settings.topics.prefix}"),
        *("--customers", "60", "--items", "120", "--rate", "120", "--every", "0.5", *options),
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_with(process: Process, words: str) -> str:
    told: list[str] = []
    return await within(
        f"the words {words!r}", _line_with(process, words, told), lambda: told[-20:]
    )


async def _line_with(process: Process, words: str, told: list[str]) -> str:
    assert process.stdout and process.stderr
    async for line in process.stdout:
        told.append(line.decode())
        if words in told[-1]:
            return told[-1]
    raise AssertionError((await process.stderr.read()).decode())


async def ended(process: Process) -> int:
    return await within("the simulation's end", process.wait())


@asynccontextmanager
async def reading(settings: Settings, *topics: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=list(settings.bootstrap_servers), auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


def an_offer(click: ConsumerRecord) -> bytes:
    return orjson.dumps(
        {
            "offer_id": f"offer-{click.partition}-{click.offset}",
            "customer_id": click.key.decode(),
            "items": [{"product_id": f"item-{i:05d}"} for i in range(4)],
            "discount_percent": 40,
            "expires_at": "2099-01-01T00:00:00Z",
        }
    )


async def test_it_waits_for_the_topics_and_says_so_once(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    async with simulating(settings, "--wait", "100") as process:
        assert "offerstream topics apply" in await line_with(process, "is missing")
        await asyncio.sleep(0)
        await make_topics(settings)
        assert "events sent" in await line_with(process, "events")
        process.send_signal(signal.SIGTERM)
        assert await ended(process) == 0


async def test_records_lie_where_their_customer_belongs_and_offers_are_answered(
    kafka: str, topic_prefix: str
) -> None:
    settings = settings_for(kafka, topic_prefix)
    topics = settings.topics
    await make_topics(settings)
    producer = AIOKafkaProducer(bootstrap_servers=list(settings.bootstrap_servers))
    await producer.start()
    seen: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    try:
        async with (
            simulating(settings) as process,
            reading(settings, *topics.events, topics.catalog) as consumer,
        ):
            await line_with(process, "events sent")
            await producer.send_and_wait(topics.offers, b"not an offer", partition=0)
            await line_with(process, f"no offer at {topics.offers}/0/0")
            while answers["impression"] < 3 or seen[topics.clicks] < 20:
                record = await within("another record", consumer.getone(), lambda: seen)
                seen[record.topic] += 1
                if record.topic in topics.events:
                    assert record.partition == partition_for(record.key, PARTITIONS)
                if record.topic == topics.clicks:
                    await producer.send_and_wait(topics.offers, an_offer(record), key=record.key)
                if record.topic == topics.feedback:
                    answers[orjson.loads(record.value)["event"]] += 1
            process.send_signal(signal.SIGTERM)
            told = await line_with(process, "events sent")
            while " clicked" in told and (line := await process.stdout.readline()):  # type: ignore[union-attr]
                told = line.decode()
            assert await ended(process) == 0
    finally:
        await producer.stop()
    assert seen[topics.catalog] >= 120
    assert seen[topics.customers] >= 40
    assert " seen" in told


async def test_it_ends_by_itself(kafka: str, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    await make_topics(settings)
    async with simulating(settings, "--seconds", "1") as process:
        assert await ended(process) == 0


async def test_a_broker_that_is_away_is_one_line_and_a_failure() -> None:
    settings = settings_for("127.0.0.1:1", "nowhere-")
    async with simulating(settings, "--wait", "0.2") as process:
        assert await ended(process) == 2
        assert process.stderr
        told = (await process.stderr.read()).decode().splitlines()
    assert len(told) == 1
    assert "no answer from kafka://127.0.0.1:1" in told[0]


async def test_a_local_log_is_refused_in_one_line() -> None:
    settings = Settings(broker="local:///tmp/nowhere")
    async with simulating(settings) as process:
        assert await ended(process) == 2
        assert process.stderr
        told = (await process.stderr.read()).decode().splitlines()
    assert len(told) == 1
    assert "--broker kafka://host:port" in told[0]
