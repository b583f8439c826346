"""The table of bad input, row by row: each row's exact answer, and nothing else disturbed.

Every case is the same story on a running app: a customer's click, the bad record, another click;
the clicks are applied and answered, the bad record has its one answer, and all other customers'
records stay as they were.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
import pytest
import pytest_asyncio

from stream.broker.local.frame import StoredRecord
from stream.codec.deadletters import FailedRecord, restore
from stream.codec.events.decoding import encode
from stream.decide.rows import arriving
from stream.domain.event import Event
from stream.worker.engine import Engine
from tests.builders import DAY, HOUR, NOON, SECOND, a_click, a_purchase
from tests.topology.embedded import (
    Seen,
    ledger_of,
    look,
    place,
    place_keyless,
    publication,
    running,
    settings_in,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

MiB = 1 << 20
PERSONAL = "a person's data"
GOOD = {"applied": 2, "offers": 1, "denied:offer_gap": 1}


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=[1, 4], ids=["1p", "4p"])
async def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Engine]:
    """One app for all rows, so that no row can disturb another."""
    settings = settings_in(tmp_path_factory.mktemp("shop"), request.param)
    async with running(settings, lockstep=True) as engine:
        await engine.publish([publication(a_click(0, "who is first"))])  # what was taken is counted
        await engine.settle()
        yield engine


class Bad(NamedTuple):
    """A record that is refused: what it says, and what is said of it."""

    name: str
    code: str
    value: bytes | None
    detail: str
    kind: str = "clicks"
    headers: tuple[tuple[str, bytes], ...] = ()
    other_key: bytes | None = None


def click(**changes: Any) -> bytes:
    """A valid click's JSON with changes."""
    return orjson.dumps(orjson.loads(encode(a_click(7, "CUSTOMER"))) | changes)


def order(**changes: Any) -> bytes:
    """A valid order's JSON with changes."""
    return orjson.dumps(orjson.loads(encode(a_purchase(7, "CUSTOMER"))) | changes)


def raw(text: str) -> bytes:
    """A valid click's JSON with its price as it stands in ``text``."""
    return click(price_minor="PRICE").replace(b'"PRICE"', text.encode())


LINE = {"product_id": "p"}
BAD = [
    Bad("no JSON", "decode", b"not JSON", "not JSON"),
    Bad("nothing at all", "decode", b"", "not JSON"),
    Bad("cut in the middle", "decode", click()[:40], "not JSON"),
    Bad("two values", "decode", click() + click(), "not JSON"),
    Bad("a thousand levels", "decode", b"[" * 2000 + b"]" * 2000, "not JSON"),
    Bad("levels in a field", "decode", raw("[" * 900 + "]" * 900), "nested too deeply"),
    Bad("no UTF-8", "decode", click().replace(b"tea", b"t\xff\xfe"), "not JSON"),
    Bad("UTF-16", "decode", click().decode().encode("utf-16"), "not JSON"),
    Bad("a lone surrogate", "decode", click().replace(b"tea", b"\\ud800"), "not JSON"),
    Bad("a byte order mark", "decode", b"\xef\xbb\xbf" + click(), "not JSON"),
    Bad("NaN", "decode", raw("NaN"), "not JSON"),
    Bad("infinity", "decode", raw("1e999"), "not JSON"),
    Bad("a list", "schema", b"[1]", "the value is not of type object"),
    Bad("a wrong type", "schema", click(product_id=["7"]), "/product_id is not of type"),
    Bad("a missing field", "schema", order(order_id=None), "/order_id", "purchases"),
    Bad("an unknown action", "schema", click(event="stare"), "/event"),
    Bad("an empty order", "schema", order(products=[]), "/products", "purchases"),
    Bad("over 256 KiB", "oversize", click(note="x" * MiB), "over 262144 bytes"),
    Bad("over 64 KiB of headers", "oversize", click(), "the headers are over 65536 bytes",
        headers=(("small", b"1"), ("large", b"x" * 65_536), ("last", b"2"))),
    Bad("a large tombstone", "oversize", None, "the headers are over 65536 bytes",
        headers=(("large", b"x" * 70_000),)),
    Bad("501 lines", "oversize", order(products=[LINE] * 501), "more than 500", "purchases"),
    Bad("another version", "schema_version", click(schema_version=2), "/schema_version"),
    Bad("a negative price", "value_range", click(price_minor=-1), "/price_minor"),
    Bad("an absurd price", "value_range", click(price_minor=10**14), "/price_minor"),
    Bad("thirty digits", "value_range", raw("9" * 30), "/price_minor"),
    Bad("no currency of ISO's", "value_range", click(currency="QQQ"), "/currency"),
    Bad("no such day", "schema", click(timestamp="2023-02-30T00:00:00Z"), "/timestamp"),
    Bad("the year 1970", "value_range", click(timestamp=12_345), "/timestamp"),
    Bad("five minutes ahead", "future_time", click(timestamp=NOON + 300_001), "is 300 s"),
    Bad("a year ahead", "future_time", click(timestamp=NOON + 365 * DAY), "/timestamp"),
    Bad("another's key", "key_mismatch", click(customer_id="somebody"), "the key is not"),
    Bad("a tombstone", "tombstone", None, "no value"),
    Bad("a tombstone of an order", "tombstone", None, "no value", "purchases"),
    Bad("a tombstone of a customer", "tombstone", None, "no value", "customers"),
    Bad("feedback of no kind", "schema", click(), "/", "feedback"),
    Bad("a header that is no text", "decode", click(), "the header ce_id is not UTF-8",
        headers=(("ce_specversion", b"1.0"), ("ce_id", b"\xff"), ("trace", b"\x00\x01"))),
]  # fmt: skip


