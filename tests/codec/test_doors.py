"""What says the same through any door is the same event, and the schemas say what is taken."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings

from stream.client.validation import Validator
from stream.codec.events.decoding import Decoded, Ignored, Outcome, encode
from stream.codec.events.plain import text
from stream.codec.schema import schemas_root
from stream.domain.event import (
    Action,
    Click,
    Event,
    Feedback,
    Line,
    Purchase,
    RejectionCode,
    Source,
)
from stream.domain.money import EXPONENTS
from stream.grammar.words import is_nothing
from tests.codec.mutating import AMOUNTS
from tests.codec.producing import PAYLOADS, TIME, code, decode, decoder, payload, send
from tests.properties.test_event_codec_laws import SOURCES, clicks, feedbacks, purchases

DAY = "2024-05-01T09:30:00.250Z"
SEGMENT = {
    "view": "Product Viewed", "click": "Product Clicked", "add_to_cart": "Product Added",
    "remove_from_cart": "Product Removed", "purchase": "Order Completed",
    "refund": "Order Refunded", "impression": "Promotion Viewed",
}  # fmt: skip
CLICKED = {"Product Clicked": "Promotion Clicked", "select_item": "select_promotion"}
GA4 = {
    "view": "view_item", "click": "select_item", "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart", "purchase": "purchase", "refund": "refund",
    "impression": "view_promotion",
}  # fmt: skip

# ----------------------------------------------------------------------- the same through any door


def whole(event: Event) -> dict[str, Any]:
    native: dict[str, Any] = orjson.loads(encode(event))
    native.pop("schema_version")
    native.pop("consent", None)
    return native


def major(line: dict[str, Any], currency: str | None) -> dict[str, Any]:
    """A line whose price is in major units, as a decimal text."""
    minor = line.pop("price_minor", None)
    if minor is not None:
        price = Decimal(minor).scaleb(-EXPONENTS[currency or "EUR"])
        line["price"] = f"{price:f}"
    return line


def lenient(native: dict[str, Any]) -> dict[str, Any]:
    """The same with numbers as texts, digits as numbers, and what is absent as an empty text."""
    said = {"category": "", "brand": "", "session_id": "", "quantity": ""} if (
        "offer_id" not in native and "order_id" not in native
    ) else {}  # fmt: skip
    said |= native | {"timestamp": str(native["timestamp"])}
    if "currency" in said:
        said["currency"] = said["currency"].lower()
    for one in (said, *said.get("products", ())):
        for name in ("price_minor", "quantity"):
            if name in one and one[name] != "":
                one[name] = str(one[name])
        product = one.get("product_id", "")
        if product.isascii() and product.isdigit() and str(int(product)) == product:
            one["product_id"] = int(product)
        if "product_id" in one and "offer_id" not in one:
            one["sku"] = one.pop("product_id")
    return said


def by_segment(native: dict[str, Any]) -> dict[str, Any]:
    properties = dict(native)
    head = {
        "type": "track",
        "event": named(SEGMENT, properties),
        "messageId": properties.pop("event_id"),
        "userId": properties.pop("customer_id"),
        "timestamp": properties.pop("timestamp"),
    }
    del properties["event"]
    return head | {"properties": properties}


def named(names: dict[str, str], native: dict[str, Any]) -> str:
    name = names[native["event"]]
    return CLICKED.get(name, name) if "offer_id" in native else name


def older(call: dict[str, Any]) -> dict[str, Any]:
    return call | {"event": " ".join(reversed(call["event"].split(" ")))}


def item(line: dict[str, Any]) -> dict[str, Any]:
    names = {"product_id": "item_id", "category": "item_category", "brand": "item_brand"}
    return {names.get(name, name): value for name, value in line.items()}


def by_ga4(native: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A body of the Measurement Protocol and a row of the BigQuery export that say the same."""
    native = dict(native)
    parameters = {"event_id": native["event_id"], "ga_session_id": native.get("session_id")}
    currency = native.get("currency")
    if currency is not None:
        parameters["currency"] = currency
    if "products" in native:
        items = [item(line) for line in native["products"]]
        parameters["transaction_id"] = native["order_id"]
    else:
        kept = ("product_id", "price", "quantity", "category", "brand")
        items = [item({name: native[name] for name in kept if name in native})]
    if "offer_id" in native:
        parameters["promotion_id"] = native["offer_id"]
    name = named(GA4, native)
    body = {
        "client_id": native["customer_id"],
        "timestamp_micros": str(native["timestamp"] * 1000),
        "events": [
            {"name": "session_start", "params": {}},
            {"name": name, "params": parameters | {"items": items}},
        ],
    }
    row = {
        "event_name": name,
        "event_timestamp": native["timestamp"] * 1000 + 999,
        "user_pseudo_id": native["customer_id"],
        "user_id": None,
        "event_params": [
            {"key": key, "value": {"string_value": value, "int_value": None}}
            for key, value in parameters.items()
        ],
        "items": items,
    }
    return body, row


