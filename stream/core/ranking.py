"""Ranking: expected value, P(purchase) x relevance x value, with a little exploration.

Rules: the probability comes from the calibrated propensity model for the very features that the
example will carry; value is the margin, else the price, less the incentive; ties go by item id.
With a small probability the last place of a slate is drawn from the candidates left over, and
the probability of the slate that came out is kept for off-policy evaluation.
"""

from __future__ import annotations

from typing import NamedTuple

from stream.core.candidates import Candidate
from stream.core.event import Campaign, CatalogItem
from stream.core.features import Describer
from stream.core.hashing import unit
from stream.core.profile import usual_price
from stream.core.state import CustomerState
from stream.core.world import World


class Ranked(NamedTuple):
    """A candidate with its propensity in [0, 1], expected value and feature row.

    The row is empty where no model asks for it and nobody learns from it.
    """

    candidate: Candidate
    propensity: float
    value: float
    features: tuple[int, ...]


class Slate(NamedTuple):
    """The items to offer, best first, and the probability with which they were drawn."""

    items: tuple[Ranked, ...]
    probability: float
    explored: bool


def rank(
    candidates: list[Candidate],
    state: CustomerState,
    campaign: Campaign,
    now: int,
    world: World,
) -> list[Ranked]:
    """The candidates by expected value, best first."""
    usual = usual_price(state.profile)
    items = [world.item(candidate.item_id) for candidate in candidates]
    rows = _rows(candidates, items, state, campaign, now, world)
    ranked = [
        Ranked(candidate, float(p), float(p) * _worth(candidate, item, campaign, usual), row)
        for candidate, item, row, p in zip(
            candidates, items, rows, world.models.propensity.predict(rows), strict=True
        )
    ]
    return sorted(ranked, key=lambda r: (-r.value, r.candidate.item_id))


def _rows(
    candidates: list[Candidate],
    items: list[CatalogItem | None],
    state: CustomerState,
    campaign: Campaign,
    now: int,
    world: World,
) -> list[tuple[int, ...]]:
    if not (world.learning or world.models.learned_through):
        return [()] * len(candidates)
    describer = Describer(state, now)
    return [
        describer.row(candidate.item_id, item, candidate.origin, campaign.discount)
        for candidate, item in zip(candidates, items, strict=True)
    ]


def draw(ranked: list[Ranked], size: int, exploration: float, *draw_key: str | int) -> Slate:
    """Take the best ``size``; now and then, one of the others in the last place."""
    best, rest = ranked[:size], ranked[size:]
    if not rest or exploration <= 0:
        return Slate(tuple(best), 1.0, False)
    if unit(*draw_key, "explore") >= exploration:
        return Slate(tuple(best), 1.0 - exploration, False)
    chosen = rest[int(unit(*draw_key, "which") * len(rest))]
    return Slate((*best[:-1], chosen), exploration / len(rest), True)


def _worth(candidate: Candidate, item: CatalogItem | None, campaign: Campaign, usual: int) -> float:
    price = item.price if item and item.price is not None else usual
    incentive = price * campaign.discount / 100
    gain = item.margin if item and item.margin is not None else price
    return max(gain - incentive, 1.0) * candidate.relevance
