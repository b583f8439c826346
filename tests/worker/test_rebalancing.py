"""What a fetch brings while a rebalance or a seek is under way is never taken for new."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from stream.config import Settings
from stream.worker.engine import Engine
from stream.worker.faust.local.batches import LocalConsumer
from tests.builders import a_click
from tests.lessons import Lessons
from tests.topology.embedded import look, publication, running, settings_in, stored
from tests.waiting import within

Disturb = Callable[[Any], Awaitable[None]]


async def recovered(consumer: Any) -> None:
    """What Faust's recovery does in the end, while the flow is on for the changelogs' sake."""
    await consumer.perform_seek()
    await asyncio.sleep(0.1)  # turns of the loop: what may be fetched now, is
    consumer.app.flow_control.resume()  # it clears the agents' queues
    consumer.resume_flow()


async def rebalanced(consumer: Any) -> None:
    """What a rebalance does, in short: partitions go and come back."""
    assigned = consumer.assignment()
    await consumer.on_partitions_revoked(assigned)
    consumer._active_partitions.update(assigned)
    consumer.resume_flow()  # for the changelogs
    await asyncio.sleep(0.1)
    await recovered(consumer)


@pytest.mark.parametrize("disturb", [recovered, rebalanced])
async def test_records_fetched_meanwhile_are_decided_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disturb: Disturb
) -> None:
    fetched, go_on = asyncio.Event(), asyncio.Event()
    getmany = LocalConsumer._getmany

    async def slow(consumer: Any, *args: Any, **kwargs: Any) -> Any:
        records = await getmany(consumer, *args, **kwargs)
        if any(tp.topic == "shop.clicks" for tp in records) and not fetched.is_set():
            fetched.set()
            await go_on.wait()
        return records

    monkeypatch.setattr(LocalConsumer, "_getmany", slow)
    async with running(settings_in(tmp_path)) as engine:
        await engine.publish([publication(a_click(n)) for n in range(50)])
        await within("a fetch of the clicks", fetched.wait())
        disturbing = asyncio.create_task(disturb(engine.app.consumer))
        await asyncio.sleep(0.1)  # as far as it comes while the fetch is under way
        go_on.set()
        await within("the end of the disturbance", disturbing)
        seen = await look(engine)
        assert seen.counts["applied"] == 50
        assert seen.customers["c1"].profile.views == 50
        await engine.publish([publication(a_click(n)) for n in range(50, 60)])
        seen = await look(engine)
        assert seen.counts["applied"] == seen.customers["c1"].profile.views == 60
        assert seen.metrics["events_replayed_total"] == 0
    async with running(settings_in(tmp_path)) as again:
        assert (await look(again)).metrics["events_replayed_total"] == 0


async def test_lessons_in_hand_in_a_rebalance_are_learned_behind_those_before_them(
    tmp_path: Path,
) -> None:
    async with running(unpublished_in(tmp_path)) as engine:
        app = engine.app
        await teach(engine, 0)
        async with app.learning._lock:  # the agent has the next lessons in hand, and waits
            await engine.publish([publication(a_click(n)) for n in range(20, 40)])
            await _decided(engine)
            await asyncio.sleep(0.3)
            await rebalanced(app.consumer)
        await engine.settle()
        assert engine.status().learned == taught(engine) > 40


async def test_lessons_given_up_before_a_publication_are_read_again_before_the_next(
    tmp_path: Path,
) -> None:
    async with running(unpublished_in(tmp_path)) as engine:
        for first in (0, 20):
            await teach(engine, first)
            engine.app.learning.forget()  # and nothing seeks back
        await engine.publish([publication(a_click(40))])
        await engine.settle()
        assert engine.status().learned == taught(engine) > 40


def unpublished_in(directory: Path) -> Settings:
    """Settings of an app whose learner publishes when it is told to, and not before."""
    settings = settings_in(directory)
    return replace(settings, learning=replace(settings.learning, publish_interval=600.0))


async def teach(engine: Engine, first: int) -> None:
    """Publish 20 clicks, and wait until they are decided and what they teach is learned."""
    await engine.publish([publication(a_click(n)) for n in range(first, first + 20)])
    await _decided(engine)
    await _learned(engine)


def taught(engine: Engine) -> int:
    """How many examples the log holds."""
    lessons = Lessons()
    for record in stored(engine, "examples"):
        lessons.read(record)
    return lessons.total


async def _decided(engine: Engine) -> None:
    clicks = await engine.app.consumer.highwaters(TP(engine.settings.topics.clicks, 0))
    await within("the clicks, decided", engine.app.pipeline.progress.reach(clicks), engine.status)


async def _learned(engine: Engine) -> None:
    lessons = await engine.app.consumer.highwaters(TP(engine.settings.topics.examples, 0))
    progress = engine.app.learning.progress
    await within("the lessons, learned", progress.reach(lessons), lambda: progress.done)
