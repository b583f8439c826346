"""Laws of the decision: what holds for every history of every customer, whatever the models say."""

from __future__ import annotations

import copy
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import msgpack, structs

from stream.codec.customers import decode_state, encode_state
from stream.codec.examples import encode_examples
from stream.codec.offers import encode_offer
from stream.codec.snapshots.snapshot import fingerprint
from stream.config import CoreSettings, LearningSettings, PolicySettings
from stream.decide.ledger import Entry, Ledger
from stream.decide.policy import CONTROL, arm_of, by_priority
from stream.decide.rows.admission import Outcome
from stream.decide.rows.layout import ENTRY_SIZE, MADE_SIZE, TRAITS
from stream.decide.rows.state import NEW_CUSTOMER, Admission, CustomerState
from stream.decide.rows.traits import MOST
from stream.decide.world import World
from stream.domain.event import (
    Action,
    Campaign,
    CatalogItem,
    Consent,
    Event,
    Line,
    Rejection,
    RejectionCode,
    Source,
    Trade,
)
from stream.domain.offer import Cause, Offer
from stream.learn.learner import Learner
from tests.builders import (
    DAY,
    HOUR,
    NOON,
    OPEN,
    SECOND,
    a_cause,
    a_click,
    a_purchase,
    an_impression,
    an_update,
)
from tests.deciding import Step, decide
from tests.properties.test_event_codec_laws import SOURCES
from tests.properties.test_event_codec_laws import events as any_events
from tests.tableless import Tableless

CAPPED = replace(OPEN, offers_per_day=2, offer_gap=0.0, holdout=0.3, exploration=0.3)
CAMPAIGNS = by_priority(
    (
        Campaign("once", "Once a day", priority=3, daily_cap=1, discount=10),
        Campaign("tea", "For tea alone", priority=2, categories=("tea",)),
        Campaign("later", "From tomorrow on", priority=5, starts=NOON + DAY),
        Campaign("rest", "For all others", segments=()),
    )
)
CATALOG = {
    f"i{n}": CatalogItem(f"i{n}", category=f"k{n % 3}", price=100 * n, stock=n, added=NOON + n)
    for n in range(6)
}

# ---------------------------------------------------------------------------------------- histories

customers = st.sampled_from([f"c{n}" for n in range(6)])
items = st.sampled_from([f"i{n}" for n in range(9)])
jumps = st.sampled_from([0, SECOND, SECOND, 60 * SECOND, HOUR, 26 * HOUR, -HOUR, -30 * HOUR])
said = st.sampled_from([None, None, Consent(True, True), Consent(True, False), Consent(False)])
kinds = st.sampled_from(
    ["click"] * 8 + ["cart", "buy", "buy", "refund", "shown", "update", "erase"]
)
choices = st.lists(st.tuples(kinds, customers, items, jumps, said), max_size=60)


def a_history(chosen: Sequence[tuple[str, str, str, int, Consent | None]]) -> list[Event]:
    """Events of a few customers, mostly in the order of time."""
    time, events = NOON, list[Event]()
    for n, (kind, customer, item, jump, consent) in enumerate(chosen):
        time = max(time, time + jump)
        at = {"time": time + min(jump, 0), "consent": consent}
        if kind == "buy":
            events.append(a_purchase(n, customer, item, **at))
        elif kind == "refund":
            events.append(a_purchase(n, customer, item, trade=Trade.REFUND, **at))
        elif kind == "shown":
            events.append(an_impression(n, f"offer-{n}", customer, **at))
        elif kind in ("update", "erase"):
            events.append(an_update(n, customer, erase=kind == "erase", **at))
        else:
            action = Action.ADD_TO_CART if kind == "cart" else Action.VIEW
            category = f"k{int(item[1:]) % 3}"
            events.append(a_click(n, customer, item, action=action, category=category, **at))
    return events


histories = choices.map(a_history)


def entries_of(events: Sequence[Event | Rejection]) -> list[Entry]:
    """Events as records of their topics; refusals stand among the clicks."""
    counted: Counter[Source] = Counter()
    entries = []
    for event in events:
        source = SOURCES.get(type(event), Source.CLICKS)  # type: ignore[call-overload]
        entries.append(Entry(source, counted[source], event))
        counted[source] += 1
    return entries


