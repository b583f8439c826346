"""Reminders and win-backs: offers that time begins, and no event of the customer's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

import pytest

from stream.codec.evidence import decode_evidence, encode_evidence
from stream.codec.offers import encode_offer
from stream.decide.ledger import OFFER, RECALL, Decided, Entry
from stream.decide.retelling import decided_again, told_again
from stream.decide.rows.parameters import patience
from stream.decide.rows.record import timer_of
from stream.decide.rows.timers import PAGES
from stream.decide.witness import Witness
from stream.decide.world import World
from stream.domain.campaign import Audience, Budget, Hours, Unit
from stream.domain.event import (
    Action,
    Campaign,
    CatalogItem,
    Click,
    Consent,
    CustomerUpdate,
    Event,
    Feedback,
    Purchase,
    Source,
)
from stream.domain.offer import Offer
from tests.builders import (
    DAY,
    HOUR,
    NOON,
    OPEN,
    SECOND,
    a_click,
    a_purchase,
    a_world,
    an_update,
    consent,
)
from tests.decide.streams import Batch, Drawing, Partition, drawn_shop

AFTER, IDLE = 2 * HOUR, 30 * DAY
REMINDER: Final = Campaign("rem", "Still there", "reminder", wait=AFTER)
WIN_BACK: Final = Campaign("win", "Back", "win_back", wait=IDLE)
AWAKE: Final = replace(OPEN, offer_gap=60.0, quiet_from=0, quiet_until=0)
CART: Final = Action.ADD_TO_CART
NOTHING: Final = (-1, -1, -1, -1)
SOURCES: Final = {
    Click: Source.CLICKS,
    Purchase: Source.PURCHASES,
    Feedback: Source.FEEDBACK,
    CustomerUpdate: Source.CUSTOMERS,
}


class Shop:
    """A partition that takes events one behind the other, and what came of timers."""

    def __init__(self, *campaigns: Campaign, policy: Any = AWAKE, **world: Any) -> None:
        self.world: World = a_world(policy)._replace(campaigns=campaigns, **world)
        self.partition = Partition(self.world)
        self.entries: list[Entry] = []
        self.last: Decided | None = None
        self._at = [0] * len(Source)

    def take(self, *events: Event, durable: tuple[int, ...] = NOTHING) -> list[Offer]:
        """Offers that timers began with these events, of one batch."""
        entries = []
        for event in events:
            source = SOURCES[type(event)]
            entries.append(Entry(source, self._at[source], event))
            self._at[source] += 1
        self.entries += entries
        self.last = self.partition.decide(Batch(entries, durable))
        return [offer for offer in self.last.offers if offer.due]

    def pass_to(self, time: int) -> list[Offer]:
        """Time passes by the visits of somebody who is nobody's business: three events."""
        events = [seen(f"passing-{len(self.entries) + n}", "nobody", time + n) for n in range(3)]
        return [offer for offer in self.take(*events) if offer.customer_id != "nobody"]

    def record(self, customer: str) -> bytes | None:
        return self.partition.records.get(customer)

    def waiting(self) -> set[str]:
        """Whose name stands in the calendar."""
        pages = self.partition.pages.items()
        return {e.customer_id for at, page in pages if PAGES <= at < 2 * PAGES for e in page}

    @property
    def tally(self) -> dict[str, int]:
        return dict(self.partition.ledger.counts)


def seen(item: str, customer: str, time: int, **fields: Any) -> Click:
    return a_click(0, customer, item, event_id=f"{item}-{customer}-{time}", time=time, **fields)


def items_of(offer: Offer) -> list[str]:
    return [item.item_id for item in offer.items]


def test_a_reminder_comes_once_with_the_first_event_of_anybody_after_its_time() -> None:
    shop = Shop(REMINDER)
    shop.take(seen("pot", "anna", NOON))
    assert not shop.pass_to(NOON + AFTER - 10)
    (offer,) = shop.pass_to(NOON + AFTER)
    assert (offer.customer_id, offer.campaign_id, offer.strategy) == ("anna", "rem", "reminder")
    assert items_of(offer) == ["pot"]
    assert (offer.due, offer.issued) == (NOON + AFTER, NOON + AFTER)
    for later in (1, AFTER, 40 * DAY):
        assert not shop.pass_to(NOON + AFTER + 10 + later)


