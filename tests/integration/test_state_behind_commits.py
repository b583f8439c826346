"""Changelog, store, ledger and commits that do not agree: noticed, and mended or refused."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from faust.types import TP
from rocksdict import Options, Rdict

from stream.codec.customers import encode_state
from stream.config import ConfigError
from stream.decide.rows.state import NEW_CUSTOMER
from stream.domain.event import Event
from stream.worker.engine import Engine
from stream.worker.faust.origin import decode_origin, encode_origin
from stream.worker.faust.store import ORIGIN
from stream.worker.partition import ledger_key
from tests.builders import HOUR, NOON, a_click, an_update
from tests.integration.shops import PARTITIONS, Shop, lost, views
from tests.waiting import eventually

DAY = 24 * HOUR
pytestmark = pytest.mark.timeout(300)


def clicks(first: int, number: int) -> list[Event]:
    return [a_click(n, f"c{n % 7}") for n in range(first, first + number)]


def counted(events: Sequence[Event]) -> dict[str, int]:
    return dict(Counter(event.customer_id for event in events))


async def life(shop: Shop) -> tuple[dict[str, int], float]:
    """Start, do what there is to do, and end; customers' views, and records read a second time."""
    async with Engine(shop.settings) as engine:
        await engine.settle()
        lines = engine.metrics.text().decode().splitlines()
        (again,) = [x for x in lines if x.startswith("offerstream_events_replayed_total")]
        assert lost(engine) == {}
        return views(engine), float(again.rsplit(" ", 1)[1])


def forget_store(shop: Shop) -> None:
    shutil.rmtree(shop.settings.data_dir)


async def read(shop: Shop, topic: str) -> list[list[tuple[bytes | None, bytes | None]]]:
    """What each partition of a topic holds."""
    found = []
    async with AIOKafkaConsumer(bootstrap_servers=shop.address) as consumer:
        for tp, end in (await shop.ends(topic)).items():
            place = TopicPartition(*tp)
            consumer.assign([place])
            consumer.seek(place, 0)
            records: list[tuple[bytes | None, bytes | None]] = []
            while await consumer.position(place) < end:
                for some in (await consumer.getmany(timeout_ms=500)).values():
                    records += [(record.key, record.value) for record in some]
            found.append(records)
    return found


async def cut_tail(shop: Shop, topic: str, left: int) -> None:
    """Make a topic anew that holds only the first records of each partition."""
    held = await read(shop, topic)
    await shop.make_anew(topic)
    async with AIOKafkaProducer(bootstrap_servers=shop.address) as producer:
        for number, records in enumerate(held):
            for key, value in records[:left]:
                await producer.send_and_wait(topic, value, key=key, partition=number)


@pytest.fixture
async def shop(kafka: str, topic_prefix: str, tmp_path: Path) -> Shop:
    return await Shop.opened(kafka, topic_prefix, tmp_path)


async def test_a_changelog_made_anew_is_filled_again_from_the_input_while_all_of_it_is_kept(
    shop: Shop,
) -> None:
    before, after = clicks(0, 50), clicks(50, 20)
    await shop.publish(before)
    await life(shop)
    await shop.make_anew(shop.settings.customers_changelog)
    forget_store(shop)
    await shop.publish(after)
    assert await life(shop) == (counted([*before, *after]), 0.0)


async def test_a_changelog_made_anew_is_refused_where_input_is_gone(shop: Shop) -> None:
    await shop.publish(clicks(0, 50))
    await life(shop)
    await shop.make_anew(shop.settings.customers_changelog)
    forget_store(shop)
    await shop.cut_head(dict.fromkeys(await shop.ends(shop.clicks), 5))
    with pytest.raises(ConfigError, match=r"the changelog was lost or made anew.*app_id") as no:
        await life(shop)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize("left", [0, 3, 10_000], ids=["empty", "shorter", "longer"])
