"""Workers die, pause and wake up at every effect: every event counts once, offers never change."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from dataclasses import replace

import pytest

from stream.core.event import Action, Click, Event, Purchase, Rejection, RejectionCode, Source
from tests.builders import DAY, OPEN, a_click, a_purchase, a_world, an_impression
from tests.cluster import Broker, Topics, counted, run

SEEDS = int(os.environ.get("OFFERSTREAM_TEST_SIMULATIONS", "10000"))
BLOCKS = 8
WORLD = a_world(replace(OPEN, offer_gap=2.0, offers_per_day=100, exploration=0.3, holdout=0.2))


def a_history(chance: random.Random) -> Topics:
    """Events of a few customers over three topics, with duplicates, late ones and garbage."""
    topics: Topics = [[] for _ in Source]
    topics[Source.CLICKS].append(a_click(0, "c0"))  # stream time begins: what is late is late
    for n in range(1, chance.randint(4, 24)):
        customer, item = f"c{chance.randint(0, 2)}", f"i{chance.randint(0, 3)}"
        drawn = chance.random()
        event: Event | Rejection = a_click(n, customer, item)
        source = Source.CLICKS
        if drawn < 0.06:
            event, source = Rejection(RejectionCode.DECODE, "not JSON"), chance.choice([*Source])
        elif drawn < 0.10:
            event = a_click(n, customer, item, time=a_click(n).time - 2 * DAY)
        elif drawn < 0.16 and topics[Source.CLICKS]:
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
    return {
        name: (p.views, p.carts, p.orders, dict(p.spent).get("EUR", 0))
        for name, p in ((name, state.profile) for name, state in broker.customers().items())
    }


def judge(topics: Topics, broker: Broker, case: int) -> None:
    """Every event once, nothing unaccounted for, one content for each offer's id."""
    counts = counted(broker)
    outcomes = ("applied", "duplicate", "late", "suppressed", "rejected")
    assert sum(counts[name] for name in outcomes) == sum(map(len, topics)), case
    contents: dict[str, set[bytes]] = {}
    for _, payload in broker.offers:
        contents.setdefault(json.loads(payload)["offer_id"], set()).add(payload)
    assert all(len(different) == 1 for different in contents.values()), case
    assert len(contents) == counts["offers"], case
    assert len(set(broker.dead)) == counts["rejected"], case
    assert len(set(broker.late)) == counts["late"], case
    assert found(broker) == expected(topics), case


@pytest.mark.parametrize("block", range(BLOCKS))
def test_nothing_is_lost_doubled_or_changed_whoever_dies_or_wakes_up(block: int, seed: int) -> None:
    """A failing assertion names its case: the seed of its history and of its run."""
    for case in range(seed, seed + SEEDS // BLOCKS):
        topics = a_history(random.Random(case))
        judge(topics, run(topics, WORLD, case, faults=case % 5), case)


def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    topics = a_history(random.Random(seed))
    assert run(topics, WORLD, seed, 4) == run(topics, WORLD, seed, 4)
