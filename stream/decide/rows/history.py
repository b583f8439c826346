"""What a customer touched and bought lately, and the session that is open.

Rules: lists are ordered by time and then item, whatever the order of arrival, so that they are
a function of the events alone; a session ends after a gap of inactivity, or when the shop names
another one; each list is bounded and forgets its oldest.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from stream.decide.rows.arriving import CART, ORDER, RESPONSE, UNCART, Arrival, item_of, own_text
from stream.decide.rows.delivery import place_of
from stream.decide.rows.layout import END, NOBODY, Table, is_before, keep_last, number_of
from stream.models.base.kernel import kernel

VIEWED: Final = 1
CARTED: Final = 2


@kernel
def follow(customer: Table, arrival: Arrival, rules: Table) -> None:
    """Fold one event into the history."""
    kind = arrival.event[0]["kind"]
    if kind <= UNCART:
        _touch(customer, arrival, rules)
        _continue(customer, arrival.event[0], rules)
    elif kind == ORDER:
        _buy(customer, arrival, rules)
    elif kind == RESPONSE and len(arrival.lines) and _is_known(customer, arrival):
        _touch(customer, arrival, rules)  # an offer's item was looked at


@kernel
def _is_known(customer: Table, arrival: Arrival) -> bool:
    """Whether a response is about an offer that was made to the customer."""
    return place_of(customer, own_text(arrival)) != NOBODY


@kernel
def session_items(customer: Table) -> Table:
    """The items of the open session, oldest first, repeats kept: numbers of the record's."""
    n = 0
    items = np.empty(customer["n_recent"], END)
    for touch in customer["recent"][: customer["n_recent"]]:
        if touch["value"] >= customer["session_start"]:
            items[n] = touch["text"]
            n += 1
    return items[:n]


@kernel
def _touch(customer: Table, arrival: Arrival, rules: Table) -> None:
    recent, event = customer["recent"], arrival.event[0]
    item, kind, n = number_of(customer, item_of(arrival, 0)), event["kind"], customer["n_recent"]
    if kind == UNCART:
        for at in range(n):
            if recent[at]["text"] == item:
                recent[at]["count"] = VIEWED
        return
    recent[n]["text"] = item
    recent[n]["count"] = CARTED if kind == CART else VIEWED
    recent[n]["value"] = event["time"]
    if n and recent[n - 1]["value"] >= event["time"]:
        _sort(customer, recent, n + 1)
    customer["n_recent"] = keep_last(recent, n + 1, rules["recent"])


@kernel
def _buy(customer: Table, arrival: Arrival, rules: Table) -> None:
    bought, n = customer["bought"], customer["n_bought"]
    for line in range(len(arrival.lines)):
        bought[n]["text"] = number_of(customer, item_of(arrival, line))
        bought[n]["count"] = 0
        bought[n]["value"] = arrival.event[0]["time"]
        n += 1
    _sort(customer, bought, n)
    customer["n_bought"] = keep_last(bought, n, rules["recent"])


@kernel
def _sort(customer: Table, entries: Table, n: int) -> None:
    """Sort entries by time, text and count: by insertion, since most stand where they belong."""
    moved = np.empty_like(entries[:1])
    for end in range(1, n):
        moved[0] = entries[end]
        at = end
        while at and _is_earlier(customer, moved[0], entries[at - 1]):
            entries[at] = entries[at - 1]
            at -= 1
        entries[at] = moved[0]


@kernel
def _is_earlier(customer: Table, one: Table, other: Table) -> bool:
    if one["value"] != other["value"]:
        return bool(one["value"] < other["value"])
    if one["text"] != other["text"]:
        return is_before(customer, one["text"], other["text"])
    return bool(one["count"] < other["count"])


@kernel
def _continue(customer: Table, event: Table, rules: Table) -> None:
    """Go on with the open session, or begin another."""
    time, session = event["time"], event["session"]
    is_open = customer["session"] != 0
    if is_open and time >= customer["session_start"]:
        silent = time - customer["session_last"] > rules["session_gap"]
        renamed = event["named"] != 0 and session != customer["session"]
        is_open = not (silent or renamed)
    if is_open:
        customer["session_last"] = max(customer["session_last"], time)
        customer["session_clicks"] += 1
        return
    customer["session"] = session
    customer["session_start"] = time
    customer["session_last"] = time
    customer["session_clicks"] = 1
