"""What a record takes away is heard in whatever words, wherever it says them, and in no others."""

from __future__ import annotations

import json
from base64 import b64encode, encodebytes
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from stream.broker.local.frame import StoredRecord
from stream.broker.records import Unreadable
from stream.codec.batches.recordbatch import Cut, SetAside
from stream.codec.events.decoding import Decoded
from stream.config import Topics
from stream.decide.consent import word_of
from stream.domain.event import Consent, Rejection, RejectionCode, Word
from stream.worker.reading import EventReader
from tests.codec.producing import ABSENT, PAYLOADS, TIME, code, decode, decoder, payload, send

EARLIER = TIME - 3_600_000
NO = {"profiling": False, "offers": False}
BOTH, PROFILING, OFFERS = Consent(False, False), Consent(False, None), Consent(None, False)
Wrap = Callable[[dict[str, Any]], bytes]


def reader() -> EventReader:
    return EventReader(decoder(), Topics(), 1)


def heard(topic: str, value: bytes, key: bytes = b"c1", headers: Any = ()) -> Word | None:
    """All that one record says of permission, as the ledger hears it."""
    _, entry = reader().read(StoredRecord(topic, 0, 0, TIME, key, value, headers))
    said = entry.word
    if said is None and entry.content is not None and not isinstance(entry.content, Rejection):
        return word_of(entry.content)
    return said


def takes(word: Word | None) -> tuple[bool, Consent | None]:
    return (False, None) if word is None else (word.erase, word.consent)


def call(**changes: Any) -> dict[str, Any]:
    whole = {
        "type": "track",
        "event": "Product Viewed",
        "messageId": "e1",
        "userId": "c1",
        "timestamp": "2024-05-01T09:30:00.250Z",
        "properties": {"product_id": "p1"},
    }
    return whole | changes


def viewed(**properties: Any) -> dict[str, Any]:
    return call(properties={"product_id": "p1", **properties})


def identified(**changes: Any) -> dict[str, Any]:
    return call(type="identify", event=None) | changes


def structured(data: Any, **changes: Any) -> bytes:
    return orjson.dumps({"specversion": "1.0", "id": "x", "type": "t.view", "data": data} | changes)


def in_base64(encode: Callable[[bytes], bytes]) -> Wrap:
    return lambda data: orjson.dumps(
        {"specversion": "1.0", "id": "x", "data_base64": encode(orjson.dumps(data)).decode()}
    )


def escaped(data: dict[str, Any]) -> bytes:
    return orjson.dumps(data).replace(b'"erase"', b'"\\u0065r\\u0061se"')


ENVELOPES: dict[str, Wrap] = {
    "plain": orjson.dumps,
    "framed": lambda data: b"\0\0\0\0\7" + orjson.dumps(data),
    "structured": structured,
    "twice": lambda data: structured(orjson.loads(structured(data))),
    "base64": in_base64(b64encode),
    "base64 in lines": in_base64(encodebytes),
    "base64 of escapes": lambda data: in_base64(lambda _: b64encode(escaped(data)))(data),
    "escapes": escaped,
    "data as text": lambda data: structured(orjson.dumps(data).decode()),
    "array of one": lambda data: orjson.dumps([data]),
    "Connect's": lambda data: orjson.dumps({"schema": {"type": "string"}, "payload": data}),
    "beside the data": lambda data: structured(
        {name: said for name, said in data.items() if name not in ("erase", "consent")},
        **{name: data[name] for name in ("erase", "consent") if name in data},
    ),
}


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("topic", sorted(PAYLOADS))
def test_an_erasure_is_heard_in_every_envelope_on_every_topic(topic: str, envelope: str) -> None:
    value = ENVELOPES[envelope](payload(topic, consent=ABSENT, erase=True))
    assert heard(topic, value) == Word("c1", TIME, erase=True)


@pytest.mark.parametrize("envelope", ENVELOPES)
def test_a_denial_is_heard_in_every_envelope(envelope: str) -> None:
    wrap = ENVELOPES[envelope]
    denied = {"consentManagement": {"deniedConsentIds": ["profiling"]}}
    assert takes(heard("clicks", wrap(payload("clicks", context=denied)))) == (False, PROFILING)
    assert takes(heard("clicks", wrap(payload("clicks", consent=NO, price=-1)))) == (False, BOTH)


@pytest.mark.parametrize("name", ["erase", "Erase", "ERASE"])
@pytest.mark.parametrize("said", [True, 1, 1.0, "true", "1", " Yes "])
@pytest.mark.parametrize("topic", sorted(PAYLOADS))
def test_an_erasure_is_heard_in_other_words(topic: str, said: Any, name: str) -> None:
    value = orjson.dumps(payload(topic, consent=ABSENT, **{name: said}))
    assert heard(topic, value) == Word("c1", TIME, erase=True)


@pytest.mark.parametrize("said", [False, None, 0, 2, "", "no", "later", [], {}, [True]])
@pytest.mark.parametrize("topic", sorted(PAYLOADS))
def test_what_is_no_yes_erases_nobody(topic: str, said: Any) -> None:
    assert heard(topic, orjson.dumps(payload(topic, consent=ABSENT, erase=said))) is None


