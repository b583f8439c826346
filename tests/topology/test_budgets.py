"""Budgets in the whole app: kept over all partitions, through restarts, and on as they grow."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import orjson

from stream.config import Settings
from stream.domain.campaign import Budget, Unit
from stream.domain.event import Campaign
from tests.builders import NOON, OPEN, SECOND, a_click
from tests.topology.embedded import publication, running, settings_in
from tests.topology.test_whole_app import a_campaign, offers_to, taken

LIMIT, CUSTOMERS = 30, 240
EAGER = replace(OPEN, offer_gap=0.0, offers_per_day=24)


async def made(settings: Settings, first: int, end: int, *campaigns: Campaign) -> Counter[str]:
    """Let some customers come, ten at a time; the offers by campaign."""
    counts: Counter[str] = Counter()
    async with running(settings, lockstep=True) as engine:
        for campaign in campaigns:
            await taken(engine, a_campaign(campaign.campaign_id, **_fields(campaign)))
        for at in range(first, end, 10):
            events = [
                a_click(n, f"c{n}", f"i{n % 7}", time=NOON + n * SECOND) for n in range(at, at + 10)
            ]
            counts.update(offer["campaign_id"] for offer in await offers_to(engine, *events))
    return counts


def _fields(campaign: Campaign) -> dict[str, object]:
    return {
        name: value
        for name, value in campaign._asdict().items()
        if name not in ("campaign_id", "name")
    }


async def test_a_budget_is_kept_by_all_partitions_together_through_restarts(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, 4, EAGER)
    gift = Campaign("gift", "Gift", priority=1, budget=Budget(Unit.OFFERS, LIMIT))
    counts = await made(settings, 0, 120, gift, Campaign("rest", "Rest"))
    assert 0 < counts["gift"] <= LIMIT
    counts += await made(settings, 120, CUSTOMERS)
    assert 0.8 * LIMIT <= counts["gift"] <= LIMIT
    assert counts["rest"] > 100  # whom the gift no longer reached
    more = gift._replace(budget=Budget(Unit.OFFERS, 2 * LIMIT))
    counts += await made(settings, CUSTOMERS, 2 * CUSTOMERS, more)
    assert 1.6 * LIMIT <= counts["gift"] <= 2 * LIMIT


async def test_what_an_offer_takes_and_what_it_gives_is_on_the_topic(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, 1, EAGER)
    async with running(settings, lockstep=True) as engine:
        gift = Campaign("gift", "Gift", budget=Budget(Unit.OFFERS, 5), discount=10)
        await taken(engine, a_campaign("gift", **_fields(gift)))
        offers = []
        for n in range(3):
            await engine.publish([publication(a_click(n, f"c{n}", "i1"))])
            await engine.settle()
        offers = [orjson.loads(offer) for offer in engine.drain_offers()]
        assert offers
        assert {offer["set_aside"] for offer in offers} == {1}
        assert offers[0]["incentive"] == {"kind": "percent", "percent": 10}
        spent = engine.status().counts["spent:gift"]
        assert spent == len(offers)
        assert engine.status().counts["passed:budget"] == 3 - len(offers)
