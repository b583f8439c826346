"""Offers: a decision becomes the JSON that ad servers read.

Rules. The same offer always gives the same bytes, so that a replay repeats under its id what was
said before. Everything in the contract of ``schemas/offers`` is always there, but for what an item
may not have. No customer's data is in it beyond the id.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from stream.core.offer import Offer, OfferItem, Origin

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# In words, for a person; what the item rests on is put in where there is such an item.
_REASONS: Final = {
    Origin.BASKET: ("often bought together", "often bought together with {}"),
    Origin.SESSION: ("often viewed together", "often viewed together with {}"),
    Origin.NEIGHBOUR: ("customers with similar sessions looked at it",) * 2,
    Origin.OWN: ("viewed and not bought yet",) * 2,
    Origin.SEGMENT: ("popular among similar customers",) * 2,
    Origin.TRENDING: ("popular right now",) * 2,
    Origin.NEW: ("new in the shop", "new in the shop, and similar to {}"),
}


def encode_offer(offer: Offer) -> bytes:
    """Return an offer's JSON by ``schemas/offers/v1.json``, the same bytes for the same offer.

    Times are RFC 3339 in UTC with milliseconds; money is in minor units of ``currency``.
    """
    return orjson.dumps(
        {
            "schema_version": 1,
            "offer_id": offer.offer_id,
            "customer_id": offer.customer_id,
            "campaign_id": offer.campaign_id,
            "strategy": offer.strategy,
            "ladder": offer.ladder,
            "items": [_item(item) for item in offer.items],
            "discount_percent": offer.discount,
            "currency": offer.currency,
            "arm": offer.arm,
            "assignment_probability": offer.assignment_probability,
            "explored": offer.explored,
            "segment": _segment(offer),
            "models": dict(offer.models),
            "learned_through": offer.learned_through,
            "issued_at": rfc3339(offer.issued),
            "expires_at": rfc3339(offer.expires),
            "expires_in": (offer.expires - offer.issued) // 1000,
            "source": {
                "topic": offer.cause.source.name.lower(),
                "partition": offer.cause.partition,
                "offset": offer.cause.offset,
            },
        }
    )


def rfc3339(time: int) -> str:
    """Return a time in ms since the epoch as RFC 3339 writes it, in UTC.

    >>> rfc3339(1569888001250)
    '2019-10-01T00:00:01.250Z'
    """
    moment = _EPOCH + timedelta(milliseconds=time)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _item(item: OfferItem) -> dict[str, Any]:
    alone, led = _REASONS[item.origin]
    fields: dict[str, Any] = {
        "product_id": item.item_id,
        "score": item.propensity,
        "source": item.origin.value,
        "reason": alone if item.because is None else led.format(item.because),
    }
    if item.because is not None:
        fields["because"] = item.because
    if item.price is not None:
        fields["price_minor"] = item.price
    return fields


def _segment(offer: Offer) -> dict[str, Any] | None:
    if offer.segment is None:
        return None
    return {"id": offer.segment, "name": offer.segment_name}
