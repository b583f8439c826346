"""Offers and recalls as records, short to write."""

from __future__ import annotations

from typing import Any

import orjson

from stream.codec.offers import encode_offer
from stream.domain.event import Source
from stream.domain.offer import Cause, Offer, OfferItem, Origin
from tests.builders import HOUR, NOON


def an_offer(
    offer_id: str, customer: str = "c1", issued: int = NOON, lives: int = HOUR, **fields: Any
) -> tuple[bytes, bytes]:
    """Key and value of an offer."""
    known: dict[str, Any] = {
        "offer_id": offer_id,
        "customer_id": customer,
        "campaign_id": "spring",
        "strategy": "recommend",
        "ladder": "personal",
        "items": (OfferItem("p1", 0.25, Origin.BASKET, "p7", 1999, "Washer"),),
        "discount": 10,
        "currency": "EUR",
        "arm": "offer",
        "assignment_probability": 0.95,
        "explored": False,
        "segment": 3,
        "segment_name": "frugal",
        "models": (),
        "learned_through": 12,
        "issued": issued,
        "expires": issued + lives,
        "cause": Cause(Source.CLICKS, 0, 1),
    }
    return customer.encode(), encode_offer(Offer(**(known | fields)))


def a_recall(
    offer_id: str, customer: str = "c1", at: int = NOON, reason: str = "purchase"
) -> tuple[bytes, bytes]:
    """Key and value of a recall."""
    value = {
        "schema_version": 1,
        "recalled": True,
        "offer_id": offer_id,
        "customer_id": customer,
        "recalled_at": at,
        "reason": reason,
    }
    return customer.encode(), orjson.dumps(value)
