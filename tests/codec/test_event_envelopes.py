"""Framing, CloudEvents and Segment: other people's envelopes around the same events."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson
import pytest

from stream.codec.events.decoding import Decoded, Ignored
from stream.domain.event import (
    Action,
    Click,
    Consent,
    CustomerUpdate,
    Feedback,
    Line,
    Purchase,
    Rejection,
    RejectionCode,
    Response,
    Trade,
)
from tests.codec.producing import ABSENT, TIME, code, decode, payload, send

WHEN = "2024-05-01T09:30:00.250Z"
BINARY = (
    ("ce_specversion", b"1.0"),
    ("ce_type", b"com.example.shop.view"),
    ("ce_source", b"/shop"),
    ("ce_id", b"e1"),
    ("ce_time", WHEN.encode()),
    ("content-type", b"application/json; charset=utf-8"),
)
STRUCTURED = (("content-type", b"Application/CloudEvents+JSON; charset=UTF-8"),)


def bare(**changes: Any) -> dict[str, Any]:
    return payload("clicks", event_id=ABSENT, timestamp=ABSENT, event=ABSENT, **changes)


def structured(**changes: Any) -> bytes:
    event = {
        "specversion": "1.0",
        "id": "e1",
        "source": "/shop",
        "type": "com.example.shop.view",
        "time": WHEN,
        "datacontenttype": "application/json",
        "data": bare(),
    }
    return orjson.dumps({k: v for k, v in (event | changes).items() if v is not ABSENT})


# ----------------------------------------------------------------------------------------- framing


@pytest.mark.parametrize("topic", ["clicks", "purchases", "feedback", "customers"])
def test_a_schema_registrys_frame_changes_nothing(topic: str) -> None:
    value = orjson.dumps(payload(topic))
    assert decode(topic, b"\x00\x00\x00\x01\x02" + value) == decode(topic, value)
    header = (("__value_schema_id", b"\x01" + bytes(16)),)
    assert decode(topic, value, headers=header) == decode(topic, value)


def test_only_one_frame_is_taken_off() -> None:
    frame = b"\x00\x00\x00\x00\x07"
    outcome = decode("clicks", frame + frame + orjson.dumps(payload("clicks")))
    assert code(outcome) is RejectionCode.DECODE


# ------------------------------------------------------------------------------------- CloudEvents


def test_binary_mode_fills_in_what_the_payload_lacks() -> None:
    assert decode("clicks", orjson.dumps(bare()), headers=BINARY) == send("clicks")


def test_structured_mode_fills_in_what_the_payload_lacks() -> None:
    assert decode("clicks", structured(), headers=STRUCTURED) == send("clicks")
    assert decode("clicks", structured()) == send("clicks")  # no header, as many producers do it


def test_base64_data_are_read() -> None:
    value = structured(data=ABSENT, data_base64=b64encode(orjson.dumps(bare())).decode())
    assert decode("clicks", value, headers=STRUCTURED) == send("clicks")
    assert code(decode("clicks", structured(data_base64="%"))) is RejectionCode.DECODE
    assert code(decode("clicks", structured(data_base64=5))) is RejectionCode.DECODE


def test_the_payload_knows_better_than_its_envelope() -> None:
    whole = orjson.dumps(payload("clicks", event="click"))
    outcome = decode("clicks", whole, headers=(*BINARY[:3], ("ce_id", b"other"), *BINARY[4:]))
    assert outcome == send("clicks", event="click")


def test_a_topic_of_one_kind_of_event_does_not_mind_the_type() -> None:
    value = orjson.dumps(payload("customers", event_id=ABSENT))
    assert decode("customers", value, headers=BINARY) == send("customers")


def test_a_segment_call_may_come_as_a_cloud_event() -> None:
    times = {"timestamp": ABSENT, "originalTimestamp": ABSENT}
    call = segment("Product Viewed", {"product_id": "p1"}, messageId=ABSENT, **times)
    assert decode("clicks", orjson.dumps(call), headers=BINARY) == send("clicks")


@pytest.mark.parametrize(
    "headers",
    [
        (("content-type", b"application/cloudevents+avro"),),
        (("content-type", b"application/cloudevents-batch+avro"),),
        (*BINARY[:5], ("content-type", b"application/avro")),
        (*BINARY[:3], ("ce_id", b"\xff")),
    ],
)
def test_an_envelope_that_is_not_json_or_not_utf8_is_not_decoded(headers: Any) -> None:
    assert code(decode("clicks", orjson.dumps(bare()), headers=headers)) is RejectionCode.DECODE


@pytest.mark.parametrize("data", [None, "x", [], 5, ABSENT])
def test_a_structured_event_without_an_object_breaks_the_schema(data: Any) -> None:
    assert decode("clicks", structured(data=data), headers=STRUCTURED) == Rejection(
        RejectionCode.SCHEMA, "/data is not of type object"
    )


def test_other_headers_change_nothing() -> None:
    headers = (("traceparent", b"00-1-2-01"), ("empty", None), ("ce_id", b"\xff\xfe"[:0]))
    value = orjson.dumps(payload("clicks"))
    assert decode("clicks", value, headers=headers) == send("clicks")


# ----------------------------------------------------------------------------------------- Segment


def segment(event: str | None, properties: dict[str, Any] | None = None, **changes: Any) -> Any:
    call = {
        "type": "track",
        "event": event,
        "messageId": "e1",
        "userId": "c1",
        "anonymousId": "a1",
        "timestamp": WHEN,
        "originalTimestamp": "2000-01-01T00:00:00Z",
        "sentAt": WHEN,
        "receivedAt": WHEN,
        "context": {"library": {"name": "analytics.js"}},
        "properties": properties or {},
    }
    return {name: value for name, value in (call | changes).items() if value is not ABSENT}


def tracked(topic: str, *args: Any, key: bytes = b"c1", **changes: Any) -> Any:
    outcome = decode(topic, orjson.dumps(segment(*args, **changes)), key)
    return outcome.event if isinstance(outcome, Decoded) else outcome


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("Product Viewed", Action.VIEW),
        ("product clicked", Action.CLICK),
        ("  PRODUCT ADDED ", Action.ADD_TO_CART),
        ("Product Removed", Action.REMOVE_FROM_CART),
    ],
)
def test_product_events_are_clicks(name: str, action: Action) -> None:
    properties = {
        "product_id": "p1",
        "sku": "s",
        "category": "games",
        "name": "chess",
        "brand": "b",
        "price": 18.99,
        "quantity": 2,
        "currency": "usd".upper(),
        "position": 3,
    }
    assert tracked("clicks", name, properties) == Click(
        "e1", "c1", TIME, action, "p1", 1899, "USD", "games", "b", 2
    )


@pytest.mark.parametrize(
    ("name", "trade"),
    [
        ("Order Completed", Trade.PURCHASE),
        ("Order Refunded", Trade.REFUND),
        ("Order Cancelled", Trade.REFUND),
    ],
)
def test_order_events_are_purchases(name: str, trade: Trade) -> None:
    products = [{"product_id": "p1", "price": 19, "quantity": 2, "sku": "x"}]
    properties = {"order_id": "o1", "revenue": 38.0, "currency": "EUR", "products": products}
    assert tracked("purchases", name, properties) == Purchase(
        "e1", "c1", TIME, trade, "o1", "EUR", (Line("p1", 1900, 2),)
    )


def test_promotion_events_are_feedback() -> None:
    viewed = tracked("feedback", "Promotion Viewed", {"promotion_id": "of1"})
    assert viewed == Feedback("e1", "c1", TIME, Response.IMPRESSION, "of1")
    clicked = tracked("feedback", "Promotion Clicked", {"offer_id": "of1", "promotion_id": "x"})
    assert clicked == Feedback("e1", "c1", TIME, Response.CLICK, "of1")


def test_identify_tells_traits_but_not_who_somebody_is() -> None:
    traits = {
        "tier": "gold",
        "visits": 3,
        "email": "anna@example.org",
        "firstName": "Anna",
        "last_name": "A",
        "address": {"city": "X"},
        "tags": ["a"],
        "nothing": None,
    }
    call = segment(None, type="identify", traits=traits)
    outcome = decode("customers", orjson.dumps(call))
    assert isinstance(outcome, Decoded)
    assert outcome.event == CustomerUpdate("e1", "c1", TIME, (("tier", "gold"), ("visits", 3)))
    in_context = call | {"traits": None, "context": {"traits": {"tier": "gold"}}}
    outcome = decode("customers", orjson.dumps(in_context))
    assert isinstance(outcome, Decoded)
    assert outcome.event == CustomerUpdate("e1", "c1", TIME, (("tier", "gold"),))


@pytest.mark.parametrize(
    ("management", "consent"),
    [
        ({"allowedConsentIds": ["profiling", "offers"]}, Consent(True, True)),
        (
            {"allowedConsentIds": ["profiling"], "deniedConsentIds": ["offers"]},
            Consent(True, False),
        ),
        ({"allowedConsentIds": ["offers"], "deniedConsentIds": ["offers"]}, Consent(None, False)),
        ({"allowedConsentIds": {"offers": True, "profiling": "yes"}}, Consent(True, True)),
        ({"allowedConsentIds": {"profiling": False, "offers": False}}, Consent(False, False)),
        ({"allowedConsentIds": {"profiling": None, "offers": "no"}}, Consent(False, False)),
        ({"allowedConsentIds": {"offers": "Offers", "Profiling": True}}, None),
        ({"allowedConsentIds": ["Profiling", "OFFERS", "c0001"]}, None),
        ({"deniedConsentIds": ["Profiling", "OFFERS", "c0001"]}, Consent(False, False)),
        ({"deniedConsentIds": {"Profiling": True}}, Consent(False, None)),
        ({"deniedConsentIds": None}, None),
        (None, None),
    ],
)
def test_a_yes_is_read_to_the_letter_a_no_in_any_case_and_denial_wins(
    management: Any, consent: Consent | None
) -> None:
    context = {"consentManagement": management}
    event = tracked("clicks", "Product Viewed", {"product_id": "p1"}, context=context)
    assert event.consent == consent


def test_a_word_of_consent_that_cannot_be_read_is_refused_not_skipped() -> None:
    context = {"consentManagement": {"deniedConsentIds": "offers"}}
    outcome = tracked("clicks", "Product Viewed", {"product_id": "p1"}, context=context)
    assert code(outcome) is RejectionCode.SCHEMA


@pytest.mark.parametrize("user", [ABSENT, None, ""])
def test_who_is_not_known_goes_by_the_anonymous_id(user: Any) -> None:
    event = tracked("clicks", "Product Viewed", {"product_id": "p1"}, key=b"a1", userId=user)
    assert event.customer_id == "a1"


def test_the_original_timestamp_stands_in() -> None:
    event = tracked(
        "clicks", "Product Viewed", {"product_id": "p1"}, timestamp=ABSENT, originalTimestamp=WHEN
    )
    assert event.time == TIME


def test_rudderstacks_session_is_the_session() -> None:
    event = tracked("clicks", "Product Viewed", {"product_id": "p1"}, context={"sessionId": 17145})
    assert event.session_id == "17145"


def test_a_property_does_not_pass_for_the_envelopes_own_field() -> None:
    forged = {
        "product_id": "p1",
        "customer_id": "c2",
        "event": "click",
        "consent": {"offers": True},
    }
    assert tracked("clicks", "Product Viewed", forged) == tracked(
        "clicks", "Product Viewed", {"product_id": "p1"}
    )


@pytest.mark.parametrize("name", ["Product List Viewed", "Products Searched", "checkout started "])
@pytest.mark.parametrize("topic", ["clicks", "purchases", "feedback", "customers"])
def test_what_the_specification_knows_and_nobody_here_needs_is_ignored(
    topic: str, name: str
) -> None:
    assert tracked(topic, name) == Ignored("segment_event")


@pytest.mark.parametrize("kind", ["page", "screen", "group", "alias", "Page"])
def test_other_calls_are_ignored(kind: str) -> None:
    assert tracked("clicks", None, type=kind) == Ignored("segment_call")


@pytest.mark.parametrize(
    ("topic", "changes", "detail"),
    [
        ("clicks", {"event": "Order Completed"}, "/event belongs on the topic purchases"),
        ("purchases", {"event": "Promotion Viewed"}, "/event belongs on the topic feedback"),
        ("customers", {"event": "Product Added"}, "/event belongs on the topic clicks"),
        ("clicks", {"type": "identify"}, "/type belongs on the topic customers"),
        ("clicks", {"event": "Product Veiwed"}, "/event is no event of Segment's e-commerce"),
        ("clicks", {"event": None}, "/event is no event of Segment's e-commerce"),
        ("clicks", {"event": {}}, "/event is no event of Segment's e-commerce"),
        ("clicks", {"type": "tracked"}, "/type is no Segment call"),
        ("clicks", {"type": 5}, "/type is no Segment call"),
        ("clicks", {"properties": []}, "/properties is not of type object"),
        ("clicks", {"context": "x"}, "/context is not of type object"),
        ("clicks", {"messageId": ABSENT}, "/event_id is missing"),
        ("customers", {"type": "identify", "userId": 5.5}, "/customer_id is not of type string"),
        ("clicks", {}, "/product_id is missing"),
    ],
)
def test_a_call_that_would_be_lost_is_refused(
    topic: str, changes: dict[str, Any], detail: str
) -> None:
    call = segment("Product Viewed") | changes
    outcome = decode(topic, orjson.dumps({k: v for k, v in call.items() if v is not ABSENT}))
    assert outcome == Rejection(RejectionCode.SCHEMA, detail)
