"""Association rules of a file of baskets: exact, and how far the stream's bounded form is off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from stream.models.association import AssociationRules, Rule, TooMany, itemsets, rules_of
from stream.models.recommend.cooccurrence import CoOccurrence


class Mined(NamedTuple):
    """Rules, and whether they were counted over all baskets or over the newest that fit."""

    rules: list[Rule]
    exact: bool


def mine(
    baskets: Sequence[Sequence[str]], support: float, confidence: float, memory: int = 1 << 29
) -> Mined:
    """Rules of at least two items, counted over all baskets if ``memory`` (bytes) allows.

    Raises
    ------
    TooMany
        There are more than a million frequent itemsets.
    """
    names: dict[str, int] = {}
    rows: list[int] = []
    items: list[int] = []
    for row, basket in enumerate(baskets):
        for item in dict.fromkeys(basket):
            rows.append(row)
            items.append(names.setdefault(item, len(names)))
    least = math.ceil(support * len(baskets) - 1e-9)
    try:
        counts = itemsets(np.array(rows, np.int64), np.array(items), least, memory=memory)
    except TooMany:
        if len(baskets) <= 1_000:
            raise
        return Mined(mine(baskets[len(baskets) // 2 :], support, confidence, memory).rules, False)
    by_code = {code: name for name, code in names.items()}
    return Mined(rules_of(counts, by_code, len(baskets), confidence), True)


def bounded(
    baskets: Sequence[Sequence[str]],
    exact: Sequence[Rule],
    support: float,
    confidence: float,
    pairs: CoOccurrence,
    window: AssociationRules,
) -> dict[str, Any]:
    """How far the bounded forms, having learned the baskets in order, are off the exact rules.

    ``lift_error`` is relative, over the exact rules of two items, by the bounded pair counts;
    ``missing`` and ``extra`` are rules by the bounded window of baskets.
    """
    for basket in baskets:
        pairs.learn_basket(basket, 0)
        window.learn_basket(basket)
    errors = [
        abs((pairs.lift(rule.antecedent[0], rule.consequent) or 0.0) / rule.lift - 1.0)
        for rule in exact
        if len(rule.antecedent) == 1
    ]
    mine_ = {rule[:2] for rule in window.rules(support, confidence, longest=10)}
    theirs = {rule[:2] for rule in exact}
    return {
        "lift_error": {
            "mean": float(np.mean(errors)) if errors else 0.0,
            "max": max(errors, default=0.0),
            "pairs": len(errors),
        },
        "window": {
            "rules": len(mine_),
            "missing": len(theirs - mine_),
            "extra": len(mine_ - theirs),
            "evicted_baskets": window.evicted,
            "lines_left_out": window.lines_left_out,
        },
    }
