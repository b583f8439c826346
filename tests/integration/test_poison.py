"""Every event is poison: refused ones are put aside and passed; bugs of ours stop the worker."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import time_ns
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from stream.broker.whole import read_topic
from stream.codec.deadletters import DeadLetter, restore, retried
from stream.codec.partition import partition_for
from stream.decide import decide as core_decide
from stream.insight.changelog import read_customers
from stream.worker.breaker import Tripped
from tests.builders import SECOND, a_click
from tests.chaos.lab import Lab
from tests.oracle import a_history, kept_of, recount
from tests.topology.embedded import look, publication, running, settings_in
from tests.topology.mixture import MUTATIONS, Sent, a_mix, assert_accounted


async def test_nothing_but_refused_records_are_all_put_aside_and_committed(
    tmp_path: Path, seed: int
) -> None:
    chance, settings = random.Random(seed), settings_in(tmp_path, 2)
    refusals = [name for name in MUTATIONS if name.startswith("rejected")]
    sent = [
        MUTATIONS[chance.choice(refusals)](publication(a_click(n, f"c{n % 9}")), a_click(0).time)
        for n in range(2_000)
    ]
    async with running(settings) as engine:
        await engine.publish(sent)
        seen = await look(engine)
        assert seen.counts["rejected"] == len(seen.letters) == 2_000
        assert seen.customers == {}
    async with running(settings) as again:
        seen = await look(again)
        assert seen.counts["rejected"] == 2_000
        assert seen.metrics["events_replayed_total"] == 0  # the commits were past all of it


async def test_where_every_event_meets_a_bug_of_ours_the_breaker_stops_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]

    def bug(*_: Any) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("stream.decide.decide.packed", bug)
    monkeypatch.setattr("stream.worker.breaker.monotonic", lambda: now[0])
    async with running(settings_in(tmp_path)) as engine:
        with pytest.raises(Tripped):
            for n in range(20):
                await engine.publish([publication(a_click(n))])
                await engine.settle()
                now[0] += 5.0
        assert now[0] < 1_100.0


async def test_when_a_bug_is_mended_and_its_letters_are_sent_again_it_is_as_if_it_had_not_been(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = [sent for sent in a_history(seed, 2_000) if not sent.value.endswith(b'"cut')]
    kinds = {getattr(settings_in(tmp_path).topics, sent.kind): sent.kind for sent in history}
    packed = core_decide.packed

    def buggy(event: Any, *more: Any) -> Any:
        if zlib.crc32(event.event_id.encode()) % 10 == 0:
            raise ValueError("a bug")
        return packed(event, *more)

    with monkeypatch.context() as patched:
        patched.setattr(core_decide, "packed", buggy)
        patched.setattr("stream.worker.breaker.Breaker.note", lambda *_: None)
        async with running(settings_in(tmp_path, 2)) as engine:
            await engine.publish([(*sent, (), None) for sent in history])
            broken = await look(engine)
            assert broken.counts["rejected"] == len(broken.letters) > 100
    async with running(settings_in(tmp_path, 2)) as engine:
        letters = [
            restore(DeadLetter(one.key, one.value, tuple(one.headers))) for one in broken.letters
        ]
        again = [
            (kinds[each.record.topic], each.record.key, each.record.value, retried(each), None)
            for each in letters
        ]
        await engine.publish(again)
        mended = await look(engine)
        assert mended.grown(broken)["rejected"] == 0
    accounts, outcomes = recount(history)
    assert mended.counts["applied"] == outcomes["applied"]
    kept = {name: kept_of(state) for name, state in mended.customers.items()}
    assert {name: one for name, one in kept.items() if one != accounts[name]} == {}
    assert kept.keys() == accounts.keys()


def a_mix_of_now(seed: int, size: int) -> Iterator[Sent]:
    """A mixture that ends about now: brokers stamp records with their arrival."""
    return a_mix(random.Random(seed), size, time_ns() // 1_000_000 - size * SECOND, bad=0.6)


async def test_fuzz_on_kafka_is_accounted_for(
    kafka: str, topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    lab = await asyncio.to_thread(Lab.on, kafka, topic_prefix, tmp_path, 4)
    due = Counter[str]()
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, max_request_size=4 << 20
    )
    fleet = lab.fleet(1)
    try:
        async with producer:
            for n, (outcome, (kind, key, value, headers, _)) in enumerate(
                a_mix_of_now(seed, 4_000)
            ):
                topic, shard = getattr(lab.settings.topics, kind), partition_for(key, 4)
                await producer.send(topic, value, key=key, partition=shard, headers=list(headers))
                due[outcome] += 1
                if n == 300:  # stream time is known before anything is late
                    await producer.flush()
                    await lab.all_done(fleet)
        await lab.all_done(fleet)
        assert fleet.crashes == 0
    finally:
        fleet.end()
    await asyncio.to_thread(assert_all_accounted, lab, due)


def assert_all_accounted(lab: Lab, due: Counter[str]) -> None:
    """The ledgers, the dead letters and the late topic agree with what was sent."""
    counts: Counter[str] = Counter()
    for ledger in read_customers(lab.settings).ledgers:
        counts.update(ledger.counts)
    assert_accounted(counts, due)
    for topic, name in (
        (lab.settings.topics.dead_letters, "rejected"),
        (lab.settings.topics.late, "late"),
    ):
        found: list[object] = []
        read_topic(lab.settings, topic, 4, found.append)
        assert len(found) == counts[name] > 0