async def tell(engine: Engine, name: str, bad: Any) -> tuple[Seen, Seen, tuple[str, int, int]]:
    """A click, the bad record, a click; what is seen before and after, and where the bad stands."""
    before = await look(engine)
    await place(engine, publication(a_click(0, name, event_id=f"{name} 0")))
    where = await bad()
    await place(engine, publication(a_click(1, name, event_id=f"{name} 1")))
    return before, await look(engine), where


def buried(before: Seen, after: Seen) -> StoredRecord:
    """The only new dead letter."""
    new = [letter for letter in after.letters if letter not in before.letters]
    assert len(new) == 1
    assert len(after.letters) == len(before.letters) + 1
    return new[0]


def undisturbed(before: Seen, after: Seen, name: str) -> None:
    """Nobody else's record changed; this customer's holds the clicks alone."""
    others = {k: v for k, v in after.customers.items() if k != name}
    assert others == {k: v for k, v in before.customers.items() if k != name}
    assert after.customers[name].profile.views == 2
    assert after.customers[name].profile.last_seen == NOON + SECOND
    assert max(after.stream_times) == NOON + SECOND
    assert len(after.offers) == len(before.offers) + 1


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name.replace(" ", "-"))
async def test_is_refused_and_kept_byte_for_byte(engine: Engine, bad: Bad) -> None:
    name = f"who sent {bad.name}"
    value = bad.value and bad.value.replace(b"CUSTOMER", name.encode())
    sent = (bad.kind, name.encode(), value, bad.headers, NOON)
    before, after, (topic, partition, offset) = await tell(
        engine, name, lambda: place(engine, sent)
    )
    assert after.grown(before) == GOOD | {"rejected": 1, f"rejected:{bad.code}": 1}
    assert after.late == before.late
    undisturbed(before, after, name)

    letter = buried(before, after)
    told = restore(letter)
    assert told.rejection.code == bad.code
    assert bad.detail in told.rejection.detail
    assert (told.stage, told.attempt) == ("decode", 1)
    assert letter.partition == partition
    original = FailedRecord(topic, partition, offset, NOON, name.encode(), value, bad.headers)
    if bad.code == "oversize":
        small = tuple(header for header in bad.headers if len(header[1]) < 65_000)
        assert told.record == original._replace(value=value and value[:4096], headers=small)
        headers = dict(letter.headers)
        dropped = len(bad.headers) - len(small)
        assert headers.get("offerstream.headers.dropped", b"0") == str(dropped).encode()
        if value is not None:
            assert headers["offerstream.value.sha256"] == sha256(value).hexdigest().encode()
            assert headers["offerstream.value.bytes"] == str(len(value)).encode()
    else:
        assert told.record == original

    rejected = f'events_rejected_total{{reason="{bad.code}"}}'
    assert after.metric(rejected, before) == 1
    assert after.metric("events_applied_total", before) == 2
    assert after.metric(f'events_consumed_total{{topic="{topic}"}}', before) >= 1


