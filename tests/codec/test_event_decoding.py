"""The table of bad input, row by row, and what valid input becomes."""

from __future__ import annotations

import json

import orjson
import pytest

from stream.codec.events.decoding import Decoded
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
    Source,
    Trade,
)
from tests.codec.producing import ABSENT, PAYLOADS, TIME, code, decode, decoder, payload, send

TOPICS = sorted(PAYLOADS)


def event_of(outcome: object) -> object:
    assert isinstance(outcome, Decoded), outcome
    return outcome.event


# ------------------------------------------------------------------------------------- valid input


def test_a_click_takes_each_field_to_its_place() -> None:
    outcome = send(
        "clicks",
        timestamp="2024-05-01T11:30:00.2509+02:00",
        event="add_to_cart",
        price="12.345",
        currency="USD",
        category="kitchen",
        brand="acme",
        quantity=3,
        session_id="s1",
        consent={"profiling": True},
        schema_version="1.7",
    )
    assert outcome == Decoded(
        Click(
            "e1", "c1", TIME, Action.ADD_TO_CART, "p1",
            1234, "USD", "kitchen", "acme", 3, "s1", Consent(True, None),
        ),
        0,
    )  # fmt: skip


def test_a_purchase_takes_each_line() -> None:
    lines = [
        {"product_id": "p1", "price": 9.9, "quantity": 2, "category": "k", "brand": "b"},
        {"product_id": "p2"},
    ]
    event = event_of(send("purchases", event="refund", currency=ABSENT, products=lines))
    assert event == Purchase(
        "e1", "c1", TIME, Trade.REFUND, "o1", "EUR",
        (Line("p1", 990, 2, "k", "b"), Line("p2")),
    )  # fmt: skip


def test_a_refund_need_not_say_what_came_back() -> None:
    event = event_of(send("purchases", event="refund", products=ABSENT))
    assert isinstance(event, Purchase)
    assert event.lines == ()


def test_feedback_and_customer_updates_take_each_field() -> None:
    assert event_of(send("feedback", event="dismiss", product_id="p9")) == Feedback(
        "e1", "c1", TIME, Response.DISMISS, "of1", "p9"
    )
    update = send("customers", consent={"offers": False}, erase=True, traits={"b": 2.5, "a": "x"})
    assert event_of(update) == CustomerUpdate(
        "e1", "c1", TIME, (("a", "x"), ("b", 2.5)), True, Consent(None, False)
    )


@pytest.mark.parametrize("topic", TOPICS)
def test_every_source_has_its_own_decoder(topic: str) -> None:
    value = orjson.dumps(payload(topic))
    outcome = decoder().decode(Source[topic.upper()], b"c1", value, (), TIME)
    assert outcome == decode(topic, value)
    assert isinstance(outcome, Decoded)


def test_null_means_absent_where_a_field_may_be_absent() -> None:
    money = ["price", "price_minor", "currency", "quantity"]
    others = ["category", "brand", "session_id", "consent", "schema_version"]
    assert send("clicks", **dict.fromkeys([*money, *others])) == send("clicks")


def test_unknown_fields_are_ignored_and_counted_in_lines_too() -> None:
    plain = event_of(send("purchases"))
    outcome = send(
        "purchases", a=1, b=[2], products=[{**PAYLOADS["purchases"]["products"][0], "c": 3}]
    )
    assert outcome == Decoded(plain, 3)


@pytest.mark.parametrize(
    ("fields", "price", "currency"),
    [
        ({"price": 0.1}, 10, "EUR"),
        ({"price": 1}, 100, "EUR"),
        ({"price": "0.125"}, 12, "EUR"),
        ({"price": 1200, "currency": "JPY"}, 1200, "JPY"),
        ({"price": "1.2345", "currency": "KWD"}, 1234, "KWD"),
        ({"price": 5, "price_minor": 7}, 7, "EUR"),
        ({"price_minor": 5.0}, 5, "EUR"),
        ({"currency": "USD"}, None, "USD"),
        ({}, None, None),
    ],
)
def test_money_becomes_minor_units_of_a_named_currency(
    fields: dict[str, object], price: int | None, currency: str | None
) -> None:
    event = event_of(send("clicks", **fields))
    assert isinstance(event, Click)
    assert (event.price, event.currency) == (price, currency)
    assert type(event.price) in (int, type(None))