@cache
def learned() -> World:
    """A world that has learned from a few thousand events, so that every source has candidates."""
    chance = random.Random(7)
    learner = Learner(LearningSettings(propensity_bits=12, step=8, segments=3), seed=1)
    world = World(settings=CoreSettings(policy=OPEN))
    chosen = [
        (
            chance.choice(["click", "click", "click", "cart", "buy"]),
            f"c{chance.randrange(30)}",
            f"i{chance.randrange(9)}",
            60 * SECOND,
            None,
        )
        for _ in range(2_000)
    ]
    states: dict[str, CustomerState] = {}
    for offset, event in enumerate(a_history(chosen)):
        source = SOURCES[type(event)]
        known = states.get(event.customer_id, NEW_CUSTOMER)
        step = decide(known, event, Cause(source, 0, offset, event.time), world)
        states[event.customer_id] = step.state or NEW_CUSTOMER
        learner.learn(f"{int(source)}/0", offset, step.examples)
    return World(catalog=CATALOG, models=learner.models())


def a_world(policy: PolicySettings, campaigns: tuple[Campaign, ...] = ()) -> World:
    """The learned world under a policy."""
    newest = tuple(sorted(CATALOG, reverse=True))
    return learned()._replace(
        settings=CoreSettings(policy=policy), campaigns=campaigns, newest=newest
    )


def fold(events: Sequence[Event], world: World) -> list[tuple[Event, Step]]:
    """Decide one event after the other as a partition does, each with its step."""
    states: dict[str, CustomerState] = {}
    steps = []
    stream_time = 0
    for entry in entries_of(events):
        source, offset, event = entry.source, entry.offset, entry.content
        assert not isinstance(event, Rejection)
        assert event is not None
        known = states.get(event.customer_id, NEW_CUSTOMER)
        step = decide(known, event, Cause(source, 0, offset, stream_time), world)
        states[event.customer_id] = step.state or CustomerState(erased=event.time)
        if step.outcome is Outcome.APPLIED:
            stream_time = max(stream_time, event.time)
        steps.append((event, step))
    return steps


def offers_of(steps: Sequence[tuple[Event, Step]]) -> list[Offer]:
    return [offer for _, step in steps for offer in step.offers]


# ------------------------------------------------------------------------------------------- replay


@given(histories)
def test_the_same_history_decides_the_same(events: list[Event]) -> None:
    world = a_world(CAPPED, CAMPAIGNS)
    first, again = fold(events, world), fold(events, world)
    assert first == again
    assert list(map(encode_offer, offers_of(first))) == list(map(encode_offer, offers_of(again)))


@given(histories)
def test_a_state_that_was_stored_decides_as_one_that_was_kept(events: list[Event]) -> None:
    world = a_world(CAPPED, CAMPAIGNS)
    kept, stored = NEW_CUSTOMER, NEW_CUSTOMER
    for entry in entries_of(events):
        source, offset, event = entry.source, entry.offset, entry.content
        cause = Cause(source, 0, offset, NOON)
        assert event is not None
        assert not isinstance(event, Rejection)
        one, other = decide(kept, event, cause, world), decide(stored, event, cause, world)
        assert one == other
        kept = one.state or NEW_CUSTOMER
        stored = decode_state(encode_state(other.state or NEW_CUSTOMER))
        assert stored == kept


@given(histories, st.randoms(use_true_random=False))
def test_a_partition_decides_the_same_in_batches_of_any_size(
    events: list[Event], chance: random.Random
) -> None:
    world = a_world(CAPPED, CAMPAIGNS)
    entries = entries_of(events)

    def decided(sizes: random.Random | None) -> tuple[Ledger, dict[str, bytes | None], list[bytes]]:
        partition, at = Tableless(world), 0
        while at < len(entries):
            size = sizes.randint(1, 9) if sizes else 1
            partition.decide(entries[at : at + size])
            at += size
        states = partition.states.items()
        final = {name: None if state is None else encode_state(state) for name, state in states}
        return partition.ledger, final, [effect.payload for effect in partition.effects]

    assert decided(chance) == decided(None)


@given(histories)
def test_an_event_again_changes_nothing_and_sends_the_same(events: list[Event]) -> None:
    world = a_world(CAPPED, CAMPAIGNS)
    state = NEW_CUSTOMER
    for entry in entries_of(events):
        source, offset, event = entry.source, entry.offset, entry.content
        assert event is not None
        assert not isinstance(event, Rejection)
        cause = Cause(source, 0, offset, NOON)
        step = decide(state, event, cause, world)
        if step.outcome in (Outcome.APPLIED, Outcome.SUPPRESSED) and step.state is not None:
            again = decide(step.state, event, cause, world)
            is_stamped = step.state.stamps != state.stamps  # a no from before an erasure is not
            assert is_stamped or step.state is state or event.time <= state.erased
            assert again.outcome is (Outcome.REPLAYED if is_stamped else step.outcome)
            assert again.state == step.state
            assert (again.offers, again.examples) == ((), ())
        state = step.state or NEW_CUSTOMER


