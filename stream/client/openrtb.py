"""Offers for bid requests: the object ``user.data`` of OpenRTB 2.6.

Rules. One ``Data`` object for the customer's segment and one for what is offered, whose ``Segment``
objects are the items, each once, best first. No id of the customer is in it: what goes into a bid
request is everybody's. ``value`` is a text, as the specification wants it: P(purchase).

References
----------
IAB Tech Lab, OpenRTB 2.6, 3.2.20 (User), 3.2.21 (Data) and 3.2.22 (Segment).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stream.client.offer import Item, Offer

PROVIDER = "offerstream"


def user_data(offers: Sequence[Offer]) -> dict[str, Any]:
    """Return ``{"user": {"data": [...]}}`` of one customer's open offers, newest first.

    >>> user_data([])
    {'user': {'data': []}}
    """
    data = []
    if offers and offers[0].segment is not None:
        segment = offers[0].segment
        named = {"name": segment.name} if segment.name else {}
        data.append(_data("segments", [{"id": str(segment.id), **named}]))
    items: dict[str, dict[str, Any]] = {}
    for offer in offers:
        for item in offer.items:
            items.setdefault(item.product_id, _segment(offer, item))
    if items:
        data.append(_data("offers", list(items.values())))
    return {"user": {"data": data}}


def _data(what: str, segments: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": f"{PROVIDER}.{what}", "name": PROVIDER, "segment": segments}


def _segment(offer: Offer, item: Item) -> dict[str, Any]:
    more = {
        "offer_id": offer.offer_id,
        "campaign_id": offer.campaign_id,
        "placement": offer.placement,
        "channel": offer.channel,
        "image": item.image,
        "link": item.link,
        "price_minor": item.price_minor,
        "final_price_minor": item.final_price_minor,
        "currency": offer.currency,
        "expires_at": offer.expires,
    }
    return {
        "id": item.product_id,
        "name": item.name or item.product_id,
        "value": f"{item.score:.6f}",
        "ext": {name: value for name, value in more.items() if value is not None},
    }