@pytest.mark.parametrize(
    "text",
    ["2024-05-01T09:30:00.250Z", "2024-05-01t09:30:00.25z", "2024-05-01T04:00:00.250999-05:30"],
)
def test_every_spelling_of_a_time_is_the_same_instant(text: str) -> None:
    event = event_of(send("clicks", timestamp=text))
    assert isinstance(event, Click)
    assert event.time == TIME


def test_a_leap_second_is_the_second_before_it() -> None:
    leap = orjson.dumps(payload("clicks", timestamp="2016-12-31T23:59:60Z"))
    event = event_of(decode("clicks", leap))
    assert isinstance(event, Click)
    assert event.time == 1_483_228_799_000


def test_texts_are_composed_and_lose_what_misleads() -> None:
    event = event_of(send("clicks", brand="Cafe\u0301\u202e\u0000", category="a\tb\u2066"))
    assert isinstance(event, Click)
    assert (event.brand, event.category) == ("Café", "a b")


def test_free_text_is_cut_and_an_empty_one_is_none() -> None:
    event = event_of(send("clicks", brand="b" * 1000, category=""))
    assert isinstance(event, Click)
    assert (event.brand, event.category) == ("b" * 128, None)


def test_the_last_of_two_equal_names_counts() -> None:
    value = orjson.dumps(payload("clicks"))[:-1] + b',"product_id":"p2"}'
    event = event_of(decode("clicks", value))
    assert isinstance(event, Click)
    assert event.item_id == "p2"


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("topic", TOPICS)
def test_a_tombstone_is_no_event_with_or_without_a_key(topic: str) -> None:
    assert code(decode(topic, None)) is RejectionCode.TOMBSTONE
    assert code(decode(topic, None, key=None)) is RejectionCode.TOMBSTONE


@pytest.mark.parametrize("topic", TOPICS)
def test_a_record_without_a_key_is_refused(topic: str) -> None:
    assert code(send(topic, key=None)) is RejectionCode.NULL_KEY


def test_a_value_over_256_kib_is_oversize_and_one_of_256_kib_is_not() -> None:
    def padded(length: int) -> bytes:
        bare = orjson.dumps(payload("clicks", pad=""))
        return orjson.dumps(payload("clicks", pad="x" * (length - len(bare))))

    assert isinstance(decode("clicks", padded(256 * 1024)), Decoded)
    assert code(decode("clicks", padded(256 * 1024 + 1))) is RejectionCode.OVERSIZE


def test_a_basket_over_500_lines_is_oversize_whatever_else_is_wrong_with_it() -> None:
    def basket(lines: int) -> list[dict[str, str]]:
        return [{"product_id": f"p{number}"} for number in range(lines)]

    assert isinstance(send("purchases", products=basket(500)), Decoded)
    assert code(send("purchases", products=basket(501))) is RejectionCode.OVERSIZE
    assert code(send("purchases", products=[{}] * 501)) is RejectionCode.OVERSIZE
    assert code(send("purchases", products=[{}] * 501, event=1)) is RejectionCode.OVERSIZE


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"not json",
        b'{"price":NaN}',
        b'{"price":1e999}',
        b'{"price":Infinity}',
        b"\xef\xbb\xbf{}",
        b'{"brand":"\xff"}',
        b'{"brand":"\\ud800"}',
        b'{"a":' + b"[" * 1100 + b"]" * 1100 + b"}",
        orjson.dumps(payload("clicks")) + b"x",
        b"\x00\x00\x00\x00\x01",
        b"\x00" * 100_000,
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_no_json_is_refused_as_such(value: bytes) -> None:
    assert code(decode("clicks", value)) is RejectionCode.DECODE


