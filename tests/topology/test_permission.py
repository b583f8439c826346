"""What takes permission away is obeyed, through every door, whatever becomes of the record."""

from __future__ import annotations

import base64
import operator
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from stream.codec.events.decoding import encode
from stream.codec.offers import is_recall
from stream.config import PolicySettings
from stream.decide.rows.state import CustomerState
from stream.domain.event import Consent, Event
from stream.worker.engine import Engine, Publication
from tests.builders import DAY, HOUR, NOON, OPEN, SECOND, a_click, a_purchase, an_update, consent
from tests.topology.embedded import (
    arrived,
    judged,
    ledger_of,
    look,
    publication,
    running,
    settings_in,
    stored,
)
from tests.waiting import eventually

ASKS = replace(OPEN, consent_default=False, offer_gap=0.0, offers_per_day=24)
LATER = NOON + HOUR
DENIES = {"consentManagement": {"deniedConsentIds": ["profiling", "offers"]}}
Headers = tuple[tuple[str, bytes], ...]


class Door(NamedTuple):
    """A way in: the topic, and the record of a customer who withdraws at a time."""

    name: str
    topic: str
    record: Callable[[str, int], tuple[bytes, Headers]]
    outcome: str


def native(topic: str, outcome: str, name: str, **fields: Any) -> Door:
    """Plain JSON with these fields beside id, customer and time."""

    def record(customer: str, time: int) -> tuple[bytes, Headers]:
        head = {"event_id": f"{name}-{customer}", "customer_id": customer, "timestamp": time}
        return orjson.dumps(head | fields), ()

    return Door(name, topic, record, outcome)


def call(topic: str, outcome: str, name: str, **fields: Any) -> Door:
    """A Segment call with these fields."""

    def record(customer: str, time: int) -> tuple[bytes, Headers]:
        iso = f"2023-11-15T{time // HOUR % 24:02}:{time // 60_000 % 60:02}:00Z"
        head = {"messageId": f"{name}-{customer}", "userId": customer, "timestamp": iso}
        return orjson.dumps(head | fields), ()

    return Door(name, topic, record, outcome)


def wrapped(door: Door, name: str, wrap: Callable[[bytes], tuple[bytes, Headers]]) -> Door:
    """The same in an envelope."""
    return Door(
        name, door.topic, lambda customer, time: wrap(door.record(customer, time)[0]), door[3]
    )


def structured(value: bytes) -> tuple[bytes, Headers]:
    return orjson.dumps({"specversion": "1.0", "id": "x", "data": orjson.loads(value)}), ()


def encoded(value: bytes) -> tuple[bytes, Headers]:
    return orjson.dumps({"specversion": "1.0", "data_base64": base64.b64encode(value).decode()}), ()


def in_lines(value: bytes) -> tuple[bytes, Headers]:
    return orjson.dumps(
        {"specversion": "1.0", "data_base64": base64.encodebytes(value).decode()}
    ), ()


def as_text(value: bytes) -> tuple[bytes, Headers]:
    return orjson.dumps({"specversion": "1.0", "id": "x", "data": value.decode()}), ()


def in_array(value: bytes) -> tuple[bytes, Headers]:
    return b"[" + value + b"]", ()


def binary(value: bytes) -> tuple[bytes, Headers]:
    return value, (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"x"),
        ("content-type", b"application/json"),
    )


def framed(value: bytes) -> tuple[bytes, Headers]:
    return b"\0\0\0\0\7" + value, ()


