"""Diversity: an offer is no shelf of one kind.

The rule: of one category, and of one brand, an offer holds at most so many items. What has none, or
none that is known, is like nothing else. Items are taken best first; one that would be too many
gives its place to the next. An offer may get shorter by that, and never empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from stream.domain.event import CatalogItem


class SlateLimits(NamedTuple):
    """Items of one category, and of one brand, in an offer; 0 for any number."""

    category: int = 0
    brand: int = 0


ANY_NUMBER = SlateLimits()


class Varied(NamedTuple):
    """What an offer holds, best first, and what else there is; all are places.

    ``spare`` are those which the last place may go to instead; ``too_alike`` are better than what
    is held, and too many of their kind.
    """

    held: list[int]
    spare: list[int]
    too_alike: list[int]


def varied(
    order: list[int], items: Sequence[CatalogItem | None], size: int, limits: SlateLimits
) -> Varied:
    """Choose what an offer holds.

    Parameters
    ----------
    order
        Places of items, best first.
    items
        What is known of each.
    size
        Items of an offer, at most.
    limits

    Examples
    --------
    >>> tea, pot = CatalogItem("t", category="tea"), CatalogItem("p", category="pots")
    >>> varied([0, 1, 2, 3], [tea, tea, tea, pot], 3, SlateLimits(category=2))
    Varied(held=[0, 1, 3], spare=[], too_alike=[2])
    """
    if limits == ANY_NUMBER:
        return Varied(order[:size], order[size:], [])
    held, too_alike = list[int](), list[int]()
    taken = Counter[tuple[str, str]]()
    for place in order:
        if len(held) == size:
            break
        if is_too_alike(items[place], taken, limits):
            too_alike.append(place)
        else:
            held.append(place)
            taken.update(kinds_of(items[place]))
    if held:
        taken.subtract(kinds_of(items[held[-1]]))
    rest = [place for place in order if place not in held]
    spare = [place for place in rest if not is_too_alike(items[place], taken, limits)]
    return Varied(held, spare, too_alike)


def is_too_alike(
    item: CatalogItem | None, taken: Counter[tuple[str, str]], limits: SlateLimits
) -> bool:
    """Whether an offer that holds some kinds, each so often, has no room for an item."""
    bounds = limits._asdict()
    return any(0 < bounds[kind] <= taken[kind, name] for kind, name in kinds_of(item))


def kinds_of(item: CatalogItem | None) -> list[tuple[str, str]]:
    """The category and the brand of an item, as far as they are known.

    >>> kinds_of(CatalogItem("p", category="tea")), kinds_of(None)
    ([('category', 'tea')], [])
    """
    if item is None:
        return []
    kinds = ("category", item.category), ("brand", item.brand)
    return [(kind, name) for kind, name in kinds if name is not None]