def test_nesting_is_no_way_round_the_schema() -> None:
    deep = b"[" * 900 + b"]" * 900
    whole = orjson.dumps(payload("clicks"))[:-1]
    assert isinstance(decode("clicks", whole + b',"extra":' + deep + b"}"), Decoded)
    assert code(decode("clicks", whole + b',"brand":' + deep + b"}")) in (
        RejectionCode.DECODE,
        RejectionCode.SCHEMA,
    )


@pytest.mark.parametrize("value", [b"null", b"[]", b'"x"', b"1", b"true"])
def test_json_that_is_no_object_breaks_the_schema(value: bytes) -> None:
    assert decode("clicks", value) == Rejection(
        RejectionCode.SCHEMA, "the value is not of type object"
    )


@pytest.mark.parametrize("version", [0, 2, 2.0, 99, 1.5, "2", "2.1", "0.9", "latest"])
def test_an_unknown_major_version_is_refused_before_the_schema_is_asked(version: object) -> None:
    outcome = send("clicks", schema_version=version, product_id=ABSENT)
    assert code(outcome) is RejectionCode.SCHEMA_VERSION


@pytest.mark.parametrize("version", [1, 1.0, "1", "1.0", "1.99", None, ""])
def test_any_minor_version_of_the_known_major_is_read(version: object) -> None:
    assert send("clicks", schema_version=version) == send("clicks")


@pytest.mark.parametrize("version", [True, False, "1.x", [], {}])
def test_what_is_no_version_breaks_the_schema(version: object) -> None:
    assert code(send("clicks", schema_version=version)) is RejectionCode.SCHEMA


@pytest.mark.parametrize(
    ("topic", "fields", "detail"),
    [
        ("clicks", {"product_id": ABSENT}, "/product_id is missing"),
        ("clicks", {"customer_id": ABSENT}, "/customer_id is missing"),
        ("clicks", {"event": "hover"}, "/event is none of "),
        ("clicks", {"brand": [5]}, "/brand is not of type string"),
        ("clicks", {"event_id": "\u0000"}, "/event_id is shorter than 1"),
        ("clicks", {"timestamp": "yesterday"}, "/timestamp is not a date-time"),
        ("purchases", {"products": [{"product_id": 5.5}]}, "/products/0/product_id is not"),
        ("feedback", {"offer_id": ABSENT}, "/offer_id is missing"),
        ("customers", {"consent": {"offers": "yes"}}, "/consent/offers is not of type boolean"),
    ],
)
def test_a_broken_schema_names_the_field(
    topic: str, fields: dict[str, object], detail: str
) -> None:
    outcome = send(topic, **fields)
    assert code(outcome) is RejectionCode.SCHEMA
    assert isinstance(outcome, Rejection)
    assert outcome.detail.startswith(detail)


@pytest.mark.parametrize(
    "fields",
    [
        {"price": -0.01},
        {"price": 10**11},
        {"price": "99999999999"},
        {"price": "12,50"},
        {"price": "1e5"},
        {"price": float("1e29")},
        {"price_minor": -1},
        {"price_minor": 10**14},
        {"price": 10**10, "currency": "CLF"},
        {"currency": "EURO"},
        {"currency": "XQQ"},
        {"quantity": 0},
        {"quantity": -3},
        {"quantity": 10**7},
        {"timestamp": 0},
        {"timestamp": 1_714_555_800},
        {"timestamp": -1},
        {"timestamp": "1989-12-31T23:59:59Z"},
        {"timestamp": "0000-01-01T00:00:00Z"},
        {"timestamp": "2100-01-01T00:00:00Z"},
        {"timestamp": "9999-12-31T23:59:59-12:00"},
    ],
    ids=repr,
)
def test_a_value_out_of_range_is_refused(fields: dict[str, object]) -> None:
    assert code(send("clicks", **fields)) is RejectionCode.VALUE_RANGE