VIEW = {"event": "view", "product_id": "tea"}
NO: dict[str, Any] = {"consent": {"profiling": False, "offers": False}}
ORDER = {"event": "purchase", "order_id": "o"}
LINES = [{"product_id": "tea"}] * 501
PLAIN = native("customers", "applied", "update", **NO)
ERASE = native("customers", "applied", "erase", erase=True)
CLICK_ERASES = native("clicks", "suppressed", "click that erases", **VIEW, erase=True)
PROPERTIES = {"product_id": "tea"}
BAD_ERASE = native("customers", "rejected", "erase and bad traits", erase=True, traits=7)
DOORS = (
    PLAIN,
    ERASE,
    BAD_ERASE,
    native("clicks", "applied", "click", **VIEW, **NO),
    native("purchases", "applied", "order", **ORDER, products=[{"product_id": "tea"}], **NO),
    native("feedback", "applied", "response", event="dismiss", offer_id="of", **NO),
    native("clicks", "rejected", "price", **VIEW, price=-1, **NO),
    native("clicks", "rejected", "type", **VIEW, quantity="many", **NO),
    native("clicks", "rejected", "unknown event", event="gaze", product_id="tea", **NO),
    native("clicks", "rejected", "nothing else", **NO),
    native("clicks", "rejected", "erasure among clicks", erase=True),
    CLICK_ERASES,
    native("clicks", "rejected", "version", **VIEW, schema_version=2, **NO),
    native("purchases", "rejected", "basket", **ORDER, products=LINES, **NO),
    native("purchases", "rejected", "currency", **ORDER, currency="ZZZ", **NO),
    native("feedback", "rejected", "no offer", event="dismiss", **NO),
    native("customers", "rejected", "short no", consent=False),
    native("customers", "rejected", "no as text", consent={"profiling": "false", "offers": "no"}),
    native("customers", "rejected", "erase as text", erase="true"),
    native("customers", "rejected", "no as a word", consent="denied"),
    native("customers", "rejected", "no as a number", consent={"profiling": 0.0, "offers": 0}),
    native("customers", "applied", "no in capitals", consent={"Profiling": False, "OFFERS": False}),
    native("customers", "rejected", "erase as a number", erase=1.0),
    native("customers", "rejected", "oversize", traits={"x": "y" * 300_000}, **NO),
    Door(
        "erase beside NaN",
        "clicks",
        lambda c, t: (
            b'{"event_id":"nan","customer_id":"%b","timestamp":%d,"price":NaN,"erase":true}'
            % (c.encode(), t),
            (),
        ),
        "rejected",
    ),
    native("customers", "rejected", "erase without an id", event_id=None, erase=True),
    wrapped(PLAIN, "structured", structured),
    wrapped(PLAIN, "base64", encoded),
    wrapped(PLAIN, "binary", binary),
    wrapped(PLAIN, "framed", framed),
    wrapped(CLICK_ERASES, "click that erases, structured", structured),
    wrapped(CLICK_ERASES, "click that erases, base64", encoded),
    wrapped(BAD_ERASE, "bad erase, structured", structured),
    wrapped(BAD_ERASE, "bad erase, base64 in lines", in_lines),
    wrapped(BAD_ERASE, "bad erase, as text", as_text),
    wrapped(BAD_ERASE, "bad erase, in an array", in_array),
    wrapped(BAD_ERASE, "bad erase, base64", encoded),
    wrapped(BAD_ERASE, "bad erase, framed", framed),
    call("customers", "applied", "identify", type="identify", context=DENIES),
    call("customers", "applied", "identify with traits", type="identify", traits=NO),
    call("clicks", "applied", "call", event="Product Viewed", properties=PROPERTIES, **NO),
    call("clicks", "applied", "properties", event="Product Viewed", properties=PROPERTIES | NO),
    call(
        "clicks",
        "applied",
        "categories",
        event="Product Viewed",
        context={"consent": {"categoryPreferences": {"profiling": False, "offers": False}}},
        properties=PROPERTIES,
    ),
    call(
        "clicks",
        "applied",
        "allowed, each false",
        event="Product Viewed",
        context={"consentManagement": {"allowedConsentIds": {"profiling": False, "offers": None}}},
        properties=PROPERTIES,
    ),
    call("customers", "applied", "identify that erases", type="identify", erase=True),
    call("clicks", "suppressed", "page", type="page", context=DENIES),
    call("feedback", "suppressed", "screen", type="screen", context=DENIES),
    call("clicks", "suppressed", "search", event="Products Searched", context=DENIES),
    call("clicks", "rejected", "unknown call", event="Gazed", context=DENIES),
    call("clicks", "rejected", "elsewhere", event="Order Completed", context=DENIES),
    call(
        "clicks",
        "applied",
        "viewed",
        event="Product Viewed",
        context=DENIES,
        properties={"product_id": "tea"},
    ),
    call(
        "clicks",
        "rejected",
        "denied as text",
        event="Product Viewed",
        context={"consentManagement": {"deniedConsentIds": "profiling"}},
        properties={"product_id": "tea"},
    ),
)


def known(customer: str, n: int = 0) -> list[Event]:
    """A customer who agreed, looked and bought."""
    return [
        an_update(n, customer, event_id=f"hello-{customer}", consent=consent(True)),
        a_click(n + 1, customer, event_id=f"look-{customer}"),
        a_purchase(n + 2, customer, order_id=f"first-{customer}", event_id=f"buy-{customer}"),
    ]


