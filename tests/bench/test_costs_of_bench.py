"""What turns cost: what is put off counts, what is taken for nothing does not."""

from __future__ import annotations

import pytest

from bench.costs import Meter, Turn, costs
from bench.quiet import Clocks, Quietness, summary


def test_what_is_done_behind_the_last_offer_counts_to_its_turn() -> None:
    turns = [
        Turn(Meter(0.0, 0.0, 0.0), Meter(1.0, 1.0, 0.0), 1_000),
        Turn(Meter(9.0, 1.5, 0.0), Meter(10.0, 2.5, 0.0), 1_000),
    ]
    found = costs(turns, Meter(16.0, 2.75, 0.0), Meter(20.0, 2.75, 0.0))
    assert [cost.cpu for cost in found] == [1_500.0, 1_250.0]


def test_what_a_system_takes_when_idle_is_taken_off_for_the_time_between_turns() -> None:
    turn = Turn(Meter(0.0, 0.0, 0.0), Meter(2.0, 1.0, 0.5), 1_000)
    (found,) = costs([turn], Meter(12.0, 2.0, 0.5), Meter(22.0, 3.0, 0.5))
    assert found == pytest.approx((1_000.0, 500.0))


def test_others_are_what_is_busy_and_not_ours() -> None:
    start, end = Clocks(0.0, 1.0, 2.0, 0.0), Clocks(10.0, 6.0, 11.0, 2.0)
    assert Quietness.between(start, end, 0.01, cores=2) == Quietness(0.2, 0.1, 0.01)


@pytest.mark.parametrize(
    ("turn", "quiet"),
    [
        (Quietness(0.02, 0.0, 0.010), True),
        (Quietness(0.20, 0.0, 0.010), False),
        (Quietness(0.02, 0.1, 0.010), False),
        (Quietness(0.02, 0.0, 0.015), False),
    ],
)
def test_a_machine_is_quiet_if_most_turns_were(turn: Quietness, quiet: bool) -> None:
    fastest = Quietness(0.0, 0.0, 0.010)
    assert (summary([fastest, turn, turn]) or {})["quiet"] is quiet
