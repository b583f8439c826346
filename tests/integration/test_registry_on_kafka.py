"""Avro through a real Kafka and a registry over HTTP that is away at first."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from stream.worker.engine import Engine
from tests.builders import NOON, SECOND, a_click, a_purchase
from tests.integration.test_unreadable_on_kafka import letters_of, prepared, settings_on
from tests.registry import CLICK, a_registry
from tests.topology.embedded import publication
from tests.topology.test_framed_events import in_avro, sent
from tests.waiting import eventually, within


@pytest.mark.timeout(300)
async def test_events_wait_for_a_registry_that_is_away_longer_than_the_group_is_patient(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    clicks = [a_click(n, f"c{n % 5}", time=NOON + n * SECOND) for n in range(20)]
    order = a_purchase(1, "c1", "i1", time=NOON + 60 * SECOND)
    with a_registry() as registry:
        registry.put(7, json.dumps(CLICK))
        registry.stop()
        settings = settings_on(kafka, topic_prefix, tmp_path)
        patience = replace(registry.settings(), max_poll_interval=3.0, heartbeat_interval=0.5)
        settings = await prepared(replace(settings, kafka=patience))
        async with Engine(settings) as engine:
            await engine.publish([sent(click, in_avro(click)) for click in clicks])
            await engine.publish([publication(order)])
            generation = engine.app.consumer_generation_id
            book = engine.app.schemas
            assert book is not None

            async def waited() -> float:
                return book.waited()[0]

            await eventually("a wait beyond the group's patience", waited, lambda s: s > 5.0)
            assert engine.app.consumer_generation_id == generation
            assert Counter(engine.status().counts)["applied"] == 0
            registry.start()
            await within("all that waits", engine.settle())
            counts = Counter(engine.status().counts)
            assert counts["applied"] == 21 and counts["rejected"] == 0
        assert not await letters_of(settings)