@pytest.mark.parametrize("topic", sorted(PAYLOADS))
@pytest.mark.parametrize(
    ("said", "refused"),
    [
        *((bare, BOTH) for bare in (False, 0, 0.0, "off", "Denied", "no", "false")),
        *(
            ({"profiling": no}, PROFILING)
            for no in (False, 0, 0.0, "no", "OFF", "denied", " false ")
        ),
        ({"Profiling": False}, PROFILING),
        ({"OFFERS": False, "profile": False}, OFFERS),
        ({"profiling": True, "PROFILING": False}, PROFILING),
    ],
)
def test_a_no_is_heard_in_other_words(topic: str, said: Any, refused: Consent) -> None:
    value = orjson.dumps(payload(topic, consent=said))
    assert takes(heard(topic, value)) == (False, refused)


@pytest.mark.parametrize("said", [True, 1, "yes", "on", "", [], "maybe", {"profiling": "yes"}])
def test_what_gives_is_read_to_the_letter(said: Any) -> None:
    outcome = send("customers", consent=said)
    assert code(outcome) is RejectionCode.SCHEMA
    assert heard("customers", orjson.dumps(payload("customers", consent=said))) is None


@pytest.mark.parametrize(
    ("consent", "meant"),
    [
        ({"profile": False}, "profiling"),
        ({"Offers": True}, "offers"),
        ({"offer": False, "x": 1}, "offers"),
        ({"marketing": True, "Profiling": True}, "profiling"),
        ({"p" * 1000: True}, "profiling"),
    ],
)
@pytest.mark.parametrize("topic", sorted(PAYLOADS))
def test_a_consent_of_which_no_name_is_known_is_refused_with_the_nearest(
    topic: str, consent: Any, meant: str
) -> None:
    assert send(topic, consent=consent) == Rejection(
        RejectionCode.SCHEMA, f"/consent knows no such name: /{meant} is nearest"
    )


@pytest.mark.parametrize("topic", sorted(PAYLOADS))
@pytest.mark.parametrize(
    ("consent", "unknown"),
    [
        ({"profiling": True, "Offers": True, "x": 1}, 2),
        ({"profiling": None, "profile": False}, 1),
        ({"Offers": False, "profile": False}, 1),
        ({"profiling": True, "offers": False}, 0),
        ({}, 0),
        (None, 0),
    ],
)
def test_unknown_names_of_consent_are_counted(topic: str, consent: Any, unknown: int) -> None:
    outcome = send(topic, consent=consent)
    assert isinstance(outcome, Decoded)
    assert outcome.extra_fields == unknown


# ------------------------------------------------------------------------------- Segment's calls

CALLS: dict[str, tuple[str, Callable[..., dict[str, Any]]]] = {
    "the call": ("clicks", call),
    "its properties": ("clicks", viewed),
    "traits": ("customers", lambda **said: identified(traits={"tier": "gold", **said})),
    "traits in context": ("customers", lambda **s: identified(context={"traits": s})),
    "context": ("clicks", lambda **said: call(context=said)),
    "an ignored call": ("clicks", lambda **said: call(type="page", **said)),
    "a refused call": ("clicks", lambda **said: call(event="Gazed", **said)),
}


@pytest.mark.parametrize("place", CALLS)
@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"erase": True}, (True, None)),
        ({"Erase": "yes"}, (True, None)),
        ({"consent": NO}, (False, BOTH)),
        ({"consent": {"Offers": False}}, (False, OFFERS)),
        ({"consent": {"profiling": False}}, (False, PROFILING)),
    ],
)
def test_a_call_may_take_away_in_any_place(place: str, said: Any, taken: Any) -> None:
    topic, make = CALLS[place]
    assert takes(heard(topic, orjson.dumps(make(**said)))) == taken


@pytest.mark.parametrize(
    ("context", "consent"),
    [
        ({"consent": {"categoryPreferences": NO}}, BOTH),
        ({"consent": {"categoryPreferences": {"Offers": False, "Advertising": False}}}, OFFERS),
        (
            {"consent": {"categoryPreferences": {"profiling": True, "offers": False}}},
            Consent(True, False),
        ),
        ({"consent": {"categoryPreferences": {"Profiling": True, "offers": "yes?"}}}, None),
        ({"consent": {"categoryPreferences": {"profiling": "yes", "offers": 1}}}, None),
        ({"consent": {"categoryPreferences": {"Advertising": False}}}, None),
        ({"consentManagement": {"allowedConsentIds": {"profiling": False}}}, PROFILING),
        ({"consentManagement": {"allowedConsentIds": {"profiling": None}}}, PROFILING),
        ({"consentManagement": {"allowedConsentIds": {"profiling": "perhaps"}}}, None),
    ],
)
def test_consent_in_a_calls_context_is_read(context: Any, consent: Consent | None) -> None:
    outcome = decode("clicks", orjson.dumps(call(context=context)))
    assert isinstance(outcome, Decoded)
    assert outcome.event.consent == consent


