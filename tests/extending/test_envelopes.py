"""An envelope of the shop's own: what it opens is an event, what it cannot is a dead letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from stream.client.validation import Validator
from stream.codec.events.decoding import Decoded, EventDecoder, Ignored, encode
from stream.codec.schema import load_schemas
from stream.config import CoreSettings, ExtensionSettings, Settings
from stream.domain.event import Action, Click, Rejection, RejectionCode, Source
from stream.host.extensions import envelopes_in_force
from tests.builders import NOON, a_click
from tests.extending.installing import Site
from tests.topology.embedded import look, running, settings_in

LINE = b"TILL|view|c-7|p-42|2023-11-14T12:00:00Z|e-1"
AT = 1_699_963_200_000
EVENT = Click("e-1", "c-7", AT, Action.VIEW, "p-42")


def decoder(*names: str) -> EventDecoder:
    settings = Settings(extensions=ExtensionSettings(envelopes=names))
    return EventDecoder(load_schemas(), CoreSettings(), envelopes_in_force(settings))


async def test_bytes_of_tills_come_to_an_offer(shop: Site, tmp_path: Path) -> None:
    settings = replace(
        settings_in(tmp_path), extensions=ExtensionSettings(envelopes=("till-lines",))
    )
    async with running(settings, lockstep=True) as engine:
        before = await look(engine)
        await engine.publish([("clicks", b"c-7", LINE, (), AT)])
        await engine.publish([("clicks", b"c-7", b"TILL|view|c-7", (), AT)])
        seen = await look(engine)
    assert seen.grown(before)["applied"] == seen.grown(before)["rejected"] == 1
    (offer,) = [orjson.loads(record.value or b"") for record in seen.offers]
    assert offer["customer_id"] == "c-7"
    assert seen.customers["c-7"].history.recent[0].item_id == "p-42"
    (letter,) = seen.letters
    told = dict(letter.headers)
    assert letter.value == b"TILL|view|c-7"
    why = [text for text in told.values() if text and b"till-lines" in text]
    assert why == [b"the envelope till-lines cannot open it: ValueError"]
    assert seen.metric('extension_failures_total{name="till-lines",point="envelopes"}', before) == 1


def test_what_is_in_no_envelope_of_the_shops_is_read_as_ever(shop: Site) -> None:
    own, usual = decoder("till-lines"), decoder()
    click = a_click(1)
    for value in (encode(click), b"TIL", b"\xff", b'{"type":"page","userId":"c1"}'):
        asked = Source.CLICKS, b"c1", value, (), NOON + 10_000
        assert own.decode(*asked) == usual.decode(*asked)
    assert isinstance(usual.decode(Source.CLICKS, b"c-7", LINE, (), AT), Rejection)
    assert own.decode(Source.CLICKS, b"c-7", LINE, (), AT) == Decoded(EVENT, 0, None)
    assert isinstance(own.decode(Source.PURCHASES, b"c-7", LINE, (), AT), Rejection)


ENVELOPES = """
import gzip, json

def zipped(packed):
    return json.loads(gzip.decompress(packed.value)) if packed.value[:2] == b"\\x1f\\x8b" else None

def header(packed):
    return json.loads(dict(packed.headers)["body"]) if packed.headers else None

def texts(packed): return "text"
def strange(packed): return {"customer_id": object()}
def fails(packed): raise RuntimeError(packed.value.decode())
def huge(packed): return {"customer_id": "c1", "note": "x" * 300_000}
def changes(packed): packed.headers.append(("a", b"b"))
"""


@pytest.fixture
def some(site: Site) -> Site:
    names = "zipped", "header", "texts", "strange", "fails", "huge", "changes"
    entries = {name: f"some_envelopes:{name}" for name in names}
    site.install({"some_envelopes.py": ENVELOPES}, {"offerstream.envelopes": entries})
    return site


@pytest.mark.parametrize(
    ("names", "code", "says"),
    [
        (["texts"], RejectionCode.DECODE, "the envelope texts cannot open it: Unfit"),
        (["strange"], RejectionCode.DECODE, "the envelope strange cannot open it: TypeError"),
        (["fails"], RejectionCode.DECODE, "the envelope fails cannot open it: RuntimeError"),
        (["changes"], RejectionCode.DECODE, "the envelope changes cannot open it: AttributeError"),
        (["huge"], RejectionCode.OVERSIZE, "what is in it is over 262144 bytes"),
        (["zipped", "fails"], RejectionCode.DECODE, "the envelope fails cannot open it"),
    ],
)
def test_what_fails_is_the_senders_fault_and_names_the_envelope(
    some: Site, names: Sequence[str], code: RejectionCode, says: str
) -> None:
    outcome = decoder(*names).decode(Source.CLICKS, b"c1", b"secret", (), NOON)
    assert isinstance(outcome, Rejection)
    assert outcome.code is code and outcome.detail.startswith(says)
    assert "secret" not in outcome.detail


def test_native_events_pass_by_an_envelope_that_fails(some: Site) -> None:
    click = a_click(1)
    outcome = decoder("fails").decode(Source.CLICKS, b"c1", encode(click), (), NOON + 10_000)
    assert outcome == Decoded(click, 0, None)


def test_what_is_inside_may_be_in_an_envelope_that_is_known(some: Site) -> None:
    """Segment's call, and fields that nobody knows: many of them, as names are learned."""
    call = {
        "type": "track", "event": "Product Viewed", "userId": "c1", "messageId": "m1",
        "timestamp": "2023-11-14T12:00:00Z", "properties": {"product_id": "p1"},
    }  # fmt: skip
    own = decoder("zipped", "header")
    outcome = own.decode(Source.CLICKS, b"c1", b"-", [("body", orjson.dumps(call))], AT)
    assert isinstance(outcome, Decoded) and isinstance(outcome.event, Click)
    assert (outcome.event.item_id, outcome.event.event_id) == ("p1", "m1")
    page = orjson.dumps({**call, "type": "page"})
    assert isinstance(own.decode(Source.CLICKS, b"c1", b"-", [("body", page)], AT), Ignored)
    strange = orjson.loads(encode(EVENT)) | {"shelf": "7"}
    body = [("body", orjson.dumps(strange))]
    for _ in range(40):
        assert own.decode(Source.CLICKS, b"c-7", b"-", body, AT) == Decoded(EVENT, 1, None)


def test_permission_that_a_refused_record_takes_away_is_heard_inside(some: Site) -> None:
    said = {"customer_id": "c1", "erase": True, "timestamp": "2023-11-14T12:00:00Z"}
    body = [("body", orjson.dumps(said))]
    word = decoder("header").withdrawal(Source.CLICKS, b"c1", b"-", body, AT)
    assert word is not None and word.erase and word.customer_id == "c1"
    assert decoder().withdrawal(Source.CLICKS, b"c1", b"-", body, AT) is None


def test_a_validator_reads_with_the_same_envelopes(shop: Site) -> None:
    settings = Settings(extensions=ExtensionSettings(envelopes=("till-lines",)))
    checked = Validator(envelopes=envelopes_in_force(settings)).check("clicks", LINE, AT)
    assert not checked.faults and checked.key == b"c-7"
    refused = Validator(envelopes=envelopes_in_force(settings)).check("clicks", b"TILL|x", AT)
    assert "till-lines" in str(refused.faults)
