"""Ranking: expected value, P(purchase) x relevance x value, with a little exploration.

Rules: the probability comes from the calibrated propensity model for the very features that the
example will carry; value is the margin, else the price, less the incentive; ties go by item id.
With a small probability the last place of a slate is drawn from the candidates left over, and
the probability of the slate that came out is kept for off-policy evaluation.
"""

from __future__ import annotations

from typing import TypeAlias

from stream.core.candidates import Candidate
from stream.core.event import Campaign, CatalogItem
from stream.core.features import Describer
from stream.core.hashing import unit
from stream.core.profile import usual_price
from stream.core.state import CustomerState
from stream.core.value import Value
from stream.core.world import World

Found: TypeAlias = tuple[Candidate, CatalogItem | None]
"""A candidate, and what is known of its item."""


class Ranked(Value, frozen=True):
    """A candidate with its item, propensity in [0, 1], expected value and feature row.

    The row is empty where no model asks for it and nobody learns from it.
    """

    candidate: Candidate
    item: CatalogItem | None
    propensity: float
    value: float
    features: tuple[int, ...]


class Slate(Value, frozen=True):
    """The items to offer, best first, and the probability with which they were drawn."""

    items: tuple[Ranked, ...]
    probability: float
    explored: bool


def rank(
    found: list[Found], state: CustomerState, campaign: Campaign, now: int, world: World
) -> list[Ranked]:
    """The candidates by expected value, best first."""
    usual = usual_price(state.profile)
    rows = _rows(found, state, campaign, now, world)
    ranked = []
    propensities = map(float, world.models.propensity.predict(rows))
    for (candidate, item), row, p in zip(found, rows, propensities, strict=True):
        value = p * _worth(candidate.relevance, item, campaign.discount, usual)
        ranked.append(Ranked(candidate, item, p, value, row))
    ranked.sort(key=_best_first)
    return ranked


def _best_first(ranked: Ranked) -> tuple[float, str]:
    return -ranked.value, ranked.candidate.item_id


def _rows(
    found: list[Found], state: CustomerState, campaign: Campaign, now: int, world: World
) -> list[tuple[int, ...]]:
    if not (world.learning or world.models.learned_through):
        return [()] * len(found)
    describer = Describer(state, now)
    return [
        describer.row(candidate.item_id, item, candidate.origin, campaign.discount)
        for candidate, item in found
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


def _worth(relevance: float, item: CatalogItem | None, discount: int, usual: int) -> float:
    price = item.price if item and item.price is not None else usual
    gain = item.margin if item and item.margin is not None else price
    worth = gain - price * discount / 100
    return (worth if worth > 1.0 else 1.0) * relevance