async def publish(engine: Engine, *records: Publication) -> None:
    """Publish records one behind the other, each decided before the next."""
    for record in records:
        await engine.publish([record])
        await engine.settle()


def learned(state: CustomerState | None) -> bool:
    """Whether anything is known of a customer."""
    blank = CustomerState()
    return state is not None and (
        state.profile != blank.profile
        or state.history != blank.history
        or state.waiting.exposures != ()
    )


def is_exact(engine: Engine, counts: Any) -> bool:
    """Whether every record that came in has one outcome."""
    return judged(counts) == arrived(engine)


def offered(records: Sequence[Any], customer: str) -> int:
    """How many offers a customer got."""
    return sum(r.key == customer.encode() and not is_recall(r.value or b"") for r in records)


@pytest.mark.parametrize("lateness", [0, 3 * DAY])
async def test_a_withdrawal_is_obeyed_through_every_door(tmp_path: Path, lateness: int) -> None:
    """On time, or days late: then beside what is set aside, and refused as before."""
    async with running(settings_in(tmp_path, policy=ASKS), lockstep=True) as engine:
        customers = {door.name: f"c{n}" for n, door in enumerate(DOORS)}
        await engine.publish([publication(e) for c in customers.values() for e in known(c)])
        others = [an_update(1, "other", consent=consent(True))]
        others += [a_click(2, "other", time=LATER + lateness)] if lateness else []
        await engine.publish([publication(event) for event in others])
        before = await look(engine)
        assert all(learned(before.customers[c]) for c in customers.values())
        for door in DOORS:
            customer = customers[door.name]
            value, headers = door.record(customer, LATER)
            seen = await look(engine)
            await publish(engine, (door.topic, customer.encode(), value, headers, LATER))
            now = await look(engine)
            state = now.customers.get(customer)
            assert not learned(state), door.name
            if "eras" in door.name:
                assert state is None, door.name
            else:
                assert state is not None, door.name
                assert state.permission.profiling is False, door.name
            is_event = door.outcome == "applied" or door.name.startswith("click that erases")
            outcome = "late" if lateness and is_event else door.outcome
            grown = now.grown(seen)
            assert grown[outcome] == 1, (door.name, grown)
            assert len(now.letters) - len(seen.letters) == (door.outcome == "rejected"), door.name
            assert grown["heard"] == (outcome != "applied"), door.name
        again = [
            publication(a_click(9, c, event_id=f"again-{c}", time=LATER + lateness + SECOND))
            for c in customers.values()
        ]
        await engine.publish(again)
        after = await look(engine)
        assert is_exact(engine, after.counts)
        for door in DOORS:
            customer = customers[door.name]
            assert not learned(after.customers.get(customer)), door.name
            assert offered(after.offers, customer) == offered(before.offers, customer), door.name


async def test_a_flood_holds_no_withdrawal_up(tmp_path: Path) -> None:
    async with running(settings_in(tmp_path, policy=ASKS), lockstep=True) as engine:
        for customer, last in (("gone", {"erase": True}), ("no", {"consent": consent(False)})):
            flood = [
                a_click(n, customer, event_id=f"{customer}-{n}", time=LATER) for n in range(150)
            ]
            await engine.publish([publication(e) for e in (*known(customer), *flood)])
            await publish(engine, publication(an_update(0, customer, time=LATER + 1, **last)))
        seen = await look(engine)
        assert seen.counts["suppressed"] > 90
        assert seen.customers.keys() == {"no"}
        assert not learned(seen.customers["no"])
        assert is_exact(engine, seen.counts)


async def test_an_id_that_was_seen_holds_no_withdrawal_up(tmp_path: Path) -> None:
    async with running(settings_in(tmp_path, policy=ASKS), lockstep=True) as engine:
        for customer in ("gone", "no", "order"):
            await engine.publish([publication(event) for event in known(customer)])
        before = await look(engine)
        said: dict[str, Any] = {"time": LATER, "consent": consent(False)}
        await publish(
            engine,
            publication(an_update(0, "gone", event_id="hello-gone", time=LATER, erase=True)),
            publication(a_click(0, "no", event_id="look-no", **said)),
            publication(a_purchase(0, "order", event_id="new", order_id="first-order", **said)),
        )
        seen = await look(engine)
        assert seen.grown(before) == {"duplicate": 3, "heard": 3, "recalls": 6}
        assert seen.customers.keys() == {"no", "order"}
        assert not any(map(learned, seen.customers.values()))


