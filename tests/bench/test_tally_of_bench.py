"""The others' click keeps the rules of this project's JSON Schema, so that all do the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from bench.contenders.tally import KNOWN, Click, decode, take
from bench.workload import Shape, clicks

SCHEMA = json.loads(Path("schemas/clicks/v1.json").read_text())
RECORD = json.loads(next(clicks(Shape(1, 3, active=1))).value or b"")
REQUIRED = (*SCHEMA["required"], "product_id")  # for which others may stand in, not here
LONG = "x" * 129


@pytest.mark.parametrize(
    "change",
    [
        *({name: value} for name in ("event_id", "product_id") for value in ("", LONG, None)),
        *({"timestamp": value} for value in (0, 5_000_000_000_000, None, 1.5)),
        *({"price_minor": value} for value in (-1, 10**14)),
        *({"quantity": value} for value in (0, 1_000_001)),
        *({"schema_version": value} for value in ("2.0", "1.x")),
        {"currency": "EURO"}, {"event": "look"}, {"brand": []}, {"consent": {"offers": "yes"}},
    ],
)  # fmt: skip
def test_what_the_schema_refuses_the_others_refuse(change: dict[str, Any]) -> None:
    broken = RECORD | change
    assert not jsonschema_rs.is_valid(SCHEMA, broken)
    with pytest.raises(msgspec.ValidationError):
        decode(json.dumps(broken).encode())


@pytest.mark.parametrize(
    "change",
    [{"event_id": 7}, {"product_id": 7}, {"price_minor": "9"}, {"quantity": "1"},
     {"currency": "eur"}, {"session_id": ""}, {"category": 3}],
)  # fmt: skip
def test_the_others_take_plain_forms_alone_which_is_all_that_the_bench_sends(
    change: dict[str, Any],
) -> None:
    assert jsonschema_rs.is_valid(SCHEMA, RECORD | change)
    with pytest.raises(msgspec.ValidationError):
        decode(json.dumps(RECORD | change).encode())


@pytest.mark.parametrize("name", REQUIRED)
def test_what_the_schema_requires_the_others_require(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(json.dumps({k: v for k, v in RECORD.items() if k != name}).encode())


@pytest.mark.parametrize("name", sorted(set(SCHEMA["properties"]) - set(REQUIRED)))
def test_what_the_schema_lets_be_null_the_others_let_be_null(name: str) -> None:
    assert jsonschema_rs.is_valid(SCHEMA, RECORD | {name: None})
    decode(json.dumps(RECORD | {name: None}).encode())


def test_a_customer_remembers_the_newest_ids_and_no_more() -> None:
    customer = None
    for number in range(KNOWN + 10):
        customer, offer = take(customer, click(f"e{number}"), 0, number)
        assert offer is not None
    assert customer == {
        "count": KNOWN + 10,
        "known": [f"e{number}" for number in range(10, KNOWN + 10)],
    }


def click(name: str) -> Click:
    return Click(name, "c", 1_717_200_000_000, "view", "i")
