"""Avro and Protobuf of a Schema Registry: what says the same is the same, and no bytes run away."""

from __future__ import annotations

import base64
import itertools
import json
import sys
import tracemalloc
from collections import Counter
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stream.codec.events.decoding import Decoded, encode
from stream.codec.refused import Refused
from stream.codec.registry.avro import avro_reader
from stream.codec.registry.frames import FramedValue, frame_of
from stream.codec.registry.protobuf import protobuf_reader
from stream.codec.registry.room import BadPayload, TooMuch, Unusable
from stream.codec.registry.translating import Definition, Translate, translator
from stream.domain.event import Click, Event, Purchase, RejectionCode
from tests.codec.producing import decode
from tests.properties.test_event_codec_laws import clicks, purchases
from tests.registry import (
    CLICK,
    PURCHASE,
    a_file,
    a_message,
    avro,
    classes,
    framed,
    path_of,
    serialized,
    shop_file,
)

SHOP = shop_file()
MADE = classes(SHOP)
AVRO = {
    kind: translator(n, Definition("AVRO", json.dumps(schema)))
    for n, (kind, schema) in enumerate(((Click, CLICK), (Purchase, PURCHASE)))
}
PROTOBUF = translator(9, Definition("PROTOBUF", serialized(SHOP)))
SOURCES = {Click: "clicks", Purchase: "purchases"}


def as_json(translate: Translate, value: bytes, headers: Any = ()) -> bytes:
    frame = frame_of(value, headers)
    assert frame is not None
    made = translate(frame)
    assert made is not None
    return made


def long(number: int) -> bytes:
    """An integer of Avro's."""
    number, raw = (number << 1) ^ (number >> 63), bytearray()
    while number > 127:
        raw.append(number & 127 | 128)
        number >>= 7
    return bytes([*raw, number])


# ------------------------------------------------------------------- the same through every payload


def forms(event: Event) -> dict[str, bytes]:
    """What a producer sends of an event: JSON, Avro and Protobuf, each in the frame that it has."""
    native: dict[str, Any] = orjson.loads(encode(event))
    for name in native.keys() - {field["name"] for field in _schema(event)["fields"]}:
        native.pop(name)
    said = dict(native)
    if isinstance(event, Purchase):
        lines = [_line(line) for line in native["products"]]
        native["products"] = [
            {**line, **({"price": str(line["price"])} if "price" in line else {})} for line in lines
        ]
        said["products"] = lines
    said["timestamp"] = event.time * (1000 if isinstance(event, Purchase) else 1)
    return {
        "json": orjson.dumps(native),
        "framed json": framed(1, orjson.dumps(native)),
        "avro": as_json(AVRO[type(event)], framed(0, avro(_schema(event), said))),
        "avro by header": as_json(
            AVRO[type(event)],
            avro(_schema(event), said),
            [("__value_schema_id", b"\1" + bytes(16))],
        ),
        "protobuf": as_json(PROTOBUF, framed(9, _path(event) + _message(event, said))),
        "protobuf by header": as_json(
            PROTOBUF,
            _message(event, said),
            [("__value_schema_id", b"\0\0\0\0\x09" + _path(event))],
        ),
    }


def _schema(event: Event) -> dict[str, Any]:
    return CLICK if isinstance(event, Click) else PURCHASE


def _line(line: dict[str, Any]) -> dict[str, Any]:
    price = line.get("price_minor")
    found = {name: value for name, value in line.items() if name != "price_minor"}
    return found if price is None else {**found, "price": Decimal(price).scaleb(-2)}


def _path(event: Event) -> bytes:
    return path_of(1 if isinstance(event, Click) else 3)