# ------------------------------------------------------------------------------------------- policy


@given(histories, st.integers(1, 40), st.integers(0, 3))
def test_no_cap_is_ever_passed(events: list[Event], per_day: int, gap: int) -> None:
    """Every offer is shown at once, so what was offered is what was seen."""
    policy = replace(CAPPED, offers_per_day=per_day, offer_gap=60.0 * gap, holdout=0.0)
    world = a_world(policy, CAMPAIGNS)
    made: defaultdict[str, list[Offer]] = defaultdict(list)
    for offer in shown_at_once([e for e in events if not getattr(e, "erase", False)], world):
        made[offer.customer_id].append(offer)
    for offers in made.values():
        for n, offer in enumerate(offers):
            day = [o for o in offers[: n + 1] if o.issued > offer.issued - DAY]
            assert len(day) <= per_day
            assert sum(o.campaign_id == "once" for o in day) <= 1
            assert n == 0 or offer.issued - offers[n - 1].issued >= 60_000 * gap


def shown_at_once(events: Sequence[Event], world: World) -> list[Offer]:
    """The offers of a history in which each is followed by its impression."""
    states: dict[str, CustomerState] = {}
    offers: list[Offer] = []
    now = 0
    for offset, event in enumerate(events):
        known = states.get(event.customer_id, NEW_CUSTOMER)
        step = decide(known, event, Cause(SOURCES[type(event)], 0, offset, now), world)
        now = max(now, event.time) if step.outcome is Outcome.APPLIED else now
        state = step.state or NEW_CUSTOMER
        for offer in step.offers:
            offers.append(offer)
            seen = an_impression(offset, offer.offer_id, event.customer_id, time=offer.issued)
            cause = Cause(Source.FEEDBACK, 0, len(events) + offset, now)
            state = decide(state, seen, cause, world).state or NEW_CUSTOMER
        states[event.customer_id] = state
    return offers


@given(st.integers(1, 60))
@example(9)
@example(50)
def test_a_cap_holds_however_high_it_is(cap: int) -> None:
    often = replace(OPEN, offer_gap=0.0, offers_per_day=cap, events_burst=1_000)
    clicks = [a_click(n, item=f"i{n % 9}") for n in range(100)]
    assert len(shown_at_once(clicks, a_world(often))) <= cap
    campaign = Campaign("capped", "Capped", daily_cap=cap)
    often = replace(often, offers_per_day=1_000)
    assert len(shown_at_once(clicks, a_world(often, (campaign,)))) <= cap


@given(histories, st.floats(0, 1))
def test_a_holdout_customer_never_gets_an_offer(events: list[Event], share: float) -> None:
    policy = replace(CAPPED, holdout=share)
    world = a_world(policy, CAMPAIGNS)
    held = {c for c in (f"c{n}" for n in range(6)) if arm_of(c, 20_240_601, policy) == CONTROL}
    for offer in offers_of(fold(events, world)):
        assert offer.customer_id not in held
        assert offer.arm != CONTROL


@given(st.text(min_size=1), st.integers(0, 2**63 - 1), st.floats(0, 1), st.floats(0, 1))
def test_an_assignment_never_moves(customer: str, seed: int, one: float, other: float) -> None:
    """It is the customer's alone; and a larger holdout keeps all who were in the smaller."""
    low, high = sorted((one, other))
    arms = [arm_of(customer, seed, replace(CAPPED, holdout=share)) for share in (low, high)]
    assert arms != [CONTROL, "offer"]
    assert arm_of(customer, seed, replace(OPEN, holdout=low, slate=1, exploration=1.0)) == arms[0]
    assert arm_of(customer, seed, replace(CAPPED, holdout=1.0)) == CONTROL


