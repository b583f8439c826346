"""The play: past first, then the present at a steady pace; offers passed on; an end in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import orjson
import pytest

from stream.models.propensity.foresight import WINDOW as QUALITY_WINDOW
from stream.models.propensity.foresight import Quality
from stream.simulate.people import EVENTS_A_CUSTOMER_DAY
from stream.simulate.play import Play, opening
from stream.simulate.rhythm import DAY_MS
from stream.simulate.scene import Scene
from stream.simulate.shoppers import Shoppers
from stream.simulate.timeline import EVENTS
from stream.worker.engine import Publication, Status
from tests.waiting import within

WALL = 1_760_000_000_000
NOBODY = np.array([], dtype=np.int64)


class FakeClocks:
    """Time passes by a fixed amount each time that somebody looks."""

    def __init__(self, tick: float = 0.002) -> None:
        self.now, self.tick = 0.0, tick

    def wall(self) -> int:
        return WALL + round(self.elapsed() * 1000)

    def elapsed(self) -> float:
        self.now += self.tick
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


class FakeStage:
    """An engine that decides what it is asked to, and offers the same item for each hundredth."""

    def __init__(self, keeps_up: bool = True) -> None:
        self.keeps_up = keeps_up
        self.topics: list[str] = []
        self.decided = 0
        self.furthest_ahead = 0
        self.settled = 0
        self.labels = QUALITY_WINDOW
        self.latest = 0
        self._offers: list[bytes] = []

    @property
    def events(self) -> int:
        return sum(topic in EVENTS for topic in self.topics)

    async def publish(self, records: Sequence[Publication]) -> None:
        for topic, key, value, _, timestamp in records:
            self.topics.append(topic)
            assert timestamp is not None and value is not None
            if topic == "clicks":
                self.latest = max(self.latest, orjson.loads(value)["timestamp"])
            if topic == "clicks" and len(self.topics) % 100 == 0:
                self._offers.append(an_offer(key.decode(), len(self.topics)))
        if self.keeps_up:
            self.decided = self.events
        self.furthest_ahead = max(self.furthest_ahead, self.events - self.decided)

    async def settle(self) -> None:
        self.decided, self.settled = self.events, self.settled + 1

    def drain_offers(self) -> list[bytes]:
        drained, self._offers = self._offers, []
        return drained

    def status(self) -> Status:
        counts = {"applied": self.decided, "offers": 10**9, "denied:consent": 10**9}
        quality = Quality(0.7, 0.2, 1.0, self.labels)
        return Status(counts, quality, 0, ("rich",), (0.01, 0.02, 0.03))


def an_offer(customer: str, number: int) -> bytes:
    return orjson.dumps(
        {
            "offer_id": f"offer-{number}",
            "customer_id": customer,
            "campaign_id": "for-you",
            "discount_percent": 0,
            "segment": None,
            "items": [
                {
                    "product_id": "item-00001",
                    "score": 0.1,
                    "source": "bought_together",
                    "reason": "often bought together with item-00002",
                    "because": "item-00002",
                }
            ],
            "expires_at": "2099-01-01T00:00:00Z",
        }
    )


def a_play(
    stage: FakeStage, seconds: float = 8.0, customers: int = 200, rate: float = 500.0
) -> tuple[Play, Shoppers]:
    a_day = customers * EVENTS_A_CUSTOMER_DAY
    shoppers = Shoppers(7, customers, 150, opening(WALL, rate * seconds, a_day))
    return a_play_of(shoppers, stage, seconds, rate, a_day), shoppers


def a_play_of(
    shoppers: Shoppers, stage: FakeStage, seconds: float, rate: float, a_day: float
) -> Play:
    return Play(
        stage,
        shoppers,
        FakeClocks(),
        held_out=NOBODY,
        seconds=seconds,
        rate=rate,
        a_day=a_day,
    )


async def test_catalog_campaigns_and_consent_come_before_the_first_click() -> None:
    stage = FakeStage()
    play, _ = a_play(stage)
    await play.run(lambda scene: None, 1.0, asyncio.Event())
    first = stage.topics.index("clicks")
    assert set(stage.topics[:first]) == {"catalog", "campaigns", "customers"}
    assert stage.settled >= 2


async def test_the_past_is_told_before_the_present_and_time_is_kept() -> None:
    stage, scenes = FakeStage(), []
    play, shoppers = a_play(stage)
    began = shoppers.now
    last = await play.run(scenes.append, 0.0, asyncio.Event())
    warm = [scene for scene in scenes if scene.warming]
    live = [scene for scene in scenes if not scene.warming]
    assert warm and live
    assert live[0].now >= began + DAY_MS or live[0].seconds >= 2.0
    assert last.seconds >= 8.0
    assert last.events == stage.events


async def test_offers_reach_the_shoppers_and_the_scene() -> None:
    stage = FakeStage()
    play, shoppers = a_play(stage)
    last = await play.run(lambda scene: None, 1.0, asyncio.Event())
    assert last.offers == shoppers.books.offers.sum() > 5
    assert last.answers.seen > 0
    assert last.latest[0].items[0].reason.startswith("often bought together with ")
    assert last.learning.pairs == last.offers


async def test_it_ends_early_when_it_is_asked_to() -> None:
    stage, stop = FakeStage(), asyncio.Event()
    play, _ = a_play(stage, seconds=1e9)
    seen: list[Scene] = []

    def show(scene: Scene) -> None:
        seen.append(scene)
        if len(seen) == 5:
            stop.set()

    await within("the end that was asked for", play.run(show, 0.0, stop), lambda: len(seen))
    assert stage.decided == stage.events  # what was sent was decided before the end


async def test_no_more_is_sent_than_the_engine_keeps_up_with() -> None:
    stage = FakeStage(keeps_up=False)
    play, _ = a_play(stage)
    await play.run(lambda scene: None, 1.0, asyncio.Event())
    assert stage.furthest_ahead < 2_500


async def test_events_never_come_from_the_future() -> None:
    stage = FakeStage()
    shoppers = Shoppers(7, 100, 150, WALL - 2 * DAY_MS)
    play = a_play_of(shoppers, stage, seconds=20, rate=5_000, a_day=460)
    await play.run(lambda scene: None, 1.0, asyncio.Event())
    assert WALL - DAY_MS < stage.latest <= WALL + 20_000


@pytest.mark.parametrize(("events", "a_day"), [(15_000, 460), (1e6, 13_800), (1e4, 920_000)])
def test_the_opening_leaves_room_for_all_events(events: float, a_day: float) -> None:
    assert opening(WALL, events, a_day) + DAY_MS + events / a_day * DAY_MS < WALL


async def test_latency_is_of_the_present_alone() -> None:
    stage, scenes = FakeStage(), []
    play, _ = a_play(stage)
    last = await play.run(scenes.append, 0.0, asyncio.Event())
    assert all(scene.p50 is None for scene in scenes if scene.warming)
    assert last.p50 == pytest.approx(0.02)


async def test_models_are_judged_only_when_their_window_is_full() -> None:
    for labels, judged in ((QUALITY_WINDOW - 1, False), (QUALITY_WINDOW, True)):
        stage = FakeStage()
        stage.labels = labels
        play, _ = a_play(stage)
        last = await play.run(lambda scene: None, 1.0, asyncio.Event())
        assert bool(last.learning.auc) == judged


def test_customers_leave_about_as_many_records_a_day_as_the_pace_assumes() -> None:
    shoppers = Shoppers(29, 300, 400, WALL, pace=8, daily=False)
    shoppers.step(4 * 86_400)
    a_day = sum(record.topic in EVENTS for record in shoppers.step(86_400)) / 300 / 8
    assert a_day == pytest.approx(EVENTS_A_CUSTOMER_DAY, rel=0.12)