async def test_a_store_that_is_not_of_its_changelog_is_refused(shop: Shop, left: int) -> None:
    await shop.publish(clicks(0, 50))
    await life(shop)
    changelog = shop.settings.customers_changelog
    await cut_tail(shop, changelog, min(left, 3))
    if left > 3:
        nobody = encode_state(NEW_CUSTOMER)
        async with AIOKafkaProducer(bootstrap_servers=shop.address) as producer:
            for n in range(60):
                for number in range(PARTITIONS):
                    await producer.send(changelog, nobody, key=b"k%d" % n, partition=number)
    with pytest.raises(ConfigError, match=r"the store at \S+ holds .*restore the changelog, or"):
        await life(shop)


FORGETFUL = {
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.001",
    "max.compaction.lag.ms": "1000",
    "delete.retention.ms": "0",
}


async def until_compacted(shop: Shop, key: bytes, left: int) -> None:
    """Wait until the changelog holds no more than so many records of a key, deletions among them.

    The last segment is never compacted: something is written behind what is looked for.
    """
    changelog = shop.settings.customers_changelog

    async def compacted() -> bool:
        async with AIOKafkaProducer(bootstrap_servers=shop.address) as producer:
            for number in range(PARTITIONS):
                await producer.send_and_wait(changelog, b"", key=b"\0fence", partition=number)
        found = [k for records in await read(shop, changelog) for k, _ in records]
        return found.count(key) <= left

    await eventually(f"{left} records of {key!r} in the changelog", compacted, every=0.5)


@pytest.mark.parametrize("whose", ["another app's", "former life's"])
async def test_a_store_of_another_changelog_is_refused_after_compaction(
    shop: Shop, whose: str
) -> None:
    known = [*clicks(0, 20)]
    await shop.publish(known)
    if whose == "another app's":
        other = Shop(replace(shop.settings, app_id=f"{shop.settings.app_id}other"))
        await other.apply()
        await life(other)
    else:
        await life(shop)
        await shop.make_anew(shop.settings.customers_changelog)
    now = Shop(replace(shop.settings, data_dir=shop.settings.data_dir.with_name("now")))
    for n in range(100, 180, 20):  # so that compaction takes whatever stood at the store's offset
        known += clicks(n, 20)
        await shop.publish(clicks(n, 20))
        await life(now)
    await now.configure(now.settings.customers_changelog, FORGETFUL)
    for number in range(PARTITIONS):
        await until_compacted(now, ledger_key(number), 1)
    with pytest.raises(ConfigError, match=r"the store at \S+ holds "):
        await life(replace(now, settings=replace(now.settings, data_dir=shop.settings.data_dir)))
    assert (await life(now))[0] == counted(known)


async def test_who_was_erased_while_a_store_slept_does_not_come_back(shop: Shop) -> None:
    await shop.publish([a_click(1, "alice", time=NOON), a_click(2, "bob", time=NOON)])
    await life(shop)
    await shop.configure(shop.settings.customers_changelog, FORGETFUL)
    awake = Shop(replace(shop.settings, data_dir=shop.settings.data_dir.with_name("awake")))
    days = [a_click(10 + n, "bob", time=NOON + n * DAY) for n in range(2, 7)]
    days += [a_click(20 + n, "c3", time=NOON + n * DAY) for n in range(2, 7)]
    await shop.publish([an_update(3, "alice", time=NOON + DAY, erase=True), *days])
    assert "alice" not in (await life(awake))[0]
    await until_compacted(awake, b"alice", 0)
    seen, _ = await life(shop)
    assert seen == {"bob": 6, "c3": 5}


