"""What events told of items that no catalog describes: category, brand and price, as last seen.

Rules: at most ``items`` are kept, those seen least lately give way; what an event does not
mention stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from stream.models.state import State, StateError, StateValue, integer


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
    >>> facts.known["tea"]
    Facts(category='drinks', brand='Assam', price=250)
    """

    def __init__(self, items: int = 50_000) -> None:
        self.items = items
        self.known: dict[str, Facts] = {}
        self.evicted = 0

    def learn(self, item: str, category: str | None, brand: str | None, price: int | None) -> None:
        """Take over what an event says of an item."""
        old = self.known.pop(item, Facts())
        self.known[item] = Facts(
            old.category if category is None else category,
            old.brand if brand is None else brand,
            old.price if price is None else price,
        )
        if len(self.known) > self.items:
            del self.known[next(iter(self.known))]
            self.evicted += 1

    def state(self) -> State:
        """Return all that the future depends on."""
        return {
            "items": self.items,
            "evicted": self.evicted,
            "facts": [[item, *_stored(facts)] for item, facts in self.known.items()],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the object that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        facts = cls(integer(state, "items", 1, 2**40))
        facts.evicted = integer(state, "evicted", 0, 2**62)
        rows = state.get("facts")
        if not isinstance(rows, list) or len(rows) > facts.items:
            raise StateError("facts: not a list of at most that many items")
        facts.known = dict(map(_read, rows))
        return facts


def _stored(facts: Facts) -> tuple[str, str, int]:
    price = -1 if facts.price is None else facts.price
    return facts.category or "", facts.brand or "", price


def _read(row: Any) -> tuple[str, Facts]:
    match row:
        case [str(item), str(category), str(brand), int(price)]:
            return item, Facts(category or None, brand or None, None if price < 0 else price)
    raise StateError("facts: a row is not item, category, brand, price")
