"""Catalog and campaigns: what compacted topics say, and what they may not say."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from stream.codec.reference import ReferenceEntry, encode_campaign, encode_item
from stream.domain.event import Campaign, CatalogItem, Rejection, RejectionCode
from tests.codec.producing import TIME, code, references

ITEM = CatalogItem("p1", "Washer", "kitchen", "acme", 39900, "EUR", -1250, 17, TIME, "quiet")
CAMPAIGN = Campaign(
    "k1", "Spring", "trending", 5, TIME, TIME + 1, (0, 3), ("kitchen",), 10, 2, False
)


def decode_item(key: bytes | None = b"p1", **fields: Any) -> Any:
    return references().decode_catalog(key, orjson.dumps({"product_id": "p1"} | fields))


def decode_campaign(key: bytes | None = b"k1", **fields: Any) -> Any:
    whole = {"campaign_id": "k1", "name": "Spring"} | fields
    return references().decode_campaign(key, orjson.dumps(whole))


def test_an_item_and_a_campaign_come_back_as_they_were_written() -> None:
    item = references().decode_catalog(b"p1", encode_item(ITEM))
    assert item == ReferenceEntry("p1", ITEM)
    campaign = references().decode_campaign(b"k1", encode_campaign(CAMPAIGN))
    assert campaign == ReferenceEntry("k1", CAMPAIGN)


def test_little_is_needed() -> None:
    assert decode_item() == ReferenceEntry("p1", CatalogItem("p1"))
    assert decode_campaign() == ReferenceEntry("k1", Campaign("k1", "Spring"))


def test_outer_forms_become_inner_ones() -> None:
    entry = decode_item(
        price="399.00", margin=-12.5, currency="USD", stock=3.0, added_at="2024-05-01T09:30:00.250Z"
    )
    expected = CatalogItem("p1", price=39900, currency="USD", margin=-1250, stock=3, added=TIME)
    assert entry.value == expected
    assert decode_item(price=1).value.currency == "EUR"
    assert decode_item(name="n" * 999, text="t" * 9999).value.name == "n" * 256
    assert len(decode_item(text="t" * 9999).value.text) == 4096


def test_an_unknown_field_is_refused_with_the_nearest_known_name_and_without_its_own() -> None:
    assert decode_item(colour="red", weight=3) == Rejection(
        RejectionCode.SCHEMA, "the value has an unknown field"
    )
    assert decode_item(catgory="x").detail == "the value has an unknown field: /category is nearest"
    assert decode_campaign(catgories=[]).detail.endswith("/categories is nearest")
    deep = decode_campaign(audience={"any_of": [{"profile": {"order": {"min": 1}}}]})
    place = "/audience/any_of/0/profile"
    assert deep.detail == f"{place} has an unknown field: {place}/orders is nearest"
    private = decode_campaign(audience={"traits": {"anna@example.org": {"mni": 1}}})
    assert private.detail == (
        "/audience/traits/* has an unknown field: /audience/traits/*/min is nearest"
    )


def test_a_tombstone_removes() -> None:
    assert references().decode_catalog("né".encode(), None) == ReferenceEntry("né", None)
    assert references().decode_campaign(b"k1", None) == ReferenceEntry("k1", None)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, RejectionCode.NULL_KEY),
        (b"", RejectionCode.KEY_MISMATCH),
        (b"\xff", RejectionCode.KEY_MISMATCH),
        (b"a\x00", RejectionCode.KEY_MISMATCH),
        (b"p" * 129, RejectionCode.KEY_MISMATCH),
    ],
)
def test_a_tombstone_needs_a_key_that_is_an_id(key: bytes | None, expected: RejectionCode) -> None:
    assert code(references().decode_catalog(key, None)) is expected
    assert code(references().decode_campaign(key, None)) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"product_id": "p2"}, RejectionCode.KEY_MISMATCH),
        ({"schema_version": 2}, RejectionCode.SCHEMA_VERSION),
        ({"product_id": 5.5}, RejectionCode.SCHEMA),
        ({"stock": "many"}, RejectionCode.SCHEMA),
        ({"price": -1}, RejectionCode.VALUE_RANGE),
        ({"currency": "XQQ"}, RejectionCode.VALUE_RANGE),
        ({"margin": float("1e29")}, RejectionCode.VALUE_RANGE),
        ({"added_at": 5}, RejectionCode.VALUE_RANGE),
        ({"text": "x" * 300_000}, RejectionCode.OVERSIZE),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_item_is_refused(fields: dict[str, Any], expected: RejectionCode) -> None:
    assert code(decode_item(**fields)) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"campaign_id": "k2"}, RejectionCode.KEY_MISMATCH),
        ({"name": None}, RejectionCode.SCHEMA),
        ({"discount_percent": 101}, RejectionCode.VALUE_RANGE),
        ({"starts_at": TIME, "ends_at": TIME}, RejectionCode.VALUE_RANGE),
        ({"segments": [True]}, RejectionCode.SCHEMA),
    ],
)
def test_a_bad_campaign_is_refused(fields: dict[str, Any], expected: RejectionCode) -> None:
    assert code(decode_campaign(**fields)) is expected


def test_an_event_sent_to_the_catalog_is_refused() -> None:
    call = orjson.dumps({"type": "page", "messageId": "m", "userId": "p1"})
    assert code(references().decode_catalog(b"p1", call)) is RejectionCode.SCHEMA
    assert code(references().decode_catalog(b"p1", b"[]")) is RejectionCode.SCHEMA
