"""Topics that are not what they were: noticed at once, and never counted away."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from stream.config import ConfigError
from stream.domain.event import Event
from stream.worker.checks.renewal import renew
from stream.worker.engine import Engine
from stream.worker.faust.consumer import BatchingConsumer
from tests.builders import a_click
from tests.chaos.lab import Lab
from tests.integration.shops import LOOKS, Shop, lost, views
from tests.kafka.broker import Broker
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)


def clicks(first: int, number: int) -> list[Event]:
    return [a_click(n, f"c{n % 7}") for n in range(first, first + number)]


def counted(events: Sequence[Event]) -> dict[str, int]:
    return dict(Counter(event.customer_id for event in events))


async def life(shop: Shop) -> dict[str, int]:
    """Start, do what there is to do, and end; the views that customers have then."""
    async with Engine(shop.settings) as engine:
        await engine.settle()
        return views(engine)


@pytest.fixture
async def shop(kafka: str, topic_prefix: str, tmp_path: Path) -> Shop:
    return await Shop.opened(kafka, topic_prefix, tmp_path)


@pytest.mark.parametrize("again", [20, 100], ids=["shorter", "longer"])
async def test_a_topic_made_anew_is_refused_until_somebody_says_what_it_holds(
    shop: Shop, again: int
) -> None:
    before, after = clicks(0, 50), clicks(1_000, again)
    await shop.publish(before)
    assert await life(shop) == counted(before)
    await shop.make_anew(shop.clicks)
    await shop.publish(after)
    with pytest.raises(ConfigError, match=r"clicks was deleted and made anew.*topics renew") as no:
        await life(shop)
    assert "\n" not in str(no.value)
    assert {n for n, _ in await asyncio.to_thread(renew, shop.settings, shop.clicks, "start")} == {
        0,
        1,
    }
    assert await life(shop) == counted([*before, *after])
    assert await asyncio.to_thread(renew, shop.settings, shop.clicks, "start") == []
    assert await life(shop) == counted([*before, *after])


async def test_what_a_topic_made_anew_holds_may_be_passed_over(shop: Shop) -> None:
    before, passed, after = clicks(0, 50), clicks(1_000, 80), clicks(2_000, 30)
    await shop.publish(before)
    await life(shop)
    await shop.make_anew(shop.clicks)
    await shop.publish(passed)
    await asyncio.to_thread(renew, shop.settings, shop.clicks, "end")
    await shop.publish(after)
    assert await life(shop) == counted([*before, *after])


@pytest.mark.parametrize("again", [0, 20, 100], ids=["empty", "shorter", "longer"])
async def test_a_topic_made_anew_while_a_worker_runs_ends_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, again: int
) -> None:
    monkeypatch.setattr("stream.worker.checks.inspection.INTERVAL", 0.3)
    before = clicks(0, 50)
    await shop.publish(before)
    with pytest.raises(ConfigError, match=r"topic \S*clicks (is missing|was deleted|went back)"):
        async with Engine(shop.settings) as engine:
            await engine.settle()
            await shop.make_anew(shop.clicks)
            await shop.publish(clicks(1_000, again))
            await engine.app.unless_crashed(asyncio.Event().wait())
    with pytest.raises(ConfigError, match="clicks was deleted and made anew"):
        await life(shop)


@pytest.mark.parametrize("kind", ["changelog", "examples", "models", "offers", "catalog"])
async def test_any_topic_made_anew_while_a_worker_runs_ends_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("stream.worker.checks.inspection.INTERVAL", 0.3)
    settings = shop.settings
    topic = settings.customers_changelog if kind == "changelog" else getattr(settings.topics, kind)
    with pytest.raises(ConfigError, match=rf"topic {topic} (is missing|was deleted)") as no:
        async with Engine(settings) as engine:
            await shop.publish(clicks(0, 10))
            await engine.settle()
            await shop.make_anew(topic)
            await engine.app.unless_crashed(asyncio.Event().wait())
    assert "\n" not in str(no.value)


async def test_records_removed_before_they_were_read_are_counted(shop: Shop) -> None:
    read, removed, left = clicks(0, 50), clicks(1_000, 60), clicks(2_000, 10)
    await shop.publish(read)
    await life(shop)
    before = await shop.ends(shop.clicks)
    await shop.publish(removed)
    ends = await shop.ends(shop.clicks)
    await shop.cut_head(ends)
    await shop.publish(left)
    async with Engine(shop.settings) as engine:
        await engine.settle()
        assert views(engine) == counted([*read, *left])
        assert lost(engine) == {shop.clicks: sum(ends.values()) - sum(before.values())}
    async with Engine(shop.settings) as engine:
        await engine.settle()
        assert lost(engine) == {}


async def test_records_removed_while_a_worker_runs_are_counted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, removed, left = clicks(0, 10), clicks(10_000, 40), clicks(20_000, 10)
    async with Engine(shop.settings) as engine:
        await shop.publish(kept)
        await engine.settle()
        with monkeypatch.context() as held:
            held.setattr(BatchingConsumer, "_takes_more", lambda *_: False)
            ahead = await fetched_ahead(engine, shop)
            before = await shop.ends(shop.clicks)
            await shop.publish(removed)
            ends = await shop.ends(shop.clicks)
            await shop.cut_head(ends)
            await shop.publish(left)
        await engine.settle()
        assert views(engine) == counted([*kept, *ahead, *left])
        assert lost(engine) == {shop.clicks: sum(ends.values()) - sum(before.values())}


async def test_a_loss_with_nothing_behind_it_is_seen_by_the_regular_look(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Engine(shop.settings) as engine:
        await shop.publish(clicks(0, 10))
        await engine.settle()
        with monkeypatch.context() as held:
            held.setattr(BatchingConsumer, "_takes_more", lambda *_: False)
            await fetched_ahead(engine, shop)
            before = await shop.ends(shop.clicks)
            await shop.publish(clicks(10_000, 40))
            ends = await shop.ends(shop.clicks)
            await shop.cut_head(ends)
        gone = sum(ends.values()) - sum(before.values())

        async def looked() -> float:
            await engine.app.inspection.look(prints=False)
            return lost(engine).get(shop.clicks, 0)

        assert await eventually("the loss", looked, lambda number: number >= gone) == gone
        await shop.publish(clicks(20_000, 10))
        await engine.settle()
        assert lost(engine) == {shop.clicks: gone}


async def fetched_ahead(engine: Engine, shop: Shop) -> list[Event]:
    """Publish until the client holds what comes next of each partition, and fetches no more."""
    consumer = engine.app.consumer._thread._consumer
    published: list[Event] = []
    for n in range(LOOKS):
        some = clicks(100 + 7 * n, 7)
        await shop.publish(some)
        published += some
        await asyncio.sleep(0.05)
        if all(tp in consumer._fetcher._records for tp in await shop.ends(shop.clicks)):
            return published
    raise TimeoutError("nothing was fetched ahead")


@pytest.mark.parametrize(
    "kind", ["clicks", "customers", "offers", "late", "dead_letters", "changelog", "models"]
)
async def test_partitions_added_while_a_worker_runs_end_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("stream.worker.checks.inspection.INTERVAL", 0.3)
    settings = shop.settings
    topic = settings.customers_changelog if kind == "changelog" else getattr(settings.topics, kind)
    with pytest.raises(ConfigError, match=rf"topic {topic} has 4 partitions, and .* ask") as no:
        async with Engine(settings) as engine:
            await engine.settle()
            await shop.widen(topic, 4)
            await engine.app.unless_crashed(asyncio.Event().wait())
    assert "\n" not in str(no.value)


async def test_a_broker_that_lost_the_end_of_a_topic_is_noticed(
    broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    shop = await Shop.opened(broker.address, topic_prefix, tmp_path)
    before = clicks(0, 50)
    await shop.publish(before)
    await life(shop)
    broker.stop()
    for number in range(2):
        place = broker.directory / "data" / f"{shop.clicks}-{number}"
        (log,) = place.glob("*.log")
        log.write_bytes(b"")
        for other in [*place.glob("*.index"), *place.glob("*.timeindex")]:
            other.unlink()
    for checkpoint in (broker.directory / "data").glob("*checkpoint*"):
        checkpoint.unlink()
    broker.start()
    with pytest.raises(ConfigError, match=r"clicks lost its end: .*topics renew"):
        await life(shop)
    await shop.publish(clicks(1_000, 100))
    with pytest.raises(ConfigError, match=r"clicks holds other records than before.*topics renew"):
        await life(shop)


async def test_the_command_ends_with_one_line_when_a_topic_is_made_anew(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    lab = await asyncio.to_thread(Lab.on, kafka, topic_prefix, tmp_path, 2)
    fleet = lab.fleet(1)
    try:
        life = fleet.lives[0]
        await life.ready()
        await Shop(lab.settings).make_anew(lab.settings.topics.clicks)
        assert await life.ended() == 2
        said = rf"topic {topic_prefix}clicks (?:is missing|was deleted)"
        assert len(re.findall(said, life.words())) == 1
        assert "Traceback" not in life.words()
    finally:
        fleet.end()