@given(histories)
def test_without_consent_there_is_no_offer_no_lesson_and_no_profile(events: list[Event]) -> None:
    """Consent is what was said last, by the time of events; of what is said at once, the no."""
    world = a_world(replace(CAPPED, consent_default=False, holdout=0.0), CAMPAIGNS)
    said: defaultdict[tuple[str, str], list[tuple[int, bool]]] = defaultdict(list)
    now = 0

    def allows(who: str, purpose: str) -> bool:
        words = said[who, purpose]
        return bool(words) and max(words, key=lambda word: (word[0], not word[1]))[1]

    for event, step in fold(events, world):
        who = event.customer_id
        for purpose in ("profiling", "offers"):
            word = getattr(event.consent, purpose, None)
            if word is False or (word and event.time >= now - DAY):
                said[who, purpose].append((event.time, word))
            if getattr(event, "erase", False):
                said[who, "erased"].append((event.time, True))
            erased = max((time for time, _ in said[who, "erased"]), default=0)
            said[who, purpose] = [one for one in said[who, purpose] if one[0] > erased]
        if step.outcome is Outcome.APPLIED:
            now = max(now, event.time)
        if not (allows(who, "profiling") and allows(who, "offers")):
            assert step.offers == ()
        if not allows(who, "profiling"):
            assert step.examples == ()
            assert step.state is None or step.state.profile == NEW_CUSTOMER.profile


@given(histories)
def test_an_offer_holds_nothing_that_is_on_the_screen(events: list[Event]) -> None:
    """Neither what its event shows, nor what was put into the cart in the open session."""
    for event, step in fold(events, a_world(CAPPED)):
        items = {item.item_id for offer in step.offers for item in offer.items}
        assert getattr(event, "item_id", None) not in items
        if items and step.state is not None:
            start, recent = step.state.history.session_start, step.state.history.recent
            assert not items & {t.item_id for t in recent if t.weight == 2 and t.time >= start}


@given(histories)
def test_an_offer_holds_nothing_that_was_bought_or_is_out_of_stock(events: list[Event]) -> None:
    world = a_world(CAPPED, CAMPAIGNS)
    bought: defaultdict[str, set[str]] = defaultdict(set)
    for event, step in fold(events, world):
        who = event.customer_id
        if step.outcome is Outcome.APPLIED:
            if getattr(event, "erase", False) or step.state is None:
                bought.pop(who, None)
            if getattr(event, "trade", None) is Trade.PURCHASE and step.state is not None:
                bought[who] |= {item for item, _ in step.state.history.bought}
            if event.consent is not None and event.consent.profiling is False:
                bought.pop(who, None)
        for offer in step.offers:
            names = [item.item_id for item in offer.items]
            assert 1 <= len(names) == len(set(names)) <= world.settings.policy.slate
            assert not bought[who] & set(names)
            assert "i0" not in names  # out of stock
            assert 0 < offer.assignment_probability <= 1
            assert all(0 <= item.propensity <= 1 for item in offer.items)


# --------------------------------------------------------------------------------------- the record


@settings(max_examples=300)
@given(st.lists(any_events, max_size=12))
def test_no_valid_event_makes_the_decision_raise_or_the_record_unreadable(
    events: list[Event],
) -> None:
    world = a_world(CAPPED, CAMPAIGNS)
    state, stream_time = NEW_CUSTOMER, 0
    for entry in entries_of(events):
        source, offset, event = entry.source, entry.offset, entry.content
        assert event is not None
        assert not isinstance(event, Rejection)
        before = copy.deepcopy(state)
        step = decide(state, event, Cause(source, 0, offset, stream_time), world)
        assert state == before  # nothing is mutated
        assert decide(state, event, Cause(source, 0, offset, stream_time), world) == step
        if step.outcome is Outcome.APPLIED:
            stream_time = max(stream_time, event.time)
        state = step.state or NEW_CUSTOMER
        assert decode_state(encode_state(state)) == state
        encode_examples(step.examples)
        for offer in step.offers:
            encode_offer(offer)


def test_the_world_is_not_mutated_either() -> None:
    world = a_world(CAPPED, CAMPAIGNS)
    before = copy.deepcopy(world)
    fold([a_click(n, f"c{n % 6}", f"i{n % 9}") for n in range(200)], world)
    assert world.catalog == before.catalog
    assert world.campaigns == before.campaigns
    for name in ("propensity", "segments", "recommender", "baskets"):
        kept, now = getattr(before.models, name), getattr(world.models, name)
        assert fingerprint(now.state()) == fingerprint(kept.state()), name


