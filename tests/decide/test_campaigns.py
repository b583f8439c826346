"""Campaigns: who stands in line, for whom, with what, and never at a loss."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from stream.decide.decide import Step, decide
from stream.decide.policy import Denial
from stream.decide.rows.record import NEW, View
from stream.decide.world import Models, World
from stream.domain.campaign import (
    NO_REWARD,
    Audience,
    Bounds,
    Budget,
    Hours,
    Incentive,
    ItemRule,
    Reward,
    Trait,
    Unit,
)
from stream.domain.event import Campaign, CatalogItem, Event, Source
from stream.domain.offer import Origin
from stream.models.recommend.recommender import Ranked
from tests.builders import DAY, HOUR, NOON, OPEN, a_cause, a_click, a_purchase, a_world, an_update

FREE = replace(OPEN, offer_gap=0.0, offers_per_day=24)
PERCENT, AMOUNT = Incentive.PERCENT, Incentive.AMOUNT


class Shelf:
    """A recommender of some items, and a rule that a pot goes with tea."""

    def __init__(self, *items: str, source: str = "next") -> None:
        self._items, self._source = items, source

    def recommend(self, items: Any, k: int, exclude: Any, *_: Any) -> list[Ranked]:
        wanted = [item for item in self._items if item not in exclude]
        return [Ranked(item, 1.0 / n, self._source, "x") for n, item in enumerate(wanted, 1)]

    def neighbours(self, item: str, k: int) -> list[tuple[str, float]]:
        return [("pot", 0.5)] if item == "tea" else []


def a_shop(*campaigns: Campaign, policy: Any = FREE, **parts: Any) -> World:
    shelf = Shelf("cup", "lamp", "shoe")
    items = [
        CatalogItem("tea", category="food.tea", price=1_000, currency="EUR", margin=500),
        CatalogItem("pot", category="kitchen", price=2_000, currency="EUR", margin=800),
        CatalogItem("cup", category="kitchen.cups", price=1_500, currency="EUR", margin=150),
        CatalogItem("lamp", category="kitchenware", price=4_000, currency="EUR", margin=2_000),
        CatalogItem("shoe", category="shoes", price=6_000, currency="EUR", margin=3_000),
    ]
    known: dict[str, Any] = {
        "campaigns": tuple(sorted(campaigns, key=lambda c: (-c.priority, c.campaign_id))),
        "catalog": {item.item_id: item for item in items},
        "models": Models(recommender=shelf, baskets=shelf, segment_names=("rare", "often")),
    }
    return a_world(policy)._replace(**(known | parts))


def take(world: World, *events: Event) -> list[Step]:
    record, steps = NEW, []
    for offset, event in enumerate(events):
        source = Source.CUSTOMERS if event.event_id.startswith("update") else Source.CLICKS
        source = Source.PURCHASES if event.event_id.startswith("purchase") else source
        step = decide(record, event, a_cause(offset, source), world)
        assert step.record is not None
        record = step.record
        steps.append(step)
    return steps


def last(world: World, *events: Event) -> Step:
    return take(world, *(events or (a_click(0, item="tea"),)))[-1]


def offered(step: Step) -> list[str]:
    return [item.item_id for offer in step.offers for item in offer.items]


# ------------------------------------------------------------------------------------------- line


def test_a_campaign_without_an_item_leaves_the_moment_to_the_next_and_says_why() -> None:
    step = last(
        a_shop(
            Campaign("a", "A", priority=9, active=False),
            Campaign("b", "B", priority=8, starts=NOON + DAY),
            Campaign("c", "C", priority=7, audience=Audience(members=frozenset({"c9"}))),
            Campaign("d", "D", priority=6, categories=("toys",)),
            Campaign("e", "E", priority=5, strategy="trending"),
            Campaign("f", "F", priority=4, categories=("kitchen.cups",), discount=40),
            Campaign("g", "G", priority=3, categories=("shoes",)),
            Campaign("h", "H", priority=2),
        )
    )
    assert step.offers[0].campaign_id == "g"
    assert offered(step) == ["shoe"]
    assert step.passed == (
        ("a", Denial.CAMPAIGN_PAUSED),
        ("b", Denial.CAMPAIGN_NOT_RUNNING),
        ("c", Denial.AUDIENCE),
        ("d", Denial.NOT_IN_CAMPAIGN),
        ("e", Denial.NOT_IN_STRATEGY),
        ("f", Denial.MARGIN_FLOOR),
    )


def test_down_to_none_the_reason_is_that_of_the_campaign_that_came_next_to_an_offer() -> None:
    toys = Campaign("toys", "Toys", priority=1, categories=("toys",))
    assert last(a_shop(toys)).denial is Denial.NOT_IN_CAMPAIGN
    step = last(a_shop(Campaign("p", "P", priority=2, active=False), toys))
    assert (step.denial, len(step.passed)) == (Denial.NOT_IN_CAMPAIGN, 2)
    assert last(a_shop(Campaign("p", "P", active=False))).denial is Denial.NO_CAMPAIGN


def test_categories_match_by_prefix_at_dots() -> None:
    step = last(a_shop(Campaign("k", "K", categories=("kitchen",))))
    assert sorted(offered(step)) == ["cup"]  # neither kitchenware


def test_a_cap_of_a_campaign_is_a_reason_and_the_next_is_tried() -> None:
    world = a_shop(Campaign("once", "Once", priority=1, daily_cap=1), Campaign("rest", "Rest"))
    steps = take(world, a_click(0, item="tea"), a_click(1, item="tea"))
    assert [step.offers[0].campaign_id for step in steps] == ["once", "rest"]
    assert steps[1].passed == (("once", Denial.CAMPAIGN_CAP),)


# --------------------------------------------------------------------------------------- audience


def is_met(audience: Audience, *events: Event, **parts: Any) -> bool:
    world = a_shop(Campaign("x", "X", audience=audience), **parts)
    step = last(world, *events)
    assert bool(step.offers) or step.passed[0][1] is Denial.AUDIENCE
    return bool(step.offers)


def told(*traits: tuple[str, Any], n: int = 0) -> Event:
    return an_update(n, traits=tuple(sorted(traits)))


def test_traits_that_producers_send_are_kept_and_asked_for() -> None:
    gold = Audience(traits=(Trait("tier", ("gold", "platinum")),))
    assert not is_met(gold, a_click(1, item="tea"))
    assert is_met(gold, told(("tier", "gold")), a_click(1, item="tea"))
    assert not is_met(gold, told(("tier", "tin")), a_click(1, item="tea"))
    assert not is_met(
        gold, told(("tier", "gold")), told(("tier", "tin"), n=1), a_click(2, item="tea")
    )
    adult = Audience(traits=(Trait("age", (), Bounds(18, 65)),))
    assert [is_met(adult, told(("age", n)), a_click(1, item="tea")) for n in (17, 18, 66)] == [
        False,
        True,
        False,
    ]
    assert not is_met(adult, told(("age", True)), a_click(1, item="tea"))
    one = Audience(traits=(Trait("vip", (True,)),))
    assert [is_met(one, told(("vip", v)), a_click(1, item="tea")) for v in (True, 1, "true")] == [
        True,
        False,
        False,
    ]


def test_traits_survive_other_events_and_a_trait_of_before_changes_nothing_newer() -> None:
    steps = take(
        a_shop(),
        told(("tier", "gold"), ("age", 40), n=5),
        a_click(6, item="tea"),
        a_purchase(7, "c1", "lamp"),
        told(("tier", "tin"), ("new", 1.5), n=3),
    )
    record = steps[-1].record
    assert record is not None
    known = {name: fact for name, (fact, _) in View(record).told.items()}
    assert known == {"tier": "gold", "age": 40, "new": 1.5}
    assert View(record).value.profile.traits[0] == ("age", 40, NOON + 5_000)


def test_who_may_not_be_profiled_has_no_traits() -> None:
    world = a_shop(policy=replace(FREE, consent_default=False))
    record = last(world, told(("tier", "gold"))).record
    assert record is not None
    assert View(record).told == {}


def test_profile_segments_members_and_their_negation() -> None:
    bought = (a_purchase(0, "c1", "lamp"), a_click(1, item="tea"))
    once = Audience(figures=(("orders", Bounds(1, 1)),))
    assert is_met(once, *bought)
    assert not is_met(once, a_click(1, item="tea"))
    assert not is_met(Audience(none_of=(once,)), *bought)
    assert is_met(Audience(any_of=(once, Audience(members=frozenset({"c1"})))), a_click(1))
    assert not is_met(Audience(excluded=frozenset({"c1"})), a_click(1))
    away = Audience(figures=(("days_since_order", Bounds(low=60)),))
    assert not is_met(away, a_click(1, item="tea"))  # who never bought is not won back
    assert not is_met(away, *bought)
    assert is_met(away, bought[0], a_click(1, item="tea", time=NOON + 61 * DAY))
    assert is_met(Audience(liked=("tea",)), a_click(0, item="tea", category="tea.green"))
    assert is_met(Audience(segments=("rare",)), *bought)
    assert not is_met(Audience(segments=("often",)), *bought)
    spent = Audience(figures=(("spent_minor", Bounds(low=1_000)),))
    assert is_met(spent, *bought)


def test_propensity_and_value_are_asked_of_the_best_item_and_pass_the_moment_on() -> None:
    rest = Campaign("rest", "Rest")
    sure = Campaign("sure", "Sure", priority=2, audience=Audience(propensity=Bounds(low=0.5)))
    dear = Campaign("dear", "Dear", priority=1, audience=Audience(value=Bounds(low=1e6)))
    step = last(a_shop(sure, dear, rest))
    assert step.passed == (("sure", Denial.LOW_PROPENSITY), ("dear", Denial.LOW_VALUE))
    assert step.offers[0].campaign_id == "rest"


# ----------------------------------------------------------------------------- strategies and time


def test_each_strategy_chooses_its_own_items() -> None:
    def of(strategy: str, *events: Event, **fields: Any) -> list[str]:
        campaign = Campaign("s", "S", strategy=strategy, **fields)
        return offered(last(a_shop(campaign, newest=("cup", "shoe")), *events))

    carted = a_click(0, item="tea", action="add_to_cart")
    assert of("cross_sell", a_purchase(0, "c1", "tea")) == ["pot"]
    assert of("cross_sell", a_click(0, item="lamp")) == []
    assert carted is not None
    assert of("viewed_not_bought", a_click(0, item="lamp"), a_click(1, item="tea")) == ["lamp"]
    assert of("upsell", a_click(0, item="cup")) == []
    assert of("new_in_taste", a_click(0, item="tea", category="shoes")) == ["shoe"]
    rules = (
        ItemRule(("pot",), viewed=("nothing",)),
        ItemRule(("shoe", "lamp"), categories=("food",)),
        ItemRule(("cup",)),
    )
    assert of("rules", a_click(0, item="tea"), rules=rules) == ["shoe", "lamp"]
    assert of("rules", a_click(0, item="lamp"), rules=rules) == ["cup"]


def test_an_upsell_is_dearer_and_of_the_same_category() -> None:
    dear = CatalogItem("best cup", category="kitchen.cups.gold", price=2_500, currency="EUR")
    world = a_shop(Campaign("u", "U", strategy="upsell"))
    catalog = {**world.catalog, "best cup": dear}
    world = world._replace(
        catalog=catalog, models=Models(recommender=Shelf("best cup", "lamp", "tea"))
    )
    assert offered(last(world, a_click(0, item="cup"))) == ["best cup"]


def test_trending_is_what_all_buy() -> None:
    world = a_shop(Campaign("t", "T", strategy="trending"))
    world = world._replace(models=Models(recommender=Shelf("shoe", source="trending")))
    (offer,) = last(world).offers
    assert [(item.item_id, item.origin) for item in offer.items] == [("shoe", Origin.TRENDING)]


def test_a_segment_may_have_a_strategy_of_its_own() -> None:
    campaign = Campaign("s", "S", by_segment=(("rare", "rules"),), rules=(ItemRule(("shoe",)),))
    (offer,) = last(a_shop(campaign), a_purchase(0, "c1", "lamp")).offers
    assert (offer.strategy, [item.item_id for item in offer.items]) == ("rules", ["shoe"])


@pytest.mark.parametrize(("hour", "runs"), [(8, False), (9, True), (17, True), (18, False)])
def test_hours_are_those_of_the_campaigns_time_zone(hour: int, runs: bool) -> None:
    berlin = Hours("Europe/Berlin", tuple(range(7)), 9 * 60, 18 * 60)
    time = NOON + (hour - 13) * HOUR  # noon in UTC is one o'clock there
    step = last(a_shop(Campaign("x", "X", hours=berlin)), a_click(0, item="tea", time=time))
    assert bool(step.offers) is runs
    quiet = last(a_shop(Campaign("x", "X", quiet=berlin)), a_click(0, item="tea", time=time))
    assert bool(quiet.offers) is not runs


def test_an_offer_has_what_the_campaign_says_of_it() -> None:
    where: dict[str, Any] = {"channel": "web", "placement": "cart"}
    campaign = Campaign("x", "X", slate=2, lifetime=HOUR, ladder=(Reward(AMOUNT, 1),), **where)
    (offer,) = last(a_shop(campaign)).offers
    assert (len(offer.items), offer.expires - offer.issued) == (2, HOUR)
    assert (offer.channel, offer.placement, offer.reward) == ("web", "cart", Reward(AMOUNT, 1))


# ----------------------------------------------------------------------------------- margin, budget


def test_no_incentive_leaves_less_than_the_margin_floor() -> None:
    def sold(reward: Reward, floor: float = 0.0, **policy: Any) -> set[str]:
        rules = replace(FREE, margin_floor=floor, **policy)
        world = a_shop(Campaign("x", "X", ladder=(reward,), slate=9), policy=rules)
        return set(offered(last(world))) - {"tea"}  # what is looked at is not the question

    everything = {"cup", "lamp", "shoe"}
    assert sold(NO_REWARD) == everything
    assert sold(Reward(PERCENT, 10)) == everything  # the cup's margin is 10 %: nothing is left
    assert sold(Reward(PERCENT, 11)) == everything - {"cup"}
    assert sold(Reward(PERCENT, 10), 0.01) == everything - {"cup"}
    assert sold(Reward(PERCENT, 40), 0.1) == {"lamp", "shoe"}
    assert sold(Reward(PERCENT, 51)) == set()
    assert sold(Reward(AMOUNT, 2_001)) == {"shoe"}
    assert sold(Reward(Incentive.FREE_SHIPPING, 490)) == {"lamp", "shoe"}
    assert sold(NO_REWARD, 0.2) == everything - {"cup"}


def test_where_the_catalog_tells_no_margin_one_may_be_assumed() -> None:
    def sold(policy: Any, reward: Reward, item: CatalogItem | None) -> bool:
        world = a_shop(Campaign("x", "X", ladder=(reward,)), policy=policy)
        catalog = {} if item is None else {"mug": item}
        models = Models(recommender=Shelf("mug"))
        return "mug" in offered(last(world._replace(catalog=catalog, models=models)))

    priced, wary = CatalogItem("mug", price=1_000), replace(FREE, assumed_margin=0.2)
    assert sold(FREE, Reward(PERCENT, 90), priced)
    assert sold(wary, Reward(PERCENT, 20), priced)
    assert not sold(wary, Reward(PERCENT, 21), priced)
    assert not sold(wary, Reward(PERCENT, 21), None)
    assert not sold(FREE, Reward(AMOUNT, 100), None)  # off a price that nobody knows
    foreign = CatalogItem("mug", price=1_000, currency="JPY", margin=900)
    assert not sold(FREE, Reward(AMOUNT, 100), foreign)
    assert sold(FREE, Reward(PERCENT, 10), foreign)


def test_of_a_ladder_the_incentive_is_chosen_that_is_expected_to_earn_the_most() -> None:
    class Eager:
        """Who gets a discount is ten times as likely to buy."""

        def __init__(self, times: float) -> None:
            self.times, self.calls = times, 0

        def predict(self, rows: Any) -> list[float]:
            self.calls += 1
            return [0.01 * (self.times if self.calls > 1 else 1.0)] * len(rows)

    ladder = (NO_REWARD, Reward(PERCENT, 20))
    for times, best in ((10.0, ladder[1]), (1.0, ladder[0])):
        world = a_shop(Campaign("x", "X", ladder=ladder))
        world = world._replace(
            models=Models(recommender=Shelf("lamp"), propensity=Eager(times), learned_through=1)
        )
        (offer,) = last(world).offers
        assert (offer.reward, offer.assignment_probability) == (best, 1.0)


def test_a_ladder_is_explored_with_the_probability_that_the_offer_tells(seed: int) -> None:
    ladder = (NO_REWARD, Reward(PERCENT, 5), Reward(PERCENT, 45))
    policy = replace(FREE, exploration=0.3)
    world = a_shop(Campaign("x", "X", ladder=ladder, slate=9), policy=policy, learning=False)
    world = world._replace(settings=replace(world.settings, seed=abs(seed)))
    drawn = [last(world, a_click(0, customer=f"c{n}", item="tea")).offers[0] for n in range(300)]
    shares = {reward: sum(o.reward == reward for o in drawn) / 300 for reward in ladder}
    assert shares[NO_REWARD] > 0.6
    assert all(0.03 < shares[reward] < 0.2 for reward in ladder[1:])
    for offer in drawn:
        is_best = offer.reward == NO_REWARD
        assert offer.assignment_probability == pytest.approx(0.8 if is_best else 0.1)
        assert offer.explored is not is_best


def test_a_budget_that_is_used_up_is_a_reason_and_what_an_offer_takes_is_told() -> None:
    money = Campaign(
        "m", "M", priority=1, budget=Budget(Unit.MONEY, 10_000), ladder=(Reward(PERCENT, 10),)
    )
    world = a_shop(money, Campaign("rest", "Rest"))
    (offer,) = last(world._replace(left={"m": 600})).offers
    assert (offer.campaign_id, offer.set_aside) == ("m", 600)  # of the shoe, the dearest
    for left in ({"m": 599}, {"m": 0}, {}):
        step = last(world._replace(left=left))
        assert step.passed == (("m", Denial.BUDGET),)
        assert step.offers[0].campaign_id == "rest"
    counted = Campaign("m", "M", budget=Budget(Unit.OFFERS, 5))
    assert last(a_shop(counted, left={"m": 1})).offers[0].set_aside == 1


@pytest.mark.parametrize(
    "item",
    [CatalogItem("mug"), CatalogItem("mug", price=900, currency="JPY")],
    ids=["unknown price", "another currency"],
)
def test_a_budget_of_money_pays_for_no_item_whose_cost_is_not_known(item: CatalogItem) -> None:
    def offer_of(budget: Budget | None) -> list[str]:
        campaign = Campaign("m", "M", budget=budget, ladder=(Reward(PERCENT, 10),))
        world = a_shop(campaign, catalog={"mug": item}, left={"m": 10_000})
        return offered(last(world._replace(models=Models(recommender=Shelf("mug")))))

    assert "mug" in offer_of(None)
    assert "mug" in offer_of(Budget(Unit.OFFERS, 100))
    assert "mug" not in offer_of(Budget(Unit.MONEY, 10_000))


def test_whatever_campaigns_say_no_item_is_offered_below_the_floor(seed: int) -> None:
    chance = Random(seed)
    names, made = [f"i{n}" for n in range(8)], 0
    for n in range(150):
        floor = chance.choice(["0", "0.05", "0.3"])
        policy = replace(FREE, margin_floor=float(floor), exploration=0.3, assumed_margin=0.2)
        items = {name: _drawn_item(name, chance) for name in names}
        campaigns = [_drawn_campaign(f"c{k}", chance) for k in range(4)]
        world = a_shop(*campaigns, policy=policy, catalog=items)
        world = world._replace(models=Models(recommender=Shelf(*names)))
        step = last(world, a_click(0, customer=f"c{n}", item="elsewhere"))
        for offer in step.offers:
            for name in (item.item_id for item in offer.items if item.item_id in items):
                made += 1
                assert _earns(items[name], offer.reward, Fraction(floor)), (seed, n, name, offer)
    assert made > 100


def _drawn_item(name: str, chance: Random) -> CatalogItem:
    price = chance.choice([None, 99, 1_000, 12_345])
    margin = chance.choice([None, -5, 0, 33, 200, 5_000])
    currency = chance.choice(["EUR", "EUR", "JPY"])
    return CatalogItem(name, price=price, margin=margin, currency=currency)


def _drawn_campaign(name: str, chance: Random) -> Campaign:
    rewards = [NO_REWARD, Reward(PERCENT, chance.randint(1, 100)), Reward(AMOUNT, 400)]
    rewards.append(Reward(Incentive.FREE_SHIPPING, chance.randint(1, 900)))
    ladder = tuple(chance.sample(rewards, chance.randint(1, 4)))
    return Campaign(name, name, priority=chance.randint(0, 3), ladder=ladder)


def _earns(item: CatalogItem, reward: Reward, floor: Fraction) -> bool:
    """Whether a sale leaves the floor, reckoned in fractions from what the catalog says."""
    price, assumed = item.price, Fraction(2, 10)
    if price is None:
        if item.margin is not None:
            return item.margin >= 0 and not reward.size
        share = Fraction(reward.size, 100) if reward.kind is PERCENT else Fraction(0)
        return (reward.kind is PERCENT or not reward.size) and assumed - share >= floor
    if reward.kind in (AMOUNT, Incentive.FREE_SHIPPING) and item.currency != "EUR":
        return False
    margin = assumed * price if item.margin is None else Fraction(item.margin)
    off = Fraction(price * reward.size, 100) if reward.kind is PERCENT else Fraction(reward.size)
    return margin - off >= floor * price