def _message(event: Event, said: dict[str, Any]) -> bytes:
    message = MADE(f"shop.{type(event).__name__}")()
    message.timestamp.seconds, rest = divmod(event.time, 1000)
    message.timestamp.nanos = rest * 1_000_000
    for name, value in said.items():
        if name == "event" and isinstance(event, Click):
            message.event = ["view", "click", "add_to_cart", "remove_from_cart"].index(value) + 1
        elif name == "consent":
            message.consent.SetInParent()
            for what, allowed in value.items():
                setattr(message.consent, what, allowed)
        elif name == "products":
            for line in value:
                added = message.products.add(**{k: v for k, v in line.items() if k != "price"})
                if "price" in line:
                    added.price.value = str(line["price"])
        elif name != "timestamp":
            setattr(message, name, value)
    return bytes(message.SerializeToString())


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(clicks | purchases)
def test_an_event_is_the_same_in_json_avro_and_protobuf(event: Any) -> None:
    if isinstance(event, Purchase):
        event = replace(event, currency="EUR")
        assume(all(abs(line.price or 0) < 10**15 for line in event.lines))
    source, key = SOURCES[type(event)], event.customer_id.encode()
    found = {
        form: decode(source, value, key, (), event.time) for form, value in forms(event).items()
    }
    first = found["json"]
    assert isinstance(first, Decoded), first
    assert found == dict.fromkeys(found, first)


@pytest.mark.parametrize(
    "form", ["json", "avro", "avro by header", "protobuf", "protobuf by header"]
)
def test_a_no_is_heard_in_every_form_and_in_an_event_that_is_refused(form: str) -> None:
    from stream.codec.events.withdrawal import withdrawal
    from tests.builders import NOON, a_click

    base = a_click(1, "c1", time=NOON)
    said = {**orjson.loads(encode(base)), "consent": {"profiling": False}, "timestamp": NOON}
    said.pop("schema_version")
    said["currency"] = "nonsense"  # refused for it
    value = {
        "json": lambda: orjson.dumps(said),
        "avro": lambda: as_json(AVRO[Click], framed(0, avro(CLICK, said))),
        "avro by header": lambda: as_json(
            AVRO[Click], avro(CLICK, said), [("__value_schema_id", bytes(5))]
        ),
        "protobuf": lambda: as_json(PROTOBUF, framed(9, path_of(1) + _message(base, said))),
        "protobuf by header": lambda: as_json(
            PROTOBUF, _message(base, said), [("__value_schema_id", bytes(5) + path_of(1))]
        ),
    }[form]()
    word = withdrawal(b"c1", value, (), NOON, 0)
    assert word is not None and word.consent is not None
    assert word.consent.profiling is False and word.time == NOON


def test_a_false_that_protobuf_does_not_send_is_a_no() -> None:
    file = a_file("a.proto")
    a_message(file, "Consent", profiling="bool", offers="bool")
    a_message(file, "Update", customer_id="string", consent="shop.Consent")
    made = classes(file)("shop.Update")(customer_id="c")
    read = protobuf_reader(serialized(file))
    assert read(path_of(1) + made.SerializeToString(), None) == {"customer_id": "c"}
    made.consent.profiling = True
    assert read(path_of(1) + made.SerializeToString(), None) == {
        "customer_id": "c", "consent": {"profiling": True, "offers": False},
    }  # fmt: skip


# ------------------------------------------------------------------------------------ Avro, by type

_PLAIN = {
    "null": st.none(), "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1), "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False, allow_infinity=False), "string": st.text(max_size=20),
}  # fmt: skip


NAMES = itertools.count()


