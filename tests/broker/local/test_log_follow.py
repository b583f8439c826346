"""Following a log: everything, in order, awake when there is more."""

import asyncio
import threading

import pytest

from stream.broker.local.appended import Appended, follow
from stream.broker.local.log import Log, LogRecord
from tests.waiting import PATIENCE, within


@pytest.fixture
def log(tmp_path):
    with Log(tmp_path / "log", fsync="never") as log:
        log.create_topic("t", 2)
        log.create_topic("u", 1)
        yield log


def put(log, partition, *values, topic="t"):
    log.append(topic, partition, [LogRecord(None, value, 0) for value in values])


async def take(records, count):
    found = []
    while len(found) < count:
        batch = await within(f"more than {len(found)} of {count} records", anext(records))
        found += [(r.partition, r.value) for r in batch]
    return sorted(found)


async def test_it_begins_at_the_earliest_and_goes_on_with_what_comes(log):
    put(log, 0, b"a", b"b")
    records = follow(log, "t")
    assert await take(records, 2) == [(0, b"a"), (0, b"b")]
    waiting = asyncio.ensure_future(take(records, 2))
    await asyncio.sleep(0)
    put(log, 0, b"no", topic="u")
    put(log, 1, b"c")
    thread = threading.Thread(target=put, args=(log, 0, b"d"))
    thread.start()
    assert await waiting == [(0, b"d"), (1, b"c")]
    thread.join()
    await records.aclose()
    assert not log.listeners


async def test_it_begins_where_it_is_told_and_bounds_its_batches(log):
    put(log, 0, *(b"%d" % n for n in range(10)))
    put(log, 1, b"x")
    records = follow(log, "t", {0: 5}, max_records=2)
    assert len(await anext(records)) == 2
    assert await take(records, 4) == [(0, b"7"), (0, b"8"), (0, b"9"), (1, b"x")]
    await records.aclose()


async def test_a_topic_that_is_missing_is_named(log):
    with pytest.raises(KeyError, match="no topic v"):
        await anext(follow(log, "v"))


async def test_waiting_ends_with_the_timeout(log):
    with Appended(log, {"t"}) as appended:
        assert not await appended.wait(0.001)
        put(log, 0, b"x")
        assert await appended.wait(PATIENCE)
        appended.clear()
        appended.topics = {"u"}
        put(log, 0, b"x")
        assert not await appended.wait(0.001)
        appended.set()
        assert await appended.wait(PATIENCE)
