"""Checking events before they are sent: what the worker takes is valid, and faults are all told."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.client.validation import TOPICS, Validator
from stream.codec.events.decoding import Decoded, EventDecoder
from stream.codec.schema import load_schemas
from stream.config import CoreSettings
from stream.domain.event import Rejection, Source

ROOT = Path(__file__).parents[2] / "schemas"
FAR = 4_102_444_800_000
EXAMPLES = sorted(path for topic in TOPICS for path in ROOT.glob(f"{topic}/v1/*/*.json"))
GOOD: dict[str, Any] = {
    "event_id": "e-1",
    "customer_id": "c-7",
    "timestamp": "2024-05-01T09:30:00Z",
    "event": "view",
    "product_id": "p-42",
}


@pytest.fixture(scope="module")
def validator() -> Validator:
    return Validator()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: "/".join(p.relative_to(ROOT).parts))
def test_what_the_worker_takes_is_valid_and_nothing_else(path: Path, validator: Validator) -> None:
    topic, value = path.parts[-4], path.read_bytes()
    checked = validator.check(topic, value, FAR)
    assert bool(checked.faults) == (path.parts[-2] == "invalid")
    if not checked.faults:
        decode = EventDecoder(load_schemas(), CoreSettings()).of(Source[topic.upper()])
        assert isinstance(decode(checked.key, value, (), FAR), Decoded)
        assert validator.place(value, FAR).topic == topic


@pytest.mark.parametrize(
    ("change", "pointer", "code", "nearest"),
    [
        ({"event": "Product Viewed"}, "/event", "schema", '"view"'),
        ({"event": "add to cart"}, "/event", "schema", '"add_to_cart"'),
        ({"event": "vew"}, "/event", "schema", '"view"'),
        ({"timestamp": 1714556700}, "/timestamp", "value_range", "1714556700000"),
        ({"timestamp": 1714556700000000}, "/timestamp", "value_range", "1714556700000"),
        ({"timestamp": "2024-05-01 11:30+02:00"}, "/timestamp", "schema", '"2024-05-01T09:30:00Z"'),
        ({"timestamp": "2024-05-01 11:30"}, "/timestamp", "schema", None),
        ({"price": "1.234,50"}, "/price", "value_range", '"1234.50"'),
        ({"currency": "euro"}, "/currency", "value_range", None),
        ({"product_id": 42.5}, "/product_id", "schema", '"42.5"'),
        ({"quantity": "two"}, "/quantity", "value_range", None),
        ({"price": -1}, "/price", "value_range", None),
        ({"customer_id": None, "customerid": "c-7"}, "/customer_id", "schema", None),
    ],
)
def test_a_fault_has_a_pointer_a_rule_and_the_nearest_form(
    change: dict[str, Any], pointer: str, code: str, nearest: str | None, validator: Validator
) -> None:
    checked = validator.check("clicks", GOOD | change, FAR)
    assert checked.key is None
    fault = next(fault for fault in checked.faults if fault.pointer == pointer)
    assert fault.code == code
    assert fault.nearest == nearest
    assert fault.message
    if nearest is not None:
        mended = GOOD | change | {pointer[1:]: json.loads(nearest)}
        assert not validator.check("clicks", mended, FAR).faults


@pytest.mark.parametrize(
    ("field", "other"),
    [("customer_id", "user_id"), ("product_id", "SKU"), ("event_id", "evnt_id")],
)
def test_a_missing_field_is_found_under_another_name(
    field: str, other: str, validator: Validator
) -> None:
    event = {other if name == field else name: value for name, value in GOOD.items()}
    checked = validator.check("clicks", event, FAR)
    fault = next(fault for fault in checked.faults if fault.pointer == f"/{field}")
    assert fault.nearest is not None
    assert json.loads(fault.nearest) == {field: GOOD[field]}


def test_every_fault_is_told_and_what_is_passed_over_too(validator: Validator) -> None:
    event = {**GOOD, "event": "vew", "price": "x", "timestamp": 5, "pruduct_id": "p"}
    checked = validator.check("clicks", event, FAR)
    assert {fault.pointer for fault in checked.faults} == {"/event", "/price", "/timestamp"}
    (unknown,) = checked.warnings
    assert (unknown.pointer, unknown.code) == ("/pruduct_id", "unknown_field")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"{", "decode"), (b"[]", "schema"), (b"\xff", "decode"), (b"", "decode"),
        (b"[" * 100_000, "decode"), (b'"text"', "schema"), (b"x" * 300_000, "oversize"),
    ],
)  # fmt: skip
def test_what_is_no_event_at_all_is_one_fault(
    value: bytes, code: str, validator: Validator
) -> None:
    checked = validator.place(value, FAR)
    assert [fault.code for fault in checked.faults][-1:] == [code]


def test_what_cannot_be_json_is_a_fault(validator: Validator) -> None:
    checked = validator.check("clicks", GOOD | {"price": {1, 2}}, FAR)
    assert [fault.code for fault in checked.faults] == ["decode"]


def test_the_key_is_the_customer_in_any_envelope(validator: Validator) -> None:
    structured = {"specversion": "1.0", "id": "x", "source": "/s", "type": "a.view", "data": GOOD}
    assert validator.check("clicks", orjson.dumps(structured), FAR).key == b"c-7"
    call = {
        "type": "track", "event": "Product Viewed", "messageId": "m", "anonymousId": "anon",
        "timestamp": "2024-05-01T09:30:00Z", "properties": {"product_id": "p"},
    }  # fmt: skip
    assert validator.check("clicks", call, FAR).key == b"anon"
    page = {"type": "page", "messageId": "m", "userId": "u", "timestamp": "2024-05-01T09:30:00Z"}
    assert validator.place(orjson.dumps(page), FAR).ignored == "segment_call"


ODD: list[Any] = [
    None, True, -1, 0, 1.5, 1e308, 2**63, "", " ", "x" * 300, "NaN", "1,5", "1.234,5", "eur", [],
    {}, [[]], {"a": 1}, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "view",
    "2024-02-30T00:00:00Z", 1714556700, 99999999999999999, "1714556700", "\u202e",
    [{"product_id": 1, "price": "x"}],
]  # fmt: skip


def test_it_agrees_with_the_worker_whatever_the_fields_hold(
    validator: Validator, seed: int
) -> None:
    chance = random.Random(seed)
    decoder = EventDecoder(load_schemas(), CoreSettings())
    valid = [(path.parts[-4], json.loads(path.read_bytes()))
             for path in EXAMPLES if path.parts[-2] == "valid"]  # fmt: skip
    refused = 0
    for _ in range(3_000):
        topic, event = chance.choice(valid)
        event = dict(event)
        for _ in range(chance.randrange(1, 4)):
            name = chance.choice([*event, "extra", "price", "consent", "products", "data"])
            if chance.random() < 0.2:
                event.pop(name, None)
            else:
                event[name] = chance.choice(ODD)
        value = json.dumps(event).encode()
        checked = validator.check(topic, value, FAR)
        customer = event.get("customer_id")
        key = checked.key or (customer.encode() if isinstance(customer, str) else b"c")
        outcome = decoder.of(Source[topic.upper()])(key, value, (), FAR)
        assert bool(checked.faults) == isinstance(outcome, Rejection), (value, checked, outcome)
        if isinstance(outcome, Rejection):
            refused += 1
            assert outcome.code.value == checked.faults[0].code
        for fault in checked.faults:
            assert fault.nearest is None or json.loads(fault.nearest) is not None
    assert 500 < refused < 2_900


def test_an_event_from_the_future_is_a_fault_of_its_time(validator: Validator) -> None:
    checked = validator.check("clicks", GOOD, 1_714_000_000_000)
    assert [(f.pointer, f.code) for f in checked.faults] == [("/timestamp", "future_time")]
