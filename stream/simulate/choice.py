"""What an item is worth to a shopper, and how that becomes a choice.

    utility = tastes . attributes - price x ln(price paid / 30) + deal x discount
            + quality x ln(tier) + fit - satiation + mood - reserve

in logits, against staying away at 0: a shopper who looks at an item wants it with probability
1 / (1 + exp(-utility)) (McFadden, "Conditional logit analysis of qualitative choice behavior",
1974). Offers and shelves go through this one function, so an offer sells only what fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log

import numpy as np

from stream.simulate.assortment import KINDS
from stream.simulate.draws import Draws, Floats
from stream.simulate.goods import GOES_WITH, Goods, Shelf
from stream.simulate.people import Shopper

_USUAL_LOG_PRICE = log(30.0)  # an item of 30 euros costs no utility
_FIT = 1.6  # goes with the basket
_FIT_LATER = 1.0  # … with what was bought lately
_LATELY_DAYS = 10
_SATED = 3.5  # has one already
_HABIT = 0.7  # liked it, and it is used up
_POPULAR = 1.4  # shelves show what sells


def liking(shopper: Shopper, shelf: Shelf) -> Floats:
    """The part of the utility that does not change within a visit, shape (items,)."""
    archetype = shopper.archetype
    worth: Floats = shelf.attributes @ shopper.tastes
    worth -= archetype.price * (shelf.log_price - _USUAL_LOG_PRICE)
    worth += archetype.quality * shelf.tier
    worth -= archetype.reserve
    return worth


def circumstance(shopper: Shopper, goods: Goods, item: int, time: int, discount: int) -> float:
    """The part that depends on mood, basket, past purchases and the discount in percent."""
    kind, extra = goods.kind_of[item], shopper.mood
    if discount:
        archetype, share = shopper.archetype, discount / 100
        extra += archetype.deal * share - archetype.price * log(1.0 - share)
    if shopper.basket:
        kinds = [goods.kind_of[other] for other in shopper.basket]
        if kind in kinds:
            return extra - _SATED
        if any(kind in GOES_WITH[other] for other in kinds):
            extra += _FIT
    if shopper.bought:
        extra += _afterwards(shopper, goods, item, time)
    return extra


def utilities(
    shopper: Shopper, goods: Goods, items: Sequence[int], time: int, discount: int = 0
) -> list[float]:
    """What buying each of ``items`` at this ``discount`` (percent) is worth, in logits."""
    fixed = liking(shopper, goods.shelf(np.array(items, dtype=np.int64))).tolist()
    return [
        worth + circumstance(shopper, goods, item, time, discount)
        for item, worth in zip(items, fixed, strict=True)
    ]


def wants(worth: float, draws: Draws) -> bool:
    """Choose between having it and staying away."""
    return draws.uniform() * (1.0 + exp(-worth)) < 1.0


def browse(shopper: Shopper, shelf: Shelf, draws: Draws, count: int) -> list[tuple[int, float]]:
    """The first ``count`` items that a shopper would look at, with their liking.

    A ranking by a logit choice without replacement (Plackett 1975). One kind of goods is what the
    visit is about, so items of the first item's kind are preferred.
    """
    fixed = liking(shopper, shelf)
    pull = 0.35 * fixed + _POPULAR * shelf.draw + draws.gumbels(len(fixed))
    pull += 1.5 * (shelf.kind == shelf.kind[pull.argmax()])
    first = (-pull).argsort(kind="stable")[:count]
    return list(zip(shelf.items[first].tolist(), fixed[first].tolist(), strict=True))


def bought_lately(shopper: Shopper, goods: Goods, time: int) -> list[int]:
    """The kinds of goods that the shopper bought in the last days."""
    since = time - _LATELY_DAYS * goods.day
    return [kind for kind, bought in shopper.bought.items() if bought > since]


def _afterwards(shopper: Shopper, goods: Goods, item: int, time: int) -> float:
    """What earlier purchases do to the wish for ``item``: sated, used to it, or it fits."""
    kind = goods.kind_of[item]
    last = shopper.bought.get(kind)
    if last is None:
        lately = bought_lately(shopper, goods, time)
        return _FIT_LATER if any(kind in GOES_WITH[other] for other in lately) else 0.0
    left = 1.0 - (time - last) / (KINDS[kind].lasts_days * goods.day)
    if left > 0:
        return -_SATED * left
    return _HABIT if item in shopper.owned else 0.0
