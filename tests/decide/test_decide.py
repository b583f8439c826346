"""The decision, stage by stage."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from stream.decide.example import Basket, Labelled, SessionStep
from stream.decide.policy import Denial
from stream.decide.rows.admission import Outcome
from stream.decide.rows.features import unpack
from stream.decide.rows.state import NEW_CUSTOMER, CustomerState
from stream.decide.world import Models, Unlearned, World
from stream.domain.event import Action, Campaign, CatalogItem, Event, Source, Trade
from stream.domain.offer import Origin
from stream.models.recommend.recommender import Ranked
from tests.builders import (
    DAY,
    HOUR,
    NOON,
    OPEN,
    SECOND,
    a_cause,
    a_click,
    a_purchase,
    a_world,
    an_impression,
    an_update,
    consent,
)
from tests.deciding import Step, decide

SOURCES = {"Click": 0, "Purchase": 1, "Feedback": 2, "CustomerUpdate": 3}


def take(events: list[Event], world: World, state: CustomerState = NEW_CUSTOMER) -> list[Step]:
    """Decide one event after the other; offsets count up, stream time follows."""
    steps = []
    stream_time = 0
    for offset, event in enumerate(events):
        source = Source(SOURCES[type(event).__name__])
        step = decide(state, event, a_cause(offset, source, stream_time), world)
        state = step.state or NEW_CUSTOMER
        stream_time = max(stream_time, event.time)
        steps.append(step)
    return steps


class Neighbours(Unlearned):
    """Knows of every item that ``others`` follow it."""

    def __init__(self, *others: str) -> None:
        super().__init__()
        self.others = others

    def recommend(
        self,
        items: Sequence[str],
        k: int,
        exclude: Collection[str],
        session: int,
        segment: int | None,
        newest: Iterable[str],
    ) -> list[Ranked]:
        return [
            Ranked(other, 1.0 / (n + 1), "next", "personal")
            for n, other in enumerate(self.others)
            if items and other not in exclude
        ][:k]


def test_a_click_is_answered_by_an_offer_that_says_why() -> None:
    world = a_world()._replace(models=Models(recommender=Neighbours("cup")))
    (step,) = take([a_click(item="tea")], world)
    (offer,) = step.offers
    reasons = {item.item_id: (item.origin, item.because) for item in offer.items}
    assert reasons["cup"] == (Origin.SESSION, "tea")
    assert offer.expires - offer.issued == HOUR
    assert offer.ladder == "personal"
    assert (offer.cause.source, offer.cause.offset) == (Source.CLICKS, 0)


def test_silence_of_consent_means_no_profile_and_no_offer() -> None:
    world = a_world(replace(OPEN, consent_default=False))
    (step,) = take([a_click()], world)
    assert step.outcome is Outcome.APPLIED
    assert step.denial is Denial.CONSENT
    assert not step.offers
    assert not step.examples
    assert step.state is not None
    assert step.state.profile == NEW_CUSTOMER.profile


def test_withdrawn_consent_forgets_the_profile_and_keeps_the_withdrawal() -> None:
    steps = take([a_click(0), an_update(1, consent=consent(False)), a_click(2)], a_world())
    last = steps[-1].state
    assert last is not None
    assert last.profile == NEW_CUSTOMER.profile
    assert last.permission.profiling is False
    assert steps[-1].denial is Denial.CONSENT


def test_an_erasure_leaves_nothing() -> None:
    steps = take([a_click(0), an_update(1, erase=True)], a_world())
    assert steps[-1].state is None


def test_the_same_event_id_again_changes_nothing() -> None:
    first, again = take([a_click(0), a_click(0)], a_world())
    assert again.outcome is Outcome.DUPLICATE
    assert again.state == first.state


def test_an_event_that_is_decided_anew_makes_an_offer_of_another_id() -> None:
    """Its customer was erased meanwhile, or its id is that of an order, too, or long forgotten."""
    made = [
        decide(NEW_CUSTOMER, a_click(0), cause, a_world()).offers[0].offer_id
        for cause in (a_cause(7), a_cause(7), a_cause(8), a_cause(7, Source.PURCHASES))
    ]
    assert made[0] == made[1]
    assert len({*made}) == 3


def test_an_event_beyond_the_grace_is_late_and_one_within_it_is_applied() -> None:
    steps = take(
        [a_click(0), a_click(1, time=NOON - 25 * HOUR), a_click(2, time=NOON - 23 * HOUR)],
        a_world(),
    )
    assert [step.outcome for step in steps] == [Outcome.APPLIED, Outcome.LATE, Outcome.APPLIED]


def test_a_flood_is_suppressed_and_a_pause_ends_it() -> None:
    world = a_world(replace(OPEN, events_burst=3, events_per_second=1.0))
    flood = [a_click(n, time=NOON) for n in range(5)]
    outcomes = [s.outcome for s in take([*flood, a_click(9, time=NOON + 60_000)], world)]
    assert outcomes[:3] == [Outcome.APPLIED] * 3
    assert outcomes[3:] == [Outcome.SUPPRESSED] * 2 + [Outcome.APPLIED]


def test_an_event_at_its_stamp_changes_nothing() -> None:
    first = decide(NEW_CUSTOMER, a_click(0), a_cause(7), a_world())
    assert first.state is not None
    again = decide(first.state, a_click(0), a_cause(7), a_world())
    assert again.outcome is Outcome.REPLAYED
    assert again.state == first.state


@pytest.mark.parametrize("words", [{"consent": consent(False)}, {"erase": True}])
def test_a_word_at_its_stamp_is_heard_once(words: dict[str, Any]) -> None:
    (known,) = take([a_click(0)], a_world())
    assert known.state is not None
    forged = structs.replace(known.state, stamps=(9, 9, 9, 9))
    word = an_update(1, **words)
    step = decide(forged, word, a_cause(7, Source.CUSTOMERS), a_world())
    assert step.outcome is Outcome.REPLAYED
    assert step.state is None or step.state.profile == NEW_CUSTOMER.profile
    assert (step.state is None) is ("erase" in words)
    if step.state is not None:
        again = decide(step.state, word, a_cause(7, Source.CUSTOMERS), a_world())
        assert again.state is step.state


def test_a_purchase_labels_the_exposure_with_the_features_it_had() -> None:
    clicked, bought = take([a_click(0), a_purchase(9)], a_world())
    assert clicked.state is not None
    (exposure,) = clicked.state.waiting.exposures
    shown = [e for e in clicked.examples if isinstance(e, Labelled)]
    labels = [e for e in bought.examples if isinstance(e, Labelled)]
    assert [(label.label, label.features) for label in shown] == [(0, exposure.features)]
    assert [(label.label, label.features) for label in labels] == [(1, exposure.features)]
    assert unpack([exposure.features]).shape == (1, 16)


def test_an_exposure_is_told_once_and_a_purchase_after_its_time_is_none_of_it() -> None:
    steps = take([a_click(0), a_click(1), a_purchase(2, time=NOON + 3 * DAY)], a_world())
    labels = [[e.label for e in s.examples if isinstance(e, Labelled)] for s in steps]
    assert labels == [[0], [], []]


def test_a_late_purchase_within_window_and_grace_still_counts() -> None:
    steps = take(
        [
            a_click(0),
            a_click(1, item="i2", time=NOON + 30 * HOUR),
            a_purchase(2, time=NOON + HOUR * 10),
        ],
        a_world(),
    )
    assert [e.label for e in steps[2].examples if isinstance(e, Labelled)] == [1]


def test_a_session_step_names_what_came_before_it_in_the_session() -> None:
    steps = take(
        [a_click(0, item="a"), a_click(1, item="b"), a_click(2, item="c", time=NOON + HOUR)],
        a_world(),
    )
    previous = [e.previous for s in steps for e in s.examples if isinstance(e, SessionStep)]
    assert previous == [(), ("a",), ()]


def test_a_basket_names_each_item_once() -> None:
    (step,) = take([a_purchase(0, "c1", "a", "b", "a")], a_world())
    assert [e.items for e in step.examples if isinstance(e, Basket)] == [("a", "b")]


def test_money_is_counted_by_currency_and_refunds_take_it_back() -> None:
    steps = take(
        [
            a_purchase(0),
            a_purchase(1, currency="JPY"),
            a_purchase(2, trade=Trade.REFUND),
        ],
        a_world(),
    )
    state = steps[-1].state
    assert state is not None
    assert dict(state.profile.spent) == {"EUR": 0, "JPY": 1_000}
    assert (state.profile.orders, state.profile.refunds, state.profile.units) == (2, 1, 1)


def test_one_offer_a_visit_then_the_gap_is_the_reason() -> None:
    steps = take([a_click(0), a_click(1, item="i2")], a_world())
    assert [len(s.offers) for s in steps] == [1, 0]
    assert steps[1].denial is Denial.OFFER_GAP


def test_the_frequency_cap_counts_what_was_seen_and_what_still_may_be() -> None:
    policy = replace(OPEN, offers_per_day=2, offer_gap=0.0, offer_ttl=60.0)
    world = a_world(policy)
    first = take([a_click(0)], world)[0].offers[0].offer_id
    later = [a_click(n, item="i2", time=NOON + n * 10 * 60 * SECOND) for n in (1, 2, 3)]
    unreported = take([a_click(0), *later], world)
    assert [len(s.offers) for s in unreported] == [1, 1, 0, 0]
    assert unreported[2].denial is Denial.FREQUENCY_CAP
    reported = take([a_click(0), an_impression(1, first), *later], world)
    assert [len(s.offers) for s in reported] == [1, 0, 1, 1, 1]  # the others were never seen
    at_once = take([a_click(n, item="i2") for n in range(3)], world)
    assert [len(s.offers) for s in at_once] == [1, 1, 0]  # both may still be seen


def test_an_impression_exposes_the_items_of_the_offer() -> None:
    world = a_world()._replace(models=Models(recommender=Neighbours("cup")))
    offered = take([a_click(0, item="tea")], world)[0].offers[0]
    steps = take(
        [a_click(0, item="tea"), an_impression(1, offered.offer_id), a_purchase(2, "c1", "cup")],
        world,
    )
    labels = [e.label for e in steps[2].examples if isinstance(e, Labelled)]
    assert labels == [1]


@pytest.mark.parametrize(("hour", "quiet"), [(22, True), (3, True), (7, False), (21, False)])
def test_offers_rest_in_quiet_hours(hour: int, quiet: bool) -> None:
    time = NOON - 12 * HOUR + hour * HOUR
    (step,) = take([a_click(0, time=time)], a_world())
    assert (step.denial is Denial.QUIET_HOURS) is quiet


def test_the_holdout_gets_no_offer_and_is_about_as_large_as_said() -> None:
    world = a_world(replace(OPEN, holdout=0.3))
    denied = [
        take([a_click(0, customer=f"c{n}")], world)[0].denial is Denial.HOLDOUT for n in range(400)
    ]
    assert 0.2 < sum(denied) / 400 < 0.4


def test_the_campaign_of_highest_priority_that_fits_is_chosen() -> None:
    world = a_world()._replace(
        campaigns=(
            Campaign("vip", "VIP", priority=9, segments=(5,)),
            Campaign("spring", "Spring", priority=5, discount=10),
            Campaign("rest", "Rest"),
        )
    )
    offer = take([a_click(0)], world)[0].offers[0]
    assert (offer.campaign_id, offer.discount) == ("spring", 10)


def test_no_campaign_that_fits_is_a_reason() -> None:
    world = a_world()._replace(campaigns=(Campaign("old", "Old", ends=NOON - DAY),))
    assert take([a_click(0)], world)[0].denial is Denial.NO_CAMPAIGN


def test_what_is_out_of_stock_or_bought_is_not_offered() -> None:
    catalog = {"cup": CatalogItem("cup", stock=0), "pot": CatalogItem("pot", stock=1)}
    world = a_world()._replace(models=Models(recommender=Neighbours("cup", "pot")), catalog=catalog)
    offer = take([a_click(0, item="tea")], world)[0].offers[0]
    assert {item.item_id for item in offer.items} == {"pot"}
    nothing_new = a_world(replace(OPEN, offer_gap=0.0))._replace(newest=())
    steps = take([a_click(0, item="tea"), a_purchase(1, "c1", "tea")], nothing_new)
    assert steps[1].denial is Denial.NO_CANDIDATE


def offered_in(step: Step) -> list[str]:
    """The items of the one offer of a step."""
    (offer,) = step.offers
    return [item.item_id for item in offer.items]


def test_what_is_on_the_screen_leads_to_others_and_is_not_offered() -> None:
    world = a_world(replace(OPEN, offer_gap=0.0))
    world = world._replace(models=Models(recommender=Neighbours("tea", "cup")))
    viewed, carted = take([a_click(0, item="tea"), a_click(1, item="cup")], world)
    assert offered_in(viewed) == ["cup"]
    assert offered_in(carted) == ["tea"]  # which was looked at before


def test_what_waits_in_the_cart_is_not_offered_until_the_session_is_over() -> None:
    world = a_world(replace(OPEN, offer_gap=0.0))._replace(newest=())
    steps = take(
        [
            a_click(0, item="tea", action=Action.ADD_TO_CART),
            a_click(1, item="tea"),
            a_click(2, item="cup"),
            a_click(3, item="pot", time=NOON + 2 * HOUR),
        ],
        world,
    )
    assert [step.denial for step in steps[:3]] == [Denial.ON_SCREEN] * 3
    assert set(offered_in(steps[3])) == {"tea", "cup"}


def test_what_was_taken_out_of_the_cart_may_be_offered() -> None:
    steps = take(
        [
            a_click(0, item="tea", action=Action.ADD_TO_CART),
            a_click(1, item="tea", action=Action.REMOVE_FROM_CART),
            a_click(2, item="cup"),
        ],
        a_world(replace(OPEN, offer_gap=0.0))._replace(newest=()),
    )
    assert offered_in(steps[2]) == ["tea"]


def test_a_cold_start_goes_down_the_ladder_by_name() -> None:
    world = a_world()._replace(newest=("fresh",))
    (step,) = take([a_purchase(0)], world)
    assert [(o.ladder, o.items[0].origin) for o in step.offers] == [("new", Origin.NEW)]


def test_a_removal_from_the_cart_is_no_moment_for_an_offer() -> None:
    steps = take(
        [a_click(0, action=Action.ADD_TO_CART), a_click(1, action=Action.REMOVE_FROM_CART)],
        a_world(replace(OPEN, offer_gap=0.0)),
    )
    assert not steps[1].offers
    assert steps[1].denial is None
    assert steps[1].state is not None
    assert steps[1].state.profile.carts == 0


# ------------------------------------------------------------------------------- without learning


def test_where_nobody_learns_nothing_is_taught_and_nothing_waits() -> None:
    world = a_world()._replace(learning=False)
    events = [a_click(0), a_click(1, item="b"), a_purchase(2, time=NOON + HOUR)]
    steps = take(events, world)
    assert all(step.examples == () for step in steps)
    assert steps[0].offers
    last = steps[-1].state
    assert last is not None
    assert last.waiting == NEW_CUSTOMER.waiting
    assert last.profile.orders == 1


def test_what_waited_is_dropped_when_learning_is_turned_off() -> None:
    (before,) = take([a_click(0)], a_world())
    assert before.state is not None
    assert before.state.waiting.exposures
    cause = a_cause(1, Source.CLICKS, NOON)
    after = decide(before.state, a_click(1, item="b"), cause, a_world()._replace(learning=False))
    assert after.state is not None
    assert after.state.waiting == NEW_CUSTOMER.waiting