@pytest.mark.parametrize("field", ["price", "price_minor", "quantity", "timestamp"])
@pytest.mark.parametrize("digits", ["9" * 30, "9" * 19, "-" + "9" * 30, "9" * 30 + ".5", "1e30"])
def test_a_number_too_long_for_an_integer_does_not_slip_through_as_a_float(
    field: str, digits: str
) -> None:
    value = json.dumps(payload("clicks", **{field: "@"})).replace('"@"', digits).encode()
    assert code(decode("clicks", value)) in (RejectionCode.VALUE_RANGE, RejectionCode.SCHEMA)


def test_lines_that_add_up_to_an_absurd_order_are_refused() -> None:
    line = {"product_id": "p1", "price_minor": 10**10, "quantity": 1000}
    assert isinstance(send("purchases", products=[line]), Decoded)
    assert code(send("purchases", products=[line, line])) is RejectionCode.VALUE_RANGE


@pytest.mark.parametrize("key", [b"", b"c2", b"C1", b"c1 ", b'"c1"', b"\xff"])
def test_a_key_that_is_not_the_customer_is_refused(key: bytes) -> None:
    assert code(send("clicks", key=key)) is RejectionCode.KEY_MISMATCH


def test_a_customer_has_one_key_however_the_id_is_composed() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert isinstance(send("clicks", composed.encode(), customer_id=decomposed), Decoded)
    outcome = send("clicks", decomposed.encode(), customer_id=decomposed)
    assert code(outcome) is RejectionCode.KEY_MISMATCH


def test_an_event_may_be_five_minutes_ahead_of_its_record_and_no_more() -> None:
    value = orjson.dumps(payload("clicks"))
    assert isinstance(decode("clicks", value, record_time=TIME - 300_000), Decoded)
    ahead = decode("clicks", value, record_time=TIME - 300_001)
    assert code(ahead) is RejectionCode.FUTURE_TIME
    assert code(decode("clicks", value, record_time=-1)) is RejectionCode.FUTURE_TIME
    assert isinstance(decode("clicks", value, record_time=TIME + 10**12), Decoded)


def test_the_first_rule_broken_names_the_rejection() -> None:
    late = {"timestamp": TIME + 10**9}
    chain: list[tuple[dict[str, object], RejectionCode]] = [
        ({"schema_version": 2}, RejectionCode.SCHEMA_VERSION),
        ({"brand": [5]}, RejectionCode.SCHEMA),
        ({"price": -1}, RejectionCode.VALUE_RANGE),
        ({"customer_id": "c2"}, RejectionCode.KEY_MISMATCH),
        (late, RejectionCode.FUTURE_TIME),
    ]
    while chain:
        faults = {name: value for fields, _ in chain for name, value in fields.items()}
        assert code(send("clicks", **faults)) is chain[0][1]
        chain.pop(0)
    assert isinstance(send("clicks"), Decoded)


def test_a_detail_holds_nothing_that_the_sender_wrote() -> None:
    secret = "anna@example.org"
    for value in (
        orjson.dumps(payload("customers", traits={secret: []})),
        orjson.dumps(payload("customers", traits={secret * 9: 1})),
        orjson.dumps(payload("customers", event_id=[secret], customer_id=secret)),
        orjson.dumps(payload("customers", timestamp=secret)),
        orjson.dumps(payload("customers", consent=secret)),
        orjson.dumps(payload("customers", schema_version=secret)),
        orjson.dumps(payload("customers", customer_id=secret)),
        b'{"' + secret.encode() + b'":' + secret.encode(),
    ):
        outcome = decode("customers", value)
        assert isinstance(outcome, Rejection)
        assert "anna" not in outcome.detail
