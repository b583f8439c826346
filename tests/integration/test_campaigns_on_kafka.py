"""Campaigns on Kafka: what is applied is in force in every worker, and nobody is started anew."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from time import monotonic

from click.testing import CliRunner

from stream.broker.kafka.follow import KafkaFollower
from stream.broker.opening import open_cluster
from stream.cli import main
from stream.codec.reference import ReferenceDecoder
from stream.codec.schema import load_schemas
from stream.config import Settings, Topics
from stream.worker.checks.topics import apply, plan
from stream.worker.worldview import WorldView
from tests.waiting import eventually


async def test_what_is_applied_and_paused_is_in_force_in_every_worker(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = Settings(
        broker=f"kafka://{kafka}", app_id=topic_prefix, topics=Topics(topic_prefix), partitions=1
    )
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
    decoder = ReferenceDecoder(load_schemas(), settings.core)
    views = [WorldView(settings.core, decoder) for _ in range(2)]
    folder = str(tmp_path / "campaigns")
    options = ("--broker", settings.broker, "--set", f"topics.prefix={topic_prefix}")
    options += ("--set", "partitions=1", "--set", f"app_id={topic_prefix}")

    async def offerstream(*arguments: str) -> str:
        done = await asyncio.to_thread(
            CliRunner().invoke, main, ["campaigns", *arguments, *options]
        )
        assert done.exit_code == 0, done.output
        return done.output

    def active(view: WorldView) -> dict[str, bool]:
        return {one.campaign_id: one.active for one in view.world.campaigns}

    async def numbers() -> set[int]:
        return {len(active(view)) for view in views}

    async def welcomes() -> set[bool]:
        return {active(view)["welcome"] for view in views}

    assert CliRunner().invoke(main, ["campaigns", "init", folder]).exit_code == 0
    async with AsyncExitStack() as stack:
        for view in views:
            follower = KafkaFollower(settings, {settings.topics.campaigns: view.take_campaign})
            task = asyncio.create_task(follower.run())
            stack.push_async_callback(_ended, task)
            await follower.ends()
        assert "published 6 campaigns" in await offerstream("apply", folder)
        began = monotonic()
        await eventually("campaigns in both", numbers, lambda found: found == {6})
        print(f"in force after {monotonic() - began:.2f} s")
        await offerstream("pause", folder, "welcome")
        began = monotonic()
        await eventually("the pause in both", welcomes, lambda found: found == {False})
        print(f"paused after {monotonic() - began:.2f} s")
        assert "= welcome: unchanged" in await offerstream("plan", folder)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
