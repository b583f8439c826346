"""The events: shoppers' sessions of a fixed length, from a seed.

Rules: the same shape gives the same bytes. Customers come in turn, each for one session, and not
again before the gap between offers has passed. So under that gap exactly the first event of each
session gets a full decision: one in ten. Items are drawn by a Zipf law.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import orjson

from bench.told import OFFER_GAP_MS

START_MS = 1_717_200_000_000  # 2024-06-01: history, so that no clock is in it
_DAY_MS = 86_400_000
_LAG = 50  # events between a click and its repetition: two seconds
_CATEGORIES = 24
_BRANDS = 40
_CART_AT = 6  # the event of a session that puts its item into the cart


class Keyed(NamedTuple):
    """A record to send: its key and its value."""

    key: bytes
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Shape:
    """What the events are like.

    ``session`` is the number of events in a session, ``active`` how many sessions are open at a
    time; ``customers`` must be at least three times that, so that nobody is back within the gap.
    ``age`` moves the events that many days into the past, and gives them other ids. After every
    ``repeats`` events one is told again; 0 is never.
    """

    events: int
    customers: int = 6_000
    items: int = 1_000
    session: int = 10
    active: int = 2_000
    seed: int = 7
    age: int = 0
    repeats: int = 0

    def __post_init__(self) -> None:
        if self.customers < 3 * self.active:
            raise ValueError(f"have three times as many customers as the {self.active} active")


class Telling(NamedTuple):
    """A record, whether it begins a session, and whether it was told before."""

    record: Keyed
    first: bool
    again: bool


def tellings(shape: Shape) -> Iterator[Telling]:
    """The records of the ``clicks`` topic as they are sent, some of them twice."""
    told: deque[Keyed] = deque(maxlen=_LAG)
    for number, (record, (_, place)) in enumerate(zip(clicks(shape), _visits(shape), strict=True)):
        yield Telling(record, place == 0, False)
        told.append(record)
        if shape.repeats and number % shape.repeats == shape.repeats - 1 and len(told) == _LAG:
            yield Telling(told[0], False, True)


def clicks(shape: Shape) -> Iterator[Keyed]:
    """The records of the ``clicks`` topic, in order of their time."""
    step = OFFER_GAP_MS / 2 / (shape.active * shape.session)
    start = START_MS - shape.age * _DAY_MS
    items = _zipf(shape)
    for number, (visit, position) in enumerate(_visits(shape)):
        customer = f"customer-{visit % shape.customers:07d}"
        item = int(items[number])
        event = {
            "schema_version": "1.0",
            "event_id": f"event-{shape.age}-{number:09d}",
            "customer_id": customer,
            "timestamp": start + int(number * step),
            "event": "add_to_cart" if position == _CART_AT else "view",
            "product_id": f"item-{item:06d}",
            "price_minor": price_of(item),
            "currency": "EUR",
            "category": f"category.{item % _CATEGORIES}",
            "brand": f"brand-{item % _BRANDS}",
            "quantity": 1,
            "session_id": f"session-{visit:07d}",
        }
        yield Keyed(customer.encode(), orjson.dumps(event))


def catalog(shape: Shape) -> Iterator[Keyed]:
    """The records of the ``catalog`` topic."""
    for item in range(shape.items):
        name = f"item-{item:06d}"
        entry = {
            "product_id": name,
            "name": f"Item {item}",
            "category": f"category.{item % _CATEGORIES}",
            "brand": f"brand-{item % _BRANDS}",
            "price_minor": price_of(item),
            "currency": "EUR",
        }
        yield Keyed(name.encode(), orjson.dumps(entry))


def price_of(item: int) -> int:
    """An item's price in minor units.

    >>> price_of(0), price_of(999)
    (499, 13675)
    """
    return 499 + item * 7_919 % 19_501


def _visits(shape: Shape) -> Iterator[tuple[int, int]]:
    """Each event's visit (counted from 0) and its place in the session, sessions interleaved.

    Those that are open at the start have unlike lengths, so that they do not all end at once.
    """
    rng = np.random.default_rng(shape.seed)
    visits = list(range(shape.active))
    left = [shape.session - number % shape.session for number in visits]
    places = [0] * shape.active
    begun, sent = shape.active, 0
    while True:
        for slot in rng.permutation(shape.active):
            if sent == shape.events:
                return
            if not left[slot]:
                visits[slot], left[slot], places[slot] = begun, shape.session, 0
                begun += 1
            yield visits[slot], places[slot]
            left[slot] -= 1
            places[slot] += 1
            sent += 1


def _zipf(shape: Shape) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    rng = np.random.default_rng(shape.seed + 1)
    weights = 1 / np.arange(1, shape.items + 1)
    return rng.choice(shape.items, size=shape.events, p=weights / weights.sum())
