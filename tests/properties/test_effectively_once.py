"""Whoever dies, pauses or wakes up, every event counts once, and an offer's id has one content.

Everything here runs the product's own protocol (`tests.simulation`). A failing assertion names its
case: the seed of its history and of its run.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from dataclasses import replace
from datetime import datetime

import pytest
from msgspec.structs import replace as changed

from stream.codec.decisions import encode_said
from stream.codec.examples import decode_examples
from stream.decide.batch import decide_batch
from stream.decide.example import Basket, SessionStep
from stream.decide.ledger import UNSTAMPED, Entry, Ledger
from stream.decide.rows import delivery
from stream.decide.world import World
from stream.domain.event import Action, Click, Event, Purchase, Rejection, RejectionCode, Source
from tests.builders import (
    DAY,
    OPEN,
    a_click,
    a_purchase,
    a_world,
    an_impression,
    an_update,
    consent,
)
from tests.deciding import value_of
from tests.simulation import BUGGY, Broker, Topics, a_rejection, run

SEEDS = int(os.environ.get("OFFERSTREAM_TEST_SIMULATIONS", "4000"))  # 10,000 runs of all laws
BLOCKS = 8
FEW_RESTS = replace(OPEN, offer_gap=2.0, offers_per_day=100, exploration=0.3, holdout=0.2)
WORLD = a_world(FEW_RESTS, decisions_share=1.0)
OUTCOMES = ("applied", "duplicate", "late", "suppressed", "rejected")


# ------------------------------------------------------------------- against the input's own counts


def a_plain_history(chance: random.Random) -> Topics:
    """Events of a few customers over three topics, with duplicates, late ones and garbage."""
    topics: Topics = [[] for _ in Source]
    topics[Source.CLICKS].append(a_click(0, "c0"))  # stream time begins: what is late is late
    for n in range(1, chance.randint(4, 24)):
        customer, item = f"c{chance.randint(0, 2)}", f"i{chance.randint(0, 3)}"
        drawn = chance.random()
        event: Event | Rejection = a_click(n, customer, item)
        source = Source.CLICKS
        if drawn < 0.06:
            event, source = a_rejection(), chance.choice([*Source])
        elif drawn < 0.10:
            event = a_click(n, customer, item, time=a_click(n).time - 2 * DAY)
        elif drawn < 0.16:
            event = chance.choice(topics[Source.CLICKS])
        elif drawn < 0.30:
            event, source = a_purchase(n, customer, item), Source.PURCHASES
        elif drawn < 0.36:
            event, source = an_impression(n, f"offer-{n}", customer), Source.FEEDBACK
        elif drawn < 0.45:
            event = a_click(n, customer, item, action=Action.ADD_TO_CART)
        topics[source].append(event)
    return topics


def expected(topics: Topics) -> dict[str, tuple[int, int, int, int]]:
    """Views, carts, orders and cents of each customer, counted from the input alone."""
    once: dict[str, Event] = {}
    for topic in topics:
        for event in topic:
            if not isinstance(event, Rejection) and event.time >= a_click(0).time:
                once.setdefault(event.event_id, event)
    totals: dict[str, Counter[str]] = {}
    for event in once.values():
        total = totals.setdefault(event.customer_id, Counter())
        if isinstance(event, Click):
            total["carts" if event.action is Action.ADD_TO_CART else "views"] += 1
        elif isinstance(event, Purchase):
            total["orders"] += 1
            total["cents"] += sum((line.price or 0) * line.quantity for line in event.lines)
    return {
        name: (total["views"], total["carts"], total["orders"], total["cents"])
        for name, total in totals.items()
    }


def found(broker: Broker) -> dict[str, tuple[int, int, int, int]]:
    """The same of the records."""
    profiles = {name: state.profile for name, state in broker.customers().items()}
    return {
        name: (p.views, p.carts, p.orders, dict(p.spent).get("EUR", 0))
        for name, p in profiles.items()
    }


def taught(topics: Topics) -> set[tuple[int, str]]:
    """The time and the first item of all that has to be learned, from the input alone."""
    events = [event for topic in topics for event in topic if not isinstance(event, Rejection)]
    known = [event for event in events if event.time >= a_click(0).time]
    clicks = {(event.time, event.item_id) for event in known if isinstance(event, Click)}
    orders = {(e.time, e.lines[0].item_id) for e in known if isinstance(e, Purchase)}
    return clicks | orders


def learned(broker: Broker) -> set[tuple[int, str]]:
    """The same of the examples that were sent."""
    examples = [one for *_, sent in broker.examples() for one in decode_examples(sent)]
    steps = {
        (example.time, example.item) for example in examples if isinstance(example, SessionStep)
    }
    baskets = {(e.time, e.items[0]) for e in examples if isinstance(e, Basket)}
    return steps | baskets


def contents_of(broker: Broker) -> dict[str, set[bytes]]:
    """The different contents that were sent under each offer's id."""
    contents: dict[str, set[bytes]] = {}
    for payload in broker.offers():
        contents.setdefault(json.loads(payload)["offer_id"], set()).add(payload)
    return contents


