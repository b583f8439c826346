"""The world as a decision sees it: read-only, the same for every customer.

It changes between two batches only, and then all of it at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from stream.config import CoreSettings
from stream.domain.event import Campaign, CatalogItem, Event, Moment
from stream.domain.offer import Cause
from stream.extending import Asked, Wanted
from stream.models.experiments.trials import Trials
from stream.models.recommend.recommender import Ranked as Recommended

Neighbours = Sequence[tuple[str, float]]


class PurchaseModel(Protocol):
    """P(purchase) of feature vectors."""

    def predict(self, rows: Any, /) -> Iterable[float]:
        """Calibrated probabilities in [0, 1], one a row of features: an array, or sequences."""


class Segmenter(Protocol):
    """The segment of a customer's vector."""

    def assign(self, x: Sequence[float], /) -> int:
        """The segment's stable identity, without learning."""


class Recommends(Protocol):
    """What may come next in a session."""

    def recommend(
        self,
        items: Sequence[str],
        k: int,
        exclude: Collection[str],
        session: int,
        segment: int | None,
        newest: Iterable[str],
    ) -> Sequence[Recommended]:
        """At most ``k`` items, the best first, as a ``Recommender`` gives them.

        Personal ones first, then what the segment and what all want, then ``newest``.
        """


class Watching(Protocol):
    """Keeps what offers were made from; see :mod:`stream.decide.witness`."""

    def watch(self, world: World) -> World:
        """The world as one decision is to see it: each answer is noted."""

    def saw(
        self, record: bytes, event: Event | Moment, cause: Cause, now: int, offer_id: str
    ) -> None:
        """Keep what the decision rests on that was watched last, and that came to an offer."""

    def drain(self) -> list[tuple[str, Any]]:
        """What was seen since the last call, in order, with the offers' ids."""


class Related(Protocol):
    """Items that go with an item."""

    def neighbours(self, item: str, k: int, /) -> Neighbours:
        """At most ``k`` (item, score in (0, 1]) pairs, the best first."""


class Judges(Protocol):
    """A rule of the shop's own, held so that it never raises; see :mod:`stream.extending`."""

    @property
    def name(self) -> str:
        """Its name in the settings."""

    def judge(self, asked: Asked, /) -> str:
        """Why an item is not to be offered, the value of a `Denial`; empty if it may be."""


class Finds(Protocol):
    """A source of the shop's own, held so that it never raises; see :mod:`stream.extending`."""

    @property
    def name(self) -> str:
        """Its name in the settings."""

    def find(self, wanted: Wanted, /) -> Sequence[tuple[str, float]]:
        """Items with their relevance in (0, 1], the best first."""


class Told(Protocol):
    """What events told of items."""

    def get(self, item_id: str, /) -> CatalogItem | None:
        """The item, None if nothing was told of it."""


class Tries(Protocol):
    """What is known of campaigns' variants."""

    def odds(
        self,
        campaign_id: str,
        edition: int,
        arms: int,
        segment: int | None,
        floor: float,
        goal: int,
    ) -> tuple[int, ...]:
        """The probability of each variant, as `stream.models.experiments.trials.Trials` has it."""


class Unlearned:
    """What is known before anything was learned: a base rate, and no neighbours."""

    def __init__(self, base_rate: float = 0.02) -> None:
        self.base_rate = base_rate

    def predict(self, rows: Any, /) -> Iterable[float]:
        """The base rate for every row."""
        return [self.base_rate] * len(rows)

    def assign(self, x: Sequence[float], /) -> int:
        """One segment for all."""
        return 0

    def neighbours(self, item: str, k: int, /) -> Neighbours:
        """None yet."""
        return ()

    def get(self, item_id: str, /) -> CatalogItem | None:
        """Nothing was told."""
        return None

    def recommend(
        self,
        items: Sequence[str],
        k: int,
        exclude: Collection[str],
        session: int,
        segment: int | None,
        newest: Iterable[str],
    ) -> Sequence[Recommended]:
        """What is new."""
        fresh = [item for item in newest if item not in exclude] if newest else ()
        return [Recommended(item, 0.0, "new", "new") for item in fresh[:k]]


_UNLEARNED = Unlearned()
_UNTRIED = Trials()


class Models(Struct, frozen=True, weakref=True):
    """The models in use; ``items`` is what events told of items that no catalog describes.

    They never change under whoever holds this: see `stream.learn.editions`.
    """

    propensity: PurchaseModel = _UNLEARNED
    segments: Segmenter = _UNLEARNED
    recommender: Recommends = _UNLEARNED
    baskets: Related = _UNLEARNED
    items: Told = _UNLEARNED
    segment_names: tuple[str, ...] = ()
    versions: tuple[tuple[str, int], ...] = ()
    learned_through: int = 0
    trials: Tries = _UNTRIED


class World(NamedTuple):
    """Everything that a decision may look at beside the customer and the event.

    ``alike`` names for an item the new ones that are described like it, with their cosine.
    ``grants`` are what partitions may spend in all of campaigns that have a budget, and ``left`` is
    what the partition that decides may still spend.
    ``learning`` is whether anybody learns from what is decided; else nothing waits for a label.
    ``witness`` keeps what offers were made from; None where nobody asks.
    ``rules`` and ``sources`` are the shop's own, in the order in which they are asked.
    """

    settings: CoreSettings = CoreSettings()
    catalog: Mapping[str, CatalogItem] = {}
    campaigns: tuple[Campaign, ...] = ()
    models: Models = Models()
    newest: tuple[str, ...] = ()
    alike: Mapping[str, Neighbours] = {}
    learning: bool = True
    witness: Watching | None = None
    grants: Mapping[str, Mapping[int, int]] = {}
    left: Mapping[str, int] = {}
    rules: tuple[Judges, ...] = ()
    sources: tuple[Finds, ...] = ()

    def item(self, item_id: str) -> CatalogItem | None:
        """What is known of an item: the catalog's word, else what events told."""
        return self.catalog.get(item_id) or self.models.items.get(item_id)

    def items(self, item_ids: Sequence[str]) -> list[CatalogItem | None]:
        """What is known of each item."""
        told = self.models.items.get
        named = zip(item_ids, map(self.catalog.get, item_ids), strict=True)
        return [item or told(item_id) for item_id, item in named]