async def test_a_standby_that_slept_is_filled_anew_before_it_takes_over(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    settings = replace(shop.settings, worker=replace(shop.settings.worker, standbys=1))
    await shop.publish(clicks(0, 50))
    slept = Shop(replace(settings, data_dir=settings.data_dir.with_name("slept")))
    await life(slept)
    for number in range(PARTITIONS):
        age(slept, number, hours=20)
    await shop.publish(clicks(50, 50))
    with caplog.at_level(logging.WARNING):
        async with Engine(settings) as first:
            await first.settle()
            async with Engine(slept.settings) as second:
                emptied = [r for r in caplog.records if "last filled up 20" in r.getMessage()]
                assert len(emptied) == PARTITIONS
                await first.app.stop()
                await second.settle()
                assert views(second) == counted(clicks(0, 100))


def age(shop: Shop, partition: int, hours: int) -> None:
    """Let a store say that it was last filled up so long ago."""
    path = shop.settings.data_dir / "v1" / "tables" / f"customers-{partition}.db"
    db = Rdict(str(path), options=Options(raw_mode=True))
    origin = decode_origin(db[ORIGIN])
    db[ORIGIN] = encode_origin(origin._replace(through=origin.through - hours * HOUR))
    db.close()


async def test_a_changelog_whose_tail_is_cut_is_filled_again_from_the_ledger_on(
    shop: Shop,
) -> None:
    before, after = clicks(0, 50), clicks(50, 50)
    await shop.publish(before)
    await life(shop)
    left = min(len(records) for records in await read(shop, shop.settings.customers_changelog))
    await shop.publish(after)
    await life(shop)
    await cut_tail(shop, shop.settings.customers_changelog, left)
    forget_store(shop)
    seen, again = await life(shop)
    assert seen == counted([*before, *after])
    assert again <= 50


async def test_a_changelog_whose_tail_is_cut_is_refused_where_the_input_is_gone(
    shop: Shop,
) -> None:
    await shop.publish(clicks(0, 50))
    await life(shop)
    left = min(len(records) for records in await read(shop, shop.settings.customers_changelog))
    await shop.publish(clicks(50, 50))
    await life(shop)
    await cut_tail(shop, shop.settings.customers_changelog, left)
    forget_store(shop)
    await shop.cut_head(await shop.ends(shop.clicks))
    with pytest.raises(ConfigError, match=r"(lost its end|was lost or made anew).*app_id"):
        await life(shop)


async def test_a_changelog_whose_head_was_deleted_is_refused(shop: Shop) -> None:
    await shop.publish(clicks(0, 50))
    await life(shop)
    changelog = shop.settings.customers_changelog
    await shop.configure(changelog, {"cleanup.policy": "compact,delete"})
    await shop.cut_head(dict.fromkeys(await shop.ends(changelog), 2))
    await shop.configure(changelog, {"cleanup.policy": "compact"})
    assert (await life(shop))[0] == counted(clicks(0, 50))  # the store has it still
    forget_store(shop)
    with pytest.raises(ConfigError, match=rf"topic {changelog} begins at offset 2: .*compact"):
        await life(shop)


async def test_commits_that_are_gone_cost_no_second_reading_of_it_all(shop: Shop) -> None:
    before, after = clicks(0, 200), clicks(200, 20)
    await shop.publish(before)
    await life(shop)
    await shop.publish(clicks(300, 10))
    await life(shop)
    await shop.forget_commits()
    await shop.publish(after)
    seen, again = await life(shop)
    assert seen == counted([*before, *clicks(300, 10), *after])
    assert again <= 10


async def test_commits_beyond_what_is_accounted_for_skip_nothing(shop: Shop) -> None:
    before, after = clicks(0, 50), clicks(50, 30)
    await shop.publish(before)
    await life(shop)
    await shop.publish(after)
    await shop.commit(await shop.ends(shop.clicks))
    assert (await life(shop))[0] == counted([*before, *after])


async def test_commits_beyond_the_end_skip_nothing(shop: Shop) -> None:
    before, after = clicks(0, 50), clicks(50, 30)
    await shop.publish(before)
    await life(shop)
    await shop.commit({TP(shop.clicks, n): 10_000 for n in range(PARTITIONS)})
    await shop.publish(after)
    assert await life(shop) == (counted([*before, *after]), 0.0)