@st.composite
def typed(draw: st.DrawFn, depth: int = 3) -> tuple[Any, Any, Any]:
    """A schema of Avro's, a value that it describes, and what JSON says of it."""
    kinds = [*_PLAIN, "enum", *(["array", "map", "record", "union"] if depth else [])]
    kind = draw(st.sampled_from(kinds))
    name = f"N{next(NAMES)}"
    if kind in _PLAIN:
        value = draw(_PLAIN[kind])
        return kind, value, value
    if kind == "enum":
        symbols = ["A", "b_c", "D1"]
        value = draw(st.sampled_from(symbols))
        return {"type": "enum", "name": name, "symbols": symbols}, value, value
    if kind == "array":
        schema, value, said = draw(typed(depth=depth - 1))
        count = draw(st.integers(0, 3))
        return {"type": "array", "items": schema}, [value] * count, [said] * count
    if kind == "map":
        schema, value, said = draw(typed(depth=depth - 1))
        keys = draw(st.lists(st.text(max_size=5), max_size=3, unique=True))
        return (
            {"type": "map", "values": schema},
            dict.fromkeys(keys, value),
            dict.fromkeys(keys, said),
        )
    if kind == "union":
        schema, value, said = draw(typed(depth=depth - 1))
        assume(not isinstance(schema, list) and schema != "null")
        if draw(st.booleans()):
            value = said = None
        return ["null", schema], value, said
    fields = draw(st.lists(typed(depth=depth - 1), max_size=4))
    schema = {"type": "record", "name": name, "fields": [
        {"name": f"f{n}", "type": one[0]} for n, one in enumerate(fields)
    ]}  # fmt: skip
    return (
        schema,
        {f"f{n}": one[1] for n, one in enumerate(fields)},
        {f"f{n}": one[2] for n, one in enumerate(fields) if one[2] is not None},
    )


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(typed())
def test_what_another_library_wrote_is_read_as_it_was_meant(case: tuple[Any, Any, Any]) -> None:
    schema, value, said = case
    record = {"type": "record", "name": "Root", "fields": [{"name": "it", "type": schema}]}
    raw = avro(record, {"it": value})
    assert avro_reader(record)(raw) == ({} if said is None else {"it": said})
    for cut in range(len(raw)):
        with pytest.raises(BadPayload):
            avro_reader(record)(raw[:cut])
    with pytest.raises(BadPayload):
        avro_reader(record)(raw + b"\0")


def logical(kind: Any, name: str, **more: Any) -> dict[str, Any]:
    return {**(kind if isinstance(kind, dict) else {"type": kind}), "logicalType": name, **more}


FIXED = {"type": "fixed", "name": "F", "size": 16}


@pytest.mark.parametrize(
    ("schema", "raw", "said"),
    [
        (logical("long", "timestamp-millis"), long(1_569_888_001_234), "2019-10-01T00:00:01.234Z"),
        (logical("long", "timestamp-micros"), long(-1), "1969-12-31T23:59:59.999999Z"),
        (logical("long", "timestamp-nanos"), long(1), "1970-01-01T00:00:00.000000001Z"),
        (logical("long", "timestamp-nanos"), long(2**63 - 1), "2262-04-11T23:47:16.854775807Z"),
        (logical("long", "timestamp-millis"), long(2**62), 2**62),
        (logical("long", "local-timestamp-millis"), long(0), "1970-01-01T00:00:00.000"),
        (logical("int", "date"), long(18_170), "2019-10-01"),
        (logical("int", "time-millis"), long(1), "00:00:00.001"),
        (logical("long", "time-micros"), long(86_399_999_999), "23:59:59.999999"),
        (logical("bytes", "decimal", precision=9, scale=2), b"\x04\x05\x0a", "12.90"),
        (logical("bytes", "decimal", precision=9, scale=2), b"\x02\xff", "-0.01"),
        (logical("bytes", "decimal", precision=9), b"\x02\x07", "7"),
        (logical("bytes", "decimal", precision=4, scale=2), b"\x0a\1\2\3\4\5", "43287193.65"),
        (logical({"type": "fixed", "name": "F", "size": 2}, "decimal", precision=3, scale=1),
         b"\xff\xf6", "-1.0"),
        (logical(FIXED, "uuid"), UUID(int=7).bytes, str(UUID(int=7))),
        (logical("string", "uuid"), b"\x02a", "a"),
        (logical("long", "no-such-type"), b"\x02", 1),
        (logical("int", "timestamp-millis"), b"\x02", 1),
        ("bytes", b"\x04\xff\x00", "/wA="),
        ("float", b"\xcd\xcc\x44\x41", 12.3),
        ("double", b"\0\0\0\0\0\0\xf8\x7f", "NaN"),
        ({"type": {"type": "string", "avro.java.string": "String"}}, b"\x02a", "a"),
        ("long", long(-(2**63)), -(2**63)),
    ],
)  # fmt: skip
def test_a_type_is_told_exactly(schema: Any, raw: bytes, said: Any) -> None:
    assert avro_reader(schema)(raw) == said


