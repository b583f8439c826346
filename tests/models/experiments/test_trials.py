"""Trials of variants: what is tried more, what is stopped, and that a state brings all back."""

from __future__ import annotations

import numpy as np
import pytest

from stream.models.base.state import StateError
from stream.models.experiments.trials import (
    BEGUN,
    BOUGHT,
    DISMISSED,
    EDITIONS,
    EVENLY,
    MOST,
    PARTS,
    PURCHASES,
    REVENUE,
    SEGMENTS,
    Code,
    Trials,
)


def tried(
    buys: list[float],
    dismisses: list[float],
    seed: int,
    trials: int = 3_000,
    goal: int = PURCHASES,
    spent: int = 100,
) -> Trials:
    """A campaign that ran for a while."""
    rng, found, arms = np.random.default_rng(seed), Trials(), len(buys)
    odds = found.odds("c", 1, arms, None, 0.05, goal)
    chances = rng.random((trials, 3)).tolist()
    for n, (chosen, bought, dismissed) in enumerate(chances):
        if n % 50 == 0:
            odds = found.odds("c", 1, arms, None, 0.05, goal)
        arm = int(np.searchsorted(np.cumsum(odds), chosen * PARTS, "right"))
        code = Code(arm, None, odds[arm]).packed
        found.learn("c", 1, code, BEGUN, 0, n)
        if bought < buys[arm]:
            found.learn("c", 1, code, BOUGHT, spent, n)
        if dismissed < dismisses[arm]:
            found.learn("c", 1, code, DISMISSED, 0, n)
    return found


def stopped(
    buys: list[float], dismisses: list[float], runs: int, seed: int, goal: int = PURCHASES
) -> int:
    """In how many runs anything is stopped."""
    found = [tried(buys, dismisses, seed + n, goal=goal) for n in range(runs)]
    return sum(bool(one.editions["c", 1].stopped) for one in found)


def test_of_variants_that_are_alike_almost_none_is_ever_stopped(seed: int) -> None:
    assert stopped([0.05] * 3, [0.02] * 3, runs=8, seed=seed) <= 2
    assert stopped([0.05] * 3, [0.02] * 3, runs=8, seed=seed, goal=EVENLY) <= 2


def test_a_variant_that_is_dismissed_or_keeps_from_buying_is_stopped(seed: int) -> None:
    assert stopped([0.05] * 3, [0.02, 0.02, 0.3], runs=4, seed=seed) == 4
    assert stopped([0.3, 0.3, 0.05], [0.0] * 3, runs=4, seed=seed, goal=EVENLY) == 4
    control_hurts = tried([0.05, 0.3], [0.3, 0.02], seed, goal=EVENLY)
    assert not control_hurts.editions["c", 1].stopped  # the first is what others are compared with


def test_what_is_stopped_has_no_chance_and_the_others_share_it(seed: int) -> None:
    found = tried([0.05] * 3, [0.02, 0.02, 0.5], seed)
    odds = found.odds("c", 1, 3, None, 0.05, PURCHASES)
    assert odds[2] == 0 and sum(odds) == PARTS and min(odds[:2]) > 0
    assert found.odds("c", 1, 3, None, 0.05, EVENLY) == (PARTS // 2, PARTS // 2, 0)
    assert "dismissals" in str(found.editions["c", 1].stopped[2])


def test_by_revenue_the_dearer_purchases_win(seed: int) -> None:
    found, rng = Trials(), np.random.default_rng(seed)
    for n in range(3_000):
        arm, code = n % 2, Code(n % 2, None, PARTS // 2).packed
        found.learn("c", 1, code, BEGUN, 0, n)
        if rng.random() < (0.2, 0.1)[arm]:
            found.learn("c", 1, code, BOUGHT, (100, 900)[arm], n)
    assert found.odds("c", 1, 2, None, 0.05, REVENUE)[1] > 0.9 * PARTS
    assert found.odds("c", 1, 2, None, 0.05, PURCHASES)[0] > 0.9 * PARTS


def test_a_state_goes_on_as_its_trials_would_have(seed: int) -> None:
    whole = tried([0.1, 0.2, 0.1], [0.02, 0.02, 0.5], seed, trials=1_000)
    whole.learn("d", 2, Code(1, 7, 9).packed, BEGUN, 0, 5)
    again = Trials.from_state(whole.state())
    for one in (whole, again):
        one.learn("c", 1, Code(0, 3, 1_000).packed, BEGUN, 0, 6)
    before, after = whole.state(), again.state()
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert np.array_equal(np.asarray(value), np.asarray(after[name])), name
    asked = [(3, segment, 0.05, goal) for segment in (None, 3, 9) for goal in range(3)]
    assert [whole.odds("c", 1, *one) for one in asked] == [
        again.odds("c", 1, *one) for one in asked
    ]


def test_a_state_that_is_none_is_refused() -> None:
    state = tried([0.1, 0.2], [0.5, 0.0], 1, trials=400).state()
    assert not len(Trials.from_state({}))
    for name in state:
        with pytest.raises(StateError):
            Trials.from_state({key: value for key, value in state.items() if key != name})
    for name, wrong in (("rows", [[5, 0]]), ("rows", [[0, 2_047]]), ("stops", [[0, MOST, 0, 1]])):
        with pytest.raises(StateError):
            Trials.from_state(state | {name: np.array(wrong, np.int64)})


def test_editions_and_segments_are_bounded_and_the_oldest_gives_way() -> None:
    found = Trials()
    for n in range(EDITIONS + 1):
        found.learn(f"c{n}", 1, Code(0, None, PARTS).packed, BEGUN, 0, 1_000 - n if n < 9 else n)
    assert len(found) == EDITIONS and ("c9", 1) not in found.editions
    for segment in range(3 * SEGMENTS):
        found.learn("c0", 1, Code(0, segment, PARTS).packed, BEGUN, 0, 1)
    assert len(found.editions["c0", 1].rows) <= SEGMENTS
    assert found.editions["c0", 1].sums[0, 0] == 3 * SEGMENTS + 1


def test_whatever_a_code_says_nothing_breaks(seed: int) -> None:
    found, rng = Trials(), np.random.default_rng(seed)
    for code in rng.integers(1, 2**31, 2_000).tolist():
        found.learn("c", 1, code, int(rng.integers(3)), 2**53 - 1, 1)
    for goal in (EVENLY, PURCHASES, REVENUE):
        odds = found.odds("c", 1, 8, 5, 0.5, goal)
        assert sum(odds) == PARTS and min(odds) >= 0
    Trials.from_state(found.state())
