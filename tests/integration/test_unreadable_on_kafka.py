"""Bytes that a real broker keeps and no client reads: set aside, told, passed; all else counts."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from stream.broker.opening import open_cluster
from stream.broker.records import Record
from stream.broker.whole import read_topic
from stream.codec.deadletters import DeadLetter, Restored, restore, retried
from stream.codec.events.decoding import encode
from stream.config import Settings, Topics
from stream.domain.event import Consent, RejectionCode
from stream.replay.topic_ends import last_records, offers_so_far
from stream.worker.checks.topics import apply, plan
from stream.worker.engine import Engine
from tests.builders import a_click
from tests.chaos.lab import Lab
from tests.kafka.batches import (
    GZIP,
    LZ4,
    NAMELESS,
    NONE,
    SNAPPY,
    ZSTD,
    Zeros,
    batch,
    body,
    bomb,
    old_message,
    put,
    sealed,
)
from tests.kafka.broker import Broker
from tests.topology.embedded import publication, settings_in

MIB = 1 << 20
CODECS = (NONE, GZIP, SNAPPY, LZ4, ZSTD)


async def prepared(settings: Settings) -> Settings:
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
    return settings


def settings_on(address: str, prefix: str, folder: Path) -> Settings:
    return replace(
        settings_in(folder),
        broker=f"kafka://{address}",
        app_id=prefix,
        topics=Topics(prefix=prefix),
    )


def event(n: int, delta: int, headers: Sequence[tuple[bytes, bytes | None]] = ()) -> bytes:
    """The body of a click that is valid but for its headers."""
    click = a_click(n, f"c{n % 5}")
    return body(delta, click.customer_id.encode(), encode(click), headers)


async def decided(settings: Settings, applied: int) -> Counter[str]:
    """Run until so many are applied and all is settled; the ledger's counts."""
    async with Engine(settings) as engine:
        await engine.settle()
        counts = Counter(engine.status().counts)
    assert counts["applied"] == applied, counts
    return counts


async def letters_of(settings: Settings) -> list[Restored]:
    found: list[Record] = []
    topic = settings.topics.dead_letters
    await asyncio.to_thread(read_topic, settings, topic, settings.partitions, found.append)
    return [restore(DeadLetter(one.key, one.value, tuple(one.headers))) for one in found]