def test_names_are_found_in_their_namespaces_and_in_what_is_referred_to() -> None:
    money = {"type": "record", "name": "Money", "namespace": "base", "fields": [
        {"name": "amount", "type": "int"}]}  # fmt: skip
    order = {"type": "record", "name": "shop.Order", "fields": [
        {"name": "paid", "type": "base.Money"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A"]}},
        {"name": "same", "type": "Kind"},
        {"name": "whole", "type": "shop.Kind"},
    ]}  # fmt: skip
    read = avro_reader(order, (money,))
    assert read(bytes([2, 0, 0, 0])) == {
        "paid": {"amount": 1}, "kind": "A", "same": "A", "whole": "A",
    }  # fmt: skip


NESTED: Any = "int"
for _ in range(100):
    NESTED = {"type": "array", "items": NESTED}


@pytest.mark.parametrize(
    "schema",
    [
        "no.Such", {"type": "record", "name": "R"}, {"type": "enum", "name": "E"}, 7, None, {},
        {"type": "fixed", "name": "F"}, {"type": "array"}, ["int", ["null", "int"]], NESTED,
        {"type": "record", "name": "R", "fields": [{"type": "int"}]},
        {"type": "record", "name": "R", "fields": ["int"]},
        {"type": "record", "fields": []},
        {"type": "enum", "name": "E", "symbols": ["a"] * 20_001},
    ],
)  # fmt: skip
def test_what_is_no_schema_is_refused_by_name(schema: Any) -> None:
    with pytest.raises(Unusable):
        avro_reader(schema)
    refuse = translator(7, Definition("AVRO", json.dumps(schema)))
    with pytest.raises(Refused, match="schema 7 cannot be used") as refused:
        refuse(FramedValue(7, b"\0"))
    assert refused.value.rejection.code is RejectionCode.UNKNOWN_SCHEMA


def test_a_schema_nested_without_end_is_refused_by_name() -> None:
    text = '{"type":"array","items":' * 50_000 + '"int"' + "}" * 50_000
    with pytest.raises(Refused, match="nested too deep"):
        translator(7, Definition("AVRO", text))(FramedValue(7, b"\0"))


# ------------------------------------------------------------------------------ bytes that run away

CHAIN = {"type": "record", "name": "N", "fields": [{"name": "next", "type": ["null", "N"]}]}
NULLS = {"type": "array", "items": "null"}
EMPTY = {"type": "array", "items": {"type": "record", "name": "E", "fields": []}}
LISTS = {"type": "record", "name": "L", "fields": [
    {"name": "of", "type": {"type": "array", "items": "L"}}]}  # fmt: skip
WIDE = {"type": "array", "items": {"type": "record", "name": "W", "fields": [
    {"name": f"f{n}", "type": ["null", "int"]} for n in range(5_000)]}}  # fmt: skip
LONG_NAME = {"type": "array", "items": {"type": "record", "name": "W", "fields": [
    {"name": "f" * 100_000, "type": "boolean"}]}}  # fmt: skip
SYMBOL = {"type": "array", "items": {"type": "enum", "name": "S", "symbols": ["s" * 10_000]}}
ZERO = {"type": "map", "values": {"type": "fixed", "name": "Z", "size": 0}}


@pytest.mark.parametrize(
    ("schema", "raw"),
    [
        (NULLS, long(2**62) + b"\0"),
        (NULLS, long(200_000) * 100 + b"\0"),
        (NULLS, long(-(2**63)) + long(0) + b"\0"),
        (NULLS, long(-(2**40)) + long(2**62) + b"\0"),
        (EMPTY, long(2**40) + b"\0"),
        ({"type": "array", "items": "string"}, long(2**40) + b"\0" * 1000),
        (CHAIN, b"\x02" * 250_000 + b"\0"),
        (LISTS, b"\x02" * 250_000 + b"\0"),
        (WIDE, long(50_000) + b"\0" * 250_000),
        (LONG_NAME, long(200_000) + b"\1" * 200_000 + b"\0"),
        (SYMBOL, long(200_000) + b"\0" * 200_001),
        (ZERO, long(2**50) + b"\0" * 1000),
        ("string", long(2**62) + b"abc"),
        ("bytes", long(-5) + b"abcdefgh"),
        ("string", b"\xff" * 100_000),
        ("long", b"\xff" * 9 + b"\x7f"),
        ("int", long(2**31)),
        ("boolean", b"\2"),
        ({"type": "fixed", "name": "F", "size": 2**60}, b"abc"),
        ({"type": "enum", "name": "E", "symbols": ["a"]}, long(-1)),
        (["null", "int"], long(-1)),
        (["null", "int"], long(2)),
        (logical("bytes", "decimal", precision=9, scale=2), long(200_000) + b"\x7f" * 200_000),
        (logical("bytes", "decimal", precision=9, scale=10**9), b"\x02\x01"),
        ("string", b"\x02\xff"),
    ],
)
def test_what_would_run_away_is_refused_in_bounded_memory(schema: Any, raw: bytes) -> None:
    read = avro_reader(schema)
    tracemalloc.start()
    with pytest.raises((BadPayload, TooMuch)):
        read(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20


def test_a_chain_within_bounds_is_read() -> None:
    found = avro_reader(CHAIN)(b"\x02" * 30 + b"\0")
    assert json.dumps(found).count("next") == 30


def test_a_protobuf_message_that_would_run_away_is_refused_in_bounded_memory() -> None:
    file = a_file("b.proto", package="b")
    a_message(file, "Wide", **{f"f{n}": "int64" for n in range(2_000)})
    a_message(file, "Bomb", of="*b.Wide")
    a_message(file, "Deep", of="b.Deep")
    a_message(file, "Packed", of="*int64")
    read = protobuf_reader(serialized(file))
    for path, raw in (
        (1, b"\x0a\0" * 130_000),
        (2, _deep(500)),
        (2, _deep(90)),
        (0, b"\xff" * 100),
        (0, b"\x03" * 100_000),
    ):
        with pytest.raises((BadPayload, TooMuch)):
            read(path_of(path) + raw, None)
    for path in (b"", b"\x02", path_of(9), path_of(0, 0), long(2**40), long(-3), b"\xff" * 20):
        with pytest.raises(BadPayload):
            read(path, None)


def _varint(number: int) -> bytes:
    raw = bytearray()
    while number > 127:
        raw.append(number & 127 | 128)
        number >>= 7
    return bytes([*raw, number])


def _deep(levels: int) -> bytes:
    raw = b""
    for _ in range(levels):
        raw = b"\x0a" + _varint(len(raw)) + raw
    return raw


def test_protobufs_own_types_are_what_they_mean() -> None:
    imports = ["google/protobuf/struct.proto", "google/protobuf/wrappers.proto",
               "google/protobuf/timestamp.proto", "confluent/meta.proto",
               "confluent/type/decimal.proto", "google/protobuf/duration.proto"]  # fmt: skip
    file = a_file("k.proto", *imports, package="k")
    kind = file.enum_type.add(name="TradeKind")
    kind.value.add(name="TRADE_KIND_PURCHASE", number=0)
    message = a_message(
        file, "All", more="google.protobuf.Struct", count="google.protobuf.Int64Value",
        at="google.protobuf.Timestamp", price="confluent.type.Decimal", kind="#k.TradeKind",
        raw="bytes", near="float", far="double", big="uint64", flag="bool", none="double",
        after="google.protobuf.Duration", userId="string",
    )  # fmt: skip
    entry = message.nested_type.add(name="TraitsEntry")
    entry.options.map_entry = True
    for number, name in enumerate(("key", "value"), 1):
        entry.field.add(name=name, number=number, type=9, label=1)
    message.field.add(name="traits", number=20, type=11, label=3, type_name=".k.All.TraitsEntry")
    message.field.add(name="renamed", json_name="messageId", number=21, type=9, label=1)
    half = b"\x11" + bytes(6) + b"\xf8\x3f"  # 1.5
    raw = (
        b"\x0a" + _sized(b"\x0a" + _sized(b"\x0a\x01a\x12" + _sized(half)))
        + b"\x12\x02\x08\x07"
        + b"\x1a" + _sized(b"\x08\x01\x10\x05")
        + b"\x22" + _sized(b"\x0a\x02\x05\x0a\x18\x02")
        + b"\x32\x02\xff\x00" + b"\x3d\xcd\xcc\x44\x41" + b"\x41" + bytes(6) + b"\xf0\x7f"
        + b"\x48" + b"\xff" * 9 + b"\x01"
        + b"\x62" + _sized(b"\x08\x03")
        + b"\x6a\x01u"
        + b"\xa2\x01" + _sized(b"\x0a\x01t\x12\x01v")
        + b"\xaa\x01\x01m"
    )  # fmt: skip
    assert protobuf_reader(serialized(file))(b"\0" + raw, None) == {
        "more": {"a": 1.5}, "count": 7, "at": "1970-01-01T00:00:01.000000005Z", "price": "12.90",
        "kind": "purchase", "raw": "/wA=", "near": 12.3, "far": "Infinity", "big": 2**64 - 1,
        "flag": False, "after": "3.000000000s", "userId": "u", "traits": {"t": "v"},
        "messageId": "m",
    }  # fmt: skip


def _sized(raw: bytes) -> bytes:
    return _varint(len(raw)) + raw


@pytest.mark.parametrize(
    "text", ["syntax = 'proto3';", "", "AAAA", "!!", serialized(a_file("x", "a/b"))]
)
def test_what_is_no_protobuf_schema_is_refused_by_name(text: str) -> None:
    with pytest.raises(Refused, match="schema 7 cannot be used") as refused:
        translator(7, Definition("PROTOBUF", text))(FramedValue(7, b"\0"))
    assert refused.value.rejection.code is RejectionCode.UNKNOWN_SCHEMA


def test_no_mutated_payload_raises_anything_but_a_refusal(seed: int) -> None:
    chance = Random(seed)
    from tests.builders import a_click, a_purchase

    events: list[Any] = [a_click(1, "c1", category="k"), a_purchase(1, "c1", "i1", "i2")]
    refused = read = 0
    for n in range(6_000):
        event = events[n % 2]
        said = {k: v for k, v in orjson.loads(encode(event)).items() if k != "schema_version"}
        if isinstance(event, Purchase):
            said["products"] = [_line(line) for line in said["products"]]
        said["timestamp"] = event.time * (1000 if n % 2 else 1)
        if n % 4 < 2:
            translate, raw = AVRO[type(event)], avro(_schema(event), said)
        else:
            translate, raw = PROTOBUF, _path(event) + _message(event, said)
        mutated = bytearray(raw)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(mutated) + 1)
            match chance.randrange(4):
                case 0:
                    mutated[at:at] = chance.randbytes(chance.randrange(1, 12))
                case 1:
                    del mutated[at : at + chance.randrange(1, 12)]
                case 2 if at < len(mutated):
                    mutated[at] ^= 1 << chance.randrange(8)
                case _:
                    mutated[at : at + 10] = b"\xff" * chance.randrange(1, 10) + b"\x01"
        try:
            made = translate(FramedValue(1, bytes(mutated)))
        except Refused:
            refused += 1
        else:
            assert made is not None
            decode(SOURCES[type(event)], made, record_time=event.time)
            read += 1
    print(f"{read} read, {refused} refused")
    assert read and refused > 1_000


@pytest.mark.parametrize(
    "said", [b"", b"\0", b"\0\0\0\0", b"\1" + bytes(15), b"\2" + bytes(20), b"abcdef"]
)
def test_a_header_that_names_no_schema_is_refused(said: bytes) -> None:
    with pytest.raises(Refused, match="__value_schema_id is neither"):
        frame_of(b"\x02a", [("__value_schema_id", said)])


def test_without_the_runtime_protobuf_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("google.protobuf", "google.protobuf.message"):
        monkeypatch.setitem(sys.modules, name, None)
    refuse = translator(7, Definition("PROTOBUF", serialized(SHOP)))
    with pytest.raises(Refused, match=r"install offerstream\[protobuf\]") as refused:
        refuse(FramedValue(7, b"\0"))
    assert refused.value.rejection.code is RejectionCode.UNKNOWN_SCHEMA


def a_row(size: int) -> str:
    file = a_file("row.proto", package="row")
    for n in range(size):
        a_message(file, f"M{n}", of=f"row.M{n + 1}")
    a_message(file, f"M{size}", last="string")
    return serialized(file)


def test_messages_that_name_one_another_in_a_long_row_are_read() -> None:
    read = protobuf_reader(a_row(5_000))
    assert read(path_of(0) + _deep(20), None) is not None
    assert read(path_of(4_999) + b"\x0a\x03\x0a\x01z", None) == {"of": {"last": "z"}}


def test_a_protobuf_schema_without_end_is_refused_by_name() -> None:
    file = a_file("wide.proto", package="wide")
    for n in range(200):
        a_message(file, f"M{n}", **{f"f{k}": "bool" for k in range(101)})
    with pytest.raises(Refused, match="over 20,000 messages and fields"):
        translator(7, Definition("PROTOBUF", serialized(file)))(FramedValue(7, b"\0"))


def test_a_text_of_proto2_that_is_no_utf8_is_damage() -> None:
    file = a_file("old.proto", package="old")
    file.syntax = "proto2"
    a_message(file, "Old", customer_id="string")
    read = protobuf_reader(serialized(file))
    assert read(b"\0\x0a\x01c", None) == {"customer_id": "c"}
    with pytest.raises(BadPayload):
        read(b"\0\x0a\x01\xff", None)


ODD: list[Any] = [
    None, 1, -1, 2**70, "null", "int", "Click", [], {}, ["null"], True, 1.5,
    {"type": "array", "items": "null"}, {"type": "fixed", "name": "Q", "size": 0},
]  # fmt: skip


def altered(node: Any, chance: Random) -> Any:
    if chance.random() < 0.006:
        return chance.choice(ODD)
    if isinstance(node, dict):
        return {name: altered(one, chance) for name, one in node.items()}
    return [altered(one, chance) for one in node] if isinstance(node, list) else node


def test_no_mutated_schema_raises_anything_but_a_refusal(seed: int) -> None:
    chance = Random(seed)
    shop = SHOP.SerializeToString()
    codes: Counter[str] = Counter()
    for n in range(2_000):
        if n % 2:
            text = json.dumps(altered(chance.choice([CLICK, PURCHASE]), chance))
            translate = translator(n, Definition("AVRO", text))
        else:
            raw = bytearray(shop)
            for _ in range(chance.randrange(1, 4)):
                raw[chance.randrange(len(raw))] = chance.randrange(256)
            translate = translator(n, Definition("PROTOBUF", base64.b64encode(raw).decode()))
        payloads = [
            chance.randbytes(chance.randrange(1, 200)),
            b"\2" + bytes(chance.randrange(9_999)),
        ]
        for payload in payloads:
            try:
                translate(FramedValue(n, payload))
            except Refused as refused:
                assert not refused.rejection.detail.endswith("Error"), refused.rejection
                codes[refused.rejection.code] += 1
    print(codes)
    assert codes["unknown_schema"] > 100 and codes["decode"] > 100
