"""A recovery seeks back to what was not decided, whether anything was committed yet or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stream.broker.opening import open_cluster
from stream.config import Topics, WorkerSettings
from stream.worker.checks.topics import apply, plan
from stream.worker.faust.kafka import KafkaConsumer
from tests.builders import NOON, SECOND, a_click, a_purchase
from tests.topology.embedded import PatientEngine, publication, settings_in
from tests.waiting import eventually
from tests.worker.test_rebalancing import recovered


async def test_what_was_fetched_and_not_decided_is_fetched_again_though_nothing_was_committed(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, batches = [True], KafkaConsumer._batches

    def when_let(consumer: Any) -> Iterator[Any]:
        return iter(()) if held[0] else batches(consumer)

    monkeypatch.setattr(KafkaConsumer, "_batches", when_let)
    settings = replace(
        settings_in(tmp_path),
        broker=f"kafka://{kafka}",
        app_id=topic_prefix,
        topics=Topics(prefix=topic_prefix),
        worker=WorkerSettings(commit_interval=3_600.0),
    )
    clicks = [a_click(n, f"c{n}") for n in range(30)]
    orders = [a_purchase(n, f"c{n}", time=NOON + n * SECOND) for n in range(30, 50)]
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
    async with PatientEngine(settings) as engine:
        await engine.publish([publication(event) for event in (*clicks, *orders)])

        async def fetched() -> int:
            return sum(engine.app.consumer._fetched.values())

        await eventually("all events, fetched", fetched, lambda count: count == 50)
        await recovered(engine.app.consumer)
        held[0] = False
        later = [a_click(60, "c60"), a_purchase(61, "c61", time=NOON + 61 * SECOND)]
        await engine.publish([publication(event) for event in later])
        await engine.settle()
        assert engine.status().counts["applied"] == 52
        assert dict(engine.customers())["c31"].profile.orders == 1
