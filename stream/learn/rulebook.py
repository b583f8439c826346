"""The rulebook: which association rules stand, and which of them changed enough to be said again.

Rules: a rule stands if its share of the window's baskets and its confidence are large enough, and
at least a handful of baskets hold it; of more than are allowed those of the highest lift stand. A
rule is said again when one of its three measures moved by a hundredth: counts change with every
basket, and readers need not know. Everything follows from the window and from what was said, so
saying it again after a crash changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from stream.config import LearningSettings
from stream.models.association import AssociationRules, Rule, TooMany

LEAST_HELD: Final = 5  # baskets: fewer are an anecdote
LONGEST: Final = 4  # items of a rule, both sides together
MOST: Final = 10_000  # rules that stand at once
ITEMSETS: Final = 20_000  # counted at once: more than so many take seconds
NOTICED: Final = 0.01

Key = tuple[tuple[str, ...], str]


class Said(NamedTuple):
    """A rule with the number of baskets in which it was counted."""

    rule: Rule
    baskets: int

    @property
    def key(self) -> Key:
        """What the rule is about."""
        return self.rule.antecedent, self.rule.consequent


def standing(window: AssociationRules, settings: LearningSettings) -> dict[Key, Said]:
    """The rules that stand; the support asked for is doubled until they can be counted.

    Examples
    --------
    >>> window = AssociationRules(baskets=100, items=100)
    >>> for _ in range(5):
    ...     window.learn_basket(["tea", "milk"])
    ...     window.learn_basket(["soap"])
    >>> [said.rule.held for said in standing(window, LearningSettings()).values()]
    [5, 5]
    """
    held = min(window.learned, window.baskets)
    support = max(settings.rules_support, LEAST_HELD / held if held else 1.0)
    while support <= 1.0:
        try:
            rules = window.rules(support, settings.rules_confidence, LONGEST, ITEMSETS)
        except TooMany:
            support *= 2.0
        else:
            return {said.key: said for said in (Said(rule, held) for rule in rules[:MOST])}
    return {}


def changed(said: Mapping[Key, Said], stands: Mapping[Key, Said]) -> dict[Key, Said | None]:
    """What is to be said: new rules, those that moved, and None for what no longer stands."""
    news: dict[Key, Said | None] = {
        key: now
        for key, now in stands.items()
        if (before := said.get(key)) is None or _moved(before.rule, now.rule)
    }
    return news | {key: None for key in said if key not in stands}


def _moved(before: Rule, now: Rule) -> bool:
    return any(
        abs(new - old) > NOTICED * old
        for old, new in (
            (before.support, now.support),
            (before.confidence, now.confidence),
            (before.lift, now.lift),
        )
    )
