"""Whoever dies, and whatever rots, permission is what was said, and the erased stay forgotten.

Histories of clicks, orders and words (yes, no, an erasure) over all topics, their times out of
order, some events sent again behind an erasure; the protocol and its surroundings are those of
`tests.simulation`. A failing assertion names its case.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from stream.decide.rows.state import CustomerState
from stream.domain.event import Consent, CustomerUpdate, Event, Rejection, Source
from tests.builders import a_click, a_purchase, a_world, an_update
from tests.properties.test_effectively_once import (
    FAULTS,
    FEW_RESTS,
    OUTCOMES,
    SEEDS,
    WORSE,
    contents_of,
    judge_what_is_set_aside,
)
from tests.simulation import Topics, run

WORDS = (None, None, None, None, None, True, True, False)


def a_history_of_words(chance: random.Random) -> Topics:
    """What three customers do and say; nothing in it is late."""
    topics: Topics = [[] for _ in Source]
    topics[Source.CLICKS].append(a_click())
    for n in range(1, chance.randint(6, 30)):
        drawn = chance.random()
        source = Source.CLICKS
        event: Event | Rejection = chance.choice(topics[Source.CLICKS][-4:])
        if drawn < 0.7:
            customer, item = f"c{chance.randint(0, 2)}", f"i{chance.randint(0, 3)}"
            time = a_click(n + chance.randint(0, 8)).time
            said = Consent(chance.choice(WORDS), chance.choice(WORDS))
            event = a_click(n, customer, item, time=time, consent=said)
            if drawn < 0.15:
                event = an_update(n, customer, time=time, consent=said, erase=drawn < 0.09)
                source = Source.CUSTOMERS
            elif drawn < 0.3:
                event, source = (
                    a_purchase(n, customer, item, time=time, consent=said),
                    Source.PURCHASES,
                )
        topics[source].append(event)
    return topics


def later_events(chance: random.Random, source: int) -> list[Event | Rejection]:
    """What a topic holds that was made anew: other events of the same customers."""
    events = a_history_of_words(chance)[source]
    return [
        event if isinstance(event, Rejection) else changed(event, event_id=f"later-{n}")
        for n, event in enumerate(events)
    ]


def of(topics: Topics, customer: str) -> Iterator[Event]:
    """All that a customer did and said."""
    for topic in topics:
        for event in topic:
            if not isinstance(event, Rejection) and event.customer_id == customer:
                yield event


def erased(topics: Topics, customer: str) -> int:
    """The time of a customer's newest erasure; 0 if there is none."""
    updates = [e for e in of(topics, customer) if isinstance(e, CustomerUpdate) and e.erase]
    return max((update.time for update in updates), default=0)


def said(topics: Topics, customer: str, purpose: str, default: bool) -> list[tuple[int, bool]]:
    """When a customer said no (True) or yes (False) since then; the last of it holds.

    Where silence is a yes, a no from before counts, too.
    """
    gone = erased(topics, customer)
    words = [
        (event.time, not getattr(event.consent, purpose))
        for event in of(topics, customer)
        if event.consent is not None and getattr(event.consent, purpose) is not None
    ]
    return sorted((time, no) for time, no in words if time > gone or (no and default))


def check_words(case: int, worse: str) -> None:
    """Run a history of words while stores rot and worse happens, and look at what is kept."""
    chance = random.Random(case)
    default = chance.random() < 0.5
    world = a_world(replace(FEW_RESTS, consent_default=default))
    topics = a_history_of_words(chance)
    broker = run(
        topics, world, case, 5, kinds=(*FAULTS, worse), anew=lambda s: later_events(chance, s)
    )
    history, kept = broker.history(), broker.customers()
    for customer in ("c0", "c1", "c2"):
        judge_customer(history, customer, kept.get(customer), default, case)
    counts, contents = broker.counts(), contents_of(broker)
    assert sum(counts[name] for name in OUTCOMES) == sum(map(len, history)), case
    judge_what_is_set_aside(broker, case)
    if worse == "cut":
        return  # what was decided since is decided again: offers may have been others
    assert all(len(different) == 1 for different in contents.values()), case
    dropped = counts["offers"] - len(contents)  # of the erased, before they were sent
    assert dropped == 0 or (dropped > 0 and any(erased(history, f"c{n}") for n in range(3))), case


def judge_customer(
    history: Topics, customer: str, state: CustomerState | None, default: bool, case: int
) -> None:
    """A customer's register is what was said; what was learned is from when it was allowed."""
    profiling = said(history, customer, "profiling", default)
    gone = erased(history, customer)
    if state is None:
        assert not profiling, (case, customer)
        return
    for purpose in ("profiling", "offers"):
        words = said(history, customer, purpose, default)
        meant = None if not words else not words[-1][1]
        assert getattr(state.permission, purpose) is meant, (case, customer, purpose)
    may_profile = default if not profiling else not profiling[-1][1]
    last_no = max((time for time, no in profiling if no), default=0)
    first = state.profile.first_seen
    assert not first or (may_profile and first > max(gone, last_no)), (case, customer)
    since = [time for time, no in profiling if not no and time > last_no]
    assert not first or default or first >= min(since), (case, customer)
    is_new = any(event.time > gone for event in of(history, customer))
    assert is_new or False in (state.permission.profiling, state.permission.offers), case
    for time in (state.delivery.last_offer, *(offer.time for offer in state.delivery.made)):
        assert not time or time > gone, (case, customer)


@pytest.mark.parametrize("worse", WORSE)
@pytest.mark.parametrize("block", range(2))
def test_what_was_said_holds_and_the_erased_are_gone_whatever_happens(
    block: int, worse: str, seed: int
) -> None:
    for case in range(seed, seed + SEEDS // 12):
        check_words(case, worse)
