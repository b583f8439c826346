"""Association rules: one or more items → an item, counted exactly over the newest baskets.

Rules: a basket is a set. The window is a ring of baskets, so support, confidence and lift of what
it holds are exact, and its memory is fixed. Itemsets are found depth first, each a bit set over
the baskets (Eclat): a support is one AND and one count of bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.base.changes import Changes
from stream.models.base.state import State, nested, part_of
from stream.models.base.vocabulary import Numbers, Vocabulary

Words = NDArray[np.uint16]
Counts = dict[tuple[int, ...], int]

ONES: Final = np.array([bin(word).count("1") for word in range(1 << 16)], np.uint8)


class TooMany(ValueError):
    """More itemsets or more memory than allowed: the least support is too low."""


class Rule(NamedTuple):
    """Who buys ``antecedent`` buys ``consequent``, too.

    Attributes
    ----------
    support
        Share of the baskets that hold all of it, 0 to 1.
    confidence
        Share of the antecedent's baskets that hold the consequent, 0 to 1.
    lift
        Confidence over the consequent's share of all baskets; 1 is chance.
    held
        Baskets that hold all of it.
    """

    antecedent: tuple[str, ...]
    consequent: str
    support: float
    confidence: float
    lift: float
    held: int


def itemsets(
    baskets: NDArray[np.integer],
    items: NDArray[np.integer],
    least: int,
    longest: int = 10,
    most: int = 1_000_000,
    memory: int = 1 << 29,
) -> Counts:
    """Count every itemset that at least ``least`` baskets hold.

    Parameters
    ----------
    baskets, items
        ``[lines]``: the basket (from 0) and the item of each line, each pair once.
    least
        Baskets that an itemset must be in, at least 1.
    longest
        Items in an itemset.
    most
        Itemsets that may be found.
    memory
        Bytes that the bit sets of the frequent items may take.

    Returns
    -------
    dict
        Baskets per itemset; the items of a key ascend.

    Raises
    ------
    TooMany
        Either bound is passed.

    References
    ----------
    Zaki: Scalable algorithms for association mining. IEEE TKDE 2000.

    Examples
    --------
    >>> lines = np.array([[0, 1], [0, 2], [1, 1], [1, 2], [2, 1]])
    >>> itemsets(lines[:, 0], lines[:, 1], least=2)
    {(1,): 3, (1, 2): 2, (2,): 2}
    """
    least = max(1, least)
    names, codes, sizes = np.unique(items, return_inverse=True, return_counts=True)
    frequent = np.flatnonzero(sizes >= least)
    size = (int(baskets.max()) >> 4) + 1 if len(baskets) else 0
    if len(frequent) * size * 2 > memory:
        raise TooMany(f"{len(frequent):,} frequent items need {len(frequent) * size * 2:,} bytes")
    sets = np.zeros((len(frequent), size), np.uint16)
    place = np.full(len(names), -1)
    place[frequent] = np.arange(len(frequent))
    rows = place[codes]
    kept = rows >= 0
    rows, lines = rows[kept], np.asarray(baskets)[kept]
    np.bitwise_or.at(sets, (rows, lines >> 4), (1 << (lines & 15)).astype(np.uint16))
    found: Counts = {}
    keys = [int(name) for name in names[frequent]]
    _deepen(found, (), keys, sets, sizes[frequent].tolist(), (least, longest, most))
    return found


def _deepen(
    found: Counts,
    prefix: tuple[int, ...],
    keys: list[int],
    sets: Words,
    counts: list[int],
    bounds: tuple[int, int, int],
) -> None:
    """Count what extends ``prefix``; ``sets`` are the baskets of the prefix with each key."""
    least, longest, most = bounds
    for at, key in enumerate(keys):
        itemset = (*prefix, key)
        found[itemset] = counts[at]
        if len(found) > most:
            raise TooMany(f"more than {most:,} itemsets")
        if len(itemset) == longest or at + 1 == len(keys):
            continue
        both = sets[at + 1 :] & sets[at]
        held = ONES[both].sum(axis=1, dtype=np.int64)
        enough = np.flatnonzero(held >= least)
        if len(enough):
            deeper = [keys[at + 1 + which] for which in enough.tolist()]
            _deepen(found, itemset, deeper, both[enough], held[enough].tolist(), bounds)


def rules_of(
    counts: Counts, names: Mapping[int, str], baskets: int, confidence: float
) -> list[Rule]:
    """Rules of at least two items with at least this confidence, the highest lift first."""
    rules = []
    for itemset, count in counts.items():
        if len(itemset) < 2:
            continue
        for antecedent in combinations(itemset, len(itemset) - 1):
            sure = count / counts[antecedent]
            if sure < confidence:
                continue
            (consequent,) = set(itemset) - set(antecedent)
            rules.append(
                Rule(
                    tuple(sorted(names[item] for item in antecedent)),
                    names[consequent],
                    count / baskets,
                    sure,
                    sure * baskets / counts[(consequent,)],
                    count,
                )
            )
    return sorted(rules, key=lambda rule: (-rule.lift, -rule.held, rule[:2]))


class AssociationRules:
    """Rules of the newest baskets, in bounded memory.

    Parameters
    ----------
    baskets
        Baskets in the window; the oldest gives way.
    items
        Items held at once.
    lines
        Items of one basket that are kept; the ones after them are left out and counted.

    Examples
    --------
    >>> window = AssociationRules(baskets=100, items=100)
    >>> for basket in [["tea", "milk"], ["tea", "milk", "soap"], ["soap"], ["milk", "tea"]]:
    ...     window.learn_basket(basket)
    >>> rule = window.rules(min_support=0.5, min_confidence=0.9)[0]
    >>> rule.antecedent, rule.consequent, rule.support, rule.confidence
    (('milk',), 'tea', 0.75, 1.0)
    """

    def __init__(self, baskets: int = 65_536, items: int = 32_768, lines: int = 32) -> None:
        self.baskets, self.lines = baskets, lines
        self.vocabulary = Vocabulary(items)
        self.window: Numbers = np.zeros((baskets, lines), np.int32)
        self.learned = 0
        self.lines_left_out = 0

    @property
    def evicted(self) -> int:
        """Baskets that the window has left behind."""
        return max(0, self.learned - self.baskets)

    def learn_basket(self, items: Sequence[str], time: int = 0) -> None:
        """Learn what was bought together; ``time`` (ms) is not needed, the window is by count."""
        once = list(dict.fromkeys(items))
        self.lines_left_out += max(0, len(once) - self.lines)
        once = once[: self.lines]
        row = self.learned % self.baskets
        gone = self.window[row]
        gone = gone[self.vocabulary.live(gone)] & self.vocabulary.mask
        self.vocabulary.use[gone] -= 1.0
        self.window[row] = 0
        self.window[row, : len(once)] = [self.vocabulary.admit(item, 1.0) for item in once]
        self.learned += 1

    def rules(
        self, min_support: float, min_confidence: float, longest: int = 5, most: int = 100_000
    ) -> list[Rule]:
        """Rules with at least this support and confidence (0 to 1), the highest lift first.

        Raises
        ------
        TooMany
            The support is too low for ``most`` itemsets.
        """
        held = min(self.learned, self.baskets)
        if not held:
            return []
        window = self.window[:held]
        rows, places = np.nonzero(self.vocabulary.live(window))
        numbers = window[rows, places]
        least = math.ceil(min_support * held - 1e-9)
        counts = itemsets(rows, numbers, least, longest, most)
        names = {key[0]: self.vocabulary.name(key[0]) for key in counts if len(key) == 1}
        return rules_of(counts, names, held, min_confidence)

    def state(self) -> State:
        """Flat, plain state."""
        held = min(self.learned, self.baskets)
        return {
            "baskets": self.baskets,
            "lines": self.lines,
            "learned": self.learned,
            "lines_left_out": self.lines_left_out,
            "window": self.window[:held].copy(),
            **nested("vocabulary", self.vocabulary.state()),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> AssociationRules:
        """The window that gave ``state``, to the bit."""
        self = cls(int(state["baskets"]), 1, int(state["lines"]))
        self.vocabulary = Vocabulary.from_state(part_of(state, "vocabulary"))
        self.learned = int(state["learned"])
        self.lines_left_out = int(state["lines_left_out"])
        self.window[: min(self.learned, self.baskets)] = state["window"]
        return self

    def patch(self, changes: Changes) -> None:
        """Take over what changed, in place; see `stream.models.base.changes`."""
        self.vocabulary.patch(changes.part("vocabulary"))
        changes.into("window", self.window, min(self.learned, self.baskets))
        self.learned = changes.value("learned", self.learned)
        self.lines_left_out = changes.value("lines_left_out", self.lines_left_out)