def test_what_one_visit_left_comes_in_one_offer_the_cart_before_what_was_viewed() -> None:
    items = {
        "dear": CatalogItem("dear", price=90_000, margin=40_000),
        "cheap": CatalogItem("cheap", price=100, margin=1),
    }
    shop = Shop(REMINDER, catalog=items)
    shop.take(
        seen("dear", "anna", NOON),
        seen("cheap", "anna", NOON + 60 * SECOND, action=CART),
        seen("bought", "anna", NOON + 90 * SECOND),
        a_purchase(100, "anna", "bought"),
    )
    assert not shop.pass_to(NOON + AFTER + 80 * SECOND)
    (offer,) = shop.pass_to(NOON + AFTER + 90 * SECOND)
    assert items_of(offer) == ["cheap", "dear"]


def test_whoever_comes_back_to_it_is_reminded_after_that() -> None:
    shop = Shop(REMINDER)
    shop.take(seen("pot", "anna", NOON))
    shop.take(seen("pot", "anna", NOON + HOUR))
    assert not shop.pass_to(NOON + AFTER)
    assert [offer.due for offer in shop.pass_to(NOON + HOUR + AFTER)] == [NOON + HOUR + AFTER]


@pytest.mark.parametrize(
    "then",
    [
        a_purchase(600, "anna", "pot"),
        a_click(600, "anna", "pot", action=Action.REMOVE_FROM_CART, consent=consent(False)),
        an_update(600, "anna", consent=consent(False)),
        an_update(600, "anna", erase=True),
    ],
    ids=["bought", "withdrawn with a click", "withdrawn", "erased"],
)
@pytest.mark.parametrize("campaign", [REMINDER, WIN_BACK], ids=["reminder", "win-back"])
def test_nothing_comes_after_a_purchase_a_withdrawal_or_an_erasure(
    campaign: Campaign, then: Event
) -> None:
    shop = Shop(campaign)
    shop.take(seen("pot", "anna", NOON))
    assert shop.waiting() == {"anna"}
    shop.take(then)
    if not isinstance(then, Purchase):
        assert not shop.waiting(), "whoever may not be profiled is not named any more"
        record = shop.record("anna")
        assert record is None or not timer_of(record)
    expected = isinstance(then, Purchase) and campaign is WIN_BACK
    found = [*shop.pass_to(NOON + AFTER + DAY), *shop.pass_to(NOON + IDLE + DAY)]
    assert bool(found) is expected


def test_a_withdrawal_of_offers_alone_is_a_reason_of_its_own() -> None:
    shop = Shop(REMINDER)
    shop.take(seen("pot", "anna", NOON, consent=consent(True)))
    shop.take(an_update(60, "anna", consent=Consent(profiling=True, offers=False)))
    before = shop.tally.get("denied:consent", 0)
    assert not shop.pass_to(NOON + AFTER + DAY)
    assert shop.tally["denied:consent"] == before + 1


def test_a_win_back_follows_when_nothing_was_heard_for_so_long() -> None:
    shop = Shop(WIN_BACK)
    shop.take(seen("pot", "anna", NOON))
    shop.take(a_purchase(3 * 86_400, "anna", "cup"))
    assert not shop.pass_to(NOON + IDLE + DAY)
    (offer,) = shop.pass_to(NOON + 3 * DAY + IDLE)
    assert (offer.campaign_id, offer.strategy) == ("win", "win_back")
    assert "cup" not in items_of(offer)
    assert not shop.pass_to(NOON + 3 * IDLE)


