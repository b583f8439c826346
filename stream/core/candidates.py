"""Candidates: items that might be offered, each with where it came from.

The ladder is declared: personal sources first; what the segment buys, what is trending and what
is new fill up only what they leave open, so that a cold start is never silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stream.core.history import CARTED, unbought
from stream.core.offer import Origin
from stream.core.state import CustomerState
from stream.core.world import Models, Neighbours, World

NEIGHBOURS = 12
RECENT = 3
ENOUGH = 24

LADDER = {
    Origin.BASKET: "personal",
    Origin.SESSION: "personal",
    Origin.NEIGHBOUR: "personal",
    Origin.OWN: "personal",
    Origin.SEGMENT: "segment",
    Origin.TRENDING: "trending",
    Origin.NEW: "new",
}


class Candidate(NamedTuple):
    """An item, its source, the source's relevance in (0, 1], and the item that led to it."""

    item_id: str
    origin: Origin
    relevance: float
    because: str | None = None


def gather(state: CustomerState, world: World) -> list[Candidate]:
    """Every candidate once, with the source that finds it most relevant."""
    best: dict[str, Candidate] = {}
    for candidate in _personal(state, world.models):
        known = best.get(candidate.item_id)
        if known is None or candidate.relevance > known.relevance:
            best[candidate.item_id] = candidate
    for rung in (_segment, _trending, _new):
        if len(best) >= ENOUGH:
            break
        for candidate in rung(state, world):
            best.setdefault(candidate.item_id, candidate)
    return list(best.values())


def _personal(state: CustomerState, models: Models) -> Iterator[Candidate]:
    history = state.history
    own = unbought(history)
    for rank, touch in enumerate(own):
        carted = 1.0 if touch.weight == CARTED else 0.6
        yield Candidate(touch.item_id, Origin.OWN, carted / (rank + 1), touch.item_id)
    for rank, touch in enumerate(own[:RECENT]):
        for item, score in models.sessions.neighbours(touch.item_id, NEIGHBOURS):
            yield Candidate(item, Origin.SESSION, score / (rank + 1), touch.item_id)
    leads = dict.fromkeys(item for item, _ in reversed(history.bought))
    leads.update(dict.fromkeys(t.item_id for t in own if t.weight == CARTED))
    for rank, lead in enumerate(list(leads)[:RECENT]):
        for item, score in models.baskets.neighbours(lead, NEIGHBOURS):
            yield Candidate(item, Origin.BASKET, score / (rank + 1), lead)


def _segment(state: CustomerState, world: World) -> Iterator[Candidate]:
    if state.profile.segment is not None:
        top = world.models.trending.top(state.profile.segment, NEIGHBOURS)
        yield from _popular(top, Origin.SEGMENT)


def _trending(state: CustomerState, world: World) -> Iterator[Candidate]:
    yield from _popular(world.models.trending.top(None, NEIGHBOURS), Origin.TRENDING)


def _new(state: CustomerState, world: World) -> Iterator[Candidate]:
    for rank, item in enumerate(world.newest[:NEIGHBOURS]):
        yield Candidate(item, Origin.NEW, 0.1 / (rank + 1))


def _popular(top: Neighbours, origin: Origin) -> Iterator[Candidate]:
    most = top[0][1] if top else 1.0
    for item, count in top:
        yield Candidate(item, origin, 0.3 * count / most)