def by_cloud(native: dict[str, Any]) -> tuple[bytes, tuple[bytes, Any]]:
    """A CloudEvent in structured and in binary mode."""
    data = dict(native)
    event_id, event = data.pop("event_id"), data.pop("event")
    kind = f"com.example.shop.{event}.v1"
    structured = {"specversion": "1.0", "id": event_id, "source": "/", "type": kind, "data": data}
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_type", f"com.example.shop.{event}/1.2".encode()),
        ("content-type", b"application/json"),
    )
    return orjson.dumps(structured), (orjson.dumps(data), headers)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(clicks | purchases | feedbacks)
def test_what_says_the_same_through_any_door_is_the_same_event(event: Event) -> None:
    assume(not (isinstance(event, Feedback) and event.response.value not in SEGMENT))
    native = whole(event)
    texts = [value for one in (native, *native.get("products", ())) for value in one.values()]
    assume(not any(isinstance(said, str) and is_nothing(said) for said in texts))
    lines = [major(dict(line), native.get("currency")) for line in native.get("products", ())]
    said = major(dict(native), native.get("currency")) | ({"products": lines} if lines else {})
    body, row = by_ga4(said)
    structured, (binary, headers) = by_cloud(said)
    value, key = orjson.dumps(said), event.customer_id.encode()
    doors: dict[str, tuple[bytes, Any]] = {
        "native": (value, ()),
        "lenient": (orjson.dumps(lenient(orjson.loads(orjson.dumps(native)))), ()),
        "framed": (b"\0\0\0\1\2" + value, ()),
        "framed by a header": (value, (("__value_schema_id", b"\1" + bytes(16)),)),
        "structured": (structured, ()),
        "binary": (binary, headers),
        "segment": (orjson.dumps(by_segment(said)), ()),
        "segment, older": (orjson.dumps(older(by_segment(said))), ()),
        "segment in a frame": (b"\0\0\0\1\2" + orjson.dumps(by_segment(said)), ()),
        "measurement protocol": (orjson.dumps(body), ()),
        "bigquery": (orjson.dumps(row), ()),
    }
    source = SOURCES[type(event)]
    expected = decoder().decode(source, key, orjson.dumps(native), (), event.time)
    assert isinstance(expected, Decoded)
    for door, (raw, around) in doors.items():
        if door in ("measurement protocol", "bigquery") and isinstance(event, Feedback):
            continue  # which has its own test: GA4 has no session and no product there
        outcome = decoder().decode(source, key, raw, around, event.time)
        assert isinstance(outcome, Decoded), (door, outcome)
        assert outcome.event == expected.event, door


# -------------------------------------------------------------------------------------- GA4 alone


def ga4(name: str, topic: str = "clicks", **more: Any) -> Outcome:
    body = {"client_id": "c1", "timestamp_micros": TIME * 1000}
    return decode(topic, orjson.dumps(body | {"events": [{"name": name} | more]}))


ITEMS = [{"item_id": "p1", "item_name": "Washer", "price": 9.5, "item_brand": "(not set)"}]


@pytest.mark.parametrize("topic", sorted(PAYLOADS))
@pytest.mark.parametrize(
    "name", ["page_view", "session_start", "scroll", "a_shops_own", "", "x" * 99]
)
def test_what_says_nothing_of_an_item_is_ignored_and_not_refused(topic: str, name: str) -> None:
    assert ga4(name, topic, params={"page_location": "https://x"}) == Ignored("ga4_event")
    row = {"event_name": name, "event_timestamp": TIME * 1000, "user_pseudo_id": "c1"}
    assert decode(topic, orjson.dumps(row | {"event_params": []})) == Ignored("ga4_event")


def test_a_page_view_of_an_item_is_a_view_of_it() -> None:
    outcome = ga4("page_view", params={"items": ITEMS, "currency": "EUR"})
    assert isinstance(outcome, Decoded) and isinstance(outcome.event, Click)
    click = outcome.event
    assert (click.action, click.item_id, click.price, click.brand) == (Action.VIEW, "p1", 950, None)


