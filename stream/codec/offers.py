"""Offers: a decision becomes the JSON that ad servers read.

Rules. The same offer always gives the same bytes, so that a replay repeats under its id what was
said before. Everything in the contract of ``schemas/offers`` is always there, but for what an item
may not have, and what a campaign need not say. No customer's data is in it beyond the id. A recall
is a record of its own under the same key.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from stream.domain.campaign import Incentive, Reward
from stream.domain.event import Source
from stream.domain.offer import Assigned, Offer, OfferItem, Origin, Recall
from stream.domain.stamps import offset_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TOPICS: Final = {source: source.name.lower() for source in Source}

# Each origin's name, and its reason in words for a person; what the item rests on is put in where
# there is such an item.
_REASONS: Final = {
    origin: (origin.value, alone, led)
    for origin, alone, led in (
        (Origin.BASKET, "often bought together", "often bought together with {}"),
        (Origin.SESSION, "often viewed together", "often viewed together with {}"),
        (Origin.NEIGHBOUR, "customers with similar sessions looked at it", None),
        (Origin.OWN, "viewed and not bought yet", None),
        (Origin.SEGMENT, "popular among similar customers", None),
        (Origin.TRENDING, "popular right now", None),
        (Origin.NEW, "new in the shop", "new in the shop, and similar to {}"),
        (Origin.RULE, "chosen by the shop", "chosen by the shop to go with {}"),
    )
}
_BY_THE_SHOP: Final = _REASONS[Origin.RULE][1:]
_MILLISECONDS: Final = [f".{ms:03d}Z" for ms in range(1000)]
_RECALLED: Final = b'{"schema_version":1,"recalled":true,'
_encode: Final = msgspec.json.Encoder().encode


class _Item(msgspec.Struct, gc=False):
    """An item of an offer, field by field as in the contract."""

    product_id: str
    score: float
    source: str
    reason: str
    because: str | msgspec.UnsetType = msgspec.UNSET
    price_minor: int | msgspec.UnsetType = msgspec.UNSET
    final_price_minor: int | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    image: str | msgspec.UnsetType = msgspec.UNSET
    link: str | msgspec.UnsetType = msgspec.UNSET


class _Offer(msgspec.Struct, gc=False):
    """An offer, field by field as in the contract."""

    schema_version: int
    offer_id: str
    customer_id: str
    campaign_id: str
    strategy: str
    ladder: str
    items: list[_Item]
    discount_percent: int
    currency: str
    arm: str
    assignment_probability: float
    explored: bool
    segment: dict[str, Any] | None
    models: dict[str, int]
    learned_through: int
    issued_at: str
    expires_at: str
    expires_in: int
    source: dict[str, Any]
    incentive: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    channel: str | msgspec.UnsetType = msgspec.UNSET
    placement: str | msgspec.UnsetType = msgspec.UNSET
    set_aside: int | msgspec.UnsetType = msgspec.UNSET
    trigger: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    variant: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class _Recall(msgspec.Struct, gc=False):
    """A recall, field by field as in the contract."""

    schema_version: int
    recalled: bool
    offer_id: str
    customer_id: str
    recalled_at: int
    reason: str


def encode_offer(offer: Offer | Recall) -> bytes:
    """Return the JSON of an offer, or of its recall, the same bytes for the same value.

    It is as ``schemas/offers/v1.json`` says. An offer's times are RFC 3339 in UTC with
    milliseconds, a recall's in ms since the epoch; money is in minor units of ``currency``.
    """
    if isinstance(offer, Recall):
        told = offer.offer_id, offer.customer_id, offer.time, offer.reason.value
        return _encode(_Recall(1, True, *told))
    cause, issued, expires = offer.cause, offer.issued, offer.expires
    return _encode(
        _Offer(
            1,
            offer.offer_id,
            offer.customer_id,
            offer.campaign_id,
            offer.strategy,
            offer.ladder,
            [_item(item, offer.discount) for item in offer.items],
            offer.discount,
            offer.currency,
            offer.arm,
            offer.assignment_probability,
            offer.explored,
            _segment(offer),
            dict(offer.models),
            offer.learned_through,
            rfc3339(issued),
            rfc3339(expires),
            (expires - issued) // 1000,
            {
                "topic": TOPICS[cause.source],
                "partition": cause.partition,
                "offset": offset_of(cause.offset),
            },
            _incentive(offer.reward) if offer.reward.size else msgspec.UNSET,
            offer.channel or msgspec.UNSET,
            offer.placement or msgspec.UNSET,
            offer.set_aside or msgspec.UNSET,
            {"kind": "timer", "due_at": rfc3339(offer.due)} if offer.due else msgspec.UNSET,
            _variant(offer.variant) if offer.variant else msgspec.UNSET,
        )
    )


def is_recall(data: bytes) -> bool:
    """Whether a record of the topic is a recall, of those that `encode_offer` wrote.

    >>> from stream.domain.offer import Reason
    >>> is_recall(encode_offer(Recall("ab", "anna", 7, Reason.PURCHASE)))
    True
    """
    return data.startswith(_RECALLED)


def rfc3339(time: int) -> str:
    """Return a time in ms since the epoch as RFC 3339 writes it, in UTC.

    >>> rfc3339(1569888001250)
    '2019-10-01T00:00:01.250Z'
    """
    second = time // 1000
    return _second(second) + _MILLISECONDS[time - second * 1000]


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).replace(tzinfo=None).isoformat()


def final_price(price: int, discount: int) -> int:
    """Return what is to be paid of ``price`` minor units less ``discount`` percent.

    What is taken off is rounded to whole units, halves to even.

    >>> final_price(1999, 10), final_price(1999, 0), final_price(5, 50), final_price(15, 50)
    (1799, 1999, 3, 7)
    """
    whole, rest = divmod(price * discount, 100)
    return price - whole - (rest > 50 or (rest == 50 and whole % 2))


def _if_any(text: str | None) -> str | msgspec.UnsetType:
    return msgspec.UNSET if text is None else text


def _item(item: OfferItem, discount: int) -> _Item:
    source, alone, led = _REASONS.get(item.origin) or (item.origin.value, *_BY_THE_SHOP)
    because, price = item.because, item.price
    return _Item(
        item.item_id,
        item.propensity,
        source,
        alone if because is None or led is None else led.format(because),
        _if_any(because),
        msgspec.UNSET if price is None else price,
        msgspec.UNSET if price is None else final_price(price, discount),
        _if_any(item.name),
        _if_any(item.image),
        _if_any(item.link),
    )


def _incentive(reward: Reward) -> dict[str, Any]:
    if reward.kind is Incentive.FREE_SHIPPING:  # what it costs the shop is nobody else's concern
        return {"kind": reward.kind.value}
    unit = "percent" if reward.kind is Incentive.PERCENT else "amount_minor"
    return {"kind": reward.kind.value, unit: reward.size}


def _variant(variant: Assigned) -> dict[str, Any]:
    told = {
        "name": variant.name,
        "probability": variant.probability,
        "begins": variant.begins > 0,
    }
    return told | ({"stopped": list(variant.stopped)} if variant.stopped else {})


def _segment(offer: Offer) -> dict[str, Any] | None:
    if offer.segment is None:
        return None
    return {"id": offer.segment, "name": offer.segment_name}