async def test_a_record_without_a_key_is_refused(engine: Engine) -> None:
    name, value = "who forgot the key", click()
    before, after, (topic, partition, offset) = await tell(
        engine, name, lambda: place_keyless(engine, "clicks", value, NOON)
    )
    assert after.grown(before) == GOOD | {"rejected": 1, "rejected:null_key": 1}
    undisturbed(before, after, name)
    told = restore(buried(before, after))
    assert told.record == FailedRecord(topic, partition, offset, NOON, None, value)
    assert told.rejection.code == "null_key"


@pytest.mark.parametrize("value", [b"x" * MiB, None], ids=["value", "tombstone"])
async def test_a_key_or_a_keyless_value_beyond_bounds_is_cut(
    engine: Engine, value: bytes | None
) -> None:
    name, key = f"who knows no bounds {value is None}", b"k" * 5_000
    large = ("clicks", key, value, (), NOON)
    before, after, _ = await tell(engine, name, lambda: place(engine, large))
    assert after.grown(before) == GOOD | {"rejected": 1, "rejected:oversize": 1}
    undisturbed(before, after, name)
    told, headers = restore(letter := buried(before, after)), dict(letter.headers)
    assert not told.complete
    assert told.record.key == key[:4096]
    assert headers["offerstream.key.bytes"] == b"5000"
    assert headers["offerstream.key.sha256"] == sha256(key).hexdigest().encode()
    before, after, _ = await tell(
        engine, f"{name} at all", lambda: place_keyless(engine, "clicks", b"x" * MiB, NOON)
    )
    assert after.grown(before)["rejected:oversize"] == 1
    assert restore(buried(before, after)).record.value == b"x" * 4096


async def test_a_record_that_died_again_says_so(engine: Engine) -> None:
    name = "who tried again"
    sent = ("clicks", name.encode(), b"{", (("offerstream.attempt", b"2"), ("mine", b"1")), NOON)
    before, after, _ = await tell(engine, name, lambda: place(engine, sent))
    told = restore(buried(before, after))
    assert told.attempt == 3
    assert told.record.headers == (("mine", b"1"),)


async def test_beyond_the_grace_is_late_and_kept_as_it_came(engine: Engine) -> None:
    name = "who was offline"
    event = a_click(3, name, time=NOON - DAY - SECOND, event_id="from a tunnel")
    kind, key, value, _, _ = publication(event)
    sent = (kind, key, value, (("trace", b"7"),), NOON)
    before, after, (_, partition, _) = await tell(engine, name, lambda: place(engine, sent))
    assert after.grown(before) == GOOD | {"late": 1}
    undisturbed(before, after, name)
    assert after.letters == before.letters
    (late,) = [record for record in after.late if record not in before.late]
    assert (late.partition, late.key, late.value) == (partition, key, value)
    assert (late.headers, late.timestamp) == ((("trace", b"7"),), NOON)
    assert after.metric("late_events_total", before) == 1


async def test_within_the_grace_is_applied(engine: Engine) -> None:
    name = "who was underground"
    event = a_click(3, name, time=NOON - 23 * HOUR, event_id="from a lift")
    before, after, _ = await tell(engine, name, lambda: place(engine, publication(event, NOON)))
    assert after.grown(before)["applied"] == 3
    assert after.late == before.late
    assert after.customers[name].profile.views == 3
    assert after.customers[name].profile.first_seen == event.time
    assert max(after.stream_times) == NOON + SECOND


async def test_the_same_event_id_again_is_dropped_and_counted(engine: Engine) -> None:
    name = "who pressed twice"
    again = publication(a_click(0, name, item="other", event_id=f"{name} 0"))
    before, after, _ = await tell(engine, name, lambda: place(engine, again))
    assert after.grown(before) == GOOD | {"duplicate": 1}
    undisturbed(before, after, name)
    assert {touch.item_id for touch in after.customers[name].history.recent} == {"i1"}
    assert after.metric("duplicates_total", before) == 1


async def test_a_flood_is_counted_and_teaches_and_offers_nothing(engine: Engine) -> None:
    name = "who is a bot"
    before = await look(engine)
    lessons = engine.status().learned
    flood = [a_click(0, name, event_id=f"{name} {n}", time=NOON) for n in range(150)]
    await engine.publish([publication(event) for event in flood])
    after = await look(engine)
    grown = after.grown(before)
    assert (grown["applied"], grown["suppressed"], grown["offers"]) == (100, 50, 1)
    assert after.customers[name].profile.views == 100
    assert after.metric("events_suppressed_total", before) == 50
    taught = engine.status().learned - lessons
    again = [a_click(0, name, event_id=f"{name} again {n}", time=NOON) for n in range(50)]
    await engine.publish([publication(event) for event in again])
    later = await look(engine)
    assert later.grown(after) == {"suppressed": 50}
    assert engine.status().learned == lessons + taught
    assert later.offers == after.offers


