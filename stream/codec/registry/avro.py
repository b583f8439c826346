"""Avro: a schema becomes a reader of its payloads, which no bytes can make run away.

After the specification of Apache Avro 1.12 (binary encoding, logical types). Rules:

- A payload is read by the schema that it was written with, to its last byte.
- A value becomes what JSON says: bytes become Base64, an enumeration's value its symbol, a union's
  the value alone. A field that is null is left out, as Avro has no other way to do that.
- Times, dates, decimals and UUIDs become texts, exactly; other logical types are their plain ones.
- Lengths are compared with what is left of the payload before anything is read; items and names
  use up room (`stream.codec.registry.room`), those of no bytes too; values stand in one another
  at most `LEVELS` deep. No widely used reader promises that.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, Final, TypeAlias
from uuid import UUID

from stream.codec.registry.moments import day, moment, time_of_day
from stream.codec.registry.room import (
    LEVELS,
    BadPayload,
    Room,
    TooMuch,
    Unusable,
    decimal,
    double,
    single,
)

NODES: Final = 20_000
"""Types, fields and symbols of a schema with its references, at most."""
_NAMED: Final = ("record", "error", "enum", "fixed")
_FLOAT, _DOUBLE = Struct("<f"), Struct("<d")


class Cursor:
    """A place in a payload, and the room that is left for what it becomes."""

    __slots__ = ("at", "end", "level", "raw", "room")

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at, self.end = raw, 0, len(raw)
        self.room, self.level = Room(), 0

    def long(self) -> int:
        """An integer of up to 64 bits."""
        at = self.at
        byte = self.raw[at]
        at += 1
        number = byte & 127
        shift = 7
        while byte & 128:
            if shift > 63:
                raise BadPayload("an integer has over 64 bits")
            byte = self.raw[at]
            at += 1
            number |= (byte & 127) << shift
            shift += 7
        self.at = at
        if number >> 64:
            raise BadPayload("an integer has over 64 bits")
        return (number >> 1) ^ -(number & 1)

    def take(self, size: int) -> bytes:
        """So many bytes."""
        end = self.at + size
        if size < 0 or end > self.end:
            raise BadPayload("a length is not that of what follows")
        taken = self.raw[self.at : end]
        self.at = end
        return taken

    def deeper(self) -> None:
        """Go into a value that holds others; who comes out takes a level off."""
        self.room.take(2)
        self.level += 1
        if self.level > LEVELS:
            raise BadPayload(f"its values stand in one another over {LEVELS} deep")


Read: TypeAlias = Callable[[Cursor], Any]


def avro_reader(schema: Any, referenced: tuple[Any, ...] = ()) -> Callable[[bytes], Any]:
    """Return what makes JSON-like values of a schema's payloads.

    Parameters
    ----------
    schema
        As JSON has it.
    referenced
        Schemas whose names it uses, each behind those that it uses itself.

    Returns
    -------
    callable
        Raises `BadPayload` if bytes are no such payload, and `TooMuch` if they would become more
        than a value may be.

    Raises
    ------
    Unusable
        If it is no schema of Avro's.

    Examples
    --------
    >>> read = avro_reader(
    ...     {
    ...         "type": "record",
    ...         "name": "Seen",
    ...         "fields": [
    ...             {"name": "customer_id", "type": "string"},
    ...             {
    ...                 "name": "price",
    ...                 "type": [
    ...                     "null",
    ...                     {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
    ...                 ],
    ...             },
    ...         ],
    ...     }
    ... )
    >>> read(bytes([4]) + b"c1" + bytes([2, 4, 5, 10])), read(bytes([4]) + b"c1" + bytes([0]))
    ({'customer_id': 'c1', 'price': '12.90'}, {'customer_id': 'c1'})
    """
    compiler = _Compiler()
    for one in referenced:
        compiler.compile(one, "", 0)
    read_value = compiler.compile(schema, "", 0)
    compiler.close()

    def read(payload: bytes) -> Any:
        cursor = Cursor(payload)
        try:
            value = read_value(cursor)
        except IndexError:
            raise BadPayload("it ends too early") from None
        if cursor.at != cursor.end:
            raise BadPayload(f"{cursor.end - cursor.at} bytes are left over")
        return value

    return read


class _Compiler:
    """Makes readers of types; names are known from where they are declared on."""

    def __init__(self) -> None:
        self._named: dict[str, Read] = {}
        self._nodes = 0

    def close(self) -> None:
        """Let go of the names: readers hold what they need."""
        self._named = {}

    def count(self, nodes: int) -> None:
        """Note that a schema has so many more nodes."""
        self._nodes += nodes
        if self._nodes > NODES:
            raise Unusable(f"it has over {NODES:,} types and fields")

    def compile(self, schema: Any, space: str, level: int) -> Read:
        """The reader of a type, named in a namespace."""
        self.count(1)
        if level > LEVELS:
            raise Unusable(f"its types stand in one another over {LEVELS} deep")
        if isinstance(schema, str):
            return _PLAIN.get(schema) or self._known(schema, space)
        if isinstance(schema, list):
            if any(isinstance(branch, list) for branch in schema):
                raise Unusable("a union of it stands in a union")
            return _union([self.compile(branch, space, level + 1) for branch in schema])
        if not isinstance(schema, dict):
            raise Unusable("a type in it is neither a name, an object nor a list")
        kind = schema.get("type")
        if not isinstance(kind, str):
            return self.compile(kind, space, level + 1)
        if kind in _NAMED:
            return self._declare(kind, schema, space, level)
        if kind == "array":
            return _array(self.compile(schema.get("items"), space, level + 1))
        if kind == "map":
            return _map(self.compile(schema.get("values"), space, level + 1))
        return _logical(kind, schema) or self.compile(kind, space, level + 1)

    def _known(self, name: str, space: str) -> Read:
        found = self._named.get(name if "." in name or not space else f"{space}.{name}")
        found = found or self._named.get(name)
        if found is None:
            raise Unusable(f"it uses the type {name[:80]!r}, which nothing declares")
        return found

    def _declare(self, kind: str, schema: Mapping[str, Any], space: str, level: int) -> Read:
        name, said = schema.get("name"), schema.get("namespace", space)
        if not (isinstance(name, str) and name and isinstance(said, str)):
            raise Unusable(f"a type of it, {kind}, has no name")
        if "." in name:
            said = name.rpartition(".")[0]
        else:
            name = f"{said}.{name}" if said else name
        if kind == "enum":
            read = self._enum(schema)
        elif kind == "fixed":
            read = _logical(kind, schema) or _fixed(_size(schema))
        else:
            read = self._record(name, schema, said, level)
        self._named[name] = read
        return read

    def _enum(self, schema: Mapping[str, Any]) -> Read:
        symbols = schema.get("symbols")
        if not isinstance(symbols, list) or not all(isinstance(one, str) for one in symbols):
            raise Unusable("an enumeration of it has no symbols")
        self.count(len(symbols))
        return _enum(tuple(symbols))

    def _record(self, name: str, schema: Mapping[str, Any], space: str, level: int) -> Read:
        fields = schema.get("fields")
        if not isinstance(fields, list):
            raise Unusable("a record of it has no fields")
        readers: list[tuple[str, Read]] = []
        read = _record(readers)
        self._named[name] = read  # a field may be of the record's own type
        for field in fields:
            if not isinstance(field, dict) or not isinstance(field.get("name"), str):
                raise Unusable("a field of it has no name")
            readers.append((field["name"], self.compile(field.get("type"), space, level + 1)))
        return read


def _record(fields: list[tuple[str, Read]]) -> Read:
    def read(cursor: Cursor) -> Any:
        cursor.deeper()
        found = {}
        for name, read_field in fields:
            value = read_field(cursor)
            if value is not None:
                cursor.room.take(len(name) + 4)
                found[name] = value
            else:
                cursor.room.take(1)  # nothing in JSON, and yet some work
        cursor.level -= 1
        return found

    return read


def _blocks(cursor: Cursor) -> int:
    """How many items come in the next block; 0 behind the last."""
    count = cursor.long()
    if count < 0:
        cursor.long()  # the block's bytes, for who passes over it
        count = -count
    cursor.room.take(count)  # of each item at least its comma
    return count


def _array(read_item: Read) -> Read:
    def read(cursor: Cursor) -> Any:
        cursor.deeper()
        items: list[Any] = []
        while count := _blocks(cursor):
            for _ in range(count):
                items.append(read_item(cursor))  # noqa: PERF401  # one that fails keeps no others
        cursor.level -= 1
        return items

    return read


def _map(read_value: Read) -> Read:
    def read(cursor: Cursor) -> Any:
        cursor.deeper()
        found = {}
        while count := _blocks(cursor):
            for _ in range(count):
                name = _string(cursor)
                found[name] = read_value(cursor)
        cursor.level -= 1
        return found

    return read


def _union(branches: list[Read]) -> Read:
    def read(cursor: Cursor) -> Any:
        at = cursor.long()
        if not 0 <= at < len(branches):
            raise BadPayload("a union has no such branch")
        return branches[at](cursor)

    return read


def _enum(symbols: tuple[str, ...]) -> Read:
    def read(cursor: Cursor) -> Any:
        at = cursor.long()
        if not 0 <= at < len(symbols):
            raise BadPayload("an enumeration has no such symbol")
        cursor.room.take(len(symbols[at]) + 2)
        return symbols[at]

    return read


def _size(schema: Mapping[str, Any]) -> int:
    size = schema.get("size")
    if not isinstance(size, int) or size < 0:
        raise Unusable("a type of it, fixed, has no size")
    return size


def _fixed(size: int) -> Read:
    def read(cursor: Cursor) -> Any:
        cursor.room.take(size)
        return b64encode(cursor.take(size)).decode()

    return read


def _null(cursor: Cursor) -> Any:
    return None


def _boolean(cursor: Cursor) -> Any:
    byte = cursor.raw[cursor.at]
    cursor.at += 1
    if byte > 1:
        raise BadPayload("a truth value is neither 0 nor 1")
    return byte == 1


def _int(cursor: Cursor) -> Any:
    number = cursor.long()
    if not -(2**31) <= number < 2**31:
        raise BadPayload("an integer has over 32 bits")
    return number


def _long(cursor: Cursor) -> Any:
    return cursor.long()


def _float(cursor: Cursor) -> Any:
    return single(_FLOAT.unpack(cursor.take(4))[0])


def _double(cursor: Cursor) -> Any:
    return double(_DOUBLE.unpack(cursor.take(8))[0])


def _bytes(cursor: Cursor) -> Any:
    taken = cursor.take(cursor.long())
    cursor.room.take(len(taken))
    return b64encode(taken).decode()


def _string(cursor: Cursor) -> Any:
    taken = cursor.take(cursor.long())
    cursor.room.take(len(taken) + 2)
    try:
        return taken.decode()
    except UnicodeDecodeError:
        raise BadPayload("a text is not UTF-8") from None


_PLAIN: Final[Mapping[str, Read]] = {
    "null": _null,
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": _string,
}
_TIMES: Final[Mapping[tuple[str, str], Callable[[int], Any]]] = {
    ("int", "date"): day,
    ("int", "time-millis"): lambda count: time_of_day(count, 3),
    ("long", "time-micros"): lambda count: time_of_day(count, 6),
    ("long", "timestamp-millis"): lambda count: moment(count, 3),
    ("long", "timestamp-micros"): lambda count: moment(count, 6),
    ("long", "timestamp-nanos"): lambda count: moment(count, 9),
    ("long", "local-timestamp-millis"): lambda count: moment(count, 3, ""),
    ("long", "local-timestamp-micros"): lambda count: moment(count, 6, ""),
    ("long", "local-timestamp-nanos"): lambda count: moment(count, 9, ""),
}


def _logical(kind: str, schema: Mapping[str, Any]) -> Read | None:
    """The reader of a logical type that means something here, None for others."""
    logical = schema.get("logicalType")
    if not isinstance(logical, str):
        return None
    said = _TIMES.get((kind, logical))
    if said is not None:
        return _time(said, _int if kind == "int" else _long)
    if kind in ("bytes", "fixed") and logical == "decimal":
        return _decimal(schema, None if kind == "bytes" else _size(schema))
    if kind == "fixed" and logical == "uuid" and _size(schema) == 16:
        return _uuid
    return None


def _time(said: Callable[[int], Any], number: Read) -> Read:
    def read(cursor: Cursor) -> Any:
        cursor.room.take(10)
        return said(number(cursor))

    return read


def _decimal(schema: Mapping[str, Any], size: int | None) -> Read | None:
    scale = schema.get("scale", 0)
    if not isinstance(scale, int) or scale < 0:
        return None  # to be read as its plain type, as the specification has it

    def read(cursor: Cursor) -> Any:
        taken = cursor.take(cursor.long() if size is None else size)
        if len(taken) > 512:
            raise TooMuch
        text = decimal(int.from_bytes(taken, signed=True), scale)
        cursor.room.take(len(text) + 2)
        return text

    return read


def _uuid(cursor: Cursor) -> Any:
    cursor.room.take(38)
    return str(UUID(bytes=cursor.take(16)))
