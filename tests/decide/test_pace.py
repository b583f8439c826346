"""A person's pace: by the customer's own clock, and never at the cost of money."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from stream.decide.decide import decide
from stream.decide.rows.admission import Outcome
from stream.decide.rows.record import NEW, front
from stream.domain.event import Event, Trade
from tests.builders import (
    HOUR,
    NOON,
    SECOND,
    a_cause,
    a_click,
    a_purchase,
    a_world,
    an_impression,
    an_update,
)

WORLD = a_world()._replace(learning=False)
APPLIED, DUPLICATE, SUPPRESSED = Outcome.APPLIED, Outcome.DUPLICATE, Outcome.SUPPRESSED


def judged(
    events: Sequence[Event], stream_time: int = 0, record: bytes = NEW
) -> tuple[list[Outcome], bytes]:
    """One event of a customer after the other; stream time is at least what is given."""
    outcomes, first = [], front(record).clicks + 1
    for offset, event in enumerate(events, first):
        step = decide(record, event, a_cause(offset, stream_time=stream_time), WORLD)
        record, stream_time = step.record or NEW, max(stream_time, event.time)
        outcomes.append(step.outcome)
    return outcomes, record


def clicks(count: int, apart: int, first: int = NOON) -> list[Event]:
    """So many clicks, ``apart`` ms apart."""
    return [a_click(n, time=first + n * apart) for n in range(count)]


@pytest.mark.parametrize("ahead", [0, 290 * SECOND, 12 * HOUR])
@pytest.mark.parametrize(("count", "apart"), [(301, 500), (150, 250 * SECOND), (1_200, 200)])
def test_a_persons_pace_passes_wherever_the_clock_of_others_stands(
    count: int, apart: int, ahead: int
) -> None:
    outcomes, _ = judged(clicks(count, apart), NOON + ahead)
    assert outcomes == [APPLIED] * count


@pytest.mark.parametrize("a_second", [6, 10, 50])
def test_of_a_steady_flood_a_persons_pace_passes_for_ever(a_second: int) -> None:
    apart, count = SECOND // a_second, 60 * a_second
    outcomes, _ = judged(clicks(5 * count, apart))
    passed = [n for n, outcome in enumerate(outcomes) if outcome is APPLIED and n >= 4 * count]
    assert len(passed) == pytest.approx(5 * count * apart / SECOND, abs=1)
    assert max(after - before for before, after in pairwise(passed)) <= a_second / 2


def test_an_older_event_brings_no_time_and_takes_none_away() -> None:
    outcomes, record = judged([a_click(300, time=NOON + HOUR), *clicks(98, 0)])
    assert outcomes == [APPLIED] * 99
    outcomes, _ = judged([a_click(n, time=NOON + n) for n in range(200, 203)], 0, record)
    assert outcomes == [APPLIED, SUPPRESSED, SUPPRESSED]


@pytest.mark.parametrize("flood", [a_click, an_update, lambda n, **k: an_impression(n, "o", **k)])
@pytest.mark.parametrize("trade", Trade)
def test_money_is_never_suppressed_and_costs_nobody_a_click(
    flood: Callable[..., Event], trade: Trade
) -> None:
    orders = [a_purchase(n, time=NOON, trade=trade) for n in range(120)]
    assert judged([*orders, flood(0, time=NOON)])[0] == [APPLIED] * 121
    many = [flood(n, time=NOON) for n in range(150)]
    outcomes, record = judged(many)
    assert Counter(outcomes) == {APPLIED: 100, SUPPRESSED: 50}
    assert judged(orders, 0, record)[0] == [APPLIED] * 120


def test_what_was_suppressed_is_judged_anew_and_what_was_applied_is_a_duplicate() -> None:
    flood = clicks(150, 0)
    outcomes, record = judged(flood)
    assert outcomes.count(SUPPRESSED) == 50
    again = [a_click(200, time=NOON + 60 * SECOND), *flood[100:], flood[99]]
    assert judged(again, 0, record)[0] == [APPLIED] * 51 + [DUPLICATE]
