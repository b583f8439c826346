"""The quick way: whatever it takes, the careful decoder takes, too, and as the same event."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import orjson
import pytest

from stream.codec.events.decoding import Decoded, Outcome, carefully
from stream.codec.events.opening import MAX_HEADERS
from stream.codec.events.outcome import Decode
from stream.codec.events.quick import MOST, quickly
from stream.config import CoreSettings
from tests.codec.mutating import values
from tests.codec.producing import ABSENT, PAYLOADS, TIME, payload, schemas

TOPICS = sorted(PAYLOADS)
LATER = TIME + 10**9
HEADERS: list[tuple[tuple[str, bytes | None], ...]] = [
    (("traceparent", b"00-1"), ("x", None)),
    (("content-type", b"application/json"),),
    (("Content-Type", b"application/cloudevents+json"),),
    (("content-type", b"text/plain"),),
    (("ce_specversion", b"1.0"), ("ce_id", b"z"), ("ce_type", b"a.view")),
    (("x", b"x" * MAX_HEADERS),),
]


class Ways:
    """Both decoders of a topic; ``careful`` counts what the quick one left to the other."""

    def __init__(self, topic: str) -> None:
        schema = schemas().of(topic)
        self._asked = carefully(schema, CoreSettings())
        self.quick: Decode = quickly(schema, CoreSettings(), self._careful)
        self.careful = 0

    def _careful(self, *record: Any) -> Outcome:
        self.careful += 1
        return self._asked(*record)

    def agree(self, key: bytes | None, value: bytes | None, headers: Any, time: int) -> bool:
        """Whether a record was decoded quickly; fails if not as it is decoded carefully."""
        before = self.careful
        outcome, expected = (
            self.quick(key, value, headers, time),
            self._asked(key, value, headers, time),
        )
        # Numbers of other types may be equal; their words differ.
        assert repr(outcome) == repr(expected), (key, value, headers, time)
        return self.careful == before

    def take(self, value: dict[str, Any], headers: Any = (), time: int = LATER) -> bool:
        """Whether a payload is decoded quickly."""
        key = value["customer_id"].encode()
        return self.agree(key, orjson.dumps(value), headers, time)


def key_of(value: bytes, chance: Random) -> bytes | None:
    if chance.random() < 0.02:
        return chance.choice((None, b"", b"c1", "caf\u00e9".encode()))
    try:
        return str(orjson.loads(value)["customer_id"]).encode()
    except (ValueError, KeyError, TypeError):
        return b"c1"


@pytest.mark.parametrize("topic", TOPICS)
def test_both_ways_give_the_same_outcome_whatever_comes(topic: str, seed: int) -> None:
    chance, ways, tally = Random(seed), Ways(topic), Counter[bool]()
    for value in values(topic, chance, 5_000):
        headers = chance.choice(HEADERS) if chance.random() < 0.1 else ()
        time = (
            chance.choice((TIME, TIME - 1, TIME - 300_001, -1)) if chance.random() < 0.1 else LATER
        )
        tally[ways.agree(key_of(value, chance), value, headers, time)] += 1
    assert tally[True] > 200, "hardly anything was decoded quickly"
    assert tally[False] > 1_000, "hardly anything was left to the careful decoder"


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"consent": {"profiling": True, "offers": False}},
        {"consent": None, "schema_version": "1.0"},
        {"timestamp": "2024-05-01T11:30:00.25+02:00", "schema_version": 1},
        {"customer_id": "Анна", "event_id": "caf\u00e9"},
    ],
    ids=repr,
)
def test_what_is_usual_is_decoded_quickly(topic: str, changes: dict[str, Any]) -> None:
    assert Ways(topic).take(payload(topic, **changes))


@pytest.mark.parametrize("price", [9.99, 10, "9.99", None])
def test_money_in_any_form_is_decoded_quickly(price: Any) -> None:
    assert Ways("clicks").take(payload("clicks", price=price, category="", brand="b" * 1000))


@pytest.mark.parametrize(
    ("text", "quickly_decoded"),
    [
        ("2024-05-01T09:30:00Z", True),
        ("2024-05-01T09:30:00.123456-05:30", True),
        ("2024-05-01T09:30:00.1234567Z", False),
        ("2024-05-01t09:30:00z", False),
        ("2024-05-01T24:00:00Z", False),
        ("2024-05-01T09:30:00", False),
        ("2024-05-01T09:30:00+0200", False),
        ("2024-02-30T09:30:00Z", False),
        ("2024-W18-3T09:30:00Z", False),
        ("\u0662024-05-01T09:30:00Z", False),
    ],
)
def test_times_as_most_are_written_are_decoded_quickly(text: str, quickly_decoded: bool) -> None:
    assert Ways("clicks").take(payload("clicks", timestamp=text)) is quickly_decoded


@pytest.mark.parametrize("headers", HEADERS)
def test_headers_that_are_no_envelope_slow_nothing_down(headers: Any) -> None:
    assert Ways("clicks").take(payload("clicks"), headers) is (headers in HEADERS[:2])


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize(
    "changes",
    [
        {"timestamp": float(TIME)},
        {"timestamp": LATER + 1},
        {"schema_version": "1.999"},
        {"event_id": "cafe\u0301"},
        {"event_id": "a\\b"},
        {"event_id": None},
        {"consent": {"profiling": True, "x": 1}},
        {"consent": {"Offers": False}},
        {"erase": "yes"},
        {"event_id": 5},
        {"timestamp": str(TIME)},
        {"sku": ["x"]},
    ],
    ids=repr,
)
def test_what_is_not_certain_is_left_to_the_careful_decoder(
    topic: str, changes: dict[str, Any]
) -> None:
    assert not Ways(topic).take(payload(topic, **changes))


@pytest.mark.parametrize("topic", TOPICS)
def test_names_that_nobody_knows_are_learned_and_counted(topic: str) -> None:
    ways = Ways(topic)
    strange = payload(topic, page="/", tags=["a"], utm={"source": {"id": 1}})
    assert not ways.take(strange)
    assert ways.take(strange)
    assert ways.take(payload(topic, tags=[]))
    assert ways.take(payload(topic))
    outcome = ways.quick(b"c1", orjson.dumps(strange), (), LATER)
    assert isinstance(outcome, Decoded)
    assert outcome.extra_fields == 3


@pytest.mark.parametrize(
    "name", ["erase", "Consent", "context", "consentManagement", "SpecVersion"]
)
def test_names_that_may_take_permission_away_are_never_learned(name: str) -> None:
    ways = Ways("clicks")
    said: dict[str, Any] = {name: {"offers": False}} if name != "erase" else {name: 0}
    for _ in range(3):
        assert not ways.take(payload("clicks", consent=ABSENT, **said))


def test_no_more_names_are_learned_than_are_kept() -> None:
    ways = Ways("clicks")
    for number in range(2 * MOST):
        ways.take(payload("clicks", **{f"x{number}": 1}))
    assert ways.take(payload("clicks", **{f"x{MOST - 1}": 1}))
    assert not ways.take(payload("clicks", **{f"x{MOST}": 1}))
    too_many = payload("clicks", **{f"x{number}": 1 for number in range(MOST + 1)})
    fresh = Ways("clicks")
    assert not any(fresh.take(too_many) for _ in range(3))
