"""What events told of items that no catalog describes: category, brand and price, as last seen.

Rules: at most ``items`` are kept, an eighth of them, seen least lately, gives way at once; what an
event does not mention stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from stream.models.base.changes import Changes
from stream.models.base.kernel import kernel
from stream.models.base.names import Codes, Names
from stream.models.base.state import (
    State,
    StateError,
    StateValue,
    array,
    integer,
    nested,
    part_of,
    texts,
)
from stream.models.base.vocabulary import Numbering, Vocabulary

UNTOLD = -1


class Facts(NamedTuple):
    """Of one item; ``price`` in minor units."""

    category: str | None = None
    brand: str | None = None
    price: int | None = None


class EventFacts(NamedTuple):
    """What events say of items.

    Attributes
    ----------
    items, categories, brands
        int32 ``[events]``: codes of some `Names`, 0 for what an event does not mention.
    prices
        int64 ``[events]``, in minor units, -1 for none.
    """

    items: Codes
    categories: Codes
    brands: Codes
    prices: NDArray[np.int64]


@kernel
def take(
    told: Any, known: Codes, numbering: Numbering, table: Any, first: int, learned: int
) -> tuple[int, int]:
    """Take over what is told from ``first`` on, up to a stranger; how much by then, and changes.

    Parameters
    ----------
    told
        Of `EventFacts`.
    known
        int32 ``[codes]``: numbers of the items that are no strangers.
    numbering
        Of the vocabulary.
    table
        Prices, int64 ``[capacity]``; codes of categories and brands, int32 ``[capacity, 2]``; where
        changes of the latter go: slots, and which of the two, int64 ``[most, 2]``.
    learned
        How much was taken over before all of this.
    """
    items, categories, brands, priced = told
    prices, codes, changed = table
    changes = 0
    for at in range(first, len(items)):
        number = known[items[at]]
        if number == 0:
            return at, changes
        slot = number & numbering.mask
        numbering.use[slot] = learned + at + 1
        for which in range(2):
            code = brands[at] if which else categories[at]
            if code != 0 and codes[slot, which] != code:
                codes[slot, which] = code
                changed[changes, 0], changed[changes, 1] = slot, which
                changes += 1
        if priced[at] >= 0:
            prices[slot] = priced[at]
    return len(items), changes


class ItemFacts:
    """The last word on each item.

    Examples
    --------
    >>> facts = ItemFacts(items=2)
    >>> facts.learn("tea", "drinks", None, 250)
    >>> facts.learn("tea", None, "Assam", None)
    >>> facts.get("tea")
    Facts(category='drinks', brand='Assam', price=250)
    """

    def __init__(self, items: int = 50_000) -> None:
        self.vocabulary = Vocabulary(items)
        self.learned = 0
        self.prices: NDArray[np.int64] = np.full(items, UNTOLD, np.int64)
        self._texts: tuple[list[str], list[str]] = [], []  # categories, brands
        self._names: Names | None = None
        self._codes: Codes = np.zeros((0, 2), np.int32)  # of these texts

    def __len__(self) -> int:
        return len(self.vocabulary)

    def learn(self, item: str, category: str | None, brand: str | None, price: int | None) -> None:
        """Take over what an event says of an item."""
        names = Names()
        items, categories, brands = (names.codes([name]) for name in (item, category, brand))
        prices = np.array([UNTOLD if price is None else price])
        self.learn_many(EventFacts(items, categories, brands, prices), names)

    def learn_many(self, told: EventFacts, names: Names) -> None:
        """Take over what events say of items, in order."""
        if self._names is not names:
            self._names, self._codes = names, np.zeros((len(self.prices), 2), np.int32)
        changed, taken = np.zeros((2 * len(told.items), 2), np.int64), 0
        while True:
            known, table = self.vocabulary.known(names), (self.prices, self._codes, changed)
            first, before = taken, self.learned - taken
            taken, changes = take(
                tuple(told), known, self.vocabulary.numbering, table, first, before
            )
            self.learned += taken - first
            for slot, which in changed[:changes].tolist():
                self._texts[which][slot] = names.texts[self._codes.item(slot, which)]
            if taken == len(told.items):
                return
            self._admit(told.items.item(taken), names)

    def _admit(self, code: int, names: Names) -> None:
        """Give an item a slot of which nothing was told, unless it has one."""
        known = self.vocabulary.find(names.texts[code])
        slot = self.vocabulary.admitted(code, names) & self.vocabulary.mask
        if known:
            return
        for told in self._texts:
            if slot == len(told):
                told.append("")
            told[slot] = ""
        self.prices[slot], self._codes[slot] = UNTOLD, 0

    def get(self, item: str) -> Facts | None:
        """What was told of an item; None for one that nothing was told of."""
        number = self.vocabulary.find(item)
        if not number:
            return None
        slot = number & self.vocabulary.mask
        price, (category, brand) = int(self.prices[slot]), (texts[slot] for texts in self._texts)
        return Facts(category or None, brand or None, None if price < 0 else price)

    @property
    def evicted(self) -> int:
        """Items evicted so far to stay within ``items``."""
        return self.vocabulary.evicted

    def state(self) -> State:
        """Return all that the future depends on."""
        return {
            "learned": self.learned,
            "prices": self.prices[: self.vocabulary.used].copy(),
            "categories": list(self._texts[0]),
            "brands": list(self._texts[1]),
            **nested("vocabulary", self.vocabulary.state()),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the object that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        vocabulary = Vocabulary.from_state(part_of(state, "vocabulary"))
        self = cls(vocabulary.capacity)
        self.vocabulary = vocabulary
        self.learned = integer(state, "learned", 0, 2**62)
        self.prices[: vocabulary.used] = array(state, "prices", np.int64, (vocabulary.used,))
        self._texts = texts(state, "categories"), texts(state, "brands")
        if not len(self._texts[0]) == len(self._texts[1]) == vocabulary.used:
            raise StateError("categories, brands: not as many as items")
        return self

    def patch(self, changes: Changes) -> None:
        """Take over what changed, in place; see `stream.models.base.changes`."""
        used = self.vocabulary.used
        self.vocabulary.patch(changes.part("vocabulary"))
        changes.into("prices", self.prices, used)
        self._names = None
        for name, known in zip(("categories", "brands"), self._texts, strict=True):
            known += [""] * (self.vocabulary.used - used)
            for slot, text in changes.texts(name, used):
                known[slot] = text
        self.learned = changes.value("learned", self.learned)