def test_a_no_wins_over_a_yes_of_the_same_call() -> None:
    allowed = {"consentManagement": {"allowedConsentIds": ["profiling", "offers"]}}
    for said in (
        {"consent": {"profiling": False}},
        {"properties": {"product_id": "p1", "consent": {"profiling": False}}},
    ):
        outcome = decode("clicks", orjson.dumps(call(context=allowed, **said)))
        assert isinstance(outcome, Decoded)
        assert outcome.event.consent == Consent(False, True)


@pytest.mark.parametrize("said", [{"consent": {"offers": True}}, {"erase": False}])
@pytest.mark.parametrize("place", ["its properties", "traits"])
def test_what_gives_nothing_in_a_call_is_counted_as_unknown(place: str, said: Any) -> None:
    topic, make = CALLS[place]
    outcome = decode(topic, orjson.dumps(make(**said)))
    assert isinstance(outcome, Decoded)
    assert (outcome.event.consent, outcome.word, outcome.extra_fields) == (None, None, 1)


def test_a_calls_own_consent_is_the_contracts() -> None:
    outcome = decode("clicks", orjson.dumps(call(consent={"profiling": True})))
    assert isinstance(outcome, Decoded)
    assert outcome.event.consent == Consent(True, None)
    assert code(decode("clicks", orjson.dumps(call(consent={"profile": 1})))) == "schema"
    assert code(decode("clicks", orjson.dumps(call(consent="off")))) == "schema"


# ------------------------------------------------------------------------------- whose, and when


@pytest.mark.parametrize("broken", [{}, {"traits": 7}])
@pytest.mark.parametrize("key", ["jos\u00e9", "jose\u0301"])
@pytest.mark.parametrize("customer", ["jos\u00e9", "jose\u0301", "jos\u00e9\u200e"])
def test_ids_are_compared_as_they_are_tidied(customer: str, key: str, broken: Any) -> None:
    value = orjson.dumps(payload("customers", customer_id=customer, erase=True, **broken))
    word = heard("customers", value, key.encode())
    assert word is not None
    assert (word.customer_id, word.erase) == ("jos\u00e9", True)


@pytest.mark.parametrize("broken", [{}, {"traits": 7}])
def test_an_id_is_measured_when_it_is_tidied(broken: Any) -> None:
    value = orjson.dumps(payload("customers", customer_id="e\u0301" * 128, erase=True, **broken))
    assert takes(heard("customers", value, ("\u00e9" * 128).encode()))[0] is True


@pytest.mark.parametrize("key", [b"c2", b"", b"\xff", b'"c1"'])
def test_nobody_is_erased_by_a_record_with_another_key(key: bytes) -> None:
    for wrap in ENVELOPES.values():
        assert heard("customers", wrap(payload("customers", erase=True)), key) is None


@pytest.mark.parametrize("outer", [EARLIER, "2024-05-01T08:30:00.250Z"])
@pytest.mark.parametrize("inner", [631_152_000_000, "1999-01-01T00:00:00Z", "x", None])
@pytest.mark.parametrize("broken", [{}, {"price": -1}])
def test_an_erasure_is_dated_by_its_envelope_and_not_by_a_payloads_field(
    broken: Any, inner: Any, outer: Any
) -> None:
    data = payload("clicks", timestamp=ABSENT, time=inner, erase=True, **broken)
    word = heard("clicks", structured(data, time=outer))
    assert word == Word("c1", EARLIER, erase=True)


@pytest.mark.parametrize("time", [0, -1, 631_151_999_999, "1989-12-31T23:59:59Z", "x", None, []])
def test_where_no_time_can_be_believed_it_is_the_records(time: Any) -> None:
    plain = orjson.dumps(payload("clicks", timestamp=time, time=EARLIER, erase=True))
    wrapped = structured(payload("clicks", timestamp=ABSENT, erase=True), time=time)
    for value in (plain, wrapped):
        assert heard("clicks", value) == Word("c1", TIME, erase=True)


# ------------------------------------------------------------------------- what no client can read


@pytest.mark.parametrize("headers", [((b"\xff".decode(errors="surrogateescape"), b"x"),), ()])
def test_a_record_set_aside_is_heard_where_its_value_is_whole(headers: Any) -> None:
    value = json.dumps(payload("customers", erase=True)).encode()
    why = Rejection(RejectionCode.UNREADABLE, "a header's name is not UTF-8")

    def read(key: bytes | None, cut: Cut | None) -> Word | None:
        fields = ("clicks", 0, 0, TIME, 0, key, value, None, 2, len(value), headers)
        _, entry = reader().read(Unreadable(*fields, SetAside(why, 0, cut)))
        assert entry.content == why
        return entry.word

    assert read(b"c1", None) == Word("c1", TIME, erase=True)
    assert read(b"c1", Cut(10**8, "")) is None
    assert read(None, None) is None
