"""The goods of the shop, with the latent attributes that shoppers have a taste for.

Rules:

- An item's attributes are a unit vector: mostly its category, then its kind, its brand and
  something of its own. Neither the events nor the catalog tell it.
- Popularity follows Zipf's law, prices are log-normal around the usual price of the kind.
- Items from ``opening`` on are not on the shelf yet; :meth:`Goods.launch` puts them there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream.simulate.assortment import BRANDS, CATEGORIES, KINDS, LINES, MOODS
from stream.simulate.draws import Draws, Floats
from stream.simulate.rhythm import DAY_MS

DIMENSIONS = 12
CURRENCY = "EUR"
_ZIPF = 1.0
_HEAD = 4.0  # flattens the first ranks, as in real shops (Mandelbrot's shift)
_PRICE_SPREAD = 0.22  # of ln price within a kind and brand
_UNTRACKED = 0.3  # share of items whose stock the shop does not track
Indices = npt.NDArray[np.int64]


class Good(NamedTuple):
    """One item; money in minor units, ``stock`` None where it is not tracked."""

    item_id: str
    name: str
    kind: int
    brand: str
    category: str
    price: int
    margin: int
    stock: int | None
    text: str


class Shelf(NamedTuple):
    """Goods that lie together, as arrays of shape (items,), or (items, DIMENSIONS)."""

    items: Indices
    kind: Indices
    attributes: Floats
    log_price: Floats
    tier: Floats
    draw: Floats


class Goods:
    """All goods of a seed, on the shelf or still to come.

    ``attributes`` has shape (items, DIMENSIONS); ``log_price`` is ln of the price in major
    units, ``draw`` the log of the popularity, ``tier`` the log of the brand's tier, each of
    shape (items,). ``centres`` (categories, DIMENSIONS) is what a category stands for.
    ``categories`` has a shelf for each category, ``companions`` one for each kind, of the items
    that go with it; ``day`` is how many ms a day of a shopper's life takes.
    """

    def __init__(self, seed: int, count: int, day: float = DAY_MS) -> None:
        if count < len(KINDS):
            raise ValueError(f"items must be at least {len(KINDS)}, one of each kind")
        self.opening = count
        self.day = day
        total = count + max(count // 10, 1)
        world = Draws(seed, "world").generator()
        self.centres = _unit(world.standard_normal((len(CATEGORIES), DIMENSIONS)))
        kinds = _unit(world.standard_normal((len(KINDS), DIMENSIONS)))
        styles = _unit(world.standard_normal((len(BRANDS), DIMENSIONS)))
        self.kind_category = np.array([CATEGORIES.index(kind.category) for kind in KINDS])
        self.kind = np.array([i % len(KINDS) for i in range(total)])
        brand = world.integers(len(BRANDS), size=total)
        own = _unit(world.standard_normal((total, DIMENSIONS)))
        category = self.kind_category[self.kind]
        self.attributes = _unit(
            self.centres[category] + 0.45 * kinds[self.kind] + 0.4 * styles[brand] + 0.5 * own
        )
        self.tier = np.log(np.array([b.tier for b in BRANDS]))[brand]
        self.draw = _popularity(world, total, count)
        prices = _prices(world, self.kind, self.tier)
        self.log_price = np.log(prices / 100)
        self.all = [_good(seed, i, self.kind[i], brand[i], prices[i]) for i in range(total)]
        _tell_apart(self.all)
        self.index = {good.item_id: i for i, good in enumerate(self.all)}
        self.kind_of: list[int] = self.kind.tolist()
        self.stock = [good.stock for good in self.all]
        self.on_shelf = count
        self.categories: list[Shelf] = []
        self.companions: list[Shelf] = []
        self._arrange()

    def shelf(self, items: Indices) -> Shelf:
        """Put these items together."""
        return Shelf(
            items,
            self.kind[items],
            self.attributes[items],
            self.log_price[items],
            self.tier[items],
            self.draw[items],
        )

    def launch(self) -> int:
        """Put the next new item on the shelf and return its index."""
        item = self.on_shelf
        self.on_shelf += 1
        self._arrange()
        return item

    def _arrange(self) -> None:
        kind = self.kind[: self.on_shelf]
        category = self.kind_category[kind]
        self.categories = [
            self.shelf(np.flatnonzero(category == c)) for c in range(len(CATEGORIES))
        ]
        self.companions = [
            self.shelf(np.flatnonzero(np.isin(kind, sorted(other)))) for other in GOES_WITH
        ]


def _goes_with() -> tuple[frozenset[int], ...]:
    number = {kind.name: i for i, kind in enumerate(KINDS)}
    return tuple(frozenset(number[name] for name in kind.goes_with) for kind in KINDS)


GOES_WITH = _goes_with()
"""For each kind, the kinds that people buy with it."""


def _unit(vectors: Floats) -> Floats:
    scaled: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled


def _popularity(world: np.random.Generator, total: int, count: int) -> Floats:
    rank = world.permutation(total).astype(np.float64)
    rank[count:] *= 0.3  # a shop launches what it believes in
    log_weight: Floats = -_ZIPF * np.log(rank + _HEAD)
    log_weight -= log_weight.mean()
    return log_weight


def _prices(world: np.random.Generator, kind: Indices, tier: Floats) -> Indices:
    usual = np.array([k.price for k in KINDS], dtype=np.float64)[kind]
    raw = usual * np.exp(tier + _PRICE_SPREAD * world.standard_normal(len(kind)))
    return np.array([_charm(price) for price in raw])


def _charm(price: float) -> int:
    """Round as shops do: 4.79, 18.90, 249.00 (in minor units)."""
    step, less = (10, 1) if price < 1_500 else (100, 10) if price < 10_000 else (500, 0)
    return max(math.ceil(price / step) * step - less, 99)


def _good(seed: int, i: int, kind: int, brand: int, price: int) -> Good:
    draws = Draws(seed, "item", i)
    margin = round(price * (0.15 + 0.35 * draws.uniform()))
    stock = None if draws.chance(_UNTRACKED) else 20 + draws.below(400)
    words = Draws(seed, "name", i)
    line, mood = LINES[words.below(len(LINES))], MOODS[words.below(len(MOODS))]
    goods, maker = KINDS[kind], BRANDS[brand].name
    return Good(
        item_id=f"item-{i:05d}",
        name=f"{maker} {line} {goods.name}",
        kind=int(kind),
        brand=maker,
        category=goods.category,
        price=int(price),
        margin=margin,
        stock=stock,
        text=f"{goods.name} by {maker}, {mood}. Goes with: {', '.join(goods.goes_with)}.",
    )


def _tell_apart(goods: list[Good]) -> None:
    """Number the few names that were drawn twice."""
    times: dict[str, int] = {}
    for i, good in enumerate(goods):
        times[good.name] = n = times.get(good.name, 0) + 1
        if n > 1:
            goods[i] = good._replace(name=f"{good.name} {n}")
