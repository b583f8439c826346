"""Candidates: items that might be offered, each with where it came from.

The ladder is declared: personal sources first; what the segment buys, what is trending and what
is new fill up only what they leave open, so that a cold start is never silent. The recommender is
asked once, and its own order is kept; what goes with purchases, what waits in the cart and what is
new and alike come from beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from math import sqrt
from typing import Final, NamedTuple

from stream.core.history import CARTED, session_items, unbought
from stream.core.offer import Origin
from stream.core.state import CustomerState, Touch
from stream.core.world import Models, World
from stream.models.recommender import Ranked as Recommended

NEIGHBOURS: Final = 12
RECENT: Final = 3
ENOUGH: Final = 24

LADDER: Final = {
    Origin.BASKET: "personal",
    Origin.SESSION: "personal",
    Origin.NEIGHBOUR: "personal",
    Origin.OWN: "personal",
    Origin.SEGMENT: "segment",
    Origin.TRENDING: "trending",
    Origin.NEW: "new",
}

ORIGINS: Final = {
    "similar": Origin.NEIGHBOUR,
    "next": Origin.SESSION,
    "together": Origin.SESSION,
    "two_step": Origin.SESSION,
    "own": Origin.OWN,
    "segment": Origin.SEGMENT,
    "trending": Origin.TRENDING,
    "new": Origin.NEW,
}
WORTH: Final = {Origin.SEGMENT: 0.3, Origin.TRENDING: 0.3, Origin.NEW: 0.1}
ALIKE: Final = 0.5
LEAST: Final = 0.01


class Candidate(NamedTuple):
    """An item, its source, the source's relevance in (0, 1], and the item that led to it."""

    item_id: str
    origin: Origin
    relevance: float
    because: str | None = None


def gather(state: CustomerState, world: World) -> list[Candidate]:
    """Every candidate once, with the source that finds it most relevant."""
    own = unbought(state.history)
    best: dict[str, Candidate] = {}
    for candidate in chain(
        _recommended(state, world), _personal(state, own, world.models), _alike(own, world)
    ):
        known = best.get(candidate.item_id)
        if known is None or candidate.relevance > known.relevance:
            best[candidate.item_id] = candidate
    return list(best.values())


def _recommended(state: CustomerState, world: World) -> Iterator[Candidate]:
    history = state.history
    items = session_items(history) or tuple(touch.item_id for touch in history.recent)
    bought = {item for item, _ in history.bought}
    ranked = world.models.recommender.recommend(
        items, ENOUGH, bought, history.session, state.profile.segment, world.newest
    )
    best = ranked[0].score if ranked else 0.0
    newest = items[-1] if items else None
    places = dict.fromkeys(WORTH, 0)
    for one in ranked:
        origin = ORIGINS[one.source]
        if origin in WORTH:
            places[origin] += 1
            yield Candidate(one.item, origin, WORTH[origin] / places[origin])
        else:
            because = one.item if origin is Origin.OWN else newest
            yield Candidate(one.item, origin, _relevance(one, best), because)


def _relevance(one: Recommended, best: float) -> float:
    """What is likely next is not as much likelier to be bought: hence the root."""
    return max(sqrt(one.score / best), LEAST)


def _personal(state: CustomerState, own: Sequence[Touch], models: Models) -> Iterator[Candidate]:
    for rank, touch in enumerate(own):
        carted = 1.0 if touch.weight == CARTED else 0.6
        yield Candidate(touch.item_id, Origin.OWN, carted / (rank + 1), touch.item_id)
    leads = dict.fromkeys(item for item, _ in reversed(state.history.bought))
    leads.update(dict.fromkeys(t.item_id for t in own if t.weight == CARTED))
    for rank, lead in enumerate(list(leads)[:RECENT]):
        for item, score in models.baskets.neighbours(lead, NEIGHBOURS):
            yield Candidate(item, Origin.BASKET, score / (rank + 1), lead)


def _alike(own: Sequence[Touch], world: World) -> Iterator[Candidate]:
    for rank, touch in enumerate(own[:RECENT]):
        for item, cosine in world.alike.get(touch.item_id, ()):
            yield Candidate(item, Origin.NEW, ALIKE * cosine / (rank + 1), touch.item_id)
