"""Laws of the event codec: it never raises, and it gives back what it was given."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stream.codec.deadletters import FailedRecord, build_dead_letter, restore
from stream.codec.events.decoding import Decoded, Ignored, Outcome, encode
from stream.codec.events.envelope import is_tidy
from stream.codec.events.native import MAX_TIME, MIN_TIME
from stream.codec.reference import ReferenceEntry, encode_campaign, encode_item
from stream.domain.event import (
    Action,
    Campaign,
    CatalogItem,
    Click,
    Consent,
    CustomerUpdate,
    Event,
    Feedback,
    Line,
    Purchase,
    Rejection,
    RejectionCode,
    Response,
    Source,
    Trade,
)
from stream.domain.money import EXPONENTS, MAX_MINOR
from stream.domain.text import tidy
from stream.grammar.words import is_nobody
from tests.codec.campaigning import campaigns
from tests.codec.producing import PAYLOADS, TIME, decoder, payload, references

# -------------------------------------------------------------------------------------- strategies

texts = st.text(min_size=1, max_size=40).map(tidy).filter(bool)
ids = texts
customer_ids = ids.filter(lambda text: not is_nobody(text.encode()))
labels = st.none() | texts
times = st.integers(MIN_TIME, MAX_TIME)
currencies = st.sampled_from(sorted(EXPONENTS))
prices = st.none() | st.integers(0, 10**9)
quantities = st.integers(1, 1000)
flags = st.none() | st.booleans()
consents = st.none() | st.builds(Consent, flags, flags)
lines = st.builds(Line, ids, prices, st.integers(1, 10), labels, labels)
trait_values = (
    st.text(max_size=40).map(tidy)
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15)
)
traits = st.dictionaries(st.text(min_size=1, max_size=20).map(tidy).filter(bool), trait_values)


def click(price: int | None, currency: str | None, shops: str, **fields: Any) -> Click:
    """A click as it can be decoded: with a price there is always a currency."""
    named = currency or (None if price is None else shops)
    return Click(price=price, currency=named, **fields)


clicks = st.builds(
    click,
    prices,
    st.none() | currencies,
    currencies,
    event_id=ids,
    customer_id=customer_ids,
    time=times,
    action=st.sampled_from(Action),
    item_id=ids,
    category=labels,
    brand=labels,
    quantity=quantities,
    session_id=st.none() | ids,
    consent=consents,
)
purchases = st.builds(
    Purchase,
    ids,
    customer_ids,
    times,
    st.sampled_from(Trade),
    ids,
    currencies,
    st.lists(lines, min_size=1, max_size=5).map(tuple),
    st.none() | ids,
    consents,
)
feedbacks = st.builds(
    Feedback,
    ids,
    customer_ids,
    times,
    st.sampled_from(Response),
    ids,
    st.none() | ids,
    consents,
)
updates = st.builds(
    CustomerUpdate,
    ids,
    customer_ids,
    times,
    traits.map(lambda pairs: tuple(sorted(pairs.items()))),
    st.booleans(),
    consents,
)
addresses = st.none() | st.builds(
    "{}{}".format, st.sampled_from(["https://", "http://", "/"]), st.text(max_size=20).map(tidy)
)
items = st.builds(
    CatalogItem,
    item_id=ids,
    name=labels,
    category=labels,
    brand=labels,
    price=prices,
    currency=currencies,
    margin=prices,
    stock=prices,
    added=st.none() | times,
    text=labels,
    image=addresses,
    link=addresses,
)
events = clicks | purchases | feedbacks | updates

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
headers = st.lists(
    st.tuples(
        st.sampled_from(["ce_specversion", "ce_id", "ce_time", "ce_type", "content-type", "x"])
        | st.text(max_size=12),
        st.none()
        | st.binary(max_size=12)
        | st.sampled_from([b"1.0", b"application/cloudevents+json", b"application/json", b"view"]),
    ),
    max_size=6,
).map(tuple)
sources = st.sampled_from(Source)
OPTIONAL = ("price", "price_minor", "currency", "quantity", "traits", "erase", "schema_version")
ENVELOPES = (
    "sku",
    "client_id",
    "events",
    "event_name",
    "event_params",
    "items",
    "params",
    "userId",
    "anonymousId",
    "messageId",
    "type",
    "properties",
    "context",
    "specversion",
)
NAMES = (*OPTIONAL, *ENVELOPES, "data", "data_base64", "session_id")
field_names = st.sampled_from(
    sorted({*NAMES, *(name for topic in PAYLOADS for name in payload(topic))})
)

SOURCES = {
    Click: Source.CLICKS,
    Purchase: Source.PURCHASES,
    Feedback: Source.FEEDBACK,
    CustomerUpdate: Source.CUSTOMERS,
}


def holds(outcome: Outcome) -> None:
    """What holds of any outcome: values as the core expects them, or a bounded reason."""
    if isinstance(outcome, Rejection):
        assert isinstance(outcome.code, RejectionCode)
        assert outcome.detail.isprintable()
        assert len(outcome.detail) < 300
    elif isinstance(outcome, Ignored):
        assert outcome.reason in ("segment_call", "segment_event", "ga4_event")
    else:
        holds_of_event(outcome.event)


def holds_of_event(event: Event) -> None:
    assert MIN_TIME <= event.time <= MAX_TIME
    assert type(event.time) is int
    for text in (event.event_id, event.customer_id):
        assert 0 < len(text) <= 128
        assert tidy(text) == text
    if isinstance(event, Click):
        assert event.price is None or (type(event.price) is int and event.currency is not None)
        assert type(event.quantity) is int
        assert event.quantity >= 1
    if isinstance(event, Purchase):
        amounts = [line.price or 0 for line in event.lines]
        assert all(type(amount) is int and 0 <= amount <= MAX_MINOR for amount in amounts)


# --------------------------------------------------------------------------------------------- laws


@given(events)
def test_decode_after_encode_is_the_identity(event: Event) -> None:
    value = encode(event)
    source = SOURCES[type(event)]
    outcome = decoder().decode(source, event.customer_id.encode(), value, (), event.time)
    assert outcome == Decoded(event, 0)
    assert encode(event) == value


@given(items)
def test_an_item_comes_back_as_it_was_written(item: CatalogItem) -> None:
    outcome = references().decode_catalog(item.item_id.encode(), encode_item(item))
    assert outcome == ReferenceEntry(item.item_id, item)


@given(campaigns)
def test_a_campaign_comes_back_as_it_was_written(campaign: Campaign) -> None:
    key = campaign.campaign_id.encode()
    outcome = references().decode_campaign(key, encode_campaign(campaign))
    assert outcome == ReferenceEntry(campaign.campaign_id, campaign)


@given(sources, st.none() | st.binary(), st.none() | st.binary(max_size=400), headers, times)
@example(Source.CLICKS, b"", b"\x00" * 300, (), TIME)
@example(Source.PURCHASES, b"c1", b"[" * 2000, (), TIME)
def test_no_bytes_make_a_decoder_raise(
    source: Source, key: bytes | None, value: bytes | None, headers: Any, time: int
) -> None:
    holds(decoder().decode(source, key, value, headers, time))
    references().decode_catalog(key, value, headers)
    references().decode_campaign(key, value, headers)


@given(sources, json_values | st.dictionaries(field_names, json_values), headers)
def test_no_json_makes_a_decoder_raise(source: Source, data: Any, headers: Any) -> None:
    value = orjson.dumps(data)
    holds(decoder().decode(source, b"c1", value, headers, TIME))
    references().decode_catalog(b"c1", value, headers)
    references().decode_campaign(b"c1", value, headers)


@settings(max_examples=200)
@given(sources, st.dictionaries(field_names, json_values, min_size=1, max_size=3), headers)
def test_no_change_of_fields_makes_a_decoder_raise(
    source: Source, changes: dict[str, Any], headers: Any
) -> None:
    data = payload(source.name.lower(), **changes)
    holds(decoder().decode(source, b"c1", orjson.dumps(data), headers, TIME))


@given(sources, st.dictionaries(field_names, json_values, max_size=6), st.text(max_size=20))
def test_no_segment_call_makes_a_decoder_raise(
    source: Source, changes: dict[str, Any], name: str
) -> None:
    call = {"type": "track", "event": name, "messageId": "e1", "userId": "c1"} | changes
    holds(decoder().decode(source, b"c1", orjson.dumps(call), (), TIME))
    call["event"] = "Order Completed"
    holds(decoder().decode(source, b"c1", orjson.dumps(call), (), TIME))


@settings(max_examples=200)
@given(events, st.data())
def test_no_damage_to_a_valid_value_makes_a_decoder_raise(
    event: Event, data: st.DataObject
) -> None:
    value = bytearray(encode(event))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(value) - 1))
        damage = data.draw(st.binary(max_size=4) | st.sampled_from([b"[" * 400, b"9" * 30, b'"']))
        value[place : place + data.draw(st.integers(0, 3))] = damage
    key = event.customer_id.encode()
    holds(decoder().decode(SOURCES[type(event)], key, bytes(value), (), event.time))


@given(st.text() | st.text("aé\u0301\u007f\u0085\u00a0\u202e\n\\"))
@example("\u007f")
def test_texts_that_are_certain_to_be_tidy_are(text: str) -> None:
    raw = json.dumps({text: text}, ensure_ascii=False).encode(errors="surrogatepass")
    assert not is_tidy(raw) or tidy(text) == text
    assert is_tidy(raw) or not (text.isascii() and text.isprintable()) or "\\" in raw.decode()


@given(events)
def test_what_is_unknown_is_counted_and_changes_nothing(event: Event) -> None:
    value = encode(event)[:-1] + b',"x1":[1,{"a":"\\u202e"}],"x2":null}'
    source = SOURCES[type(event)]
    outcome = decoder().decode(source, event.customer_id.encode(), value, (), event.time)
    assert outcome == Decoded(event, 2)


@given(events, st.integers(0, 300_000) | st.integers(0, 10**12))
def test_an_event_ahead_of_its_record_is_dated_back_and_one_too_far_ahead_refused(
    event: Event, ahead: int
) -> None:
    source, key = SOURCES[type(event)], event.customer_id.encode()
    outcome = decoder().decode(source, key, encode(event), (), event.time - ahead)
    if ahead > 300_000:
        assert isinstance(outcome, Rejection)
        assert outcome.code is RejectionCode.FUTURE_TIME
    else:
        assert outcome == Decoded(replace(event, time=event.time - ahead), 0)
        behind = decoder().decode(source, key, encode(event), (), event.time + ahead)
        assert behind == Decoded(event, 0)


@given(
    st.builds(
        FailedRecord, texts, st.integers(0, 99), st.integers(0), times, st.none() | st.binary(),
        st.none() | st.binary(), headers,
    ),
    st.sampled_from(RejectionCode),
    texts,
)  # fmt: skip
def test_a_dead_letter_gives_the_record_back(
    record: FailedRecord, code: RejectionCode, why: str
) -> None:
    letter = build_dead_letter(record, Rejection(code, why), stage="decode", version="1")
    restored = restore(letter)
    assert restored.record == record
    assert restored.rejection == Rejection(code, why)
    assert restored.complete