@pytest.mark.parametrize("words", [{"erase": True}, {"consent": consent(False)}])
async def test_a_wrong_clock_withdraws_and_locks_nobody_out(
    tmp_path: Path, words: dict[str, Any]
) -> None:
    """A withdrawal from 2027, by its sender's clock, counts as of five minutes from now."""
    async with running(settings_in(tmp_path, policy=ASKS), lockstep=True) as engine:
        await publish(engine, *(publication(event) for event in known("c1")))
        ahead = an_update(5, "c1", time=NOON + 900 * DAY, **words)
        await publish(engine, publication(ahead, arrives=NOON + 60 * SECOND))
        seen = await look(engine)
        assert seen.counts["rejected:future_time"] == 1
        assert seen.stream_times == [NOON + 2 * SECOND]
        assert not learned(seen.customers.get("c1"))
        yes = an_update(6, "c1", time=NOON + 300 * SECOND, consent=consent(True))
        await publish(engine, publication(yes), publication(a_click(200, "c1")))
        assert not learned((await look(engine)).customers.get("c1"))
        yes = an_update(7, "c1", time=NOON + 400 * SECOND, consent=consent(True))
        await publish(engine, publication(yes), publication(a_click(500, "c1")))
        seen = await look(engine)
        assert seen.customers["c1"].profile.views == 1
        assert is_exact(engine, seen.counts)


