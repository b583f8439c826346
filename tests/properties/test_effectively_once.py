"""Whatever crashes, every event counts once, and an offer's id has one content."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace

import pytest

from stream.core.event import Event, Rejection, Source
from stream.core.ledger import UNSTAMPED, Entry, Ledger, decide_batch
from stream.core.world import World
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
from tests.simulation import BUGGY, Durable, Topics, Writer, a_rejection, run

SEEDS = int(os.environ.get("OFFERSTREAM_TEST_SIMULATIONS", "600"))
FEW_RESTS = replace(OPEN, offer_gap=2.0, offers_per_day=100, exploration=0.3, holdout=0.2)


def the_world(torn: bool) -> World:
    """A world that rests rarely, and in which labels are due within the history.

    Not where writes are torn: a look at who is away is in the record of another customer.
    """
    return a_world(FEW_RESTS) if torn else a_world(FEW_RESTS, attribution=4.0, grace=4.0)


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


def contents_of(durable: Durable) -> dict[str, set[bytes]]:
    """The different contents that were sent under each offer's id."""
    contents: dict[str, set[bytes]] = {}
    for payload in durable.offers:
        contents.setdefault(json.loads(payload)["offer_id"], set()).add(payload)
    return contents


@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
@pytest.mark.parametrize("block", range(2))
def test_crashes_lose_nothing_double_nothing_and_change_no_offer(
    block: int, torn: bool, seed: int
) -> None:
    """Compared with the counts of the input itself."""
    world = the_world(torn)
    for n in range(SEEDS // 4):
        case = seed + n
        topics = a_history(random.Random(case))
        crashed = run(topics, world, case, 6, torn)
        sizes = [len(topic) for topic in topics]
        counts = crashed.counts()
        outcomes = ("applied", "duplicate", "late", "suppressed", "rejected")
        assert sum(counts[name] for name in outcomes) == sum(sizes), case
        assert crashed.committed == sizes, case
        contents = contents_of(crashed)
        assert all(len(different) == 1 for different in contents.values()), case
        assert len(contents) == counts["offers"], case
        bugs = counts["rejected:internal"]
        assert len(set(crashed.dead)) == counts["rejected"] - bugs, case
        assert len(set(crashed.failed)) == bugs, case
        assert len(set(crashed.late)) == counts["late"], case


@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
def test_with_one_topic_a_crash_changes_nothing_at_all(torn: bool, seed: int) -> None:
    """One topic has one order: then records, offers and examples equal an undisturbed run's.

    A write that was torn takes from the ledger what a record was before it was in the customer's
    record: it counts it as applied. Writes of one record batch, as ours are, are never torn.
    """
    world = the_world(torn)
    for n in range(SEEDS // 8):
        case = seed + n
        topics = a_history(random.Random(case))
        topics[1:] = [[] for _ in range(3)]
        crashed, calm = run(topics, world, case, 6, torn), run(topics, world, case + 1, 0)
        assert crashed.states() == calm.states(), case
        counts, undisturbed = crashed.counts(), calm.counts()
        assert counts["offers"] == undisturbed["offers"], case
        assert torn or counts == undisturbed, case
        assert contents_of(crashed) == contents_of(calm), case
        assert set(crashed.examples) == set(calm.examples), case
        assert torn or set(crashed.failed) == set(calm.failed), case


def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    topics = a_history(random.Random(seed))
    world = the_world(torn=False)
    assert run(topics, world, seed, 3) == run(topics, world, seed, 3)


def test_a_record_that_is_handed_on_twice_in_one_batch_counts_once() -> None:
    refused = Entry(Source.CLICKS, 1, a_rejection())
    entries = [Entry(Source.CLICKS, 0, a_click(0)), refused, Entry(Source.CLICKS, 0, a_click(0))]
    known = decide_batch(
        [*entries, refused], 0, Ledger(), UNSTAMPED, lambda _: None, {}.get, a_world(), Writer
    )
    assert (known.ledger.counts["applied"], known.ledger.counts["rejected"]) == (1, 1)
    state = known.changed["c1"]
    assert state is not None
    assert state.profile.views == 1
