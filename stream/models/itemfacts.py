"""What events told of items that no catalog describes: category, brand and price, as last seen.

Rules: at most ``items`` are kept, an eighth of them, seen least lately, gives way at once; what an
event does not mention stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from stream.models.changes import Changes
from stream.models.state import (
    State,
    StateError,
    StateValue,
    array,
    integer,
    nested,
    part_of,
    texts,
)
from stream.models.vocabulary import Vocabulary

UNTOLD = -1


class Facts(NamedTuple):
    """Of one item; ``price`` in minor units."""

    category: str | None = None
    brand: str | None = None
    price: int | None = None


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
        self._categories: list[str] = []
        self._brands: list[str] = []

    def __len__(self) -> int:
        return len(self.vocabulary)

    def learn(self, item: str, category: str | None, brand: str | None, price: int | None) -> None:
        """Take over what an event says of an item."""
        known = self.vocabulary.find(item)
        slot = (known or self.vocabulary.admit(item, 0.0)) & self.vocabulary.mask
        if slot == len(self._brands):
            self._categories.append("")
            self._brands.append("")
        elif not known:
            self._categories[slot] = self._brands[slot] = ""
            self.prices[slot] = UNTOLD
        self.learned += 1
        self.vocabulary.use[slot] = self.learned
        if category is not None:
            self._categories[slot] = category
        if brand is not None:
            self._brands[slot] = brand
        if price is not None:
            self.prices[slot] = price

    def get(self, item: str) -> Facts | None:
        """What was told of an item; None for one that nothing was told of."""
        number = self.vocabulary.find(item)
        if not number:
            return None
        slot = number & self.vocabulary.mask
        price = int(self.prices[slot])
        return Facts(
            self._categories[slot] or None,
            self._brands[slot] or None,
            None if price < 0 else price,
        )

    @property
    def evicted(self) -> int:
        """Items evicted so far to stay within ``items``."""
        return self.vocabulary.evicted

    def state(self) -> State:
        """Return all that the future depends on."""
        return {
            "learned": self.learned,
            "prices": self.prices[: self.vocabulary.used].copy(),
            "categories": list(self._categories),
            "brands": list(self._brands),
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
        self._categories, self._brands = texts(state, "categories"), texts(state, "brands")
        if not len(self._categories) == len(self._brands) == vocabulary.used:
            raise StateError("categories, brands: not as many as items")
        return self

    def patch(self, changes: Changes) -> None:
        """Take over what changed, in place; see `stream.models.changes`."""
        used = self.vocabulary.used
        self.vocabulary.patch(changes.part("vocabulary"))
        changes.into("prices", self.prices, used)
        for name, known in (("categories", self._categories), ("brands", self._brands)):
            known += [""] * (self.vocabulary.used - used)
            for slot, text in changes.texts(name, used):
                known[slot] = text
        self.learned = changes.value("learned", self.learned)
