"""The Kafka that the other integration tests rely on does what they rely on."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from tests.kafka.broker import Broker, Cluster
from tests.kafka.install import ROOT
from tests.kafka.topics import admin_of, create_topics
from tests.waiting import PATIENCE, eventually, run, within


async def produce(address: str, topic: str, records: list[tuple[bytes, bytes | None]]) -> None:
    """Send records to partition 0, each acknowledged."""
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all") as producer:
        for key, value in records:
            await producer.send_and_wait(topic, value, key=key, partition=0)


async def consume(address: str, topic: str) -> list[tuple[bytes, bytes | None]]:
    """Read partition 0 from its beginning to its end."""
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=address, enable_auto_commit=False) as consumer:
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        end = (await consumer.end_offsets([partition]))[partition]
        found: list[tuple[bytes, bytes | None]] = []

        async def read_on() -> int:
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                found.extend((record.key, record.value) for record in batch)
            return int(await consumer.position(partition))

        await eventually(f"all {end} records", read_on, lambda position: position >= end)
        return found


RECORDS: list[tuple[bytes, bytes | None]] = [(b"k%d" % (n % 7), b"v%d" % n) for n in range(50)]


async def test_what_is_produced_is_consumed_in_order(kafka: str, topic_prefix: str) -> None:
    await create_topics(kafka, topic_prefix + "t")
    await produce(kafka, topic_prefix + "t", RECORDS)
    assert await consume(kafka, topic_prefix + "t") == RECORDS


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_batches_of_every_codec_are_read(kafka: str, topic_prefix: str, codec: str) -> None:
    await create_topics(kafka, topic_prefix + "t")
    async with AIOKafkaProducer(bootstrap_servers=kafka, compression_type=codec) as producer:
        sent = [await producer.send(topic_prefix + "t", v, key=k) for k, v in RECORDS]
        await asyncio.gather(*sent)
    assert await consume(kafka, topic_prefix + "t") == RECORDS


async def test_a_topic_nobody_created_is_not_there(kafka: str, topic_prefix: str) -> None:
    async with admin_of(kafka) as admin:
        (answer,) = await admin.describe_topics([topic_prefix + "absent"])
    assert answer["error_code"] == UnknownTopicOrPartitionError.errno


async def test_a_compacted_topic_keeps_each_keys_last_value(kafka: str, topic_prefix: str) -> None:
    await create_topics(
        kafka, topic_prefix + "t", cleanup_policy="compact", segment_ms="200",
        min_cleanable_dirty_ratio="0.01", max_compaction_lag_ms="200", delete_retention_ms="0",
    )  # fmt: skip
    await produce(kafka, topic_prefix + "t", [*RECORDS, (b"k0", None)])
    last = {**dict(RECORDS), b"k0": None}

    async def look() -> int:
        await produce(kafka, topic_prefix + "t", [(b"k1", last[b"k1"])])  # closes a segment
        found = await consume(kafka, topic_prefix + "t")
        assert {key: dict(found).get(key) for key in last} == last
        return len(found)

    await eventually("a compaction", look, lambda count: count < len(RECORDS))


async def test_a_killed_broker_comes_back_with_its_data(broker: Broker) -> None:
    await create_topics(broker.address, "t")
    await produce(broker.address, "t", RECORDS[:25])
    broker.kill()
    with pytest.raises(KafkaError):
        await produce(broker.address, "t", RECORDS[:1])
    broker.start()
    await produce(broker.address, "t", RECORDS[25:])
    assert await consume(broker.address, "t") == RECORDS


async def test_a_paused_broker_goes_on_where_it_was(broker: Broker) -> None:
    await create_topics(broker.address, "t")
    broker.pause()
    sending = asyncio.create_task(produce(broker.address, "t", RECORDS))
    done, _ = await asyncio.wait([sending], timeout=1)
    assert not done
    broker.resume()
    await within("what was sent to the paused broker", sending)
    assert await consume(broker.address, "t") == RECORDS


async def test_a_cluster_outlives_one_of_its_nodes(kafka_install: None, tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        await create_topics(cluster.address, "t", copies=3, min_insync_replicas="2")
        await produce(cluster.address, "t", RECORDS[:25])
        cluster.brokers[0].kill()
        await produce(cluster.address, "t", RECORDS[25:])
        assert await consume(cluster.address, "t") == RECORDS


def test_a_broker_dies_with_the_process_that_started_it(
    kafka_install: None, tmp_path: Path
) -> None:
    code = (
        "import os, pathlib, sys; from tests.kafka.broker import Broker;"
        "broker = Broker(pathlib.Path(sys.argv[1])).start();"
        "print(broker.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    parent = run([sys.executable, "-c", code, tmp_path], cwd=ROOT)
    pidfd = _open_process(int(parent.stdout))
    assert pidfd is None or _ends(pidfd)


def _open_process(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _ends(pidfd: int) -> bool:
    """Wait for the end of a process that is not a child of ours."""
    ready, _, _ = select.select([pidfd], [], [], PATIENCE)
    os.close(pidfd)
    return bool(ready)


USER_OF_SHARED_BROKER = """
import pathlib, sys
from tests.kafka.shared import shared_broker
with shared_broker(pathlib.Path(sys.argv[1])) as address:
    print(address, flush=True)
    sys.stdin.read()
"""


def test_a_shared_broker_stays_for_its_last_user_and_no_longer(
    kafka_install: None, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", USER_OF_SHARED_BROKER, str(tmp_path / "kafka")]
    users = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    addresses = {user.stdout.readline().decode().strip() for user in users if user.stdout}
    (address,) = addresses
    host, port = address.split(":")
    for user in users:
        with socket.create_connection((host, int(port))) as open_while_it_lives:
            user.kill()
            user.communicate()
            last = user is users[-1]
            open_while_it_lives.settimeout(PATIENCE if last else 1)
            assert _closed(open_while_it_lives) == last


def _closed(connection: socket.socket) -> bool:
    """Wait for the other side to close; False if it doesn't in the connection's time."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