@pytest.mark.timeout(300)
async def test_names_that_are_not_utf8_cost_their_records_alone_on_every_topic(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = await prepared(settings_on(kafka, topic_prefix, tmp_path))
    topics = settings.topics
    batches = [
        batch([event(3 * n, 0), event(3 * n + 1, 1, [NAMELESS]), event(3 * n + 2, 2)], 0, codec)
        for n, codec in enumerate(CODECS)
    ]
    assert await put(kafka, topics.clicks, 0, *batches) == [0] * 5
    poison = batch([body(0, b"k", b"{}", [NAMELESS])])
    assert await put(kafka, topics.offers, 0, poison) == [0]
    others = (topics.catalog, topics.campaigns, topics.models, topics.rules, topics.examples)
    for topic in (*others, settings.customers_changelog, topics.purchases):
        assert await put(kafka, topic, 0, poison) == [0]
    counts = await decided(settings, applied=10)
    assert counts["rejected:unreadable"] == counts["rejected"] == 6
    again = await decided(settings, applied=10)
    assert again == counts
    last = {kind: headers for kind, _, headers in await asyncio.to_thread(last_records, settings)}
    assert [name for name, _ in last["purchases"]] == [name for name, _ in last["catalog"]]
    offers = await asyncio.to_thread(offers_so_far, settings)
    assert len(offers) == counts["offers"] and b"{}" not in offers
    letters = await letters_of(settings)
    assert Counter(letter.record.topic for letter in letters) == {
        topics.clicks: 5, topics.purchases: 1, topics.catalog: 1, topics.campaigns: 1,
    }  # fmt: skip
    assert {letter.stage for letter in letters} == {"fetch"}
    for n, letter in enumerate(one for one in letters if one.record.topic == topics.clicks):
        assert letter.record.offset == 3 * n + 1
        assert letter.record.value == encode(a_click(3 * n + 1, f"c{(3 * n + 1) % 5}"))
        ((name, raw),) = letter.record.headers
        assert (name.encode("utf-8", "surrogateescape"), raw) == NAMELESS
    await send_again(settings, [one for one in letters if one.record.topic == topics.clicks])
    assert (await decided(settings, applied=15))["rejected"] == 6


async def send_again(settings: Settings, letters: list[Restored]) -> None:
    async with Engine(settings) as engine:
        await engine.publish(
            [
                ("clicks", one.record.key or b"", one.record.value, retried(one), None)  # type: ignore[misc]
                for one in letters
            ]
        )
        await engine.settle()


@pytest.mark.timeout(600)
async def test_batches_that_inflate_to_gigabytes_leave_memory_bounded_and_cost_one_record_each(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    lab = await asyncio.to_thread(Lab.on, kafka, topic_prefix, tmp_path, 1)
    size = 600_000_000
    hashed = sha256()
    for _ in range(600):
        hashed.update(bytes(1_000_000))
    digest = hashed.hexdigest()
    bombs = [bomb([event(2 * n, 0), Zeros(1, b"c1", size), event(2 * n + 1, 2)]) for n in range(4)]
    several = [Zeros(n, b"c1", size) for n in range(1, 5)]
    bombs.append(bomb([event(100, 0), *several, event(101, 5)]))
    topic = lab.settings.topics.clicks
    fleet = lab.fleet(1)
    try:
        (life,) = fleet.lives.values()
        await life.ready()
        before = life.resident_mb()
        assert await put(kafka, topic, 0, *bombs) == [0] * len(bombs)
        peak, late = 0.0, 0.0
        done = asyncio.create_task(lab.all_done(fleet))
        while not done.done():
            peak = max(peak, life.resident_mb())
            page = await life.page("/metrics")
            if found := re.search(r"^offerstream_event_loop_lag_seconds (\S+)$", page, re.M):
                late = max(late, float(found[1]))
            await asyncio.wait({done}, timeout=0.05)
        await done
        assert fleet.crashes == 0
    finally:
        fleet.end()
    print(f"resident before {before:.0f} MB, at most {peak:.0f} MB; the loop late by {late} s")
    letters = await letters_of(lab.settings)
    assert [letter.record.offset for letter in letters] == [1, 4, 7, 10, 13, 14, 15, 16]
    assert {letter.rejection.code for letter in letters} == {RejectionCode.OVERSIZE}
    assert {letter.cut for letter in letters} == {(600_000_000, digest)}
    assert peak - before < 250


def damaged(segment: bytearray, bases: dict[int, int]) -> dict[int, str]:
    """Damage batches in a broker's file, each in another way; why each is refused, by offset."""

    def of(base: int) -> slice:
        start = bases[base]
        return slice(start, start + 12 + int.from_bytes(segment[start + 8 : start + 12]))

    told = {}
    rotten = of(1)
    segment[rotten.stop - 5] ^= 0x40
    told[1] = "the batch is damaged: its checksum does not fit"
    unknown = bytearray(segment[of(3)])
    unknown[22] |= 6
    segment[of(3)] = sealed(unknown)
    told[3] = "the batch can't be read: codec 6 is unknown"
    more = bytearray(segment[of(5)])
    more[57:61] = (9).to_bytes(4)
    segment[of(5)] = sealed(more)  # its only record is there: nothing is lost
    endless = bytearray(segment[of(7)])
    endless[61] = 0xFE
    segment[of(7)] = sealed(endless)
    told[7] = "the batch can't be read on: it ends too early"
    coming = of(9)
    segment[coming.start + 16] = 3
    told[9] = "the batch is damaged: format 3 is unknown"
    return told


@pytest.mark.timeout(300)
async def test_what_rotted_on_a_brokers_disk_is_set_aside_and_what_stands_beside_it_counts(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    settings = await prepared(settings_on(broker.address, topic_prefix, tmp_path))
    topic = settings.topics.clicks
    batches = [batch([event(n, 0)]) for n in range(14)]
    assert await put(broker.address, topic, 0, *batches) == [0] * 14
    await asyncio.to_thread(broker.stop)
    (path,) = (broker.directory / "data" / f"{topic}-0").glob("*.log")
    segment, bases, at = bytearray(path.read_bytes()), {}, 0
    while at < len(segment):
        bases[int.from_bytes(segment[at : at + 8])] = at
        at += 12 + int.from_bytes(segment[at + 8 : at + 12])
    told = damaged(segment, bases)
    size = bases[12] - bases[11]
    click = a_click(11, "c1")
    key, value = click.customer_id.encode(), encode(click)
    value += b" " * (size - len(old_message(11, key, value)))
    padded = old_message(11, key, value, time=click.time)
    segment[bases[11] : bases[12]] = padded
    path.write_bytes(segment)
    await asyncio.to_thread(broker.start)
    counts = await decided(settings, applied=14 - len(told))
    assert counts["rejected:unreadable"] == counts["rejected"] == len(told)
    assert await decided(settings, applied=14 - len(told)) == counts
    letters = await letters_of(settings)
    assert {one.record.offset: one.rejection.detail for one in letters} == told
    for one in letters:
        start, stop = bases[one.record.offset], bases[one.record.offset + 1]
        assert one.record.value == bytes(segment[start:stop])


@pytest.mark.timeout(300)
async def test_a_withdrawal_that_rotted_in_the_changelog_closes_its_customer_and_nobody_else(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    settings = await prepared(settings_on(broker.address, topic_prefix, tmp_path))
    yes, no = Consent(profiling=True, offers=True), Consent(profiling=False, offers=False)
    async with Engine(settings) as engine:
        await engine.publish([publication(a_click(n, f"c{n}", consent=yes)) for n in range(4)])
        await engine.settle()
        await engine.publish([publication(a_click(10, "c1", consent=no))])
        await engine.settle()
    await asyncio.to_thread(broker.stop)
    folder = broker.directory / "data" / f"{settings.customers_changelog}-0"
    (path,) = folder.glob("*.log")
    segment = bytearray(path.read_bytes())
    segment[segment.rindex(b"\x04c1") + 20] ^= 0x40  # its last record, in a batch with the ledger
    path.write_bytes(segment)
    await asyncio.to_thread(broker.start)
    shutil.rmtree(settings.data_dir)
    async with Engine(settings) as engine:
        await engine.publish([publication(a_click(20 + n, f"c{n}")) for n in range(4)])
        await engine.settle()
        customers = dict(engine.customers())
        metrics = engine.metrics.text().decode()
    views = {name: state.profile.views for name, state in customers.items()}
    assert views == {"c0": 2, "c1": 0, "c2": 2, "c3": 2}
    assert 'internal_records_refused_total{topic="changelog"} 1.0' in metrics
    assert await letters_of(settings) == []