def test_quiet_hours_put_it_off_until_they_end() -> None:
    midnight = NOON + 12 * HOUR
    at_night = replace(AWAKE, quiet_from=22, quiet_until=7)
    own = REMINDER._replace(quiet=Hours(start=7 * 60, end=9 * 60))
    shop = Shop(own, policy=at_night)
    shop.take(seen("pot", "anna", midnight - 3 * HOUR))  # due at eleven
    for hour in (0, 5, 7, 8):
        assert not shop.pass_to(midnight + hour * HOUR)
    (offer,) = shop.pass_to(midnight + 9 * HOUR)
    assert offer.due == midnight + 9 * HOUR


def test_what_has_no_moment_outside_quiet_hours_is_refused_by_the_rule() -> None:
    shop = Shop(REMINDER, policy=replace(AWAKE, quiet_from=22, quiet_until=7))
    shop.take(seen("pot", "anna", NOON))
    assert not shop.pass_to(NOON + 11 * HOUR)  # nothing passed until it was night again
    assert shop.tally["denied:quiet_hours"] == 1 + 3  # hers, and those of who passed


REFUSING: Final[dict[str, tuple[Campaign, dict[str, Any]]]] = {
    "holdout": (REMINDER, {"policy": replace(AWAKE, holdout=1.0)}),
    "offer_gap": (REMINDER, {"policy": replace(AWAKE, offer_gap=86_400.0)}),
    "frequency_cap": (REMINDER, {"policy": replace(AWAKE, offers_per_day=1)}),
    "out_of_stock": (REMINDER, {"catalog": {"pot": CatalogItem("pot", stock=0)}}),
    "margin_floor": (
        REMINDER._replace(discount=40),
        {"catalog": {"pot": CatalogItem("pot", price=1_000, margin=150)}},
    ),
    "not_in_campaign": (REMINDER._replace(categories=("shoes",)), {}),
    "audience": (REMINDER._replace(audience=Audience(members=frozenset({"bert"}))), {}),
    "campaign_not_running": (REMINDER._replace(hours=Hours(days=(5, 6))), {}),
    "budget": (REMINDER._replace(budget=Budget(Unit.OFFERS, 100)), {}),
}


@pytest.mark.parametrize("reason", REFUSING)
def test_every_rule_holds_for_it_and_is_counted(reason: str) -> None:
    campaign, world = REFUSING[reason]
    shop = Shop(campaign, **world)
    shop.take(seen("pot", "anna", NOON))
    before = shop.tally
    assert not shop.take(seen("x", "nobody", NOON + AFTER))
    now = shop.tally
    new = {name for name in now if now[name] > before.get(name, 0)}
    assert f"denied:{reason}" in new or {"denied:no_campaign", f"passed:{reason}"} <= new


def test_it_changes_nothing_for_events_and_events_nothing_for_it() -> None:
    shop = Shop(REMINDER, WIN_BACK)
    shop.take(seen("pot", "anna", NOON))
    assert shop.last is not None
    assert [offer.campaign_id for offer in shop.last.offers] == ["default"]
    assert not [name for name in shop.tally if name.startswith("passed:")]


def test_a_campaign_that_was_paused_or_taken_away_reminds_nobody() -> None:
    shop = Shop(REMINDER)
    shop.take(seen("pot", "anna", NOON), seen("pot", "bert", NOON))
    shop.partition.world = shop.world._replace(campaigns=(REMINDER._replace(active=False),))
    assert not shop.pass_to(NOON + AFTER)
    shop.partition.world = shop.world
    assert not shop.pass_to(NOON + AFTER + 10)


def test_a_campaign_that_begins_later_reaches_who_is_here_from_then_on() -> None:
    shop = Shop(WIN_BACK)
    shop.take(seen("pot", "anna", NOON))
    shop.partition.world = shop.world._replace(campaigns=(WIN_BACK, REMINDER))
    shop.take(seen("cup", "anna", NOON + 60 * SECOND))
    (offer,) = shop.pass_to(NOON + AFTER + 60 * SECOND)
    assert (offer.campaign_id, set(items_of(offer))) == ("rem", {"cup", "pot"})