async def test_unicode_is_normalised_and_stripped(engine: Engine) -> None:
    name = "who writes"
    value = orjson.dumps(
        orjson.loads(encode(a_click(1, name)))
        | {"product_id": "cafe\u0301", "category": "te\u202ea\u0000" + "x" * 500}
    )
    sent = ("clicks", name.encode(), value, (), NOON)
    before, after, _ = await tell(engine, name, lambda: place(engine, sent))
    assert after.grown(before)["applied"] == 3
    state = after.customers[name]
    assert "caf\u00e9" in {touch.item_id for touch in state.history.recent}
    (long,) = [taste for taste, _ in state.profile.tastes if taste.startswith("teax")]
    assert len(long) == 128


async def test_unknown_fields_are_ignored_and_counted(engine: Engine) -> None:
    name = "who knows more"
    value = orjson.dumps(orjson.loads(encode(a_click(1, name))) | {"mood": "fine", "level": [1]})
    sent = ("clicks", name.encode(), value, (), NOON)
    before, after, (topic, _, _) = await tell(engine, name, lambda: place(engine, sent))
    assert after.grown(before)["applied"] == 3
    assert after.letters == before.letters
    assert after.metric(f'unknown_fields_total{{topic="{topic}"}}', before) == 2


async def test_a_call_without_use_counts_as_suppressed(engine: Engine) -> None:
    name = "who browses"
    call = {"type": "page", "userId": name, "messageId": "m1", "timestamp": NOON}
    sent = ("clicks", name.encode(), orjson.dumps(call), (), NOON)
    before, after, _ = await tell(engine, name, lambda: place(engine, sent))
    assert after.grown(before) == GOOD | {"suppressed": 1, "ignored": 1}
    undisturbed(before, after, name)
    assert after.letters == before.letters


def buggy(*_: object) -> None:
    raise ValueError(PERSONAL)


async def test_a_bug_in_deciding_costs_one_record(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = "who met a bug"

    def packed(event: Event, *more: Any) -> Any:
        return (buggy if event.event_id == "poison" else arriving.packed)(event, *more)

    monkeypatch.setattr("stream.decide.decide.packed", packed)
    kind, key, value, headers, _ = publication(a_click(5, name, event_id="poison"))
    sent = (kind, key, value, headers, NOON)
    before, after, (topic, partition, offset) = await tell(
        engine, name, lambda: place(engine, sent)
    )
    assert after.grown(before) == GOOD | {"rejected": 1, "rejected:internal": 1}
    undisturbed(before, after, name)
    told = restore(buried(before, after))
    assert told.record == FailedRecord(topic, partition, offset, NOON, key, value)
    assert (told.rejection.code, told.stage) == ("internal", "decide")
    assert "in buggy" in caplog.text
    assert f"{topic}-{partition} at {offset}" in caplog.text
    assert PERSONAL not in caplog.text
    assert after.metric('events_rejected_total{reason="internal"}', before) == 1


async def test_a_bug_in_decoding_costs_one_record(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    name = "who met another bug"
    monkeypatch.setattr("stream.codec.events.native.currency_of", buggy)
    bought = publication(a_purchase(1, name))
    before, after, (topic, partition, offset) = await tell(
        engine, name, lambda: place(engine, bought)
    )
    assert after.grown(before) == GOOD | {"rejected": 1, "rejected:internal": 1}
    undisturbed(before, after, name)
    told = restore(buried(before, after))
    assert told.record == FailedRecord(
        topic, partition, offset, NOON + SECOND, bought[1], bought[2]
    )
    assert (told.rejection.code, told.stage) == ("internal", "decode")
    assert "in buggy" in caplog.text
    assert PERSONAL not in caplog.text


async def test_every_record_has_one_outcome(engine: Engine) -> None:
    """The contract, over all the rows above (or those that ran)."""
    seen = await look(engine)
    partitions = range(engine.settings.partitions)
    ends = [sum(s + 1 for s in ledger_of(engine, number).stamps) for number in partitions]
    outcomes = ("applied", "duplicate", "late", "suppressed", "rejected")
    assert sum(seen.counts[outcome] for outcome in outcomes) == sum(ends)
    assert len(seen.letters) == seen.counts["rejected"]
    assert len(seen.late) == seen.counts["late"]