def judge_account(topics: Topics, broker: Broker, case: int) -> None:
    """Nothing is unaccounted for, all that was decided was sent, an offer's id has one content."""
    counts = broker.counts()
    assert sum(counts[name] for name in OUTCOMES) == sum(map(len, topics)), case
    contents = contents_of(broker)
    assert all(len(different) == 1 for different in contents.values()), case
    assert len(contents) == counts["offers"], case
    judge_recalls(broker, case)
    judge_what_is_set_aside(broker, case)


def judge_recalls(broker: Broker, case: int) -> None:
    """What is not open any more was recalled: once, and with one content; what is open was not."""
    recalls: dict[str, set[bytes]] = {}
    for payload in broker.recalls():
        recalls.setdefault(json.loads(payload)["offer_id"], set()).add(payload)
    assert all(len(different) == 1 for different in recalls.values()), case
    assert len(recalls) == broker.counts()["recalls"], case
    made = {o.offer_id: o for s in broker.customers().values() for o in s.delivery.made}
    told = (event for topic in broker.topics for event in topic)
    now = max(event.time for event in told if not isinstance(event, Rejection))
    for offer_id, (content,) in contents_of(broker).items():
        if offer_id in made:
            closed = bool(made[offer_id].state & delivery.RECALLED)
        elif datetime.fromisoformat(json.loads(content)["expires_at"]).timestamp() * 1_000 > now:
            closed = True  # its customer was erased
        else:
            continue  # it was forgotten when it was long over
        assert closed is (offer_id in recalls), (case, offer_id)
    for state in broker.customers().values():
        bought, may = {item for item, _ in state.history.bought}, state.permission
        for offer in state.delivery.made:
            if not offer.state & delivery.CLOSED and offer.expires > now:
                assert may.offers is not False and may.profiling is not False, case
                assert bought.isdisjoint(offer.items), case


def told_by(broker: Broker) -> dict[str, set[bytes]]:
    """The different contents that were sent under each decision's id."""
    contents: dict[str, set[bytes]] = {}
    for payload in broker.decisions():
        contents.setdefault(json.loads(payload)["decision_id"], set()).add(payload)
    return contents


def judge_decisions(broker: Broker, case: int) -> None:
    """Each moment was told, with one content; what it says is what was counted and offered."""
    contents, counts = told_by(broker), broker.counts()
    assert all(len(different) == 1 for different in contents.values()), case
    said = [json.loads(payload) for (payload,) in contents.values()]
    reasons = Counter(f"denied:{one['reason']}" for one in said if one["outcome"] == "refused")
    assert reasons == {n: k for n, k in counts.items() if n.startswith("denied:")}, case
    offers = {one["offer_id"] for one in said if one["outcome"] == "offer"}
    assert offers == set(contents_of(broker)), case


def judge_what_is_set_aside(broker: Broker, case: int) -> None:
    """What was refused, met a bug or was late is where it should be."""
    counts = broker.counts()
    for code in (RejectionCode.DECODE, RejectionCode.INTERNAL):
        assert len(broker.refused(code)) == counts[f"rejected:{code}"], case
    assert len(broker.late()) == counts["late"], case


def check_counts(case: int) -> None:
    """Run a plain history, and compare it with the input's own counts."""
    topics = a_plain_history(random.Random(case))
    broker = run(topics, WORLD, case, faults=case % 5)
    judge_account(topics, broker, case)
    judge_decisions(broker, case)
    assert found(broker) == expected(topics), case
    assert learned(broker) == taught(topics), case


