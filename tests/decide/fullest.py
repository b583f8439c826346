"""A customer of whom all is known that there is room for, and the events that add the most to it.

``python -m tests.decide.fullest`` prints a hash of each record that they make: an index beyond a
list is an error where kernels are not compiled.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import Final

from stream.codec.customers import decode_record, encode_record
from stream.decide.decide import Step, decide
from stream.decide.rows.layout import (
    COOLED,
    EXPOSED,
    LINES,
    OF_A_DAY,
    PENDING,
    RECENT,
    SEEN,
    SLATE,
    TASTES,
)
from stream.decide.rows.record import Desk, record_of
from stream.decide.rows.state import (
    Admission,
    CustomerState,
    Delivery,
    Exposure,
    History,
    Made,
    PendingOffer,
    Profile,
    Touch,
    Waiting,
)
from stream.decide.world import World
from stream.domain.event import CatalogItem, Event, Line, Response, Source, Trade
from stream.domain.money import EXPONENTS
from tests.builders import (
    DAY,
    HOUR,
    NOON,
    OPEN,
    a_cause,
    a_click,
    a_purchase,
    a_world,
    an_impression,
)

CURRENCIES: Final = sorted(EXPONENTS)
FEATURES: Final = bytes(range(64))
LONG_AGO: Final = NOON - DAY + HOUR
_names = iter(range(0x20000, 0x30000))


def a_name() -> str:
    """An id that no other is like, and none is longer than."""
    return chr(next(_names)) * 128


def names(n: int) -> list[str]:
    """So many ids, in their order."""
    return [a_name() for _ in range(n)]


def the_fullest() -> CustomerState:
    """A customer whose lists are all as long as lists can be."""
    offers = tuple(
        PendingOffer(name, NOON, tuple((item, FEATURES) for item in names(SLATE)))
        for name in names(PENDING)
    )
    exposures = tuple(Exposure(item, NOON, FEATURES) for item in names(EXPOSED))
    marks, orders = bytes(range(1, 7)) * SEEN, b"\xff" * 8 * SEEN
    return CustomerState(
        admission=Admission(marks, orders, marks, marks, 100.0, NOON),
        profile=Profile(
            spent=tuple((currency, 1) for currency in CURRENCIES[:-1]),
            tastes=tuple((name, 4.0) for name in names(TASTES)),
        ),
        history=History(
            tuple(Touch(item, NOON, 1) for item in names(RECENT)),
            tuple((item, NOON) for item in names(RECENT)),
        ),
        waiting=Waiting(exposures, offers, NOON, 0),
        delivery=Delivery(
            made=tuple(
                Made(f"{n:032x}", name, LONG_AGO, NOON + DAY, tuple(names(6)), LONG_AGO)
                for n, name in enumerate(names(OF_A_DAY - 1))
            ),
            cooled=tuple((name, n % 2, NOON) for n, name in enumerate(names(COOLED))),
            open_until=NOON + DAY,
            campaign_until=NOON + DAY,
        ),
    )


def a_full_world(newest: list[str]) -> World:
    """A world in which everything is kept that can be, and offers are as large as they can be."""
    policy = replace(OPEN, slate=SLATE, offer_gap=0.0, offers_per_day=24)
    most = {"recent_items": RECENT, "pending_exposures": EXPOSED}
    world = a_world(policy, seen_ids=SEEN, seen_orders=SEEN, **most)
    catalog = {item: CatalogItem(item, category=item, brand=item) for item in newest}
    return world._replace(newest=tuple(newest), catalog=catalog)


def the_largest(state: CustomerState, newest: list[str]) -> list[Event]:
    """Events that add as much as an event can, each to another list."""
    items, categories = names(LINES), names(LINES)
    lines = tuple(Line(i, 100, 1, c, c) for i, c in zip(items, categories, strict=True))
    currency, made = CURRENCIES[-1], state.delivery.made[-1]
    return [
        a_click(0, item=newest[0], category=a_name(), brand=a_name()),
        a_click(5, item=newest[0], time=NOON + 2 * HOUR),  # it is answered by an offer
        a_click(6, item=newest[0], time=NOON + 3 * DAY),  # all that waits matures
        an_impression(1, state.waiting.offers[0].offer_id),
        a_purchase(2, lines=lines, currency=currency),
        a_purchase(3, lines=lines, currency=currency, trade=Trade.REFUND),
        an_impression(4, state.waiting.offers[-1].offer_id, response=Response.DISMISS),
        an_impression(7, made.offer_id, response=Response.DISMISS),
        an_impression(8, made.offer_id, response=Response.CLICK, item_id=a_name()),
    ]


def steps() -> list[Step]:
    """What each of the largest events does to the fullest customer."""
    state, newest, desk = the_fullest(), names(SLATE + 9), Desk()
    record, world = decode_record(encode_record(record_of(state))), a_full_world(newest)
    made = [
        decide(record, event, a_cause(n, Source.CLICKS, NOON), world, desk)
        for n, event in enumerate(the_largest(state, newest))
    ]
    for step in made:
        assert step.record and decode_record(encode_record(step.record))
    return made


if __name__ == "__main__":
    for step in steps():
        print(step.outcome, len(step.offers), blake2b(step.record + step.examples.data).hexdigest())
