"""The producer: batches, order, and acknowledgements that wait for the disk."""

import asyncio
import os
import threading

import pytest
from faust.types import TP

from stream.broker.local.log import LogRecord
from stream.codec.partition import partition_for
from tests.waiting import PATIENCE


@pytest.fixture
async def producer(make_app):
    producer = make_app().producer
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
def gate(monkeypatch):
    """The disk waits until the gate is opened."""
    opened = threading.Event()
    sync = os.fdatasync

    def wait(fd):
        assert opened.wait(PATIENCE)
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", wait)
    yield opened
    opened.set()


def send(producer, value, topic="t", key=b"k", partition=0):
    return producer.send(topic, key, value, partition, None, None)


def values(producer, topic="t", partition=0):
    return [record.value for record in producer.transport.log.read(topic, partition, 0)]


async def turn():
    await asyncio.sleep(0)


async def test_what_is_sent_in_one_turn_is_one_append_per_partition(producer):
    appends = []
    producer.transport.log.listeners.add(lambda *seen: appends.append(seen))
    sent = [await send(producer, b"%d" % n, partition=n % 2) for n in range(10)]
    metadata = await asyncio.gather(*sent)
    assert appends == [("t", 0, 5), ("t", 1, 5)]
    assert [m.offset for m in metadata] == [n // 2 for n in range(10)]
    assert metadata[3].topic_partition == TP("t", 1)
    assert values(producer, partition=1) == [b"1", b"3", b"5", b"7", b"9"]


async def test_nothing_is_acknowledged_before_the_disk_has_it(producer, gate):
    future = await send(producer, b"1")
    batch = producer.send_batch("t", 0, [LogRecord(b"k", b"2", 0)])
    flush = asyncio.ensure_future(producer.flush())
    for _ in range(50):
        await turn()
    assert values(producer) == [b"1", b"2"]  # readers need not wait
    assert not (future.done() or batch.done() or flush.done())
    gate.set()
    assert (await future).offset == 0
    assert (await batch).offset == 1
    await flush


async def test_one_sync_serves_all_who_wait(producer, gate, monkeypatch):
    syncs = []
    sync = producer.transport.log.sync
    monkeypatch.setattr(producer.transport.log, "sync", lambda: syncs.append(1) or sync())
    first = await send(producer, b"first")
    for _ in range(10):
        await turn()
    others = [producer.send_batch("t", n % 4, [LogRecord(b"k", b"", 0)]) for n in range(40)]
    gate.set()
    await asyncio.gather(first, *others)
    assert len(syncs) == 2


async def test_with_interval_an_acknowledgement_waits_for_no_disk(make_app, monkeypatch):
    synced = threading.Event()
    monkeypatch.setattr("stream.broker.local.sync.INTERVAL", 0)
    producer = make_app("&fsync=interval").producer
    await producer.start()
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.set())
    assert (await producer.send_batch("t", 0, [LogRecord(b"k", b"1", 0)])).offset == 0
    assert await asyncio.to_thread(synced.wait, PATIENCE)  # and yet the disk is asked
    await producer.stop()


async def test_a_batch_comes_after_what_was_sent_before_it(producer):
    await send(producer, b"1")
    await producer.send_batch("t", 0, [LogRecord(b"k", b"2", 0), LogRecord(b"k", b"3", 0)])
    metadata = await producer.send_and_wait("t", b"k", b"4", 0, None, None)
    assert values(producer) == [b"1", b"2", b"3", b"4"]
    assert metadata.offset == 3


async def test_an_empty_batch_is_durable_at_once(producer):
    await send(producer, b"1")
    assert (await producer.send_batch("t", 0, [])).offset == 0


async def test_keys_decide_the_partition_and_no_key_takes_turns(producer):
    for n in range(20):
        metadata = await producer.send_and_wait("t", b"c%d" % n, b"", None, None, None)
        assert metadata.partition == partition_for(b"c%d" % n, 4)
    turns = [
        (await producer.send_and_wait("t", None, b"", None, None, None)).partition for _ in range(8)
    ]
    assert sorted(turns) == [0, 0, 1, 1, 2, 2, 3, 3]


async def test_an_apps_own_partitioner_is_asked(make_app):
    app = make_app(producer_partitioner=lambda key, everyone, available: everyone[-1])
    await app.producer.start()
    assert app.producer.key_partition("t", b"k") == TP("t", 3)
    await app.producer.stop()


async def test_a_topic_is_created_as_kafka_would_read_its_settings(producer):
    await producer.create_topic(
        "changelog", 2, 3, compacting=True, config={"delete.retention.ms": "5"}
    )
    await producer.create_topic(
        "offers", 2, 3, retention=60.0, config={"segment.bytes": 7, "min.insync.replicas": 2}
    )
    await producer.create_topic("models", 1, 1, config={"cleanup.policy": "compact"})
    await producer.create_topic("models", 1, 1)  # says nothing against it
    topics = producer.transport.log.topics()
    assert topics["changelog"].compacted
    assert topics["changelog"].tombstone_ms == 5
    assert not topics["offers"].compacted
    assert (topics["offers"].retention_ms, topics["offers"].segment_bytes) == (60_000, 7)
    assert topics["models"].compacted


async def test_a_batch_that_the_disk_refuses_is_the_senders_to_repeat(producer, monkeypatch):
    def full(fd, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match=r"cannot append to .*: No space left on device"):
            await producer.send_batch("t", 0, [LogRecord(b"k", b"1", 0)])
    assert not producer.crashed
    assert (await producer.send_batch("t", 0, [LogRecord(b"k", b"1", 0)])).offset == 0
    assert values(producer) == [b"1"]


@pytest.mark.parametrize("failing", ["write", "fdatasync"])
async def test_a_send_of_fausts_own_that_fails_stops_the_app(producer, monkeypatch, failing):
    def fail(*_):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, fail)
        future = await send(producer, b"1")
        with pytest.raises(OSError, match=r"cannot (append|sync)"):
            await future
    await turn()
    assert producer.crashed


async def test_stopping_waits_for_what_was_sent(make_app, gate):
    app = make_app()
    await app.producer.start()
    futures = [await send(app.producer, b"%d" % n) for n in range(3)]
    stopping = asyncio.ensure_future(app.producer.stop())
    for _ in range(20):
        await turn()
    assert not stopping.done()
    gate.set()
    await stopping
    assert [future.result().offset for future in futures] == [0, 1, 2]
