"""What was said and done, in every order in which it may arrive, comes to the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from stream.codec.decisions import encode_said
from stream.decide.batch import decide_batch
from stream.decide.ledger import UNSTAMPED, Entry, Ledger
from stream.decide.rows.due import Page
from stream.decide.rows.state import CustomerState
from stream.decide.world import World
from stream.domain.event import Click, Consent, CustomerUpdate, Event, Purchase, Source
from tests.builders import NOON, OPEN, SECOND, a_click, a_purchase, a_world, an_update, consent
from tests.deciding import value_of

ASKS = a_world(replace(OPEN, consent_default=False))
ASSUMES = a_world(OPEN)
YES, NO = consent(True), consent(False)
BLANK = CustomerState()
SOURCES: dict[type, Source] = {Click: Source.CLICKS, Purchase: Source.PURCHASES}


def customer_after(events: Iterable[Event], world: World) -> CustomerState | None:
    """The record of ``c1`` after these events, each decided before the next arrives."""
    kept: dict[str, bytes | None] = {}
    pages: dict[int, Page] = {}
    ledger = Ledger()
    for offset, event in enumerate(events):
        entry = Entry(SOURCES.get(type(event), Source.CUSTOMERS), offset, event)
        decided = decide_batch(
            [entry], 0, ledger, UNSTAMPED, kept.get, pages.get, world, encode_said
        )
        kept |= decided.changed
        pages |= decided.pages
        ledger = decided.ledger
    return value_of(kept.get("c1"))


def in_every_order(events: Sequence[Event], world: World) -> Iterator[CustomerState | None]:
    """The record after each order of arrival."""
    return (customer_after(order, world) for order in permutations(events))


NO_AT_5 = an_update(5, consent=NO)
NO_AT_8 = an_update(8, event_id="no-8", consent=NO)
ERASED_AT_9 = an_update(9, erase=True)
CLICKS = [a_click(n) for n in (3, 7, 12)]


@pytest.mark.parametrize(
    "words",
    [
        [NO_AT_5, ERASED_AT_9],
        [a_click(5, event_id="no", consent=NO), ERASED_AT_9],
        [an_update(9, erase=True, consent=NO)],
        [NO_AT_5, an_update(7, event_id="u7", erase=True), ERASED_AT_9],
        [an_update(2, consent=YES), NO_AT_5, ERASED_AT_9],
    ],
)
def test_where_silence_is_a_yes_an_erasure_takes_no_no_away(words: list[Event]) -> None:
    for state in in_every_order([*words, *CLICKS[: 4 - len(words)]], ASSUMES):
        assert state is not None
        assert (state.permission.profiling, state.permission.offers) == (False, False)
        assert state.permission.profiling_yes == 0
        assert state.erased == NOON + 9 * SECOND
        assert (state.profile, state.history, state.waiting) == (
            BLANK.profile,
            BLANK.history,
            BLANK.waiting,
        )


def test_an_erased_record_holds_the_no_and_nothing_else() -> None:
    state = customer_after([a_click(1), a_purchase(2), NO_AT_5, ERASED_AT_9], ASSUMES)
    assert state is not None
    assert state == CustomerState(
        stamps=state.stamps, permission=state.permission, erased=NOON + 9 * SECOND
    )


@pytest.mark.parametrize("purpose", ["profiling", "offers"])
def test_each_purpose_keeps_its_own_no(purpose: str) -> None:
    said = Consent(**{purpose: False})
    for state in in_every_order([an_update(5, consent=said), ERASED_AT_9], ASSUMES):
        assert state is not None
        assert getattr(state.permission, purpose) is False
        assert {state.permission.profiling, state.permission.offers} == {False, None}


def test_a_yes_from_after_the_erasure_ends_the_no() -> None:
    words = [NO_AT_5, ERASED_AT_9, an_update(11, event_id="u11", consent=YES), CLICKS[2]]
    for state in in_every_order(words, ASSUMES):
        assert state is not None
        assert state.permission.profiling is True


@pytest.mark.parametrize("world", [ASKS, ASSUMES])
def test_an_erasure_without_a_no_leaves_nothing(world: World) -> None:
    words = [an_update(2, consent=YES), ERASED_AT_9, CLICKS[0], CLICKS[1]]
    assert set(in_every_order(words, world)) == {None}


def test_where_silence_is_a_no_an_erasure_takes_the_no_too() -> None:
    assert set(in_every_order([NO_AT_5, ERASED_AT_9, *CLICKS[:2]], ASKS)) == {None}


def a_yes(second: int) -> Event:
    """A click that says yes."""
    return a_click(second, event_id=f"yes-{second}", consent=YES)


def first_yes(events: Sequence[Event]) -> int:
    """The time of the first yes since the last no or erasure."""
    ends = [
        e.time for e in events if e.consent == NO or (isinstance(e, CustomerUpdate) and e.erase)
    ]
    return min(e.time for e in events if e.consent == YES and e.time > max(ends, default=0))


@pytest.mark.parametrize(
    "events",
    [
        [an_update(5, consent=YES), a_click(3), a_click(7)],
        [a_yes(5), a_click(3), a_purchase(4), a_click(7)],
        [a_yes(5), a_yes(9), a_click(3), a_click(7), a_purchase(8)],
        [a_yes(5), a_click(7), NO_AT_8, a_yes(9), a_yes(11), a_click(10)],
        [a_yes(5), a_click(3), ERASED_AT_9, a_click(10), a_yes(11), a_click(12)],
        [NO_AT_5, a_click(6), a_yes(7), ERASED_AT_9, a_yes(11), a_click(10)],
    ],
)
def test_nothing_from_before_the_first_yes_is_learned_from(events: list[Event]) -> None:
    since = first_yes(events)
    for state in in_every_order(events, ASKS):
        assert state is not None
        assert state.permission.profiling is True
        learned = [touch.time for touch in state.history.recent]
        learned += [time for _, time in state.history.bought]
        assert min([*learned, state.profile.first_seen or since]) >= since
        assert state.permission.profiling_since >= since


@pytest.mark.parametrize("end", [[], [an_update(1, consent=NO)], [an_update(1, erase=True)]])
def test_what_is_late_and_from_after_the_first_yes_counts(end: list[Event]) -> None:
    for order in permutations([a_yes(5), a_yes(9), a_yes(20)]):
        state = customer_after([*end, *order, a_purchase(6), a_click(7), a_click(4)], ASKS)
        assert state is not None
        assert state.permission.profiling_since == NOON + 5 * SECOND
        assert (state.profile.orders, state.profile.views) == (1, 4)


def test_where_silence_is_a_yes_only_a_no_ends_it() -> None:
    for state in in_every_order([a_yes(5), a_click(3), a_click(7)], ASSUMES):
        assert state is not None
        assert state.profile.views == 3
    for state in in_every_order([a_click(3), NO_AT_5, a_yes(8), a_click(7), a_click(9)], ASSUMES):
        assert state is not None
        assert (state.profile.first_seen or NOON + 8 * SECOND) >= NOON + 8 * SECOND
