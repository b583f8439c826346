"""A partition's topics are merged by time, whichever a fetch brings first: at starts above all."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from stream.config import Settings
from stream.domain.event import Event
from stream.worker.faust.local.batches import LocalConsumer
from tests.builders import NOON, OPEN, SECOND, a_click, a_purchase, an_update, consent
from tests.topology.embedded import look, publication, running, settings_in

CUSTOMERS, VISITS = 30, 10
ASKS = replace(OPEN, consent_default=False)
Fetch = Callable[[LocalConsumer, set[TP] | None], dict[TP, list[Any]]]


def a_backlog() -> list[Event]:
    """Everybody agrees with each click, buys what was clicked, and is erased then."""
    events: list[Event] = []
    for n in range(CUSTOMERS):
        for visit in range(VISITS):
            number, time = n * VISITS + visit, NOON + n * 500 + visit * SECOND
            events.append(a_click(number, f"c{n}", time=time, consent=consent(True)))
            events.append(a_purchase(number, f"c{n}", time=time + 1))
        gone = NOON + n * 500 + VISITS * SECOND
        events.append(an_update(n, f"c{n}", time=gone, erase=True))
    return events


class Fetching:
    """A broker whose fetches bring one topic's records each, and that tells where only those end.

    That is how Kafka may answer: each topic's leader is another broker. What is ``away`` brings
    nothing.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.fetched: set[TP] = set()
        self.away: frozenset[str] = frozenset()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it before the local log."""
        real: Fetch = LocalConsumer._read

        def read(consumer: LocalConsumer, active: set[TP] | None) -> dict[TP, list[Any]]:
            log, at = consumer.transport.log, consumer._positions
            full = {tp for tp in consumer._active(active) if at[tp] < log.highwater(*tp)}
            topics = sorted({tp.topic for tp in full} - self.away)
            if not topics:
                return {}
            topic = self.chance.choice(topics)
            found = real(consumer, {tp for tp in full if tp.topic == topic})
            self.fetched.update(found)
            return found

        def highwater(consumer: LocalConsumer, tp: TP) -> int | None:
            return consumer.transport.log.highwater(*tp) if tp in self.fetched else None

        async def highwaters(consumer: LocalConsumer, *tps: TP) -> Mapping[TP, int]:
            return {tp: consumer.transport.log.highwater(*tp) for tp in tps}

        getmany = LocalConsumer._getmany

        async def slowly(
            consumer: LocalConsumer, active_partitions: set[TP] | None, timeout: float
        ) -> dict[TP, list[Any]]:
            for _ in range(self.chance.randrange(30)):  # turns of the loop: batches go meanwhile
                await asyncio.sleep(0)
            return await getmany(consumer, active_partitions, timeout)

        monkeypatch.setattr(LocalConsumer, "_getmany", slowly)
        monkeypatch.setattr(LocalConsumer, "_read", read)
        monkeypatch.setattr(LocalConsumer, "highwater", highwater)
        monkeypatch.setattr(LocalConsumer, "highwaters", highwaters)


@pytest.fixture
def fetching(monkeypatch: pytest.MonkeyPatch, seed: int) -> Fetching:
    fetching = Fetching(random.Random(seed))
    fetching.install(monkeypatch)
    return fetching


async def with_a_backlog(settings: Settings, fetching: Fetching) -> None:
    """Publish everything to an app that reads nothing of it."""
    fetching.away = frozenset(settings.topics.events)
    async with running(settings) as engine:
        await engine.publish([publication(event) for event in a_backlog()])
        assert engine.status().counts == {}
    fetching.away = frozenset()


@contextmanager
def told(text: str) -> Iterator[asyncio.Event]:
    """An event that is set when the log tells of something."""
    heard = asyncio.Event()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if text in record.getMessage():
                heard.set()

    ear = Ear()
    logging.getLogger().addHandler(ear)
    try:
        yield heard
    finally:
        logging.getLogger().removeHandler(ear)


@pytest.mark.parametrize("partitions", [1, 3])
async def test_at_a_start_topics_that_were_not_fetched_yet_are_waited_for(
    tmp_path: Path, partitions: int, fetching: Fetching
) -> None:
    settings = settings_in(tmp_path, partitions, ASKS)
    settings = replace(settings, kafka=replace(settings.kafka, poll_records=40))
    await with_a_backlog(settings, fetching)
    async with running(settings) as engine:
        seen = await look(engine)
    assert seen.counts["applied"] == CUSTOMERS * (2 * VISITS + 1)
    assert seen.counts["erased"] == 0
    assert seen.customers == {}


async def test_a_broker_that_does_not_say_where_topics_end_is_told_of_and_holds_nobody_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fetching: Fetching,
) -> None:
    settings = settings_in(tmp_path, 1, ASKS)
    await with_a_backlog(settings, fetching)
    real = LocalConsumer.highwaters
    asked = []

    async def silent(self: LocalConsumer, *tps: TP) -> Mapping[TP, int]:
        if any(tp.topic == settings.topics.clicks for tp in tps) and not asked:
            asked.append(tps)
            await asyncio.Event().wait()
        return await real(self, *tps)

    monkeypatch.setattr(LocalConsumer, "highwaters", silent)
    monkeypatch.setattr("stream.worker.faust.consumer.ASK", 0.05)
    settings = replace(settings, worker=replace(settings.worker, order_wait=0.05))
    with told("did not tell where topics end") as heard:
        async with running(settings) as engine:
            seen = await look(engine)
    assert asked
    assert heard.is_set()
    assert seen.customers == {}  # whatever the order was
    assert seen.counts["applied"] + seen.counts["suppressed"] == CUSTOMERS * (2 * VISITS + 1)


async def test_a_topic_that_brings_nothing_is_left_behind_and_told_of(
    tmp_path: Path, fetching: Fetching
) -> None:
    """Its leader is away: the others go on, and it follows when it is back."""
    settings = settings_in(tmp_path, 1, ASKS)
    settings = replace(settings, worker=replace(settings.worker, order_wait=0.05))
    await with_a_backlog(settings, fetching)
    fetching.away = frozenset({settings.topics.purchases})
    with told("nothing came of shop.purchases") as heard:
        async with running(settings) as engine:
            await heard.wait()
            fetching.away = frozenset()
            seen = await look(engine)
    assert seen.customers == {}
    assert seen.counts["erased"] > 0
