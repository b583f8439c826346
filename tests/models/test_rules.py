from __future__ import annotations

import random
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from stream.insight.evaluate.rules import bounded, mine
from stream.models.association import AssociationRules, TooMany, itemsets
from stream.models.recommend.cooccurrence import CoOccurrence


def drawn_baskets(seed: int, baskets: int, items: int) -> list[list[str]]:
    draw = random.Random(seed)
    return [
        [f"i{int(items * draw.random() ** 2)}" for _ in range(draw.randint(1, 7))]
        for _ in range(baskets)
    ]


def test_itemsets_equal_a_plain_count(seed: int) -> None:
    baskets = [sorted({int(name[1:]) for name in b}) for b in drawn_baskets(seed, 300, 12)]
    lines = np.array([(row, item) for row, basket in enumerate(baskets) for item in basket])
    found = itemsets(lines[:, 0], lines[:, 1], least=12, longest=4)
    for size in range(1, 5):
        for itemset in combinations(range(12), size):
            held = sum(set(itemset) <= set(basket) for basket in baskets)
            assert found.get(itemset, 0) == (held if held >= 12 else 0)


@pytest.mark.parametrize(("support", "confidence", "rules"), [(0.01, 0.5, 15), (0.006, 0.25, 463)])
def test_groceries_have_as_many_rules_as_arules_finds(
    shared_data: Callable[[str], Path], support: float, confidence: float, rules: int
) -> None:
    text = shared_data("groceries.csv").read_text("utf-8")
    baskets = [line.split(",") for line in text.splitlines() if line]
    mined = mine(baskets, support, confidence)
    assert mined.exact
    assert len(baskets) == 9_835
    assert len(mined.rules) == rules
    off = bounded(
        baskets, mined.rules, support, confidence,
        CoOccurrence(1024, 64, floor=0.0), AssociationRules(16_384, 1024, 32),
    )  # fmt: skip
    assert off["window"]["missing"] == off["window"]["extra"] == 0
    assert off["lift_error"]["mean"] < 0.01


def test_too_little_support_is_refused_instead_of_filling_memory() -> None:
    lines = np.array([(row, item) for row in range(4) for item in range(18)])
    with pytest.raises(TooMany):
        itemsets(lines[:, 0], lines[:, 1], least=1, longest=18, most=10_000)
    with pytest.raises(TooMany):
        itemsets(lines[:, 0], lines[:, 1], least=1, memory=10)


def test_without_memory_the_newest_baskets_are_counted_and_it_says_so() -> None:
    baskets = [["old", "older"]] * 3_000 + [["new", "newer"]] * 1_000
    mined = mine(baskets, 0.2, 0.9, memory=500)
    assert not mined.exact
    assert {rule.consequent for rule in mined.rules} == {"new", "newer"}


def test_the_window_holds_exactly_the_newest_baskets(seed: int) -> None:
    baskets = drawn_baskets(seed, 500, 30)
    window = AssociationRules(baskets=128, items=16, lines=8)
    for basket in baskets:
        window.learn_basket(basket)
    roomy = AssociationRules(baskets=128, items=64, lines=8)
    for basket in baskets[-128:]:
        roomy.learn_basket(basket)
    assert window.evicted == 500 - 128
    common = {rule[:2]: rule for rule in roomy.rules(0.03, 0.001)}
    assert common
    found = {rule[:2]: rule for rule in window.rules(0.03, 0.1)}
    for key, rule in found.items():
        assert rule.held <= common[key].held


def test_window_state_goes_on_to_the_bit(seed: int) -> None:
    baskets = drawn_baskets(seed, 300, 60)
    straight = AssociationRules(baskets=64, items=32, lines=4)
    for basket in baskets[:200]:
        straight.learn_basket(basket)
    resumed = AssociationRules.from_state(straight.state())
    for model in (straight, resumed):
        for basket in baskets[200:]:
            model.learn_basket(basket)
    a, b = straight.state(), resumed.state()
    assert all(np.array_equal(a[key], b[key]) for key in a)
    assert straight.rules(0.05, 0.2) == resumed.rules(0.05, 0.2)
    assert straight.lines_left_out > 0
