"""The world as a decision sees it: read-only, swapped in whole, the same for every customer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from stream.config import CoreSettings
from stream.core.event import Campaign, CatalogItem

Neighbours = Sequence[tuple[str, float]]


class Propensity(Protocol):
    """P(purchase) of feature vectors."""

    def predict(self, rows: Sequence[Sequence[int]], /) -> Iterable[float]:
        """Calibrated probabilities in [0, 1], one a row."""


class Segmenter(Protocol):
    """The segment of a customer's vector."""

    def assign(self, x: Sequence[float], /) -> int:
        """The segment's stable identity, without learning."""


class Related(Protocol):
    """Items that go with an item."""

    def neighbours(self, item: str, k: int, /) -> Neighbours:
        """At most ``k`` (item, score in (0, 1]) pairs, the best first."""


class Popular(Protocol):
    """Items that are wanted now."""

    def top(self, segment: int | None, k: int, /) -> Neighbours:
        """At most ``k`` (item, decayed count) pairs of a segment, or of all (None)."""


class Unlearned:
    """What is known before anything was learned: a base rate, and no neighbours."""

    def __init__(self, base_rate: float = 0.02) -> None:
        self.base_rate = base_rate

    def predict(self, rows: Sequence[Sequence[int]], /) -> Iterable[float]:
        """The base rate for every row."""
        return [self.base_rate] * len(rows)

    def assign(self, x: Sequence[float], /) -> int:
        """One segment for all."""
        return 0

    def neighbours(self, item: str, k: int, /) -> Neighbours:
        """None yet."""
        return ()

    def top(self, segment: int | None, k: int, /) -> Neighbours:
        """None yet."""
        return ()


_UNLEARNED = Unlearned()


class Models(NamedTuple):
    """The models in use; ``items`` is what events told of items that no catalog describes."""

    propensity: Propensity = _UNLEARNED
    segments: Segmenter = _UNLEARNED
    sessions: Related = _UNLEARNED
    baskets: Related = _UNLEARNED
    trending: Popular = _UNLEARNED
    items: Mapping[str, CatalogItem] = {}
    segment_names: tuple[str, ...] = ()
    versions: tuple[tuple[str, int], ...] = ()
    learned_through: int = 0


class World(NamedTuple):
    """Everything that a decision may look at beside the customer and the event.

    ``learning`` is whether anybody learns from what is decided; else nothing waits for a label.
    """

    settings: CoreSettings = CoreSettings()
    catalog: Mapping[str, CatalogItem] = {}
    campaigns: tuple[Campaign, ...] = ()
    models: Models = Models()
    newest: tuple[str, ...] = ()
    learning: bool = True

    def item(self, item_id: str) -> CatalogItem | None:
        """What is known of an item: the catalog's word, else what events told."""
        return self.catalog.get(item_id) or self.models.items.get(item_id)
