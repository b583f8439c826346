"""An event as bytes that kernels read: an `EVENT`, its `LINE` s, and the letters of its texts.

A click has two lines: what it says of its item, and what the shop knows of it. An order has one for
each of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from typing import Any, Final, NamedTuple

import numpy as np

from stream.decide.rows.layout import MARK, Bytes, Table
from stream.domain.chance import digest, identity, session_key
from stream.domain.event import (
    ADD_TO_CART,
    REMOVE_FROM_CART,
    CatalogItem,
    Click,
    Event,
    Feedback,
    Line,
    Purchase,
    Response,
    Trade,
)
from stream.models.base.kernel import kernel

VIEW, CART, UNCART, ORDER, REFUND, IMPRESSION, RESPONSE, DISMISS, UPDATE = range(9)
MARK_SIZE: Final = 6  # bytes of a hash: two of 300 agree once in 10^12 times
NONE: Final = -1  # letters of a text that is not there
UNPRICED: Final = -(2**62)
UNKNOWN: Final = CatalogItem("")
KEPT: Final = 1 << 14  # lines of items: popular ones come again and again

EVENT: Final = np.dtype(
    [
        ("time", "<i8"),
        ("now", "<i8"),  # stream time, the event's own included
        ("offset", "<i8"),
        ("session", "<i8"),  # the one that it names, or would begin
        ("named", "<i4"),  # whether it names one
        ("source", "<i4"),
        ("kind", "<i4"),
        ("lines", "<i4"),
        ("text", "<i4"),  # letters of the currency of an order, of the offer of a response
        ("at_home", "<i4"),  # whether the currency is the shop's
        ("mark", "u1", (8,)),
    ]
)
LINE: Final = np.dtype(
    [
        ("item", "<i4"),  # letters of each text, one behind the other; -1 if there is none
        ("category", "<i4"),
        ("brand", "<i4"),
        ("spare", "<i4"),
        ("quantity", "<i8"),
        ("price", "<i8"),
    ]
)
EVENT_SIZE: Final = EVENT.itemsize
LINE_SIZE: Final = LINE.itemsize
_EVENT: Final = Struct("<4q6i8s").pack
_LINE: Final = Struct("<4i2q").pack
_CLICKS: Final = {ADD_TO_CART: CART, REMOVE_FROM_CART: UNCART}
_RESPONSES: Final = {
    Response.IMPRESSION: IMPRESSION,
    Response.CLICK: RESPONSE,
    Response.DISMISS: DISMISS,
}
assert Struct("<4q6i8s").size == EVENT_SIZE and Struct("<4i2q").size == LINE_SIZE


class Arrival(NamedTuple):
    """An event that was unpacked.

    Attributes
    ----------
    event : EVENT (1,)
    lines : LINE (n,)
    starts : int32 (n, 3)
        Where the item, the category and the brand of each line start among the letters.
    letters : uint8 (n,)
        The texts, in UTF-8: the event's own first.
    """

    event: Table
    lines: Table
    starts: Table
    letters: Bytes


@kernel
def arrived(data: Any) -> Arrival:
    """Unpack an event, bytes."""
    return laid_out(np.frombuffer(data, MARK))


@kernel
def laid_out(packed: Bytes) -> Arrival:
    """Unpack an event, uint8 (n,); what is written to is a copy of its head."""
    event = np.empty(1, EVENT)
    event.view(MARK)[:] = packed[:EVENT_SIZE]
    n = event[0]["lines"]
    end = EVENT_SIZE + n * LINE_SIZE
    lines = packed[EVENT_SIZE:end].view(LINE)
    starts = np.empty((n, 3), np.int32)
    at = max(event[0]["text"], 0)
    for number in range(n):
        line = lines[number]
        starts[number, 0] = at
        at += max(line["item"], 0)
        starts[number, 1] = at
        at += max(line["category"], 0)
        starts[number, 2] = at
        at += max(line["brand"], 0)
    return Arrival(event, lines, starts, packed[end:])


@kernel
def own_text(arrival: Arrival) -> Bytes:
    """The text of the event itself."""
    return arrival.letters[: max(arrival.event[0]["text"], 0)]


@kernel
def item_of(arrival: Arrival, line: int) -> Bytes:
    """The item of a line."""
    start = arrival.starts[line, 0]
    return arrival.letters[start : start + arrival.lines[line]["item"]]


@kernel
def category_of(arrival: Arrival, line: int) -> Bytes:
    """The category of a line that has one."""
    start = arrival.starts[line, 1]
    return arrival.letters[start : start + arrival.lines[line]["category"]]


@kernel
def brand_of(arrival: Arrival, line: int) -> Bytes:
    """The brand of a line that has one."""
    start = arrival.starts[line, 2]
    return arrival.letters[start : start + arrival.lines[line]["brand"]]


def packed(
    event: Event, source: int, offset: int, now: int, currency: str, item: CatalogItem | None
) -> bytes:
    """An event as kernels read it.

    Parameters
    ----------
    event
    source, offset
        The record that it came in.
    now
        Stream time in ms, the event's own included.
    currency
        The shop's.
    item
        What is known of the item that was clicked.
    """
    if isinstance(event, Click):
        return _click(event, source, offset, now, item)
    if isinstance(event, Purchase):
        return _purchase(event, source, offset, now, currency)
    mark = digest(event.event_id, size=MARK_SIZE)
    if isinstance(event, Feedback):
        return _feedback(event, source, offset, now, mark)
    return _EVENT(event.time, now, offset, 0, 0, source, UPDATE, 0, 0, 0, mark)


def _feedback(event: Feedback, source: int, offset: int, now: int, mark: bytes) -> bytes:
    """What became of an offer: a line for the item, if one is named."""
    offer, kind, line, letters = event.offer_id.encode(), _RESPONSES[event.response], b"", b""
    if event.item_id is not None:
        line, letters = known_line(event.item_id, None)
    n, size = len(line) // LINE_SIZE, len(offer)
    head = _EVENT(event.time, now, offset, 0, 0, source, kind, n, size, 0, mark)
    return b"".join([head, line, offer, letters])


def packed_lines(time: int, item_ids: Iterable[str], items: Iterable[CatalogItem | None]) -> bytes:
    """Items with what is known of them, one each, as lines of an event; ``time`` in ms."""
    lines, letters = zip(*map(known_line, item_ids, items), strict=True)
    head = _EVENT(time, time, NONE, 0, 0, 0, VIEW, len(lines), 0, 0, b"")
    return b"".join([head, *lines, *letters])


def packed_offer(
    offer_id: str,
    names: Iterable[str],
    issued: int,
    expires: int,
    forgotten: int,
    standing: bool,
    trial: tuple[int, int] = (0, 0),
) -> bytes:
    """An offer as `stream.decide.rows.delivery.put` reads it.

    Parameters
    ----------
    offer_id
        32 hexadecimal digits.
    names
        The campaign, and the items.
    issued, expires
        In ms.
    forgotten
        Up to when in ms an offer that was made is forgotten.
    standing
        Whether it is of no campaign.
    trial
        The code and the edition of a trial that begins with it; zeros for none.
    """
    own = offer_id.encode()
    lines, letters = zip(*[known_line(name, None) for name in names], strict=True)
    times = issued, expires, NONE, forgotten
    head = _EVENT(*times, *trial, VIEW, len(lines), len(own), standing, b"")
    return b"".join([head, *lines, own, *letters])


@lru_cache(maxsize=KEPT)
def known_line(item_id: str, item: CatalogItem | None) -> tuple[bytes, bytes]:
    """A line's numbers, and its letters: an item, and what the shop knows of it."""
    return _line(item_id, item or UNKNOWN)


