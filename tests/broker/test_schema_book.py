"""Schemas of a registry over HTTP: kept, waited for, given up on; its faults are nobody else's."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from stream.broker.schemas import book as books
from stream.broker.schemas.asking import LARGEST
from stream.broker.schemas.book import OpenedValue, SchemaBook
from stream.broker.schemas.inline import Inline
from stream.codec.refused import Refused
from stream.config import ConfigError, KafkaSettings, Secret
from stream.domain.event import RejectionCode
from tests.registry import (
    Answer,
    Registry,
    a_file,
    a_message,
    a_registry,
    avro,
    classes,
    framed,
    path_of,
    serialized,
    told,
)
from tests.waiting import eventually

NAME = {"type": "record", "name": "R", "fields": [{"name": "customer_id", "type": "string"}]}
TEXT = json.dumps(NAME)
VALUE = avro(NAME, {"customer_id": "c1"})


@pytest.fixture
def registry() -> Iterator[Registry]:
    with a_registry() as one:
        yield one


@pytest.fixture(autouse=True)
def soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have books ask again soon."""
    monkeypatch.setattr(books, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(books._Awaited.__init__, "__defaults__", (0.02, ""))


async def until(holds: Callable[[], object], awaited: str) -> None:
    async def look() -> object:
        return holds()

    await eventually(awaited, look, every=0.01)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def open_book(
    registry: Registry, clock: Callable[[], float] | None = None, **more: Any
) -> AsyncIterator[tuple[SchemaBook, Counter[str]]]:
    counts: Counter[str] = Counter()

    def count(outcome: str) -> None:
        counts[outcome] += 1

    book = SchemaBook(registry.settings(**more), count, *([clock] if clock else []))
    try:
        yield book, counts
    finally:
        await book.close()


async def opened(book: SchemaBook, value: bytes, headers: Any = ()) -> OpenedValue:
    """Ask until the schema is there."""
    found: list[OpenedValue] = []

    def is_there() -> bool:
        if (one := book.opened(value, headers)) is not None:
            found.append(one)
        return bool(found)

    await until(is_there, "a schema")
    return found[0]


async def refusal(book: SchemaBook, value: bytes, headers: Any = ()) -> Refused:
    with pytest.raises(Refused) as refused:
        await opened(book, value, headers)
    return refused.value


async def test_a_schema_is_asked_for_once_and_its_payloads_are_json(registry: Registry) -> None:
    registry.put(7, TEXT)
    async with open_book(registry) as (book, counts):
        assert book.opened(framed(7, VALUE), ()) is None
        assert (await opened(book, framed(7, VALUE))).value == b'{"customer_id":"c1"}'
        headers = [("content-type", b"avro/binary"), ("a", b"b"),
                   ("__value_schema_id", bytes([0, 0, 0, 0, 7]))]  # fmt: skip
        one = book.opened(VALUE, headers)
        assert one == OpenedValue(b'{"customer_id":"c1"}', tuple(headers[1:]))
        assert len(registry.asked) == 1 and counts == {"found": 1}


async def test_json_is_left_as_it_is_and_nobody_is_asked(registry: Registry) -> None:
    async with open_book(registry) as (book, _):
        for value in (b"{}", b"", b"\0", b"[1", b"\0\0\0\0\7", framed(7, b' {"customer_id":"c"}')):
            assert book.opened(value, ()) == OpenedValue(value, ())
        assert not registry.asked


async def test_a_schema_of_json_leaves_the_value_as_it_is(registry: Registry) -> None:
    registry.put(7, "{}", "JSON")
    async with open_book(registry) as (book, _):
        assert (await opened(book, framed(7, b"[1]"))).value == framed(7, b"[1]")


async def test_guids_are_asked_for(registry: Registry) -> None:
    guid = UUID(int=2**100)
    registry.guids[str(guid)] = registry.put(7, TEXT)
    async with open_book(registry) as (book, _):
        assert (await opened(book, b"\1" + guid.bytes + VALUE)).value == b'{"customer_id":"c1"}'
        header = [("__value_schema_id", b"\1" + guid.bytes)]
        assert (await opened(book, VALUE, header)).value == b'{"customer_id":"c1"}'
        registry.wrong = lambda path: told(
            {"error_code": 404, "message": "HTTP 404 Not Found"}, 404
        )
        refused = await refusal(book, b"\1" + bytes(16) + VALUE)
        assert refused.rejection.code is RejectionCode.UNKNOWN_SCHEMA


async def test_what_a_schema_refers_to_is_fetched_before_it(registry: Registry) -> None:
    base = {"type": "record", "name": "base.Id", "fields": [{"name": "id", "type": "string"}]}
    middle = {"type": "record", "name": "Mid", "fields": [{"name": "one", "type": "base.Id"}]}
    top = {"type": "record", "name": "Top", "fields": [
        {"name": "mid", "type": "Mid"}, {"name": "id", "type": "base.Id"}]}  # fmt: skip
    to_base = {"name": "base.Id", "subject": "base/é", "version": 1}
    registry.versions["base/é", 1] = registry.put(1, json.dumps(base))
    registry.versions["mid", 3] = registry.put(2, json.dumps(middle), references=[to_base])
    registry.put(
        3, json.dumps(top), references=[{"name": "Mid", "subject": "mid", "version": 3}, to_base]
    )
    async with open_book(registry) as (book, _):
        assert (await opened(book, framed(3, b"\x02a\x02b"))).value == (
            b'{"mid":{"one":{"id":"a"}},"id":{"id":"b"}}'
        )


async def test_protobuf_files_import_what_they_refer_to(registry: Registry) -> None:
    common, file = a_file("common.proto"), a_file("x.proto", "shop/common.proto")
    a_message(common, "Id", value="string")
    a_message(file, "Outer")
    a_message(file.message_type[0], "Click", customer_id="shop.Id")
    registry.versions["common", 1] = registry.put(1, serialized(common), "PROTOBUF")
    reference = {"name": "shop/common.proto", "subject": "common", "version": 1}
    registry.put(2, serialized(file), "PROTOBUF", [reference])
    common.name = "shop/common.proto"
    made = classes(common, file)("shop.Outer.Click")()
    made.customer_id.value = "c1"
    async with open_book(registry) as (book, _):
        value = framed(2, path_of(0, 0) + made.SerializeToString())
        assert (await opened(book, value)).value == b'{"customer_id":{"value":"c1"}}'
    assert any("format=serialized" in path for path, _ in registry.asked)


async def test_references_without_end_are_refused_in_bounded_questions(registry: Registry) -> None:
    for n in range(100):
        reference = {"name": f"r{n + 1}", "subject": f"s{n + 1}", "version": 1}
        registry.versions[f"s{n}", 1] = registry.put(n, TEXT, references=[reference])
    wide = [{"name": f"w{n}", "subject": f"w{n}", "version": 1} for n in range(200)]
    for n in range(200):
        registry.versions[f"w{n}", 1] = registry.put(1_000 + n, '"int"')
    registry.put(500, TEXT, references=wide)
    ring = [{"name": "ring", "subject": "ring", "version": 1}]
    registry.versions["ring", 1] = registry.put(600, TEXT, references=ring)
    async with open_book(registry) as (book, _):
        for number in (0, 500, 600):
            refused = await refusal(book, framed(number, VALUE))
            assert refused.rejection.code is RejectionCode.UNKNOWN_SCHEMA
            assert "refers to too many" in refused.rejection.detail
    assert len(registry.asked) < 100


async def test_an_unknown_id_is_refused_and_asked_for_again_after_a_while(
    registry: Registry,
) -> None:
    clock = Clock()
    async with open_book(registry, clock, schema_registry_forget=60.0) as (book, counts):
        refused = await refusal(book, framed(9, VALUE))
        assert refused.rejection.code is RejectionCode.UNKNOWN_SCHEMA
        assert "schema 9" in refused.rejection.detail
        registry.put(9, TEXT)
        clock.now += 59
        with pytest.raises(Refused):
            book.opened(framed(9, VALUE), ())
        assert counts == {"unknown": 1}
        clock.now += 2
        assert (await opened(book, framed(9, VALUE))).value == b'{"customer_id":"c1"}'


async def test_an_id_that_no_registry_can_give_asks_nobody(registry: Registry) -> None:
    async with open_book(registry) as (book, _):
        refused = await refusal(book, framed(2**31, VALUE))
        assert refused.rejection.code is RejectionCode.UNKNOWN_SCHEMA
    assert not registry.asked


async def test_a_payload_that_is_not_of_its_schema_is_refused(registry: Registry) -> None:
    registry.put(7, TEXT)
    async with open_book(registry) as (book, _):
        refused = await refusal(book, framed(7, VALUE + b"secret"))
        assert refused.rejection.code is RejectionCode.DECODE
        assert "schema 7" in refused.rejection.detail and "secret" not in refused.rejection.detail


WRONG: dict[str, Answer] = {
    "a page that is none": (404, {}, b"<html>no such page</html>"),
    "a 404 of another kind": told({"error_code": 404, "message": "HTTP 404 Not Found"}, 404),
    "a fault": told({"error_code": 50001, "message": "backend"}, 500),
    "a proxy's page": (200, {"Content-Type": "text/html"}, b"<html>log in</html>"),
    "a refusal of the login": (401, {}, b""),
    "another object": told({"id": 3}),
    "a list": told([1]),
    "no text": told({"schema": 3}),
    "references that are none": told({"schema": TEXT, "references": [3]}),
    "more references that are none": told({"schema": TEXT, "references": {"a": 1}}),
    "half a reference": told({"schema": TEXT, "references": [{"name": "a", "subject": "b"}]}),
    "something packed": (200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(10_000_000))),
    "a redirect": (302, {"Location": "http://127.0.0.1:9/"}, b""),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
async def test_wrong_answers_hold_records_back_until_the_right_one_comes(
    registry: Registry, answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    registry.put(7, TEXT)
    registry.wrong = lambda path: answer
    async with open_book(registry) as (book, counts):
        await until(lambda: book.opened(framed(7, VALUE), ()) or counts["failed"] >= 2, "two tries")
        assert book.waited()[0] > 0 and "schema 7" in book.waited()[1]
        registry.wrong = lambda path: None
        assert (await opened(book, framed(7, VALUE))).value == b'{"customer_id":"c1"}'
        assert book.waited() == (0.0, "")
        assert counts["unknown"] == 0
    lines = [one.message for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(lines) == 2 and "does not give schema 7" in lines[0] and "again" in lines[1]
    assert all("secret" not in line and "html" not in line for line in lines)


async def test_a_registry_that_is_away_or_slow_holds_records_back(registry: Registry) -> None:
    registry.put(7, TEXT)
    registry.stop()
    async with open_book(registry, schema_registry_timeout=0.2) as (book, counts):
        await until(lambda: book.opened(framed(7, VALUE), ()) or counts["failed"] >= 1, "a try")
        assert "cannot connect" in book.waited()[1]
        registry.delay = 1.0
        registry.start()
        await until(
            lambda: book.opened(framed(7, VALUE), ()) or "0.2 s" in book.waited()[1], "slow"
        )
        registry.delay = 0.0
        assert (await opened(book, framed(7, VALUE))).value == b'{"customer_id":"c1"}'


async def test_a_redirect_is_never_followed(registry: Registry) -> None:
    with a_registry() as other:
        other.put(7, TEXT)
        registry.wrong = lambda path: (307, {"Location": f"{other.url}{path}"}, b"")
        async with open_book(registry) as (book, counts):
            await until(lambda: book.opened(framed(7, VALUE), ()) or counts["failed"], "a try")
        assert not other.asked


async def again(book: SchemaBook, counts: Counter[str], tries: int) -> None:
    """Ask for schema 9 until it was not given more often."""
    await until(
        lambda: counts["failed"] > tries or book.opened(framed(9, VALUE), ()), "another try"
    )


async def test_a_schema_that_alone_is_not_given_is_given_up_on_in_time(registry: Registry) -> None:
    clock = Clock()
    registry.put(7, TEXT)
    registry.wrong = lambda path: (403, {}, b"") if "/9" in path else None
    async with open_book(registry, clock, schema_registry_patience=100.0) as (book, counts):
        await until(lambda: book.opened(framed(9, VALUE), ()) or counts["failed"], "a try")
        assert (await opened(book, framed(7, VALUE))).value == b'{"customer_id":"c1"}'
        for tries in range(1, 5):
            clock.now += 31
            await again(book, counts, tries)
        refused = await refusal(book, framed(9, VALUE))
        assert refused.rejection.code is RejectionCode.UNKNOWN_SCHEMA
        assert "HTTP 403" in refused.rejection.detail


async def test_a_registry_that_gives_nothing_is_waited_for_without_end(registry: Registry) -> None:
    clock = Clock()
    registry.wrong = lambda path: (503, {}, b"")
    async with open_book(registry, clock, schema_registry_patience=100.0) as (book, counts):
        for tries in range(10):
            clock.now += 31
            await again(book, counts, tries)
        assert counts["unknown"] == 0


async def test_an_old_schema_serves_until_a_registry_made_anew_answers(registry: Registry) -> None:
    clock = Clock()
    other = {"type": "record", "name": "R", "fields": [{"name": "userId", "type": "string"}]}
    registry.put(7, TEXT)
    async with open_book(registry, clock, schema_registry_keep=3600.0) as (book, counts):
        await opened(book, framed(7, VALUE))
        registry.put(7, json.dumps(other))
        registry.wrong = lambda path: (503, {}, b"")
        clock.now += 3601
        await until(
            lambda: book.opened(framed(7, VALUE), ()) is not None and counts["failed"], "a try"
        )
        assert book.waited() == (0.0, "")
        registry.wrong = lambda path: None
        clock.now += 60

        def is_new() -> bool:
            one = book.opened(framed(7, VALUE), ())
            return one is not None and one.value == b'{"userId":"c1"}'

        await until(is_new, "the new one")


async def test_what_is_kept_is_bounded(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "MOST", 5)
    registry.put(7, TEXT)
    async with open_book(registry) as (book, _):
        for number in range(100, 120):
            await refusal(book, framed(number, VALUE))
        assert (await opened(book, framed(7, VALUE))).value == b'{"customer_id":"c1"}'
        assert len(book._known) <= 5
        monkeypatch.setattr(books, "MOST_BYTES", 1)
        await refusal(book, framed(3, VALUE))
        assert len(book._known) == 1


async def test_a_schema_that_is_too_large_is_refused(registry: Registry) -> None:
    registry.put(7, json.dumps({"type": "string", "doc": "x" * LARGEST}))
    half = json.dumps({"type": "string", "doc": "x" * (LARGEST // 2)})
    registry.versions["half", 1] = registry.put(1, half)
    registry.put(8, half, references=[{"name": "half", "subject": "half", "version": 1}])
    async with open_book(registry) as (book, _):
        for number in (7, 8):
            refused = await refusal(book, framed(number, VALUE))
            assert refused.rejection.code is RejectionCode.UNKNOWN_SCHEMA


async def test_a_login_is_sent_and_never_told(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    registry.put(7, TEXT)
    login = {"schema_registry_username": "shop", "schema_registry_password": Secret("hunter2")}
    async with open_book(registry, **login) as (book, _):
        await opened(book, framed(7, VALUE))
    async with open_book(registry, schema_registry_token=Secret("t0ken")) as (book, counts):
        registry.wrong = lambda path: (401, {}, b"")
        await until(lambda: book.opened(framed(7, VALUE), ()) or counts["failed"], "a try")
        assert "t0ken" not in repr(book.waited())
    assert [login for _, login in registry.asked][:2] == [
        "Basic " + base64.b64encode(b"shop:hunter2").decode(), "Bearer t0ken",
    ]  # fmt: skip
    assert "hunter2" not in caplog.text and "t0ken" not in caplog.text


async def test_what_is_ahead_is_asked_for_too(registry: Registry) -> None:
    for number in range(5):
        registry.put(number, TEXT)
    async with open_book(registry) as (book, counts):
        for number in range(5):
            book.want(framed(number, VALUE), ())
        book.want(b"x", [("__value_schema_id", b"")])
        await until(lambda: counts["found"] == 5, "all five")


async def test_a_book_that_is_closed_leaves_no_task(registry: Registry) -> None:
    registry.delay = 5.0
    async with open_book(registry) as (book, _):
        book.opened(framed(7, VALUE), ())
        await asyncio.sleep(0.05)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("schema-")]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"schema_registry_url": "registry:8081"}, "schema_registry_url"),
        ({"schema_registry_url": "ftp://registry"}, "schema_registry_url"),
        ({"schema_registry_url": "http://"}, "schema_registry_url"),
        ({"schema_registry_url": "http://h:port"}, "schema_registry_url"),
        ({"schema_registry_url": "http://[::1"}, "schema_registry_url"),
        ({"schema_registry_url": "https://shop:hunter2@registry"}, "must hold no login"),
        ({"schema_registry_url": "https://registry/?x=hunter2"}, "must hold no login"),
        ({"schema_registry_username": "shop"}, "schema_registry_password"),
        (
            {"schema_registry_url": "http://registry", "schema_registry_token": Secret("hunter2")},
            "plain text",
        ),
        (
            {
                "schema_registry_username": "a",
                "schema_registry_password": Secret("hunter2"),
                "schema_registry_token": Secret("b"),
            },
            "two logins",
        ),
    ],
)
def test_wrong_settings_are_told_and_hold_no_secret(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as refusal:
        KafkaSettings(**fields)
    assert "hunter2" not in str(refusal.value)


def test_an_authority_that_is_not_there_is_told() -> None:
    settings = KafkaSettings(
        schema_registry_url="https://registry", schema_registry_ca_file="/nowhere/ca.pem"
    )
    with pytest.raises(ConfigError, match=r"schema_registry_ca_file /nowhere/ca\.pem"):
        SchemaBook(settings)


# ---------------------------------------------------------------------------------- whole topics


async def test_who_reads_a_whole_topic_waits_for_schemas(registry: Registry) -> None:
    registry.put(7, TEXT)
    with Inline(registry.settings()) as inline:
        for value in (framed(7, VALUE), framed(7, VALUE), b"{}", None):
            one = await asyncio.to_thread(inline.opened, value, ())
            assert one.value in (b'{"customer_id":"c1"}', b"{}", None)
        with pytest.raises(Refused):
            await asyncio.to_thread(inline.opened, framed(9, VALUE), ())
        registry.wrong = lambda path: (503, {}, b"")
        with pytest.raises(ConfigError, match="schema 8 is not to be had: HTTP 503"):
            await asyncio.to_thread(inline.opened, framed(8, VALUE), ())
    with Inline(KafkaSettings()) as inline:
        assert inline.opened(framed(7, VALUE), ()).value == framed(7, VALUE)
