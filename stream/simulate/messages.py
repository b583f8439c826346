"""The native JSON of events, items and campaigns, as ``schemas/`` describes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stream.simulate.goods import CURRENCY, Good

Message = dict[str, Any]


def click(
    event_id: str, customer_id: str, time: int, action: str, good: Good, price: int, session: str
) -> Message:
    """A view, a click or a change of the cart; ``price`` is what is asked, in minor units."""
    return {
        "event_id": event_id,
        "customer_id": customer_id,
        "timestamp": time,
        "event": action,
        "product_id": good.item_id,
        "price_minor": price,
        "currency": CURRENCY,
        "category": good.category,
        "brand": good.brand,
        "session_id": session,
    }


def purchase(
    event_id: str,
    customer_id: str,
    time: int,
    order_id: str,
    lines: Iterable[tuple[Good, int]],
    session: str | None = None,
    *,
    refund: bool = False,
) -> Message:
    """An order, or a refund of it: goods with the prices paid, in minor units."""
    message: Message = {
        "event_id": event_id,
        "customer_id": customer_id,
        "timestamp": time,
        "event": "refund" if refund else "purchase",
        "order_id": order_id,
        "currency": CURRENCY,
        "products": [
            {
                "product_id": good.item_id,
                "price_minor": price,
                "category": good.category,
                "brand": good.brand,
            }
            for good, price in lines
        ],
    }
    if session is not None:
        message["session_id"] = session
    return message


def feedback(
    event_id: str, customer_id: str, time: int, action: str, offer_id: str, item_id: str | None
) -> Message:
    """What became of an offer."""
    message = {
        "event_id": event_id,
        "customer_id": customer_id,
        "timestamp": time,
        "event": action,
        "offer_id": offer_id,
    }
    if item_id is not None:
        message["product_id"] = item_id
    return message


def customer(
    event_id: str,
    customer_id: str,
    time: int,
    consent: tuple[bool, bool],
    traits: Message | None = None,
) -> Message:
    """Consent (profiling, offers) and traits."""
    return {
        "event_id": event_id,
        "customer_id": customer_id,
        "timestamp": time,
        "consent": {"profiling": consent[0], "offers": consent[1]},
        "traits": traits or {},
    }


def catalog(good: Good, stock: int | None, added: int) -> Message:
    """An item of the catalog."""
    return {
        "product_id": good.item_id,
        "name": good.name,
        "category": good.category,
        "brand": good.brand,
        "price_minor": good.price,
        "margin_minor": good.margin,
        "currency": CURRENCY,
        "stock": stock,
        "added_at": added,
        "text": good.text,
    }
