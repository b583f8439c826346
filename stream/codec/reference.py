"""Reference data: what is in the catalog, and which campaigns run.

Rules. Both topics are compacted: a record's key is the id, the last record of a key counts, and
one without a value removes it. Otherwise the rules of `stream.codec.events.decoding` hold, but for
time: a catalog may say today what is on sale tomorrow.
"""

from __future__ import annotations

from typing import Any, Final, Generic, NamedTuple, TypeVar

import orjson

from stream.codec.campaigns import NAME_LENGTH, read_campaign, write_campaign
from stream.codec.events.envelope import Headers
from stream.codec.events.native import Native, currency_of, cut, instant, label, minor, present
from stream.codec.events.opening import bounded, opened
from stream.codec.refused import Refused
from stream.codec.schema import Schemas
from stream.config import CoreSettings
from stream.decide.fairness import asked_for
from stream.domain.event import Campaign, CatalogItem, Rejection, RejectionCode
from stream.domain.text import tidy

TEXT_LENGTH: Final = 4096
_ID_LENGTH: Final = 128

T = TypeVar("T", CatalogItem, Campaign)


class ReferenceEntry(NamedTuple, Generic[T]):
    """What a compacted topic says of one id; ``value`` None removes it."""

    id: str
    value: T | None


class ReferenceDecoder:
    """Decoders of the catalog and the campaigns, under one set of schemas and settings."""

    def __init__(self, schemas: Schemas, settings: CoreSettings) -> None:
        self._catalog = schemas.of("catalog")
        self._campaigns = schemas.of("campaigns")
        self._currency = settings.currency
        self._groups = settings.fairness_groups

    def decode_catalog(
        self, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> ReferenceEntry[CatalogItem] | Rejection:
        """Decode one record of the topic ``catalog``."""
        try:
            item_id = _id(key)
            if value is None:
                return ReferenceEntry(item_id, None)
            data = _object(opened(self._catalog, "product_id", value, headers))
            item = _read_item(data, self._currency)
            _demand_key(item_id, item.item_id)
        except Refused as refused:
            return bounded(refused.rejection, key, value, headers)
        return ReferenceEntry(item_id, item)

    def decode_campaign(
        self, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> ReferenceEntry[Campaign] | Rejection:
        """Decode one record of the topic ``campaigns``."""
        try:
            campaign_id = _id(key)
            if value is None:
                return ReferenceEntry(campaign_id, None)
            data = _object(opened(self._campaigns, "campaign_id", value, headers))
            campaign = read_campaign(data)
            _demand_key(campaign_id, campaign.campaign_id)
            place = asked_for(campaign.audience, self._groups, "/audience")
            if place is not None:
                detail = "is of core.fairness_groups, by which nobody is treated"
                raise Refused(RejectionCode.VALUE_RANGE, f"{place} {detail}")
        except Refused as refused:
            return bounded(refused.rejection, key, value, headers)
        return ReferenceEntry(campaign_id, campaign)


def encode_item(item: CatalogItem) -> bytes:
    """Return the canonical native JSON of a catalog item.

    Examples
    --------
    >>> encode_item(CatalogItem("p1", price=1999, currency="EUR"))
    b'{"schema_version":1,"product_id":"p1","price_minor":1999,"currency":"EUR"}'
    """
    return _canonical(
        {
            "product_id": item.item_id,
            "name": item.name,
            "category": item.category,
            "brand": item.brand,
            "price_minor": item.price,
            "currency": item.currency,
            "margin_minor": item.margin,
            "stock": item.stock,
            "added_at": item.added,
            "text": item.text,
            "image": item.image,
            "link": item.link,
        }
    )


def encode_campaign(campaign: Campaign) -> bytes:
    """Return the canonical native JSON of a campaign."""
    return _canonical(write_campaign(campaign))


def _canonical(fields: Native) -> bytes:
    return orjson.dumps({"schema_version": 1} | present(fields))


def _read_item(data: Native, currency: str) -> CatalogItem:
    pop = data.pop
    pop("schema_version", None)
    given = currency_of(pop("currency", None))
    price = minor(pop("price", None), pop("price_minor", None), given or currency, "price")
    margin = minor(pop("margin", None), pop("margin_minor", None), given or currency, "margin")
    if price is not None or margin is not None:
        given = given or currency
    return CatalogItem(
        pop("product_id"),
        cut(pop("name", None), NAME_LENGTH) or None,
        label(pop("category", None)),
        label(pop("brand", None)),
        price,
        given,
        margin,
        _whole(pop("stock", None)),
        _moment(pop("added_at", None), "added_at"),
        cut(pop("text", None), TEXT_LENGTH) or None,
        pop("image", None),
        pop("link", None),
    )


def _id(key: bytes | None) -> str:
    if key is None:
        raise Refused(RejectionCode.NULL_KEY, "the record has no key")
    try:
        text = key.decode()
    except UnicodeDecodeError:
        raise Refused(RejectionCode.KEY_MISMATCH, "the key is not UTF-8") from None
    if not 0 < len(text) <= _ID_LENGTH or tidy(text) != text:
        raise Refused(RejectionCode.KEY_MISMATCH, "the key is no id")
    return text


def _demand_key(key: str, identity: str) -> None:
    if key != identity:
        raise Refused(RejectionCode.KEY_MISMATCH, "the key is not the id in the value")


def _object(data: Any) -> Native:
    if not isinstance(data, dict):  # only calls of Segment are ever ignored, and none is here
        raise Refused(RejectionCode.SCHEMA, "the value is not of type object")
    return data


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _moment(value: str | float | None, field: str) -> int | None:
    return None if value is None else instant(value, field)
