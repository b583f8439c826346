"""Budgets in the whole app: kept over all partitions, through restarts, and on as they grow."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from stream.domain.campaign import Budget, Unit
from stream.domain.event import Campaign
from stream.testing import Driver
from tests.builders import NOON, OPEN, SECOND, a_click
from tests.shops import happen, shop_of

LIMIT, CUSTOMERS = 30, 240
EAGER = replace(OPEN, offer_gap=0.0, offers_per_day=24)
GIFT = Campaign("gift", "Gift", priority=1, budget=Budget(Unit.OFFERS, LIMIT))


def made(shop: Driver, first: int, end: int) -> Counter[str]:
    """Let some customers come, ten at a time; the offers by campaign."""
    for at in range(first, end, 10):
        visits = range(at, at + 10)
        happen(shop, *[a_click(n, f"c{n}", f"i{n % 7}", time=NOON + n * SECOND) for n in visits])
    return Counter(offer.campaign_id for offer in shop.offers())


def test_a_budget_is_kept_by_all_partitions_together_through_restarts() -> None:
    with shop_of(EAGER, 4, campaigns=[GIFT, Campaign("rest", "Rest")]) as shop:
        counts = made(shop, 0, 120)
        assert 0 < counts["gift"] <= LIMIT
        shop.restart()
        counts += made(shop, 120, CUSTOMERS)
        assert 0.8 * LIMIT <= counts["gift"] <= LIMIT
        assert counts["rest"] > 100  # whom the gift no longer reached
        shop.restart()
        shop.apply([GIFT._replace(budget=Budget(Unit.OFFERS, 2 * LIMIT))])
        counts += made(shop, CUSTOMERS, 2 * CUSTOMERS)
        assert 1.6 * LIMIT <= counts["gift"] <= 2 * LIMIT


def test_what_an_offer_takes_and_what_it_gives_is_on_the_topic() -> None:
    gift = Campaign("gift", "Gift", budget=Budget(Unit.OFFERS, 5), discount=10)
    with shop_of(EAGER, campaigns=[gift]) as shop:
        became = sum((happen(shop, a_click(n, f"c{n}", "i1")) for n in range(3)), Counter[str]())
        offers = shop.offers()
        assert offers
        assert {offer.set_aside for offer in offers} == {1}
        assert offers[0].incentive == {"kind": "percent", "percent": 10}
        assert became["spent:gift"] == len(offers)
        assert became["passed:budget"] == 3 - len(offers)
