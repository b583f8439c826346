"""What a batch changed stands in one record batch: all of it is there after a crash, or nothing."""

from __future__ import annotations

from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.broker.opening import open_cluster
from stream.config import Settings, Topics
from stream.worker.app import build_app
from stream.worker.checks.topics import apply, plan
from stream.worker.telemetry.metrics import Metrics
from tests.waiting import PATIENCE, within

PATIENCE_MS = int(PATIENCE * 1000)


async def test_a_large_batch_is_one_append(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings = Settings(
        broker=f"kafka://{kafka}",
        app_id=topic_prefix,
        topics=Topics(prefix=topic_prefix),
        partitions=1,
        store="memory",
        data_dir=tmp_path,
    )
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
    app = build_app(settings, metrics=Metrics())
    await app.start()
    try:
        await within("the recovery", app.recovered())
        writes = [(b"c%d" % n, b"x" * 3_000) for n in range(1_000)]
        written = await (await app.table.send(0, writes))
    finally:
        await app.stop()
    changelog = TopicPartition(settings.customers_changelog, 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka, enable_auto_commit=False, max_partition_fetch_bytes=1_000
    )
    await consumer.start()
    try:
        consumer.assign([changelog])
        consumer.seek(changelog, written.offset)
        found = (await consumer.getmany(timeout_ms=PATIENCE_MS))[changelog]
        consumer.seek(changelog, written.offset - 999)
        # A fetch of 1 kB brings whole appends, and at least one: 3 MB if they are one.
        whole = (await consumer.getmany(timeout_ms=PATIENCE_MS))[changelog]
    finally:
        await consumer.stop()
    assert found[-1].offset == written.offset
    assert [record.offset for record in whole] == list(
        range(written.offset - 999, written.offset + 1)
    )
