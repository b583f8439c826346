"""Who a customer is by what was done: recency, frequency, money and tastes, kept as one goes.

Rules: totals (counts, money, units) are exact whatever the order in which events arrive; decayed
weights halve every ``half_life`` of event time, and an event older than the last decay is
weighted as if it had come in time.
"""

from __future__ import annotations

from math import exp, log1p

from msgspec.structs import replace

from stream.config import CoreSettings
from stream.core.event import Action, Click, Event, Purchase, Trade
from stream.core.state import Profile

TASTES = 8
PRICE_MEMORY = 0.1
_CLICK_WEIGHT = {
    Action.VIEW: 1.0,
    Action.CLICK: 1.0,
    Action.ADD_TO_CART: 3.0,
    Action.REMOVE_FROM_CART: -2.0,
}
_PURCHASE_WEIGHT = 5.0


def update(profile: Profile, event: Event, settings: CoreSettings) -> Profile:
    """Fold one event into the profile."""
    profile = replace(
        profile,
        first_seen=min(profile.first_seen or event.time, event.time),
        last_seen=max(profile.last_seen, event.time),
    )
    if isinstance(event, Click):
        return _clicked(profile, event, settings)
    if isinstance(event, Purchase):
        if event.trade is Trade.PURCHASE:
            return _bought(profile, event, settings)
        return _refunded(profile, event)
    return profile


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
    weights = {}
    if event.category is not None:
        weights[event.category] = _CLICK_WEIGHT[event.action]
    profile = _age(profile, event.time, weights, settings)
    seen = _seen_price(profile.log_price, event.price)
    if event.action is Action.ADD_TO_CART:
        return replace(profile, carts=profile.carts + 1, log_price=seen)
    if event.action is Action.REMOVE_FROM_CART:
        return replace(profile, carts=profile.carts - 1)
    return replace(profile, views=profile.views + 1, log_price=seen)


def _bought(profile: Profile, event: Purchase, settings: CoreSettings) -> Profile:
    weights: dict[str, float] = {}
    for line in event.lines:
        if line.category is not None:
            weights[line.category] = weights.get(line.category, 0.0) + _PURCHASE_WEIGHT
    profile = _age(profile, event.time, weights, settings)
    value = _value(event)
    at_home = event.currency == settings.currency
    return replace(
        profile,
        orders=profile.orders + 1,
        units=profile.units + sum(line.quantity for line in event.lines),
        spent=_plus(profile.spent, event.currency, value),
        last_order=max(profile.last_order, event.time),
        frequency=profile.frequency + 1.0,
        monetary=profile.monetary + (value if at_home else 0),
    )


def _refunded(profile: Profile, event: Purchase) -> Profile:
    return replace(
        profile,
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


def _age(profile: Profile, now: int, weights: dict[str, float], settings: CoreSettings) -> Profile:
    """Bring the decayed weights to ``now`` and add what the event says of categories."""
    factor = decay(profile, now, settings)
    if not weights and factor == 1.0:
        return profile
    tastes = {name: weight * factor for name, weight in profile.tastes}
    for name, weight in weights.items():
        tastes[name] = max(tastes.get(name, 0.0) + weight, 0.0)
    strongest = sorted(tastes.items(), key=lambda taste: (-taste[1], taste[0]))[:TASTES]
    return replace(
        profile,
        decayed=max(profile.decayed, now),
        frequency=profile.frequency * factor,
        monetary=profile.monetary * factor,
        tastes=tuple(strongest),
    )


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