def a_busy_life(chance: random.Random, size: int, length: int) -> list[Event]:
    """Everything that fills a record: many items, orders, categories, currencies and offers."""

    def text(prefix: str, n: int) -> str:
        return f"{prefix}{n}".ljust(length, "x")

    events: list[Event] = []
    for n in range(size):
        item, drawn = text("item-", chance.randrange(500)), chance.random()
        fields = {"time": NOON + n * 61_000, "customer_id": "c"}
        if drawn < 0.6:
            category = text("category-", chance.randrange(40))
            events.append(a_click(n, item=item, category=category, brand=item, **fields))
        elif drawn < 0.8:
            lines = tuple(
                Line(text("item-", k), 10**9, 9, item) for k in range(chance.randrange(1, 30))
            )
            currency = chance.choice(["EUR", "USD", "JPY"])
            events.append(a_purchase(n, lines=lines, currency=currency, **fields))
        elif drawn < 0.95:
            events.append(an_impression(n, f"offer-{n}", **fields))
        else:
            events.append(an_update(n, traits=((item, item),), **fields))
    return events


def largest(length: int, seed: int) -> tuple[int, int]:
    """The size of the largest record in a busy life with ids of so many characters.

    And what of it remembers the events that were seen.
    """
    policy = replace(OPEN, offer_gap=0.0, offers_per_day=1_000)
    campaign = Campaign("campaign".ljust(length, "x"), "Long", daily_cap=1_000)
    world = a_world(policy, (campaign,))
    steps = fold(a_busy_life(random.Random(seed), 1_500, length), world)
    states = [step.state for _, step in steps if step.state is not None]
    plain = [structs.replace(state, admission=Admission()) for state in states]
    seen = max(len(msgpack.encode(state.admission)) for state in states)
    return max(map(len, map(encode_state, plain))), seen


def test_a_record_is_bounded_for_any_history(seed: int) -> None:
    sizes = [largest(length, seed) for length in (12, 36, 128)]  # the longest that are accepted
    lengths = (12, 36, 128)
    # The rest of a record, 24 open offers of four items that nothing else of it names, and traits
    # with their names and times.
    offers = [40 + 24 * (MADE_SIZE - ENTRY_SIZE) + 96 * (4 + 2 + n) for n in lengths]
    traits = [min(MOST * (2 * length + 15), TRAITS) for length in lengths]
    assert sizes[0][0] <= 4_200 + offers[0] + traits[0]
    assert sizes[1][0] <= 6_700 + offers[1] + traits[1]
    assert sizes[2][0] <= 16_084 + offers[2] + traits[2]
    assert max(seen for _, seen in sizes) <= 2_300  # 64 ids of each kind, and 128 orders


# -------------------------------------------------------------------------------------- stream time


@given(
    st.lists(histories, max_size=5),
    st.lists(st.sampled_from(RejectionCode), max_size=10),
    st.randoms(use_true_random=False),
)
def test_stream_time_never_goes_back_and_follows_applied_events_alone(
    batches: list[list[Event]], refused: list[RejectionCode], chance: random.Random
) -> None:
    world = a_world(CAPPED, CAMPAIGNS)
    partition = Tableless(world)
    content: list[Event | Rejection] = [e for batch in batches for e in batch]
    for code in refused:
        content.insert(chance.randint(0, len(content)), Rejection(code, "refused"))
    for entry in entries_of(content):
        before = partition.ledger.stream_time
        batch = partition.decide([entry])
        now = batch.ledger.stream_time
        assert now >= before
        if batch.tally[Outcome.APPLIED]:
            assert not isinstance(entry.content, Rejection)
            assert entry.content is not None
            assert now == max(before, entry.content.time)
        else:
            assert now == before
    outcomes = ("applied", "duplicate", "late", "suppressed", "rejected")
    assert sum(partition.ledger.counts.get(name, 0) for name in outcomes) == len(content)


def test_responses_do_not_move_a_cap_backwards() -> None:
    """An impression that arrives late does not make room for one more offer."""
    world = a_world(replace(OPEN, offer_gap=0.0, offers_per_day=2))
    state, offers = NEW_CUSTOMER, []
    for n in range(2):
        step = decide(state, a_click(n), a_cause(n, Source.CLICKS, NOON), world)
        state = step.state or NEW_CUSTOMER
        offers += step.offers
    for n, hours in enumerate((0, -1)):
        shown = an_impression(n, offers[n].offer_id, time=NOON + hours * HOUR)
        state = decide(state, shown, a_cause(n, Source.FEEDBACK, NOON), world).state or NEW_CUSTOMER
    step = decide(state, a_click(9), a_cause(9, Source.CLICKS, NOON), world)
    assert step.denial == "frequency_cap"