def test_a_campaign_that_begins_later_reaches_whose_labels_are_still_waited_for() -> None:
    shop = Shop()
    shop.take(seen("pot", "anna", NOON))
    shop.partition.world = shop.world._replace(campaigns=(WIN_BACK,))
    shop.pass_to(NOON + patience(shop.world.settings) + 10)
    assert "anna" in shop.waiting()
    assert not shop.pass_to(NOON + IDLE - 10)
    assert [offer.campaign_id for offer in shop.pass_to(NOON + IDLE)] == ["win"]


def test_a_campaign_reaches_nobody_before_it_starts_or_after_it_ends() -> None:
    coming = REMINDER._replace(starts=NOON + HOUR, ends=NOON + 5 * HOUR)
    shop = Shop(coming)
    shop.take(seen("pot", "anna", NOON), seen("pot", "bert", NOON - 2 * HOUR))
    offers = [*shop.pass_to(NOON + SECOND), *shop.pass_to(NOON + AFTER)]
    assert [offer.customer_id for offer in offers] == ["anna"]
    shop.take(seen("cup", "carl", NOON + 4 * HOUR))
    assert not shop.pass_to(NOON + 7 * HOUR)


def test_its_purchase_and_its_campaigns_end_recall_it() -> None:
    for then in (a_purchase(AFTER // SECOND + 60, "anna", "pot"), None):
        shop = Shop(REMINDER)
        shop.take(seen("pot", "anna", NOON))
        (offer,) = shop.pass_to(NOON + AFTER)
        if then is None:
            shop.partition.world = shop.world._replace(campaigns=())
            then = seen("cup", "anna", NOON + AFTER + 60 * SECOND)
        shop.take(then)
        assert shop.last is not None
        recalls = [e.payload for _, e in shop.last.effects if e.kind == RECALL]
        assert [offer.offer_id.encode() in recall for recall in recalls] == [True]


def test_it_is_sent_again_with_the_event_that_brought_it_until_it_is_durable() -> None:
    shop = Shop(REMINDER)
    shop.take(seen("pot", "anna", NOON))
    shop.take(seen("x", "bert", NOON + AFTER))
    assert shop.last is not None
    sent = [(name, e.payload) for name, e in shop.last.effects if e.kind == OFFER]
    assert [name for name, _ in sent] == ["bert", "anna"]
    again = shop.partition.decide(Batch(shop.entries[-1:], NOTHING))
    assert [(name, e.payload) for name, e in again.effects if e.kind == OFFER] == sent
    shop.take(seen("y", "carl", NOON + AFTER + SECOND), durable=(1, -1, -1, -1))
    assert not shop.partition.ledger.owed


def test_an_erasure_takes_it_from_the_ledger_too() -> None:
    shop = Shop(REMINDER)
    shop.take(seen("pot", "anna", NOON))
    shop.take(seen("x", "bert", NOON + AFTER))
    assert [owed.customer_id for owed in shop.partition.ledger.owed] == ["anna"]
    shop.take(an_update(AFTER // SECOND + 1, "anna", erase=True))
    left = [owed.payload for owed in shop.partition.ledger.owed]
    assert left and all(left), "a recall is owed, and no offer"
    again = shop.partition.decide(Batch(shop.entries[1:2], NOTHING))
    assert [name for name, e in again.effects if e.kind == OFFER] == ["bert"]


def test_nobody_waits_in_a_calendar_where_no_campaign_asks() -> None:
    shop = Shop(Campaign("all", "All"))
    shop.take(seen("pot", "anna", NOON))
    shop.pass_to(NOON + 40 * DAY)
    assert not shop.partition.ledger.timer
    assert not [at for at in shop.partition.pages if at >= PAGES]


def test_a_bug_costs_the_moment_that_meets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def buggy(*_: Any) -> None:
        raise ZeroDivisionError

    shop = Shop(REMINDER)
    shop.take(seen("pot", "anna", NOON))
    monkeypatch.setattr("stream.decide.batch.come_due", buggy)
    assert not shop.pass_to(NOON + AFTER)
    assert shop.tally["rejected_moments"] == 1
    assert shop.waiting() == {"nobody"}
    monkeypatch.undo()
    assert not shop.pass_to(NOON + AFTER + DAY)


def test_its_evidence_makes_it_again_to_the_byte() -> None:
    shop = Shop(REMINDER, WIN_BACK, witness=Witness())
    shop.take(seen("pot", "anna", NOON), seen("cup", "anna", NOON + 60, action=CART))
    offers = [*shop.pass_to(NOON + AFTER + 60), *shop.pass_to(NOON + IDLE + 60)]
    assert [offer.campaign_id for offer in offers] == ["rem", "win"]
    assert shop.world.witness is not None
    packed = [encode_evidence(*one) for one in shop.world.witness.drain()]
    found = dict(decode_evidence(value) for _, value in packed)
    for offer in offers:
        evidence = found[offer.offer_id]
        again = decided_again(evidence)
        assert isinstance(again, Offer)
        assert encode_offer(again) == encode_offer(offer)
        assert told_again(evidence).campaigns[-1].campaign_id == offer.campaign_id


# --------------------------------------------------------------------------- random interleavings

STREAMS, BATCHES = 6, 10


def _cut(entries: Sequence[Entry], chance: Random) -> list[list[Entry]]:
    """The same records in other batches."""
    batches, at = list[list[Entry]](), 0
    while at < len(entries):
        size = chance.choice([1, 2, 7, 40])
        batches.append([*entries[at : at + size]])
        at += size
    return batches


def _drawn(seed: int) -> tuple[World, list[Entry]]:
    """A shop with timed campaigns, and a stream of all kinds of records."""
    chance = Random(seed)
    shop = drawn_shop(chance)
    timed = (
        Campaign("r1", "R", "reminder", wait=chance.choice([600_000, HOUR, 5 * HOUR]), priority=3),
        Campaign("r2", "R", "reminder", wait=DAY, discount=5, quiet=Hours(start=0, end=300)),
        Campaign("w1", "W", "win_back", wait=chance.choice([HOUR, DAY])),
    )
    world = shop._replace(campaigns=(*shop.campaigns, *timed)).world
    drawing = Drawing(chance)
    entries = [e for _ in range(BATCHES) for e in drawing.batch(Partition(world).ledger).entries]
    return world, entries


def _kept(partition: Partition) -> tuple[Any, ...]:
    records = sorted((k, v) for k, v in partition.records.items() if v is not None)
    pages = sorted((at, page) for at, page in partition.pages.items() if page)
    return partition.ledger, records, pages


def test_wherever_batches_end_the_same_offers_come_of_it(seed: int) -> None:
    begun = 0
    for number in range(seed, seed + STREAMS):
        world, entries = _drawn(number)
        chance, whole = Random(number), list[Any]()
        for batches in (_cut(entries, chance), [[one] for one in entries]):
            partition = Partition(world)
            decided = [partition.decide(Batch(batch, NOTHING)) for batch in batches]
            effects = [effect for one in decided for effect in one.effects]
            begun += sum(offer.due > 0 for one in decided for offer in one.offers)
            whole.append((effects, _kept(partition)))
        assert whole[0] == whole[1], f"stream {number}"
    assert begun > STREAMS, "timers begin offers"


def test_offers_follow_from_what_was_done_and_come_once(seed: int) -> None:
    for number in range(seed, seed + STREAMS):
        world, entries = _drawn(number)
        partition = Partition(world)
        offers = [
            offer
            for batch in _cut(entries, Random(number))
            for offer in partition.decide(Batch(batch, NOTHING)).offers
            if offer.due
        ]
        waits = {campaign.campaign_id: campaign.wait for campaign in world.campaigns}
        assert len({offer.offer_id for offer in offers}) == len(offers)
        touched = {
            (e.content.customer_id, e.content.item_id): e.content.time
            for e in entries
            if isinstance(e.content, Click)
        }
        for offer in offers:
            assert offer.due <= offer.issued
            wait = waits[offer.campaign_id]
            assert wait, "only a campaign of its own answers a timer"
            if offer.strategy == "reminder":
                for item in items_of(offer):
                    assert (offer.customer_id, item) in touched