def test_an_event_of_ga4_has_the_same_id_whenever_it_is_sent_again() -> None:
    first, again = (
        ga4("view_item", params={"items": ITEMS}),
        ga4("view_item", params={"items": ITEMS}),
    )
    other = ga4("view_item", params={"items": ITEMS, "page_title": "x"})
    assert isinstance(first, Decoded) and isinstance(other, Decoded)
    assert first == again
    assert first.event.event_id != other.event.event_id


def test_an_event_without_a_time_happened_when_its_record_says() -> None:
    body = {"client_id": "c1", "events": [{"name": "view_item", "params": {"items": ITEMS}}]}
    at = [decode("clicks", orjson.dumps(body), record_time=TIME + n) for n in (0, 0, 1)]
    events = [each.event for each in at if isinstance(each, Decoded)]
    assert [event.time for event in events] == [TIME, TIME, TIME + 1]
    assert events[0] == events[1]
    assert events[0].event_id != events[2].event_id


def test_a_promotion_of_ga4_is_feedback_on_an_offer() -> None:
    outcome = ga4("select_promotion", "feedback", params={"promotion_id": "of1", "items": ITEMS})
    assert isinstance(outcome, Decoded) and isinstance(outcome.event, Feedback)
    assert (outcome.event.offer_id, outcome.event.item_id) == ("of1", "p1")


def test_what_would_be_lost_in_silence_is_refused() -> None:
    assert "purchases" in str(ga4("purchase", params={"transaction_id": "o1", "items": ITEMS}))
    two = ga4("add_to_cart", params={"items": [*ITEMS, *ITEMS]})
    assert code(two) is RejectionCode.SCHEMA and "send an event for each" in str(two)
    event = {"name": "view_item", "params": {"items": ITEMS}}
    body = {"client_id": "c1", "timestamp_micros": TIME * 1000, "events": [event, event]}
    assert "send one a record" in str(decode("clicks", orjson.dumps(body)))
    assert code(ga4("view_item")) is RejectionCode.SCHEMA
    assert (
        code(ga4("view_item", params={"items": [{"item_id": "(not set)"}]})) is RejectionCode.SCHEMA
    )


def test_who_is_known_goes_by_the_user_id() -> None:
    body = {"client_id": "a1", "user_id": 1001, "timestamp_micros": TIME * 1000}
    event = {"name": "view_item", "params": {"items": ITEMS}}
    outcome = decode("clicks", orjson.dumps(body | {"events": [event]}), b"1001")
    assert isinstance(outcome, Decoded) and outcome.event.customer_id == "1001"


def test_a_no_in_our_words_is_heard_in_ga4_too() -> None:
    body = {"client_id": "c1", "timestamp_micros": TIME * 1000, "consent": {"offers": False}}
    event = {"name": "view_item", "params": {"items": ITEMS}}
    outcome = decode("clicks", orjson.dumps(body | {"events": [event]}))
    assert isinstance(outcome, Decoded) and outcome.event.consent is not None
    assert outcome.event.consent.offers is False


def test_the_validator_places_an_event_of_ga4() -> None:
    event = {"name": "purchase", "params": {"transaction_id": "o1", "items": ITEMS}}
    body = {"client_id": "c1", "timestamp_micros": TIME * 1000, "events": [event]}
    checked = Validator().place(orjson.dumps(body), TIME)
    assert (checked.topic, checked.key, checked.faults) == ("purchases", b"c1", ())


# ------------------------------------------------------------------------------------- other doors


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("Completed Order", "purchases"),
        ("Viewed Product", "clicks"),
        ("Added Product", "clicks"),
        ("Removed Product", "clicks"),
        ("viewed_promotion", "feedback"),
        ("product_viewed", "clicks"),
    ],
)
def test_segments_older_names_are_read(name: str, topic: str) -> None:
    properties = {"id": 42, "orderId": 9, "products": [{"id": "p1", "price": "1.50"}]}
    properties |= {"promotion_id": "of1"}
    call = {"type": "track", "event": name, "messageId": 1, "userId": "c1", "timestamp": DAY}
    outcome = decode(topic, orjson.dumps(call | {"properties": properties}))
    assert isinstance(outcome, Decoded), outcome
    event = outcome.event
    if isinstance(event, Purchase):
        assert (event.order_id, event.lines) == ("9", (Line("p1", 150, 1),))
    if isinstance(event, Click):
        assert event.item_id == "42"


