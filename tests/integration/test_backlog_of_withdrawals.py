"""A worker that starts behind a backlog: clicks with consent first, later withdrawals, on Kafka.

The withdrawals stand in a topic of their own, which may be fetched before the clicks or after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stream.broker.opening import open_cluster
from stream.codec.events.decoding import encode
from stream.codec.partition import partition_for
from stream.config import Settings, Topics
from stream.domain.event import Consent, Event
from stream.worker.checks.topics import apply, plan
from stream.worker.engine import Engine
from tests.builders import NOON, OPEN, SECOND, a_click, an_update
from tests.topology.embedded import KINDS, settings_in

CUSTOMERS, VISITS, PARTITIONS = 1_000, 20, 3
YES, NO = Consent(True, True), Consent(False, False)


@pytest.fixture
async def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    settings = replace(
        settings_in(tmp_path, PARTITIONS, replace(OPEN, consent_default=False)),
        broker=f"kafka://{kafka}",
        app_id=topic_prefix,
        topics=Topics(prefix=topic_prefix),
    )
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
    return settings


def a_backlog() -> list[Event]:
    """Each customer clicks and agrees, again and again; then the odd ones say no, the even go."""
    events: list[Event] = []
    for n in range(CUSTOMERS):
        who, start = f"c{n}", NOON + n * 100
        for visit in range(VISITS):
            time = start + visit * SECOND
            number = n * VISITS + visit
            events.append(a_click(number, who, f"i{visit}", time=time, consent=YES))
        words = {"consent": NO} if n % 2 else {"erase": True}
        events.append(an_update(n, who, time=start + VISITS * SECOND, **words))
    return sorted(events, key=lambda event: event.time)


async def publish(settings: Settings, events: Sequence[Event]) -> None:
    """Send events in the order of their topics' own times, as their senders did."""
    producer = AIOKafkaProducer(
        bootstrap_servers=list(settings.bootstrap_servers), linger_ms=20, max_batch_size=100_000
    )
    async with producer:
        for event in events:
            key = event.customer_id.encode()
            await producer.send(
                getattr(settings.topics, KINDS[type(event).__name__]),
                encode(event),
                key=key,
                partition=partition_for(key, PARTITIONS),
                timestamp_ms=event.time,
            )


async def test_nobody_who_withdrew_in_a_backlog_is_back(settings: Settings) -> None:
    events = a_backlog()
    await publish(settings, events)
    async with Engine(settings) as engine:
        await engine.settle()
        first = engine.status().counts
    async with Engine(settings) as engine:  # and a restart changes nothing
        await engine.settle()
        counts, customers = engine.status().counts, dict(engine.customers())
    assert counts == first
    assert counts["applied"] == len(events)
    assert counts["erased"] == 0  # each topic waited for the others: nothing came out of order
    assert customers.keys() == {f"c{n}" for n in range(1, CUSTOMERS, 2)}
    assert [name for name, state in customers.items() if state.permission.profiling] == []
    assert [name for name, state in customers.items() if state.profile.views] == []
