"""Who a customer is by what was done: recency, frequency, money and tastes, kept as one goes.

Rules: totals (counts, money, units) are exact whatever the order in which events arrive; decayed
weights halve every ``half_life`` of event time, and an event older than the last decay is
weighted as if it had come in time.
"""

from __future__ import annotations

from math import exp, log, log1p
from typing import Final

from stream.decide.rows.arriving import (
    CART,
    NONE,
    ORDER,
    REFUND,
    UNCART,
    UNPRICED,
    Arrival,
    category_of,
    own_text,
)
from stream.decide.rows.layout import TASTES, Table, is_before, number_of
from stream.models.base.kernel import kernel

PRICE_MEMORY: Final = 0.1
HALF: Final = log(0.5)  # by way of exp: a compiler's power of a constant is not the C library's
VIEW_WEIGHT, CART_WEIGHT, UNCART_WEIGHT, ORDER_WEIGHT = 1.0, 3.0, -2.0, 5.0


@kernel
def fold(customer: Table, arrival: Arrival, rules: Table) -> None:
    """Fold one event into the profile."""
    event = arrival.event[0]
    kind, time = event["kind"], event["time"]
    if kind <= UNCART:
        _click(customer, arrival, rules)
    elif kind == ORDER:
        _order(customer, arrival, rules)
    elif kind == REFUND:
        customer["refunds"] += 1
        customer["units"] -= _units(arrival)
        _spend(customer, arrival, -value_of(arrival))
    customer["n_tastes"] = min(customer["n_tastes"], TASTES)
    if not customer["first_seen"] or time < customer["first_seen"]:
        customer["first_seen"] = time
    customer["last_seen"] = max(customer["last_seen"], time)


@kernel
def _click(customer: Table, arrival: Arrival, rules: Table) -> None:
    event, line = arrival.event[0], arrival.lines[0]
    kind = event["kind"]
    _age(customer, event["time"], rules)
    if line["category"] != NONE:
        weight = UNCART_WEIGHT if kind == UNCART else CART_WEIGHT if kind == CART else VIEW_WEIGHT
        _like(customer, number_of(customer, category_of(arrival, 0)), weight)
    if kind == UNCART:
        customer["carts"] -= 1
        return
    if line["price"] != UNPRICED:
        seen, usual = log1p(float(line["price"])), customer["log_price"]
        customer["log_price"] = usual + PRICE_MEMORY * (seen - usual) if usual != 0.0 else seen
    if kind == CART:
        customer["carts"] += 1
    else:
        customer["views"] += 1


@kernel
def _order(customer: Table, arrival: Arrival, rules: Table) -> None:
    event = arrival.event[0]
    time = event["time"]
    _age(customer, time, rules)
    for line in range(len(arrival.lines)):
        if arrival.lines[line]["category"] != NONE:
            _like(customer, number_of(customer, category_of(arrival, line)), ORDER_WEIGHT)
    value = value_of(arrival)
    customer["orders"] += 1
    customer["units"] += _units(arrival)
    _spend(customer, arrival, value)
    customer["last_order"] = max(customer["last_order"], time)
    customer["frequency"] += 1.0
    if event["at_home"]:
        customer["monetary"] += value


@kernel
def value_of(arrival: Arrival) -> int:
    """What the lines of an order cost, in minor units."""
    value = 0
    for line in arrival.lines:
        if line["price"] != UNPRICED:
            value += line["price"] * line["quantity"]
    return value


@kernel
def _units(arrival: Arrival) -> int:
    units = 0
    for line in arrival.lines:
        units += line["quantity"]
    return units


@kernel
def _spend(customer: Table, arrival: Arrival, amount: int) -> None:
    """Add to what was spent in the order's currency, which takes its place by its text."""
    spent, currency = customer["spent"], number_of(customer, own_text(arrival))
    n = customer["n_spent"]
    for at in range(n):
        if spent[at]["text"] == currency:
            spent[at]["value"] += amount
            return
    at = n
    while at and is_before(customer, currency, spent[at - 1]["text"]):
        spent[at] = spent[at - 1]
        at -= 1
    spent[at]["text"] = currency
    spent[at]["count"] = 0
    spent[at]["value"] = amount
    customer["n_spent"] = n + 1


@kernel
def _age(customer: Table, now: int, rules: Table) -> None:
    """Decay frequency, monetary and tastes to ``now``."""
    if not customer["decayed"]:
        customer["decayed"] = now
        return
    age = now - customer["decayed"]
    if age <= 0:
        return
    factor = exp(age / 1000 / rules["half_life"] * HALF)
    if factor == 1.0:
        return
    customer["decayed"] = now
    customer["frequency"] *= factor
    customer["monetary"] *= factor
    for at in range(customer["n_tastes"]):
        customer["tastes"][at]["weight"] *= factor


@kernel
def _like(customer: Table, name: int, weight: float) -> None:
    """Add a weight to a taste, which takes the place that is its own now."""
    tastes = customer["tastes"]
    n = 0
    for at in range(customer["n_tastes"]):
        if tastes[at]["text"] == name:
            weight += tastes[at]["weight"]
        else:
            tastes[n] = tastes[at]
            n += 1
    weight = max(weight, 0.0)
    at = n
    while at and _is_stronger(customer, name, weight, tastes[at - 1]):
        tastes[at] = tastes[at - 1]
        at -= 1
    tastes[at]["text"] = name
    tastes[at]["spare"] = 0
    tastes[at]["weight"] = weight
    customer["n_tastes"] = n + 1


@kernel
def _is_stronger(customer: Table, name: int, weight: float, taste: Table) -> bool:
    other = taste["weight"]
    return bool(other < weight or (other == weight and is_before(customer, name, taste["text"])))
