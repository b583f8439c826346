from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from stream.models.base.metrics import auc
from stream.models.propensity.challengers import RiverChallenger, challengers

NAMES = ["logistic", "passive_aggressive", "linear_svm", "hoeffding_tree", "adaptive_forest"]


def shop(count: int) -> list[tuple[dict[str, Any], int]]:
    rng = np.random.default_rng(1)
    examples = []
    for _ in range(count):
        price, brand = float(np.exp(rng.normal(3, 2))), f"b{rng.integers(0, 5)}"
        odds = -2.0 - 0.5 * math.log(price) / 2 + (4.0 if brand == "b1" else 0.0)
        label = int(rng.random() < 1 / (1 + math.exp(-odds)))
        examples.append(({"price": price, "brand": brand}, label))
    return examples


def test_these_challenge() -> None:
    assert [challenger.name for challenger in challengers()] == NAMES


@pytest.mark.parametrize("challenger", challengers(), ids=lambda each: each.name)
def test_it_learns_to_foresee(challenger: RiverChallenger) -> None:
    scores, labels = [], []
    for x, label in shop(2_000):
        scores.append(challenger.predict(x))
        labels.append(float(label))
        challenger.learn(x, label)
    assert all(0 <= score <= 1 for score in scores)
    told = auc(np.array(labels[1_000:]), np.array(scores[1_000:]))
    assert told is not None and told > 0.6


@pytest.mark.parametrize("challenger", challengers(), ids=lambda each: each.name)
def test_no_value_poisons_it(challenger: RiverChallenger) -> None:
    odd = [float("nan"), float("inf"), 1e300, -1e300, None, "", "\ud800", True, 3, 0.0]
    for n in range(300):
        challenger.learn({"a": odd[n % len(odd)], "b": float(n % 7)}, n % 2)
    for value in odd:
        assert 0 <= challenger.predict({"a": value, "b": 1.0}) <= 1


def test_the_share_of_a_challenger_is_bounded_and_the_same_each_time() -> None:
    forest = challengers()[-1]
    seen = [n for n in range(20_000, 120_000) if forest.sees(n)]
    again = challengers()[-1]
    assert all(forest.sees(n) for n in range(0, 20_000, 997))
    assert 0.018 < len(seen) / 100_000 < 0.022
    assert seen[:50] == [n for n in range(20_000, seen[49] + 1) if again.sees(n)]