@pytest.mark.parametrize("words", [{"erase": True}, {"consent": consent(False)}])
@pytest.mark.parametrize("ahead", [SECOND, 290 * SECOND])
async def test_a_yes_from_a_clock_that_is_ahead_does_not_beat_a_later_no(
    tmp_path: Path, ahead: int, words: dict[str, Any]
) -> None:
    async with running(settings_in(tmp_path, policy=ASKS), lockstep=True) as engine:
        yes = a_click(0, "c1", event_id="y", time=LATER + ahead, consent=consent(True))
        await publish(engine, publication(yes, arrives=LATER))
        assert (await look(engine)).stream_times == [LATER]
        later = an_update(0, "c1", time=LATER + SECOND // 2, **words)
        await publish(engine, publication(later), publication(a_click(0, "c1", time=LATER + HOUR)))
        seen = await look(engine)
        assert not learned(seen.customers.get("c1"))
        assert offered(seen.offers, "c1") == 1


async def test_what_cannot_be_read_for_certain_takes_nothing_away(tmp_path: Path) -> None:
    async with running(settings_in(tmp_path, policy=ASKS), lockstep=True) as engine:
        await engine.publish([publication(event) for event in known("c1")])
        other = encode(an_update(5, "c2", time=LATER, erase=True))
        values = [
            other,
            b"",
            None,
            b'{"customer_id":"c1","erase":true',
            b'{"erase":true}',
            b"[]",
            b'{"customer_id":"c1","erase":false,"consent":null,"x":[{"erase":true}]}',
        ]
        await publish(engine, *(("customers", b"c1", value, (), LATER) for value in values))
        seen = await look(engine)
        assert seen.counts["rejected"] == len(values)
        assert seen.counts["heard"] == 0
        assert learned(seen.customers["c1"])


async def test_an_older_yes_does_not_undo_a_newer_no_in_any_order(tmp_path: Path) -> None:
    yes, no = Consent(True, True), Consent(False, False)
    for n, order in enumerate(([0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1])):
        async with running(settings_in(tmp_path / str(n), policy=ASKS), lockstep=True) as engine:
            events = [
                publication(a_click(10, "c1", consent=yes)),
                publication(an_update(20, "c1", consent=no)),
                publication(a_click(15, "c1")),
            ]
            await publish(engine, *(events[at] for at in order))
            state = (await look(engine)).customers["c1"]
            assert not learned(state)
            assert state.permission.profiling is False
            late_no = an_update(5, "c1", event_id="late", consent=no)
            yes_again = a_click(30, "c1", consent=yes)
            await publish(engine, publication(yes_again), publication(late_no))
            state = (await look(engine)).customers["c1"]
            assert state.permission.profiling is True
            assert state.profile.views == 1


async def test_nothing_from_before_an_erasure_brings_a_customer_back(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, policy=ASKS)
    async with running(settings, lockstep=True) as engine:
        await engine.publish([publication(event) for event in known("c1")])
        await publish(engine, publication(an_update(20, "c1", erase=True)))
    async with running(settings, lockstep=True) as engine:
        for n, time in enumerate((NOON, NOON + 10 * SECOND, NOON + 20 * SECOND)):
            old = a_click(50 + n, "c1", time=time, consent=consent(True))
            await publish(engine, publication(old))
        seen = await look(engine)
        assert seen.customers == {}
        assert (seen.counts["suppressed"], seen.counts["erased"]) == (3, 3)
        new = a_click(21, "c1", consent=consent(True))
        old = a_click(60, "c1", time=NOON + SECOND, consent=consent(True))
        await publish(engine, publication(new), publication(old))
        seen = await look(engine)
        assert seen.customers["c1"].profile.views == 1
        assert is_exact(engine, seen.counts)


async def test_another_seed_leaves_the_erased_forgotten(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, policy=ASKS)
    async with running(settings, lockstep=True) as engine:
        await engine.publish([publication(event) for event in known("c1")])
        await publish(engine, publication(an_update(20, "c1", erase=True)))
    drawn_anew = replace(settings, core=replace(settings.core, seed=5))
    for n in range(2):
        async with running(drawn_anew, lockstep=True) as engine:
            other = an_update(21 + n, f"o{n}", erase=True)
            old = a_click(50 + n, "c1", time=NOON + 10 * SECOND, consent=consent(True))
            old_of_other = a_click(60, f"o{n}", time=NOON + SECOND, consent=consent(True))
            await publish(engine, *map(publication, (other, old, old_of_other)))
            seen = await look(engine)
            assert seen.customers == {}
            assert seen.counts["erased"] == 2 * n + 2
            assert ledger_of(engine, 0).trace_key == settings.core.seed


def table_bytes(engine: Engine) -> bytes:
    """All keys and values that the table's store holds."""
    return b"\n".join(key + b"=" + value for key, value in engine.app.table.items_of(0))


def named(engine: Engine) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return b"who-went" in table_bytes(engine)

    return look


@pytest.mark.parametrize("words", [{"erase": True}, {"consent": consent(False)}])
async def test_no_page_keeps_the_id_of_who_withdrew(tmp_path: Path, words: dict[str, Any]) -> None:
    """Neither of one whose labels wait, nor of one whose labels were looked at."""
    async with running(settings_in(tmp_path), lockstep=True) as engine:
        await engine.publish([publication(a_click(0, "who-went")), publication(a_click(1, "else"))])
        await publish(
            engine,
            *(
                publication(a_click(2, c, "i2", event_id=c, time=NOON + 3 * DAY))
                for c in ("else", "who-went")
            ),
        )
        pages = [v for k, v in engine.app.table.items_of(0) if k.startswith(b"\0due")]
        assert any(b"who-went" in page for page in pages)
        gone = an_update(3, "who-went", time=NOON + 3 * DAY + SECOND, **words)
        await publish(engine, publication(gone))
        if "erase" in words:  # the ledger knows of recalls until they are durable
            await eventually("a ledger that names nobody", named(engine), operator.not_)
        held = table_bytes(engine)
        pages = [v for k, v in engine.app.table.items_of(0) if k.startswith(b"\0due")]
        assert not any(b"who-went" in page for page in pages)
        assert (b"who-went" in held) is ("consent" in words)
        assert any(b"else" in page for page in pages)


async def test_the_trace_of_an_erasure_goes_when_all_before_it_is_late(tmp_path: Path) -> None:
    policy: PolicySettings = replace(ASKS, consent_default=True)
    async with running(settings_in(tmp_path, policy=policy), lockstep=True) as engine:
        for n in range(70):  # more than a page of them
            await engine.publish([publication(an_update(n, f"c{n}", erase=True))])
        await engine.settle()
        traces = [k for k, _ in engine.app.table.items_of(0) if k.startswith(b"\0gone-")]
        assert len(traces) == 70
        await engine.publish(
            [publication(a_click(n, "o", time=NOON + 4 * DAY + n)) for n in range(40)]
        )
        seen = await look(engine)
        assert seen.customers.keys() == {"o"}
        assert b"\0gone-" not in table_bytes(engine)
        assert ledger_of(engine, 0).traces == (1, 0, 1)
        await publish(engine, publication(a_click(0, "c1", consent=consent(True))))
        seen = await look(engine)
        assert seen.counts["late"] == 1
        assert "c1" not in seen.customers
        assert len(stored(engine, "late")) == 1
