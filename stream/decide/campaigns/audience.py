"""Audiences: whether a customer is one of those whom a campaign is for.

Rules: pure, one predicate a function; each reads the record by `View`, and only what it asks for.
What is not known of a customer meets no predicate: who never bought has no days since the last
order, and a trait that nobody told is none of any values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp
from typing import Final

from stream.decide.rows.record import View
from stream.decide.world import World
from stream.domain.campaign import Audience, Trait, is_within

DAY: Final = 86_400_000
Figure = Callable[[View, int, str], float | None]
"""Of a customer at a time in ms, in a shop of this currency."""


def _of_head(name: str) -> Figure:
    return lambda customer, now, currency: customer.number(name)


def _days_since(name: str) -> Figure:
    def days(customer: View, now: int, currency: str) -> float | None:
        time = customer.number(name)
        return max(now - time, 0) / DAY if time else None

    return days


FIGURES: Final[Mapping[str, Figure]] = {
    "orders": _of_head("orders"),
    "refunds": _of_head("refunds"),
    "views": _of_head("views"),
    "carts": _of_head("carts"),
    "units": _of_head("units"),
    "session_clicks": _of_head("session_clicks"),
    "offers_made": _of_head("offers_made"),
    "dismissed": _of_head("dismissed"),
    "frequency": _of_head("frequency"),
    "monetary_minor": _of_head("monetary"),
    "spent_minor": lambda customer, now, currency: customer.spent.get(currency, 0),
    "usual_price_minor": lambda customer, now, currency: (
        exp(customer.usual) - 1 if customer.usual else None
    ),
    "days_since_order": _days_since("last_order"),
    "days_since_first_seen": _days_since("first_seen"),
}
"""What the profile says in numbers. ``frequency`` (orders) and ``monetary_minor`` decay by
`core.half_life`; ``spent_minor`` is net, and in the shop's currency."""


def is_in(audience: Audience, customer: View, customer_id: str, now: int, world: World) -> bool:
    """Whether a customer meets all that an audience asks for, before any item is known."""
    if audience.members and customer_id not in audience.members:
        return False
    if customer_id in audience.excluded:
        return False
    if audience.segments and not is_of_segment(audience.segments, customer.segment, world):
        return False
    currency = world.settings.currency
    for name, bounds in audience.figures:
        figure = FIGURES[name](customer, now, currency)
        if figure is None or figure not in bounds:
            return False
    if not all(_has_trait(customer, trait) for trait in audience.traits):
        return False
    if audience.liked and not any(is_within(name, audience.liked) for name, _ in customer.tastes):
        return False
    inner = customer, customer_id, now, world
    if audience.any_of and not any(is_in(part, *inner) for part in audience.any_of):
        return False
    return not any(is_in(part, *inner) for part in audience.none_of)


def is_of_segment(wanted: tuple[int | str, ...], segment: int | None, world: World) -> bool:
    """Whether a segment is one of some, which are named by number or by name."""
    if segment is None:
        return False
    names = world.models.segment_names
    return segment in wanted or (segment < len(names) and names[segment] in wanted)


def _has_trait(customer: View, trait: Trait) -> bool:
    known = customer.told.get(trait.name)
    if known is None:
        return False
    fact = known[0]
    if trait.bounds is not None:
        return _is_number(fact) and fact in trait.bounds
    return any(_is_same(fact, value) for value in trait.values)


def _is_number(fact: object) -> bool:
    return isinstance(fact, int | float) and not isinstance(fact, bool)


def _is_same(fact: object, value: object) -> bool:
    """Whether two facts are the same; true is no 1."""
    return fact == value and isinstance(fact, bool) == isinstance(value, bool)
