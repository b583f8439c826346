"""Values for tests: short to write, with defaults that mean nothing in particular."""

from __future__ import annotations

from typing import Any

from stream.config import CoreSettings, PolicySettings
from stream.decide.world import World
from stream.domain.event import (
    Action,
    Click,
    Consent,
    CustomerUpdate,
    Feedback,
    Line,
    Purchase,
    Response,
    Source,
    Trade,
)
from stream.domain.offer import Cause

NOON = 1_700_049_600_000  # 2023-11-15 12:00 UTC: no quiet hour
SECOND = 1_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR

NEW_ITEMS = ("new-1", "new-2")

OPEN = PolicySettings(consent_default=True, holdout=0.0, exploration=0.0)
"""A policy that lets every customer be offered something."""


def a_click(n: int = 0, customer: str = "c1", item: str = "i1", **fields: Any) -> Click:
    """The ``n``-th event: a view, a second after the one before it."""
    known: dict[str, Any] = {
        "event_id": f"click-{n}",
        "customer_id": customer,
        "time": NOON + n * SECOND,
        "action": Action.VIEW,
        "item_id": item,
        "price": 1_000,
        "currency": "EUR",
        "category": "tea",
    }
    return Click(**(known | fields))


def a_purchase(n: int = 0, customer: str = "c1", *items: str, **fields: Any) -> Purchase:
    """The ``n``-th event: an order of these items (``i1`` if none), each for 10 EUR."""
    known: dict[str, Any] = {
        "event_id": f"purchase-{n}",
        "customer_id": customer,
        "time": NOON + n * SECOND,
        "trade": Trade.PURCHASE,
        "order_id": f"order-{n}",
        "currency": "EUR",
        "lines": tuple(Line(item, 1_000, 1, "tea") for item in items or ("i1",)),
    }
    return Purchase(**(known | fields))


def an_impression(n: int, offer_id: str, customer: str = "c1", **fields: Any) -> Feedback:
    """The ``n``-th event: an offer was shown."""
    known: dict[str, Any] = {
        "event_id": f"feedback-{n}",
        "customer_id": customer,
        "time": NOON + n * SECOND,
        "response": Response.IMPRESSION,
        "offer_id": offer_id,
    }
    return Feedback(**(known | fields))


def an_update(n: int = 0, customer: str = "c1", **fields: Any) -> CustomerUpdate:
    """The ``n``-th event: the shop says something of a customer."""
    known: dict[str, Any] = {
        "event_id": f"update-{n}",
        "customer_id": customer,
        "time": NOON + n * SECOND,
    }
    return CustomerUpdate(**(known | fields))


def consent(allowed: bool) -> Consent:
    """Both kinds of consent, given or refused."""
    return Consent(profiling=allowed, offers=allowed)


def a_cause(offset: int, source: Source = Source.CLICKS, stream_time: int = 0) -> Cause:
    """Record ``offset`` of partition 0."""
    return Cause(source, 0, offset, stream_time)


def a_world(policy: PolicySettings = OPEN, **settings: Any) -> World:
    """A world that has learned nothing, and in which two items are new."""
    return World(settings=CoreSettings(policy=policy, **settings), newest=NEW_ITEMS)
