"""Who a customer is by what was done: recency, frequency, money and tastes, kept as one goes.

Rules: totals (counts, money, units) are exact whatever the order in which events arrive; decayed
weights halve every ``half_life`` of event time, and an event older than the last decay is
weighted as if it had come in time.
"""

from __future__ import annotations

from math import exp, log1p
from typing import TypeAlias

from msgspec.structs import replace

from stream.config import CoreSettings
from stream.core.event import ADD_TO_CART, REMOVE_FROM_CART, Action, Click, Event, Purchase, Trade
from stream.core.state import Profile

Tastes: TypeAlias = tuple[tuple[str, float], ...]

TASTES = 8
PRICE_MEMORY = 0.1
_CLICK_WEIGHT = {
    Action.VIEW: 1.0,
    Action.CLICK: 1.0,
    ADD_TO_CART: 3.0,
    REMOVE_FROM_CART: -2.0,
}
_PURCHASE_WEIGHT = 5.0


def update(profile: Profile, event: Event, settings: CoreSettings) -> Profile:
    """Fold one event into the profile."""
    if isinstance(event, Click):
        return _clicked(profile, event, settings)
    if isinstance(event, Purchase):
        if event.trade is Trade.PURCHASE:
            return _bought(profile, event, settings)
        return _refunded(profile, event)
    first, last = _span(profile, event.time)
    return replace(profile, first_seen=first, last_seen=last)


def decay(profile: Profile, now: int, settings: CoreSettings) -> float:
    """The factor, in (0, 1], by which decayed weights have shrunk by ``now``.

    >>> from stream.config import CoreSettings
    >>> month = CoreSettings(half_life=30.0)
    >>> decay(Profile(decayed=1_000), 31_000, month)
    0.5
    """
    age = now - profile.decayed
    if age <= 0 or not profile.decayed:
        return 1.0
    return float(0.5 ** (age / 1000 / settings.half_life))


def _clicked(profile: Profile, event: Click, settings: CoreSettings) -> Profile:
    action, category = event.action, event.category
    decayed, frequency, monetary, tastes = _aged(profile, event.time, settings)
    if category is not None:
        tastes = _liked(tastes, category, _CLICK_WEIGHT[action])
    first, last = _span(profile, event.time)
    views, carts, log_price = profile.views, profile.carts, profile.log_price
    if action is REMOVE_FROM_CART:
        carts -= 1
    else:
        log_price = _seen_price(log_price, event.price)
        if action is ADD_TO_CART:
            carts += 1
        else:
            views += 1
    return replace(
        profile,
        first_seen=first,
        last_seen=last,
        views=views,
        carts=carts,
        log_price=log_price,
        decayed=decayed,
        frequency=frequency,
        monetary=monetary,
        tastes=tastes[:TASTES],
    )


def _bought(profile: Profile, event: Purchase, settings: CoreSettings) -> Profile:
    decayed, frequency, monetary, tastes = _aged(profile, event.time, settings)
    for line in event.lines:
        if line.category is not None:
            tastes = _liked(tastes, line.category, _PURCHASE_WEIGHT)
    first, last = _span(profile, event.time)
    value = _value(event)
    at_home = event.currency == settings.currency
    return replace(
        profile,
        first_seen=first,
        last_seen=last,
        orders=profile.orders + 1,
        units=profile.units + sum(line.quantity for line in event.lines),
        spent=_plus(profile.spent, event.currency, value),
        last_order=max(profile.last_order, event.time),
        decayed=decayed,
        frequency=frequency + 1.0,
        monetary=monetary + (value if at_home else 0),
        tastes=tastes[:TASTES],
    )


def _refunded(profile: Profile, event: Purchase) -> Profile:
    first, last = _span(profile, event.time)
    return replace(
        profile,
        first_seen=first,
        last_seen=last,
        refunds=profile.refunds + 1,
        units=profile.units - sum(line.quantity for line in event.lines),
        spent=_plus(profile.spent, event.currency, -_value(event)),
    )


def _value(event: Purchase) -> int:
    return sum((line.price or 0) * line.quantity for line in event.lines)


def _plus(
    spent: tuple[tuple[str, int], ...], currency: str, amount: int
) -> tuple[tuple[str, int], ...]:
    totals = dict(spent)
    totals[currency] = totals.get(currency, 0) + amount
    return tuple(sorted(totals.items()))


def _span(profile: Profile, time: int) -> tuple[int, int]:
    """When the customer was seen first and last, an event at ``time`` included."""
    first, last = profile.first_seen or time, profile.last_seen
    return (time if time < first else first), (time if time > last else last)


def _aged(profile: Profile, now: int, settings: CoreSettings) -> tuple[int, float, float, Tastes]:
    """Since when, frequency, monetary and tastes, decayed to ``now``."""
    factor = decay(profile, now, settings)
    if factor == 1.0:
        since = profile.decayed or now
        return since, profile.frequency, profile.monetary, profile.tastes
    tastes = tuple([(name, weight * factor) for name, weight in profile.tastes])
    return now, profile.frequency * factor, profile.monetary * factor, tastes


def _liked(tastes: Tastes, name: str, weight: float) -> Tastes:
    """Add a weight to a taste, which takes the place that is its own now."""
    others = []
    for taste in tastes:
        if taste[0] == name:
            weight += taste[1]
        else:
            others.append(taste)
    weight = weight if weight > 0.0 else 0.0
    at = 0
    for taste in others:
        if taste[1] < weight or (taste[1] == weight and taste[0] > name):
            break
        at += 1
    others.insert(at, (name, weight))
    return tuple(others)


def _seen_price(log_price: float, price: int | None) -> float:
    if price is None:
        return log_price
    if not log_price:
        return log1p(price)
    return log_price + PRICE_MEMORY * (log1p(price) - log_price)


def usual_price(profile: Profile) -> int:
    """The price that the customer usually looks at, in minor units; 0 if none was seen.

    >>> usual_price(Profile(log_price=log1p(2500)))
    2500
    """
    return round(exp(profile.log_price) - 1)
