"""Candidates: items that might be offered, each with where it came from.

The ladder is declared: personal sources first; what the segment buys, what is trending and what
is new fill up only what they leave open, so that a cold start is never silent. The recommender is
asked once, and its own order is kept; what goes with purchases, what waits in the cart and what is
new and alike come from beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import sqrt
from typing import Final

from stream.decide.rows.history import CARTED
from stream.decide.rows.layout import NEVER
from stream.decide.rows.record import View
from stream.decide.rows.state import Touch
from stream.decide.world import Models, World
from stream.domain.event import Click, Event, Moment
from stream.domain.offer import Origin
from stream.domain.value import Value

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
    Origin.RULE: "rules",
}

ORIGINS: Final = {
    "similar": Origin.NEIGHBOUR,
    "next": Origin.SESSION,
    "together": Origin.SESSION,
    "two_step": Origin.SESSION,
    "taste": Origin.SESSION,
    "own": Origin.OWN,
    "segment": Origin.SEGMENT,
    "trending": Origin.TRENDING,
    "new": Origin.NEW,
}
OWN: Final = Origin.OWN  # in Python 3.11 an enumeration's members are slow to find
WORTH: Final = {Origin.SEGMENT: 0.3, Origin.TRENDING: 0.3, Origin.NEW: 0.1}
ALIKE: Final = 0.5
LEAST: Final = 0.01


class Candidate(Value, frozen=True):
    """An item, its source, the source's relevance in (0, 1], and the item that led to it."""

    item_id: str
    origin: Origin
    relevance: float
    because: str | None = None


def on_screen(customer: View, event: Event | Moment) -> frozenset[str]:
    """The items that a customer sees anyway: what the event shows, and the open session's cart.

    A moment without an event shows nothing.
    """
    if isinstance(event, Moment):
        return frozenset()
    start = customer.session_start
    seen = [t.item_id for t in customer.recent if t.weight == CARTED and t.time >= start]
    if isinstance(event, Click):
        seen.append(event.item_id)
    return frozenset(seen)


def rung(origin: Origin) -> str:
    """The rung of the ladder on which a candidate stands."""
    return LADDER.get(origin, "extension")


def gather(
    customer: View,
    world: World,
    screen: Collection[str] = (),
    brought: Sequence[Candidate] = (),
) -> list[Candidate]:
    """Every candidate once, with the source that finds it most relevant; none of the ``screen``.

    ``brought`` are those of the shop's own sources.
    """
    own = unbought(customer)
    aside = [touch for touch in own if touch.item_id not in screen]
    found = [
        Candidate(t.item_id, OWN, (1.0 if t.weight == CARTED else 0.6) / rank, t.item_id)
        for rank, t in enumerate(aside, 1)
    ]
    found += _together(customer, own, world.models)
    if world.alike:
        found += _alike(own, world)
    found += brought
    best = {candidate.item_id: candidate for candidate in _recommended(customer, world, screen)}
    for candidate in found:
        if candidate.item_id in screen:
            continue
        known = best.get(candidate.item_id)
        if known is None or candidate.relevance > known.relevance:
            best[candidate.item_id] = candidate
    return list(best.values())


def unbought(customer: View) -> tuple[Touch, ...]:
    """Items touched and not bought since, newest first, each once."""
    bought = customer.bought
    seen: dict[str, Touch] = {}
    for touch in customer.recent[::-1]:
        seen.setdefault(touch.item_id, touch)
    if not bought:
        return tuple(seen.values())
    return tuple([t for t in seen.values() if bought.get(t.item_id, NEVER) < t.time])


def left_out(customer: View, screen: Collection[str]) -> Collection[str]:
    """What is not recommended: what was bought, and what is on the screen."""
    bought = customer.bought
    return {*bought, *screen} if bought else screen


def _recommended(customer: View, world: World, screen: Collection[str]) -> list[Candidate]:
    items = customer.session_items or [touch.item_id for touch in customer.recent]
    ranked = world.models.recommender.recommend(
        items, ENOUGH, left_out(customer, screen), customer.session, customer.segment, world.newest
    )
    best = ranked[0].score if ranked else 0.0
    newest = items[-1] if items else None
    places = dict.fromkeys(WORTH, 0)
    found = []
    for one in ranked:
        item, origin = one.item, ORIGINS[one.source]
        if origin in WORTH:
            places[origin] += 1
            found.append(Candidate(item, origin, WORTH[origin] / places[origin]))
        else:
            # what is likely next is not as much likelier to be bought: hence the root
            relevance = sqrt(one.score / best)
            because = item if origin is OWN else newest
            found.append(
                Candidate(item, origin, relevance if relevance > LEAST else LEAST, because)
            )
    return found


def _together(customer: View, own: Sequence[Touch], models: Models) -> list[Candidate]:
    """What goes with what was bought last, and with what waits in the cart."""
    leads = dict.fromkeys([item for item, _ in reversed(customer.purchases)])
    leads.update([(touch.item_id, None) for touch in own if touch.weight == CARTED])
    if not leads:
        return []
    return [
        Candidate(item, Origin.BASKET, score / rank, lead)
        for rank, lead in enumerate(list(leads)[:RECENT], 1)
        for item, score in models.baskets.neighbours(lead, NEIGHBOURS)
    ]


def _alike(own: Sequence[Touch], world: World) -> list[Candidate]:
    return [
        Candidate(item, Origin.NEW, ALIKE * cosine / rank, touch.item_id)
        for rank, touch in enumerate(own[:RECENT], 1)
        for item, cosine in world.alike.get(touch.item_id, ())
    ]