def _click(event: Click, source: int, offset: int, now: int, item: CatalogItem | None) -> bytes:
    customer_id, time, kind = event.customer_id, event.time, _CLICKS.get(event.action, VIEW)
    named = session_key(customer_id, event.session_id) if event.session_id else 0
    session = named or identity(customer_id, time)
    mark = digest(event.event_id, size=MARK_SIZE)
    head = _EVENT(time, now, offset, session, named != 0, source, kind, 2, 0, 0, mark)
    said = event.item_id, event.category, event.brand, event.quantity, event.price
    return head + _clicked(*said, item)


@lru_cache(maxsize=KEPT)
def _clicked(
    item_id: str,
    category: str | None,
    brand: str | None,
    quantity: int,
    price: int | None,
    item: CatalogItem | None,
) -> bytes:
    """What a click says of an item, and what the shop knows of it."""
    told = Line(item_id, price, quantity, category, brand)
    said, letters = _line(item_id, told)
    known, more = _line("", item or told)
    return said + known + letters + more


def _purchase(event: Purchase, source: int, offset: int, now: int, currency: str) -> bytes:
    if event.trade is Trade.PURCHASE:
        kind, mark = ORDER, digest("order", event.order_id, size=MARK_SIZE)
    else:
        kind, mark = REFUND, digest("refund", event.event_id, size=MARK_SIZE)
    money, at_home = event.currency.encode(), event.currency == currency
    n, size = len(event.lines), len(money)
    head = _EVENT(event.time, now, offset, 0, 0, source, kind, n, size, at_home, mark)
    lines = [_line(line.item_id, line) for line in event.lines]
    return b"".join([head, *(line for line, _ in lines), money, *(text for _, text in lines)])


def _line(item_id: str, told: Line | CatalogItem) -> tuple[bytes, bytes]:
    """A line's numbers, and its letters."""
    item, category, brand, price = item_id.encode(), b"", b"", told.price
    sizes = [len(item), NONE, NONE]
    if told.category is not None:
        category = told.category.encode()
        sizes[1] = len(category)
    if told.brand is not None:
        brand = told.brand.encode()
        sizes[2] = len(brand)
    quantity = 1 if isinstance(told, CatalogItem) else told.quantity
    numbers = _LINE(*sizes, 0, quantity, UNPRICED if price is None else price)
    return numbers, item + category + brand
