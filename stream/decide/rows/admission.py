"""Whether an event may change a customer's record at all.

Rules, in this order: an event that was seen already is a duplicate; one older than stream time by
more than the grace is late; one beyond a person's pace is suppressed. Nobody's money is: purchases
and refunds pass, and cost no token.

A person's pace is a token bucket on the customer's own clock: the newest of their events fills it,
an older one fills nothing, and what others do makes no difference. What is suppressed leaves no
mark, so sent again it is judged anew.

An event is told again by its id, among the newest of its kind; and a purchase by its order's id,
among the newest of at least ``order_window``. A refund goes by its own id, and as long: an order
may come back in parts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np

from stream.decide.rows.arriving import (
    CART,
    DISMISS,
    IMPRESSION,
    MARK_SIZE,
    ORDER,
    REFUND,
    RESPONSE,
    UNCART,
    VIEW,
)
from stream.decide.rows.layout import Bytes, Table, keep_last
from stream.models.base.kernel import kernel

DAY: Final = 86_400_000
ORDER_SIZE: Final = MARK_SIZE + 2  # with the day it was seen, since 1970
NEW: Final = -1  # where a mark is that is not there


class Outcome(StrEnum):
    """What became of a record: every record that came in has exactly one."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    LATE = "late"
    SUPPRESSED = "suppressed"
    REJECTED = "rejected"
    REPLAYED = "replayed"


# Names of their own: Python 3.11 finds a member of an enumeration by way of a descriptor, which is
# slow where it is asked for with every event.
APPLIED, DUPLICATE, LATE, SUPPRESSED, REJECTED, REPLAYED = Outcome
IS_APPLIED, IS_DUPLICATE, IS_LATE, IS_SUPPRESSED = range(4)  # what kernels answer
ADMITTED: Final = (APPLIED, DUPLICATE, LATE, SUPPRESSED)


@kernel
def admit(customer: Table, event: Table, rules: Table) -> int:
    """Judge an event (an `EVENT`), and remember it in the record if it is applied.

    Of one that is suppressed the bucket alone is kept; of others nothing.
    """
    kind = event["kind"]
    if _is_known(customer, event, rules):
        return IS_DUPLICATE
    if event["time"] < event["now"] - rules["grace"]:
        return IS_LATE
    if kind != ORDER and kind != REFUND:
        tokens = _tokens(customer, event["time"], rules)
        customer["filled"] = max(customer["filled"], event["time"])
        customer["tokens"] = tokens
        if tokens < 1.0:
            return IS_SUPPRESSED
        customer["tokens"] = tokens - 1.0
    _remember(customer, event, rules)
    return IS_APPLIED


@kernel
def _is_known(customer: Table, event: Table, rules: Table) -> bool:
    kind, mark = event["kind"], event["mark"]
    if kind in (VIEW, CART, UNCART):
        return _holds(customer["clicks"], 0, customer["n_clicks"], mark, MARK_SIZE)
    if kind in (ORDER, REFUND):
        start = _forgotten(customer["placed"], customer["n_placed"], event["now"], rules)
        return _holds(customer["placed"], start, customer["n_placed"], mark, ORDER_SIZE)
    if kind in (IMPRESSION, RESPONSE, DISMISS):
        return _holds(customer["responses"], 0, customer["n_responses"], mark, MARK_SIZE)
    return _holds(customer["updates"], 0, customer["n_updates"], mark, MARK_SIZE)


@kernel
def _remember(customer: Table, event: Table, rules: Table) -> None:
    kind, mark, kept = event["kind"], event["mark"], rules["seen_ids"]
    if kind in (VIEW, CART, UNCART):
        customer["n_clicks"] = _added(
            customer["clicks"], 0, customer["n_clicks"], mark, MARK_SIZE, kept
        )
    elif kind in (ORDER, REFUND):
        day = event["now"] // DAY
        dated = mark.copy()
        dated[MARK_SIZE] = day >> 8
        dated[MARK_SIZE + 1] = day & 255
        start = _forgotten(customer["placed"], customer["n_placed"], event["now"], rules)
        kept = rules["seen_orders"]
        n = customer["n_placed"]
        customer["n_placed"] = _added(customer["placed"], start, n, dated, ORDER_SIZE, kept)
    elif kind in (IMPRESSION, RESPONSE, DISMISS):
        n = customer["n_responses"]
        customer["n_responses"] = _added(customer["responses"], 0, n, mark, MARK_SIZE, kept)
    else:
        customer["n_updates"] = _added(
            customer["updates"], 0, customer["n_updates"], mark, MARK_SIZE, kept
        )


@kernel
def _forgotten(orders: Bytes, n: int, now: int, rules: Table) -> int:
    """Where the orders begin that are still remembered."""
    oldest, start = now // DAY - rules["order_days"], 0
    while start < n and _day_of(orders, start) < oldest:
        start += ORDER_SIZE
    return start


@kernel
def _day_of(orders: Bytes, at: int) -> int:
    """When an order was seen, in days since 1970."""
    high, low = np.int64(orders[at + MARK_SIZE]), np.int64(orders[at + MARK_SIZE + 1])
    return int(high << 8 | low)


@kernel
def _holds(marks: Bytes, start: int, n: int, mark: Bytes, width: int) -> bool:
    for at in range(start, n, width):
        same = 0
        while same < MARK_SIZE and marks[at + same] == mark[same]:
            same += 1
        if same == MARK_SIZE:
            return True
    return False


@kernel
def _added(marks: Bytes, start: int, n: int, mark: Bytes, width: int, kept: int) -> int:
    """Put a mark behind those from ``start`` on, of which the newest are kept; the bytes of all."""
    n = keep_last(marks, n, min(n - start, (kept - 1) * width))
    for at in range(width):
        marks[n + at] = mark[at]
    return n + width


@kernel
def _tokens(customer: Table, time: int, rules: Table) -> float:
    """The tokens that there are at a time of the customer's own."""
    tokens: float = rules["burst"]
    if not customer["filled"]:
        return tokens
    left: float = customer["tokens"]
    if time > customer["filled"]:
        left += (time - customer["filled"]) / 1000 * rules["pace"]
    return min(left, tokens)
