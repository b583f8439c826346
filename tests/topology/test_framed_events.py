"""Avro and Protobuf on the event topics, through a registry that comes, goes, and lies."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.codec.deadletters import DeadLetter, restore
from stream.codec.events.decoding import encode
from stream.codec.partition import partition_for
from stream.config import KafkaSettings
from stream.domain.event import Consent, Event, RejectionCode
from stream.worker.engine import Engine, Publication
from tests.builders import NOON, SECOND, a_click
from tests.registry import (
    CLICK,
    a_registry,
    avro,
    classes,
    framed,
    path_of,
    serialized,
    shop_file,
)
from tests.topology.embedded import publication, running, settings_in, stored
from tests.waiting import eventually

SHOP = shop_file()
CLICKED = classes(SHOP)("shop.Click")
AVRO, PROTOBUF = 7, 8


def said(event: Event, **more: Any) -> dict[str, Any]:
    told = {**orjson.loads(encode(event)), **more}
    told.pop("schema_version")
    return told


def in_avro(event: Event, **more: Any) -> bytes:
    return framed(AVRO, avro(CLICK, said(event, **more)))


def in_protobuf(event: Event) -> bytes:
    told = said(event)
    message = CLICKED(**{k: v for k, v in told.items() if k not in ("event", "timestamp")})
    message.event = 1
    message.timestamp.seconds, rest = divmod(told["timestamp"], 1000)
    message.timestamp.nanos = rest * 1_000_000
    return framed(PROTOBUF, path_of(1) + bytes(message.SerializeToString()))


def sent(event: Event, value: bytes, headers: Sequence[tuple[str, bytes]] = ()) -> Publication:
    return "clicks", event.customer_id.encode(), value, headers, event.time


def letters(engine: Engine) -> list[Any]:
    return [
        restore(DeadLetter(one.key, one.value, tuple(one.headers)))
        for one in stored(engine, "dead_letters")
    ]


def counts_of(engine: Engine) -> Counter[str]:
    return Counter(engine.status().counts)


@pytest.mark.timeout(120)
async def test_what_is_framed_is_decided_as_the_same_in_json(tmp_path: Path) -> None:
    clicks = [a_click(n, f"c{n % 5}", time=NOON + n * SECOND) for n in range(60)]
    forms = (encode, lambda one: framed(1, encode(one)), in_avro, in_protobuf)
    found = []
    with a_registry() as registry:
        registry.put(AVRO, json.dumps(CLICK))
        registry.put(PROTOBUF, serialized(SHOP), "PROTOBUF")
        for name in ("json", "mixed"):
            settings = settings_in(tmp_path / name)
            settings = replace(settings, kafka=registry.settings())
            async with running(settings, lockstep=True) as engine:
                for n, click in enumerate(clicks):
                    form = forms[n % 4] if name == "mixed" else encode
                    await engine.publish([sent(click, form(click))])
                await engine.settle()
                found.append((counts_of(engine), engine.drain_offers()))
    assert found[0] == found[1]
    assert found[0][0]["applied"] == 60 and found[0][1]


@pytest.mark.timeout(120)
async def test_a_partition_waits_for_a_registry_and_nothing_is_lost_or_buried(
    tmp_path: Path,
) -> None:
    with a_registry() as registry:
        registry.put(AVRO, json.dumps(CLICK))
        registry.stop()
        settings = replace(settings_in(tmp_path), kafka=registry.settings())
        first, second, last = (a_click(n, "c1", time=NOON + n * SECOND) for n in range(3))
        async with running(settings) as engine:
            book = engine.app.schemas
            assert book is not None
            await engine.publish([publication(first)])
            await engine.settle()
            await engine.publish([sent(second, in_avro(second)), publication(last)])
            await eventually("a wait", _async(lambda: book.waited()[0]))
            await asyncio.sleep(0.2)
            assert counts_of(engine)["applied"] == 1 and not letters(engine)
            registry.start()
            await engine.settle()
            counts = counts_of(engine)
            assert counts["applied"] == 3 and counts["rejected"] == 0
            assert book.waited() == (0.0, "") and not letters(engine)
            registry.stop()
            third = a_click(4, "c2", time=NOON + 9 * SECOND)
            await engine.publish([sent(third, in_avro(third))])
            await engine.settle()  # the schema is known by now
            assert counts_of(engine)["applied"] == 4
        registry.start()


@pytest.mark.timeout(120)
async def test_other_partitions_go_on_while_one_waits(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(20)]
    waits = [name for name in names if partition_for(name.encode(), 2) == 0]
    with a_registry() as registry:
        registry.wrong = lambda path: (503, {}, b"")
        settings = replace(settings_in(tmp_path, partitions=2), kafka=registry.settings())
        async with running(settings) as engine:
            first = a_click(0, waits[0])
            await engine.publish([sent(first, in_avro(first))])
            book = engine.app.schemas
            assert book is not None
            await eventually("a wait", _async(lambda: book.waited()[0]))
            clicks = [a_click(n, name, time=NOON + n * SECOND) for n, name in enumerate(names, 1)]
            await engine.publish([publication(click) for click in clicks])
            free = len(names) - len(waits)
            await eventually("the others", _async(lambda: counts_of(engine)["applied"] == free))
            registry.put(AVRO, json.dumps(CLICK))
            registry.wrong = lambda path: None
            await engine.settle()
            assert counts_of(engine)["applied"] == len(names) + 1


@pytest.mark.timeout(120)
async def test_an_engine_that_ends_while_it_waits_takes_the_event_at_its_next_start(
    tmp_path: Path,
) -> None:
    with a_registry() as registry:
        registry.wrong = lambda path: (503, {}, b"")
        settings = replace(settings_in(tmp_path), kafka=registry.settings())
        click = a_click(1, "c1")
        async with running(settings) as engine:
            await engine.publish([sent(click, in_avro(click))])
            book = engine.app.schemas
            assert book is not None
            await eventually("a wait", _async(lambda: book.waited()[0]))
        registry.put(AVRO, json.dumps(CLICK))
        registry.wrong = lambda path: None
        async with running(settings) as engine:
            await engine.settle()
            assert counts_of(engine)["applied"] == 1 and not letters(engine)


@pytest.mark.timeout(120)
async def test_what_is_no_event_is_a_dead_letter_with_its_bytes_and_its_reason(
    tmp_path: Path,
) -> None:
    click = a_click(1, "c1")
    values = {
        framed(99, b"\x02a"): RejectionCode.UNKNOWN_SCHEMA,
        framed(2**32 - 1, b"\x02a"): RejectionCode.UNKNOWN_SCHEMA,
        in_avro(click)[:-3]: RejectionCode.DECODE,
        in_avro(click) + b"\0": RejectionCode.DECODE,
        in_avro(click, currency="nonsense"): RejectionCode.VALUE_RANGE,
        in_avro(click, timestamp=0): RejectionCode.VALUE_RANGE,
        framed(PROTOBUF, b"\xff\xff"): RejectionCode.DECODE,
        in_avro(click, customer_id="c2"): RejectionCode.KEY_MISMATCH,
        framed(AVRO, bytes(300_000)): RejectionCode.OVERSIZE,
    }
    with a_registry() as registry:
        registry.put(AVRO, json.dumps(CLICK))
        registry.put(PROTOBUF, serialized(SHOP), "PROTOBUF")
        settings = replace(settings_in(tmp_path), kafka=registry.settings())
        async with running(settings) as engine:
            await engine.publish([sent(click, value) for value in values])
            await engine.publish([publication(click)])
            await engine.settle()
            counts = counts_of(engine)
            assert counts["applied"] == 1 and counts["rejected"] == len(values)
            found = letters(engine)
            assert [one.rejection.code for one in found] == list(values.values())
            assert [one.record.value for one in found][:-1] == list(values)[:-1]


@pytest.mark.timeout(120)
async def test_a_no_in_avro_is_obeyed_even_in_an_event_that_is_refused(tmp_path: Path) -> None:
    yes = a_click(1, "c1", consent=Consent(True, True))
    no = a_click(2, "c1", time=NOON + SECOND)
    value = in_avro(no, consent={"profiling": False, "offers": False}, currency="nonsense")
    with a_registry() as registry:
        registry.put(AVRO, json.dumps(CLICK))
        settings = replace(settings_in(tmp_path), kafka=registry.settings())
        async with running(settings) as engine:
            await engine.publish([publication(yes)])
            await engine.publish([sent(no, value)])
            await engine.settle()
            assert counts_of(engine)["rejected:value_range"] == 1
            (state,) = [state for _, state in engine.customers()]
            assert (state.permission.profiling, state.permission.offers) == (False, False)


@pytest.mark.timeout(120)
async def test_without_a_registry_what_is_framed_is_named(tmp_path: Path) -> None:
    click = a_click(1, "c1")
    settings = replace(settings_in(tmp_path), kafka=KafkaSettings())
    async with running(settings) as engine:
        await engine.publish([sent(click, in_avro(click))])
        await engine.settle()
        (letter,) = letters(engine)
        assert letter.rejection.code is RejectionCode.DECODE
        assert "schema 7" in letter.rejection.detail
        assert "kafka.schema_registry_url" in letter.rejection.detail


def _async(look: Any) -> Any:
    async def looked() -> Any:
        return look()

    return looked