@pytest.mark.parametrize(
    "kind", ["com.shop.view.v1", "com.shop.view.1.2", "shop/view/v2", "com.shop:view@1", "view"]
)
def test_a_type_may_end_in_a_version(kind: str) -> None:
    data = {"customer_id": "c1", "product_id": "p1"}
    event = {"specversion": "1.0", "id": 1, "type": kind, "time": DAY, "data": data | {"event": ""}}
    assert decode("clicks", orjson.dumps(event)) == send("clicks", event_id=1)


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"\0\0\0\1\2\x04c1\x06", ()),
        (b"\0\0\0\1\2\0\x0a\x02c1", ()),
        (b"\x04c1\x06", (("__value_schema_id", b"\1" + bytes(16)),)),
    ],
)
def test_avro_and_protobuf_are_named_with_the_way_out(value: bytes, headers: Any) -> None:
    outcome = decode("clicks", value, headers=headers)
    assert code(outcome) is RejectionCode.DECODE
    assert "Avro or Protobuf" in str(outcome) and "send JSON" in str(outcome)


def test_json_that_is_cut_is_not_called_avro() -> None:
    assert "Avro" not in str(decode("clicks", b'\0\0\0\1\2{"event_id":'))
    assert "Avro" not in str(decode("clicks", b"\0\0\0"))


@pytest.mark.parametrize(
    ("names", "item_id"),
    [
        ({"product_id": "p", "sku": "s", "variant_id": "v", "variant": "w"}, "p"),
        ({"product_id": "", "sku": 7, "variant_id": "v"}, "7"),
        ({"product_id": None, "sku": "", "variant_id": 8.0, "variant": "w"}, "8"),
        ({"variant": "w"}, "w"),
    ],
)
def test_what_names_a_product_stands_for_its_id(names: dict[str, Any], item_id: str) -> None:
    sent = {name: said for name, said in payload("clicks").items() if name != "product_id"} | names
    outcome = decode("clicks", orjson.dumps(sent))
    assert isinstance(outcome, Decoded) and isinstance(outcome.event, Click)
    assert outcome.event.item_id == item_id and outcome.extra_fields == 0
    order = payload("purchases", products=[names])
    outcome = decode("purchases", orjson.dumps(order))
    assert isinstance(outcome, Decoded) and isinstance(outcome.event, Purchase)
    assert outcome.event.lines[0].item_id == item_id


# -------------------------------------------------------------------- the schemas are the contract

POOL: tuple[Any, ...] = (
    *(None, True, "", "x", "7", "2.0", "007", [], {}, [1], "view", "x" * 128, "x" * 129),
    *(TIME, str(TIME), float(TIME), DAY, "2024-05-01", "631151999999", "631152000000"),
    *("4102444799999", "4102444800000", "EUR", "usd", "€", "1e3", "12,5", "-1"),
    *(amount for amount in AMOUNTS if not isinstance(amount, int) or amount < 10**300),
)
BEYOND = (
    "is not an ISO 4217 code",
    "add up to",
    "is in no calendar",
    "minor units",
    "word for no value",
)


def changed(topic: str, chance: Random) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(payload(topic)))
    document = json.loads((schemas_root() / topic / "v1.json").read_bytes())
    names = sorted(set(document["properties"]) - {"customer_id", "consent", "traits", "erase"})
    rows = [data, *data.get("products", ())]
    for _ in range(chance.randrange(1, 4)):
        row = chance.choice(rows)
        name = chance.choice(names if row is data else ("product_id", "sku", "price", "price_minor",
                                                        "quantity", "category"))  # fmt: skip
        if chance.random() < 0.1:
            row.pop(name, None)
        elif name != "products":
            row[name] = chance.choice(POOL)
    return data


@pytest.mark.parametrize("topic", sorted(PAYLOADS))
def test_a_validator_with_the_schemas_and_the_worker_agree(topic: str, seed: int) -> None:
    document = json.loads((schemas_root() / topic / "v1.json").read_bytes())
    validator = jsonschema_rs.Draft202012Validator(document, validate_formats=True)
    chance, tally = Random(seed), Counter[bool]()
    for _ in range(2_500):
        value = json.dumps(changed(topic, chance)).encode()
        data = orjson.loads(value)
        outcome = decoder().decode(Source[topic.upper()], b"c1", value, (), 4_102_444_800_000)
        if any(why in str(outcome) for why in BEYOND):
            continue  # what no schema can say: of calendars, currencies and sums
        assert validator.is_valid(data) == isinstance(outcome, Decoded), (value, outcome)
        tally[isinstance(outcome, Decoded)] += 1
    assert min(tally[True], tally[False]) > 200, tally


def test_digits_are_those_of_the_number() -> None:
    assert [text(said) for said in (0, -7, 2**63 - 1, 1.0, -0.0)] == [
        "0", "-7", "9223372036854775807", "1", "0"
    ]  # fmt: skip
