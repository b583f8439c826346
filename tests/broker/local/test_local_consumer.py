"""The consumer: fair shares, sleep while idle, and awake at once."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from faust.types import TP

from stream.broker.local.log import LogRecord
from tests.waiting import PATIENCE, within

A, B, C = TP("clicks", 0), TP("clicks", 1), TP("orders", 0)


@asynccontextmanager
async def reading(app, *partitions):
    """Start the app's consumer alone, with some partitions flowing."""
    consumer = app.consumer
    await consumer.start()
    for topic, number in (("clicks", 2), ("orders", 1), ("other", 1)):
        app.transport.log.create_topic(topic, number)
    consumer._positions = dict.fromkeys(partitions, 0)
    consumer.resume_partitions(partitions)
    consumer.resume_flow()
    try:
        yield consumer
    finally:
        await consumer.stop()


def publish(consumer, tp, count, size=10):
    consumer.transport.log.append(*tp, [LogRecord(b"k", b"v" * size, 0)] * count)


async def poll(consumer, timeout=PATIENCE):
    records = await consumer._getmany(consumer._get_active_partitions(), timeout)
    return {tp: [record.offset for record in found] for tp, found in records.items()}


async def test_partitions_share_a_poll_and_none_is_starved(make_app):
    async with reading(make_app(broker_max_poll_records=12), A, B, C) as consumer:
        for tp, count in ((A, 100), (B, 100), (C, 2)):
            publish(consumer, tp, count)
        assert await poll(consumer) == {A: [0, 1, 2, 3], B: [0, 1, 2, 3], C: [0, 1]}
        assert await poll(consumer) == {A: list(range(4, 10)), B: list(range(4, 10))}
        assert await consumer.position(A) == 10


async def test_a_poll_is_bounded_in_bytes(make_app):
    async with reading(make_app(consumer_max_fetch_size=25_000), A) as consumer:
        for _ in range(10):
            publish(consumer, A, 1, size=10_000)
        assert await poll(consumer) == {A: [0, 1]}


async def test_what_has_nothing_new_is_left_out(make_app):
    async with reading(make_app(), A, B) as consumer:
        publish(consumer, B, 1)
        assert await poll(consumer) == {B: [0]}


async def test_it_sleeps_without_looking_until_there_is_an_append(make_app, monkeypatch):
    async with reading(make_app(), A) as consumer:
        looks = []
        read = consumer._read
        monkeypatch.setattr(consumer, "_read", lambda active: looks.append(1) or read(active))
        waiting = asyncio.ensure_future(poll(consumer, timeout=3600))
        await asyncio.sleep(0)
        publish(consumer, TP("other", 0), 1)
        publish(consumer, B, 0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert looks == [1]
        publish(consumer, A, 1)
        assert await within("records", waiting) == {A: [0]}
        assert looks == [1, 1]


async def test_an_append_in_another_thread_wakes_it(make_app):
    async with reading(make_app(), A) as consumer:
        waiting = asyncio.ensure_future(poll(consumer, timeout=3600))
        await asyncio.sleep(0)
        thread = threading.Thread(target=publish, args=(consumer, A, 2))
        thread.start()
        assert await within("records", waiting) == {A: [0, 1]}
        thread.join()


@pytest.mark.parametrize("how", ["resume", "seek", "buffer"])
async def test_a_partition_that_may_flow_again_wakes_it(make_app, how):
    async with reading(make_app(), A, B) as consumer:
        publish(consumer, A, 3)
        assert await poll(consumer) == {A: [0, 1, 2]}
        if how != "seek":
            publish(consumer, A, 2)
        if how == "resume":
            consumer.pause_partitions({A})
        if how == "buffer":
            consumer.on_buffer_full(A)
        waiting = asyncio.ensure_future(consumer._wait_next_records(timeout=3600))
        await asyncio.sleep(0)
        if how == "resume":
            consumer.resume_partitions({A})
        elif how == "seek":
            await consumer.seek(A, 1)
        else:
            consumer.on_buffer_drop(A)
        records, _ = await within("records", waiting)
        if not records:  # awake, and asked again with what is active now
            records, _ = await consumer._wait_next_records(timeout=3600)
        assert len(records[A]) == 2


async def test_no_partition_active_is_waited_for_too(make_app):
    async with reading(make_app(), A) as consumer:
        publish(consumer, A, 1)
        consumer.pause_partitions({A})
        waiting = asyncio.ensure_future(consumer._wait_next_records(timeout=3600))
        await asyncio.sleep(0)
        assert not waiting.done()
        consumer.resume_partitions({A})
        records, _ = await within("records", waiting)
        assert [record.offset for record in records[A]] == [0]


async def test_a_stopped_flow_hands_out_nothing_and_loses_nothing(make_app):
    async with reading(make_app(), A) as consumer:
        publish(consumer, A, 1)
        consumer.stop_flow()
        assert await poll(consumer, timeout=0) == {}
        consumer.resume_flow()
        assert await poll(consumer) == {A: [0]}


async def test_commits_are_where_reading_goes_on(make_app):
    app = make_app()
    async with reading(app, A, B) as consumer:
        publish(consumer, A, 9)
        await poll(consumer)
        assert await consumer._commit({A: 4})
        assert await consumer.seek_to_committed() == {A: 4, B: 0}
        assert await poll(consumer) == {A: [4, 5, 6, 7, 8]}
        assert app.transport.log.committed("shop", *A) == 4


async def test_what_retention_removed_unread_is_told(make_app, caplog):
    app = make_app()
    async with reading(app, A) as consumer:
        app.transport.log.create_topic("short", 1, segment_bytes=100, retention_bytes=300)
        short = TP("short", 0)
        consumer._positions[short] = 0
        consumer.resume_partitions({short})
        for _ in range(20):
            publish(consumer, short, 1, size=50)
        offsets = (await poll(consumer))[short]
        assert offsets[-1] == 19
        assert f"short-0: offsets 0 to {offsets[0] - 1} were not read" in caplog.text


async def test_keys_go_where_the_producer_puts_them(make_app):
    app = make_app()
    async with reading(app, A) as consumer:
        assert consumer.topic_partitions("clicks") == 2
        assert consumer.topic_partitions("unheard-of") is None
        assert consumer.key_partition("unheard-of", b"k") is None
        assert consumer.key_partition("clicks", b"k", 1) == 1
        assert (
            consumer.key_partition("clicks", b"k")
            == app.producer.key_partition("clicks", b"k").partition
        )
