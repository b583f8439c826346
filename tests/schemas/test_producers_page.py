"""The producers' page: every example on it does what the page says."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from stream.codec.events.decoding import Decoded, EventDecoder, Ignored
from stream.codec.reference import ReferenceDecoder, ReferenceEntry
from stream.codec.registry.frames import FramedValue
from stream.codec.registry.translating import Definition, translator
from stream.codec.schema import load_schemas
from stream.config import CoreSettings
from stream.domain.event import Click, Rejection, RejectionCode
from tests.registry import avro

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"<!-- (\w+): (\w+) (\S+)( [^\n]*)? -->\n```json\n(.*?)```", PAGE, re.DOTALL)
FAR = 4_102_444_800_000


def test_every_block_of_json_is_an_example_and_every_topic_has_one() -> None:
    assert len(EXAMPLES) == PAGE.count("```json")
    topics = {topic for _, topic, *_ in EXAMPLES}
    assert topics == {"clicks", "purchases", "feedback", "customers", "catalog", "campaigns"}


@pytest.mark.parametrize(
    ("what", "topic", "key", "more", "value"), EXAMPLES, ids=[f"{e[0]}-{e[1]}" for e in EXAMPLES]
)
def test_an_example_does_what_the_page_says(
    what: str, topic: str, key: str, more: str, value: str
) -> None:
    schemas = load_schemas()
    references = ReferenceDecoder(schemas, CoreSettings())
    outcome: object
    if topic == "catalog":
        outcome = references.decode_catalog(key.encode(), value.encode())
    elif topic == "campaigns":
        outcome = references.decode_campaign(key.encode(), value.encode())
    else:
        decode = getattr(EventDecoder(schemas, CoreSettings()), topic)
        outcome = decode(key.encode(), value.encode(), (), FAR)
    if what == "decode":
        assert isinstance(outcome, Decoded | ReferenceEntry), outcome
    elif what == "ignore":
        assert isinstance(outcome, Ignored), outcome
    else:
        code, _, detail = more.strip().partition(" ")
        assert outcome == Rejection(RejectionCode(code), detail)


def test_the_page_names_every_reason_to_refuse() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) >= {*RejectionCode}


def test_the_example_in_avro_is_an_event() -> None:
    (schema,) = re.findall(r"```avsc\n(.*?)```", PAGE, re.DOTALL)
    event = {"event_id": "e1", "customer_id": "c1", "timestamp": 1_569_888_001_000, "event": "view",
             "product_id": "p1", "price": Decimal("12.90"), "currency": "EUR"}  # fmt: skip
    payload = avro(json.loads(schema), event)
    value = translator(1, Definition("AVRO", schema))(FramedValue(1, payload))
    outcome = EventDecoder(load_schemas(), CoreSettings()).clicks(b"c1", value, (), FAR)
    assert isinstance(outcome, Decoded) and isinstance(outcome.event, Click)
    assert (outcome.event.price, outcome.event.time) == (1290, 1_569_888_001_000)