@pytest.mark.parametrize("block", range(BLOCKS))
def test_nothing_is_lost_doubled_or_changed_whoever_dies_or_wakes_up(block: int, seed: int) -> None:
    for case in range(seed, seed + SEEDS // BLOCKS):
        check_counts(case)


FAULTS = ("kill", "pause", "lose", "rot")
WORSE = ("forget", "cut", "anew")


def later_events(chance: random.Random, source: int) -> list[Event | Rejection]:
    """What a topic holds that was made anew: other events, of the same times and customers."""
    later: list[Event | Rejection] = []
    for n, event in enumerate(a_plain_history(chance)[source]):
        name = f"{chance.getrandbits(40)}-{n}"
        if isinstance(event, Purchase):
            event = changed(event, order_id=name)
        later.append(event if isinstance(event, Rejection) else changed(event, event_id=name))
    return later


def check_surroundings(case: int, worse: str) -> None:
    """Run a plain history where stores rot, and something worse befalls the broker.

    Where the changelog loses its end, what was decided since is decided again, perhaps in another
    order across topics: records and account are exact, and offers may have been others.
    """
    chance = random.Random(case)
    topics, kinds = a_plain_history(chance), (*FAULTS, worse)
    broker = run(topics, WORLD, case, 5, kinds=kinds, anew=lambda s: later_events(chance, s))
    history = broker.history()
    assert found(broker) == expected(history), case
    assert learned(broker) == taught(history), case
    if worse == "cut":
        counts = broker.counts()
        assert sum(counts[name] for name in OUTCOMES) == sum(map(len, history)), case
        judge_what_is_set_aside(broker, case)
    else:
        judge_account(history, broker, case)


@pytest.mark.parametrize("worse", WORSE)
@pytest.mark.parametrize("block", range(2))
def test_disks_commits_changelogs_and_topics_may_not_be_what_they_were(
    block: int, worse: str, seed: int
) -> None:
    for case in range(seed, seed + SEEDS // 6):
        check_surroundings(case, worse)


# ------------------------------------------------------------- against a run that nothing disturbed


def the_world(torn: bool) -> World:
    """A world that rests rarely, and in which labels are due within the history.

    Not where writes are torn: a look at who is away is in the record of another customer.
    """
    core = {"decisions_share": 0.6} | ({} if torn else {"attribution": 4.0, "grace": 4.0})
    return a_world(FEW_RESTS, **core)


def a_history(chance: random.Random) -> Topics:
    """Events of a few customers over all topics, with duplicates, late ones, garbage and bugs."""
    topics: Topics = [[] for _ in Source]
    for n in range(chance.randint(5, 60)):
        customer, item = f"c{chance.randint(0, 3)}", f"i{chance.randint(0, 5)}"
        drawn = chance.random()
        event: Event | Rejection
        source = Source.CLICKS
        if drawn < 0.05:
            event, source = a_rejection(), chance.choice(list(Source))
        elif drawn < 0.10:
            event = a_click(n, customer, item, time=a_click(n).time - 2 * DAY)
        elif drawn < 0.15 and topics[Source.CLICKS]:
            event = chance.choice(topics[Source.CLICKS])
        elif drawn < 0.18:
            event = a_click(n, customer, BUGGY)
        elif drawn < 0.30:
            event, source = a_purchase(n, customer, item), Source.PURCHASES
        elif drawn < 0.35:
            event, source = an_impression(n, f"offer-{n}", customer), Source.FEEDBACK
        elif drawn < 0.40:
            said = consent(chance.random() < 0.7)
            event, source = an_update(n, customer, consent=said), Source.CUSTOMERS
        else:
            event = a_click(n, customer, item)
        topics[source].append(event)
    return topics


def check_account(case: int, torn: bool) -> None:
    """Run a history with everything in it, and look at its account."""
    topics = a_history(random.Random(case))
    judge_account(topics, run(topics, the_world(torn), case, 6, torn=torn), case)


def check_against_a_calm_run(case: int, torn: bool) -> None:
    """Run the history of one topic with faults and without: all that is durable is equal.

    A write that was torn takes from the ledger what a record was before it was in the customer's
    record: it counts it as applied. Writes of one record batch, as ours are, are never torn.
    """
    world, topics = the_world(torn), a_history(random.Random(case))
    topics[1:] = [[] for _ in range(3)]
    crashed, calm = run(topics, world, case, 6, torn=torn), run(topics, world, case + 1, 0)
    assert crashed.customers() == calm.customers(), case
    counts, undisturbed = crashed.counts(), calm.counts()
    assert counts["offers"] == undisturbed["offers"], case
    assert torn or counts == undisturbed, case
    assert contents_of(crashed) == contents_of(calm), case
    assert told_by(crashed) == told_by(calm), case
    assert set(crashed.examples()) == set(calm.examples()), case
    bugs = RejectionCode.INTERNAL
    assert torn or crashed.refused(bugs) == calm.refused(bugs), case


@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
@pytest.mark.parametrize("block", range(2))
def test_crashes_lose_nothing_double_nothing_and_change_no_offer(
    block: int, torn: bool, seed: int
) -> None:
    for case in range(seed, seed + SEEDS // 64):
        check_account(case, torn)


@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
def test_with_one_topic_a_crash_changes_nothing_at_all(torn: bool, seed: int) -> None:
    for case in range(seed, seed + SEEDS // 128):
        check_against_a_calm_run(case, torn)


def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    topics = a_history(random.Random(seed))
    world = the_world(torn=False)
    assert run(topics, world, seed, 5) == run(topics, world, seed, 5)


def test_a_record_that_is_handed_on_twice_in_one_batch_counts_once() -> None:
    refused = Entry(Source.CLICKS, 1, a_rejection())
    entries = [Entry(Source.CLICKS, 0, a_click(0)), refused, Entry(Source.CLICKS, 0, a_click(0))]
    known = decide_batch(
        [*entries, refused], 0, Ledger(), UNSTAMPED, lambda _: None, {}.get, a_world(), encode_said
    )
    assert (known.ledger.counts["applied"], known.ledger.counts["rejected"]) == (1, 1)
    state = value_of(known.changed["c1"])
    assert state is not None
    assert state.profile.views == 1
