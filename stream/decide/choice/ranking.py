"""Ranking: expected value, P(purchase) x relevance x value, with a little exploration.

Rules: the probability comes from the calibrated propensity model for the very features that the
example will carry; value is the margin, else the price, less the incentive; ties go by item id.
With a small probability the last place of a slate is drawn from the candidates left over, and
the probability of the slate that came out is kept for off-policy evaluation.
"""

from __future__ import annotations

from math import exp
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from stream.decide.choice.candidates import Candidate
from stream.decide.choice.describe import described
from stream.decide.choice.diversity import ANY_NUMBER, SlateLimits, varied
from stream.decide.rows.layout import Table
from stream.decide.rows.record import Desk, View
from stream.decide.world import World
from stream.domain.campaign import Reward
from stream.domain.chance import unit
from stream.domain.event import CatalogItem
from stream.domain.value import Value


class Found(NamedTuple):
    """Candidates in the order in which they were found, their items, and what is known of these."""

    candidates: list[Candidate]
    item_ids: list[str]
    items: list[CatalogItem | None]

    def only(self, places: list[int]) -> Found:
        """Some of them."""
        candidates, item_ids, items = self
        return Found(
            [candidates[n] for n in places],
            [item_ids[n] for n in places],
            [items[n] for n in places],
        )


class Ranking(NamedTuple):
    """Candidates by expected value.

    Attributes
    ----------
    found
        The candidates.
    propensities
        Of each, in [0, 1].
    features : uint32 (candidates, features)
        No columns where no model asks for them and nobody learns from them.
    order
        The places of all, or of some, best first.
    """

    found: Found
    propensities: list[float]
    features: Table
    order: list[int]

    def earns(self, place: int, reward: Reward, usual: int) -> float:
        """The expected margin of a candidate with an incentive, in minor units."""
        return self.propensities[place] * worth(self.found.items[place], *reward.off, usual)

    def likely(self, least: float) -> Ranking:
        """Those of at least this propensity."""
        return self._replace(order=[n for n in self.order if self.propensities[n] >= least])


class RankedCandidate(Value, frozen=True):
    """A candidate with its item and its propensity in [0, 1]."""

    candidate: Candidate
    item: CatalogItem | None
    propensity: float


class Slate(Value, frozen=True):
    """The items to offer, best first, and the probability with which they were drawn.

    ``features`` has a row for each, as of `Ranking`; ``too_alike`` are places of what was better,
    and left out for diversity.
    """

    items: tuple[RankedCandidate, ...]
    features: Table
    probability: float
    explored: bool
    too_alike: tuple[int, ...] = ()


def rank(
    found: Found, customer: View, reward: Reward, now: int, world: World, desk: Desk
) -> Ranking:
    """The candidates by expected value with an incentive, best first."""
    usual, (percent, amount) = usual_price(customer.usual), reward.off
    rows = _rows(found, customer, reward.percent(usual), now, world, desk)
    propensities = np.asarray(world.models.propensity.predict(rows)).tolist()
    expected = [
        p * (candidate.relevance * worth(item, percent, amount, usual))
        for p, candidate, item in zip(propensities, found.candidates, found.items, strict=True)
    ]
    by_id = sorted(range(len(expected)), key=found.item_ids.__getitem__)
    order = sorted(by_id, key=expected.__getitem__, reverse=True)
    return Ranking(found, propensities, rows, order)


def _rows(found: Found, customer: View, discount: int, now: int, world: World, desk: Desk) -> Table:
    """The features of each candidate, shape (candidates, features); none where nobody asks."""
    if not (world.learning or world.models.learned_through):
        return np.empty((len(found.items), 0), np.uint32)
    candidates, item_ids, items = found
    origins = [candidate.origin for candidate in candidates]
    return described(customer, item_ids, items, origins, discount, now, desk.rows)


def usual_price(log_price: float) -> int:
    """The price that a customer usually looks at, in minor units; 0 if none was seen.

    Parameters
    ----------
    log_price
        The running mean of ln(1 + price seen).

    >>> from math import log1p
    >>> usual_price(log1p(2500))
    2500
    """
    return round(exp(log_price) - 1)


def draw(
    ranking: Ranking,
    size: int,
    exploration: float,
    *draw_key: str | int,
    limits: SlateLimits = ANY_NUMBER,
) -> Slate:
    """Take the best ``size`` within limits; now and then, one of the others in the last place."""
    best, rest, alike = varied(ranking.order, ranking.found.items, size, limits)
    slate = _drawn(ranking, best, rest, exploration, *draw_key)
    if not alike:
        return slate
    held = {ranked.candidate.item_id for ranked in slate.items}
    left = [place for place in alike if ranking.found.item_ids[place] not in held]
    return replace(slate, too_alike=tuple(left))


def _drawn(
    ranking: Ranking, best: list[int], rest: list[int], exploration: float, *draw_key: str | int
) -> Slate:
    if not rest or exploration <= 0:
        return _slate(ranking, best, 1.0, False)
    if unit(*draw_key, "explore") >= exploration:
        return _slate(ranking, best, 1.0 - exploration, False)
    chosen = rest[int(unit(*draw_key, "which") * len(rest))]
    return _slate(ranking, [*best[:-1], chosen], exploration / len(rest), True)


def _slate(ranking: Ranking, places: list[int], probability: float, explored: bool) -> Slate:
    (candidates, _, items), propensities, features, _ = ranking
    slate = tuple([RankedCandidate(candidates[n], items[n], propensities[n]) for n in places])
    return Slate(slate, features.take(places, 0), probability, explored)


def worth(item: CatalogItem | None, percent: int, amount: int, usual: int) -> float:
    """What a sale of an item earns, in minor units; at least 1."""
    price, gain = (None, None) if item is None else (item.price, item.margin)
    if price is None:
        price = usual
    if gain is None:
        gain = price
    worth = gain - price * percent / 100 - amount
    return worth if worth > 1.0 else 1.0
