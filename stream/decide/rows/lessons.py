"""Lessons: what an applied event teaches the learner, beside labels.

A click is one step of a session, an order is a basket, and a customer who starts a session or
buys is a portrait for segmentation. Customers appear only as hashes.
"""

from __future__ import annotations

import numpy as np

from stream.decide.rows.arriving import (
    NONE,
    ORDER,
    REFUND,
    UNCART,
    UNPRICED,
    Arrival,
    brand_of,
    category_of,
    item_of,
)
from stream.decide.rows.features import portrait
from stream.decide.rows.history import session_items
from stream.decide.rows.layout import NEVER, Bytes, Table, find, is_same, text_of
from stream.decide.rows.messagepack import (
    NIL,
    put_byte,
    put_float,
    put_head,
    put_list,
    put_number,
    put_optional,
    put_text,
)
from stream.models.base.kernel import kernel
from stream.models.base.packed import BASKET, PORTRAIT, STEP
from stream.models.recommend.features import LOOK_BACK


@kernel
def is_turning_point(customer: Table, kind: int) -> bool:
    """Whether an event can move a customer to another segment: a new session, or an order."""
    if kind <= UNCART:
        return bool(customer["session_clicks"] <= 1)
    return kind in (ORDER, REFUND)


@kernel
def teach(customer: Table, arrival: Arrival, examples: Table) -> None:
    """Write the examples of one event, given the record after it."""
    event = arrival.event[0]
    kind = event["kind"]
    if kind < UNCART:
        _write_step(customer, arrival, examples)
        if customer["session_clicks"] <= 1:
            _write_portrait(customer, event, examples)
    elif kind == ORDER:
        _write_basket(customer, arrival, examples)
        _write_portrait(customer, event, examples)


@kernel
def _write_step(customer: Table, arrival: Arrival, examples: Table) -> None:
    """A `Step`: an item, and what of its session came before."""
    event, line = arrival.event[0], arrival.lines[0]
    text = item_of(arrival, 0)
    items = session_items(customer)
    n = len(items)
    if n and items[n - 1] == find(customer, text):
        n -= 1
    put_head(examples, 8, STEP)
    put_number(examples, event["time"])
    put_number(examples, customer["session"])
    put_optional(examples, customer["segment"], NEVER)
    put_text(examples, text)
    first = max(n - LOOK_BACK, 0)
    put_list(examples, n - first)
    for item in items[first:n]:
        put_text(examples, text_of(customer, item))
    _put_label(examples, line["category"], category_of(arrival, 0))
    _put_label(examples, line["brand"], brand_of(arrival, 0))
    put_optional(examples, line["price"], UNPRICED)


@kernel
def _put_label(examples: Table, size: int, text: Bytes) -> None:
    if size == NONE:
        put_byte(examples, NIL)
    else:
        put_text(examples, text)


@kernel
def _write_portrait(customer: Table, event: Table, examples: Table) -> None:
    """A `Portrait`."""
    put_head(examples, 2, PORTRAIT)
    put_number(examples, event["time"])
    point = np.empty(6)
    portrait(customer, event["now"], point)
    put_list(examples, 6)
    for axis in point:
        put_float(examples, axis)


@kernel
def _write_basket(customer: Table, arrival: Arrival, examples: Table) -> None:
    """A `Basket`: the items of an order, each once, in the order of its lines."""
    put_head(examples, 3, BASKET)
    put_number(examples, arrival.event[0]["time"])
    put_optional(examples, customer["segment"], NEVER)
    n = len(arrival.lines)
    different = 0
    for line in range(n):
        different += _is_first(arrival, line)
    put_list(examples, different)
    for line in range(n):
        if _is_first(arrival, line):
            put_text(examples, item_of(arrival, line))


@kernel
def _is_first(arrival: Arrival, line: int) -> bool:
    """Whether no line before has the same item."""
    text = item_of(arrival, line)
    met = False
    for before in range(line):
        met |= is_same(item_of(arrival, before), text)
    return not met
