"""Laws of what follows an offer: caps, rests, feedback and recalls, in batches of any size."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from stream.config import CoreSettings
from stream.decide.ledger import OFFER, RECALL, Entry
from stream.decide.world import World
from stream.domain.event import Campaign, Event, Purchase, Response, Source
from tests.builders import (
    DAY,
    HOUR,
    NOON,
    OPEN,
    SECOND,
    a_click,
    a_purchase,
    an_impression,
    an_update,
    consent,
)
from tests.properties.test_event_codec_laws import SOURCES
from tests.tableless import Tableless

ITEMS: Final = tuple(f"i{n}" for n in range(8))
ENDS: Final = NOON + 3 * HOUR
CAMPAIGNS: Final = (
    Campaign("brief", "Until three", priority=2, ends=ENDS),
    Campaign("rest", "For ever"),
)
POLICY: Final = replace(OPEN, offer_gap=0.0, offers_per_day=3, quiet_from=0, quiet_until=0, slate=3)
RESPONSES: Final = {
    "see": Response.IMPRESSION,
    "open": Response.CLICK,
    "dismiss": Response.DISMISS,
}

kinds = st.sampled_from(
    ["click"] * 8 + ["see", "see", "open", "dismiss", "stray", "buy", "buy", "no", "yes", "erase"]
)
jumps = st.sampled_from([SECOND, SECOND, 60 * SECOND, 20 * 60 * SECOND, HOUR, 7 * HOUR])
customers = st.sampled_from(["c0", "c1", "c2"])
steps = st.lists(
    st.tuples(kinds, customers, st.sampled_from(ITEMS), jumps, st.integers(0, 5)), max_size=60
)


class Told:
    """A partition that is told events, and what it said of each."""

    def __init__(
        self, campaigns: tuple[Campaign, ...] = (), batch: int = 1, **policy: float
    ) -> None:
        settings = CoreSettings(policy=replace(POLICY, **policy))
        self.partition = Tableless(World(settings, campaigns=campaigns, newest=ITEMS))
        self.events: list[Event] = []
        self.offers: list[dict[str, object]] = []
        self.recalls: list[dict[str, object]] = []
        self.tally: defaultdict[str, int] = defaultdict(int)
        self._batch, self._waiting = batch, list[Entry]()
        self._offsets = defaultdict[Source, int](int)

    def take(self, event: Event) -> None:
        """Take an event, perhaps with later ones."""
        source = SOURCES[type(event)]
        self.events.append(event)
        self._waiting.append(Entry(source, self._offsets[source], event))
        self._offsets[source] += 1
        if len(self._waiting) >= self._batch:
            self.decide()

    def decide(self) -> None:
        """Decide what waits."""
        decided = self.partition.decide(self._waiting)
        self._waiting = []
        for name, number in decided.tally.items():
            self.tally[name] += number
        for _, effect in decided.effects:
            if effect.kind in (OFFER, RECALL):
                into = self.offers if effect.kind == OFFER else self.recalls
                into.append(json.loads(effect.payload))

    def of(self, customer: str) -> list[dict[str, object]]:
        """The offers of a customer so far."""
        return [offer for offer in self.offers if offer["customer_id"] == customer]


def tell(told: Told, chosen: Sequence[tuple[str, str, str, int, int]]) -> None:
    """Tell a history, in which feedback is about offers that were made."""
    time = NOON
    for n, (kind, customer, item, jump, which) in enumerate(chosen):
        time += jump
        made = told.of(customer)
        if kind == "click":
            told.take(a_click(n, customer, item, time=time))
        elif kind == "buy":
            told.take(a_purchase(n, customer, item, time=time))
        elif kind in ("no", "yes"):
            told.take(an_update(n, customer, consent=consent(kind == "yes"), time=time))
        elif kind == "erase":
            told.take(an_update(n, customer, erase=True, time=time))
        elif kind == "stray":
            told.take(an_impression(n, f"{n:032x}", customer, time=time))
        elif made:
            offer = str(made[-1 - which % len(made)]["offer_id"])
            told.take(an_impression(n, offer, customer, time=time, response=RESPONSES[kind]))
    told.decide()


# --------------------------------------------------------------------------------------------- caps


@given(steps)
def test_nobody_sees_more_offers_in_a_day_than_the_cap(
    chosen: list[tuple[str, str, str, int, int]],
) -> None:
    """If they are seen before they expire: each is seen at once here, or never."""
    told = Told(rest_customer=0.0, rest_item=0.0)
    seen: defaultdict[str, list[int]] = defaultdict(list)
    time = NOON
    for n, (kind, customer, item, jump, _) in enumerate(chosen):
        time += jump
        before = len(told.offers)
        told.take(a_click(n, customer, item, time=time))
        if len(told.offers) > before and kind != "click":
            offer = str(told.offers[-1]["offer_id"])
            told.take(an_impression(1_000 + n, offer, customer, time=time))
            seen[customer].append(time)
    for times in seen.values():
        for time in times:
            assert sum(time - DAY < other <= time for other in times) <= 3


@given(st.integers(1, 5), st.lists(jumps, min_size=1, max_size=40))
def test_where_nobody_reports_what_was_seen_caps_count_what_was_made(
    cap: int, waits: list[int]
) -> None:
    told, time = Told(offers_per_day=cap, rest_item=0.0), NOON
    made: list[int] = []
    for n, jump in enumerate(waits):
        time += jump
        before = len(told.offers)
        told.take(a_click(n, item=ITEMS[n % 8], time=time))
        made += [time] * (len(told.offers) - before)
    for time in made:
        assert sum(time - DAY < other <= time for other in made) <= cap


# ----------------------------------------------------------------------------------------- feedback


@given(steps, st.integers(1, 5))
def test_feedback_about_no_offer_of_the_customers_is_counted_and_changes_nothing(
    chosen: list[tuple[str, str, str, int, int]], batch: int
) -> None:
    told = Told(CAMPAIGNS, batch)
    tell(told, chosen)
    time = max([event.time for event in told.events], default=NOON)
    strangers = [o for o in told.offers if o["customer_id"] != "c0"]
    ids = ["banner", "0" * 32, *[str(offer["offer_id"]) for offer in strangers]]
    before, tally = told.partition.states.get("c0"), dict(told.tally)
    for n, offer in enumerate(ids):
        for k, response in enumerate(Response):
            event = an_impression(10_000 + 3 * n + k, offer, "c0", time=time, response=response)
            told.take(event)
    told.decide()
    applied = told.tally["applied"] - tally.get("applied", 0)
    assert told.tally["unknown_offer"] - tally.get("unknown_offer", 0) == applied
    after = told.partition.states.get("c0")
    if before is not None and after is not None:
        assert after.delivery == before.delivery
        assert after.history == before.history
        assert len(after.waiting.exposures) <= len(before.waiting.exposures)


@given(steps, st.integers(1, 5))
def test_what_a_customer_dismissed_rests(
    chosen: list[tuple[str, str, str, int, int]], batch: int
) -> None:
    """The customer for a day, the campaign for a week, the item for a month."""
    told = Told(CAMPAIGNS, 1)
    tell(told, [one for one in chosen if one[0] not in ("no", "erase")])
    offers = {str(offer["offer_id"]): offer for offer in told.offers}
    for event in told.events:
        response = getattr(event, "response", None)
        if response is not Response.DISMISS:
            continue
        known = told.partition.states[event.customer_id]
        assert known is not None
        dismissed = offers[event.offer_id]  # type: ignore[union-attr]
        for offer in known.delivery.made:
            after = offer.time - event.time
            assert not 0 < after < DAY
            assert not 0 < after < 7 * DAY or offer.campaign_id != dismissed["campaign_id"]


def test_an_item_that_was_dismissed_alone_rests_and_the_others_do_not() -> None:
    told = Told(rest_customer=0.0)
    told.take(a_click(0))
    (offer,) = told.offers
    first = offer["items"][0]["product_id"]  # type: ignore[index]
    no = Response.DISMISS
    said = an_impression(1, str(offer["offer_id"]), item_id=first, response=no)
    told.take(said)
    for n in range(2, 12):
        told.take(a_click(n, item="i1", time=NOON + n * 3 * HOUR))
    later = {i["product_id"] for o in told.offers[1:] for i in o["items"]}  # type: ignore[attr-defined]
    assert first not in later and len(later) > 1


def test_a_click_on_an_offer_counts_once_and_its_item_is_one_that_was_looked_at() -> None:
    told = Told()
    told.take(a_click(0))
    (offer,) = told.offers
    item = offer["items"][1]["product_id"]  # type: ignore[index]
    for n in (1, 2):
        clicked = Response.CLICK
        told.take(an_impression(n, str(offer["offer_id"]), item_id=item, response=clicked))
    state = told.partition.states["c1"]
    assert state is not None
    assert (state.delivery.offers_clicked, state.delivery.offers_shown) == (1, 1)
    assert [touch.item_id for touch in state.history.recent] == ["i1", item, item]
    assert {e.item_id for e in state.waiting.exposures} >= {item}  # it was seen, so it waits


# ------------------------------------------------------------------------------------------ recalls


@given(steps, st.integers(1, 7))
def test_an_offer_is_recalled_by_the_first_record_that_ends_it_and_by_no_other(
    chosen: list[tuple[str, str, str, int, int]], batch: int
) -> None:
    one, many = Told(CAMPAIGNS, 1), Told(CAMPAIGNS, batch)
    tell(one, chosen)
    for event in one.events:
        many.take(event)
    many.decide()
    assert (many.offers, many.recalls) == (one.offers, one.recalls)
    assert many.tally == one.tally
    assert [r["offer_id"] for r in one.recalls] == list({r["offer_id"]: 0 for r in one.recalls})
    assert expected_recalls(one) == {
        (r["offer_id"], r["reason"], r["recalled_at"]) for r in one.recalls
    }


def expected_recalls(told: Told) -> set[tuple[object, object, object]]:
    """By hand, of the events and the offers alone: which offers end, why, and when."""
    found: set[tuple[object, object, object]] = set()
    clicks = [e for e in told.events if SOURCES[type(e)] is Source.CLICKS]
    orders = [e for e in told.events if SOURCES[type(e)] is Source.PURCHASES]
    causes: dict[object, list[Event]] = {"clicks": clicks, "purchases": orders}
    for offer in told.offers:
        place = offer["source"]
        cause = causes[place["topic"]][place["offset"]]  # type: ignore[index]
        items = {i["product_id"] for i in offer["items"]}  # type: ignore[attr-defined]
        for event in told.events[told.events.index(cause) + 1 :]:
            if event.customer_id != cause.customer_id or event.time >= cause.time + HOUR:
                continue
            said, reason = event.consent, None
            if getattr(event, "erase", False) or (said is not None and said.offers is False):
                reason = "withdrawal"
            elif isinstance(event, Purchase) and items & {line.item_id for line in event.lines}:
                reason = "purchase"
            if reason is None and offer["campaign_id"] == "brief" and event.time >= ENDS:
                reason = "campaign_ended"
            if reason is not None:
                found.add((offer["offer_id"], reason, event.time))
            is_no = getattr(event, "response", None) is Response.DISMISS
            if reason is not None or (is_no and event.offer_id == offer["offer_id"]):
                break
    return found


def test_a_recall_is_the_same_bytes_as_its_contract() -> None:
    told = Told()
    told.take(a_click(0))
    told.take(a_purchase(1, "c1", str(told.offers[0]["items"][0]["product_id"])))  # type: ignore[index]
    assert told.recalls == [
        {
            "schema_version": 1,
            "recalled": True,
            "offer_id": told.offers[0]["offer_id"],
            "customer_id": "c1",
            "recalled_at": NOON + SECOND,
            "reason": "purchase",
        }
    ]
