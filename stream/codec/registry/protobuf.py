"""Protobuf: a file's descriptor becomes a reader of its messages.

The wire format is read by Google's own runtime, which bounds how deep messages stand in one
another. What it takes in memory for each is bounded here before it reads: some hundred bytes for
two of the payload, by how many fields the widest message that repeats has.

A message becomes what JSON says, under the names that the fields have in the schema, or under a
``json_name`` that somebody chose. Rules, where Protobuf knows more or less than JSON:

- A field that is not set is left out; of those that cannot tell unset from zero, truth values are
  false, and enumerations their first symbol unless it says that nothing was said. So a ``false``
  that takes permission away is heard.
- An enumeration's symbol loses its type's name and its capitals, as the style guide has them:
  ``ACTION_ADD_TO_CART`` of ``Action`` is ``add_to_cart``.
- ``Timestamp``, decimals, wrappers, ``Struct`` and its like are what they mean; bytes are Base64.

The runtime is an optional extra, ``offerstream[protobuf]``, and is imported when it is needed.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from stream.codec.registry.avro import NODES, Cursor
from stream.codec.registry.moments import moment
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

MEMORY: Final = 64 << 20
"""Bytes that a message may take in the runtime's memory."""
_OF_MESSAGE, _OF_FIELD = 96, 16  # bytes in that memory, from above
_DEEP: Final = 16  # indexes in a message's path
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_UNSAID: Final = re.compile(
    r"(?:^|_)(?:UNSPECIFIED|UNKNOWN|UNDEFINED|INVALID|NONE)$", re.IGNORECASE
)
_KNOWN: Final = ("any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers")
_CONFLUENT: Final = "confluent/meta.proto"
_ROOT: Final = "offerstream/value.proto"

Write: TypeAlias = Callable[[Any, Room, int], Any]
"""Makes a value of JSON of one of the runtime's, in what is left of the room, so many levels up."""


def protobuf_reader(
    schema: str, referenced: Sequence[tuple[str, str]] = ()
) -> Callable[[bytes, bytes | None], Any]:
    """Return what makes JSON-like values of a schema's payloads.

    Parameters
    ----------
    schema
        A ``FileDescriptorProto`` in Base64, as registries give it with ``?format=serialized``.
    referenced
        Names under which other files are imported, and those files, each behind its own imports.

    Returns
    -------
    callable
        Takes a payload, and the bytes of the message's path, None if they come before it. Raises
        `BadPayload` if bytes are no such payload, and `TooMuch` if they would become more than a
        value may be.

    Raises
    ------
    Unusable
        If it is no schema of Protobuf's, or the runtime is not installed.
    """
    try:
        from google.protobuf import descriptor_pool, message_factory
        from google.protobuf.message import DecodeError
    except ImportError:
        text = "it is Protobuf: install offerstream[protobuf], and replay the dead letters"
        raise Unusable(text) from None
    pool = descriptor_pool.DescriptorPool()
    files = _filled(pool, schema, referenced)
    file = files[-1]
    names = [name for one in files for name in _names(one)]
    try:
        descriptors = [pool.FindMessageTypeByName(name) for name in names]
        for descriptor in descriptors:  # now: making a class takes a while, and makes its fields'
            message_factory.GetMessageClass(descriptor)
    except (KeyError, TypeError, ValueError):  # the runtime in Python looks only now
        raise Unusable("it is no schema of Protobuf's") from None
    except RecursionError:
        raise Unusable("its messages name one another in too long a row") from None
    widest = _widest(descriptors)
    writers = _Writers()
    readers: dict[tuple[int, ...], tuple[Any, Write]] = {}

    def reader(path: tuple[int, ...]) -> tuple[Any, Write]:
        if path not in readers:
            descriptor = pool.FindMessageTypeByName(_message(file, path))
            readers[path] = message_factory.GetMessageClass(descriptor), writers.of(descriptor)
        return readers[path]

    def read(payload: bytes, path: bytes | None) -> Any:
        cursor = Cursor(payload if path is None else path)
        try:
            indexes = _path(cursor)
        except IndexError:
            raise BadPayload("it ends too early") from None
        if path is None:
            payload = payload[cursor.at :]
        made, write = reader(indexes)
        if len(payload) // 2 * widest > MEMORY:
            raise TooMuch
        try:
            return write(made.FromString(payload), Room(), 0)
        except (DecodeError, UnicodeDecodeError):  # texts of proto2 may be no UTF-8
            raise BadPayload("its bytes are no such message") from None

    return read


def _path(cursor: Cursor) -> tuple[int, ...]:
    count = cursor.long()
    if not 0 <= count <= _DEEP:
        raise BadPayload("it names no message of its schema")
    return tuple(cursor.long() for _ in range(count)) or (0,)


def _message(file: Any, path: Iterable[int]) -> str:
    names, messages = [file.package] if file.package else [], file.message_type
    for index in path:
        if not 0 <= index < len(messages):
            raise BadPayload("it names no message of its schema")
        names.append(messages[index].name)
        messages = messages[index].nested_type
    return ".".join(names)


def _names(file: Any) -> Iterable[str]:
    """The full names of a file's messages."""
    left = [(file.package, message) for message in file.message_type]
    count = 0
    while left:
        space, message = left.pop()
        name = f"{space}.{message.name}" if space else message.name
        count += 1 + len(message.field)
        if count > NODES:
            raise Unusable(f"it has over {NODES:,} messages and fields")
        yield name
        left += [(name, nested) for nested in message.nested_type]


def _filled(pool: Any, schema: str, referenced: Sequence[tuple[str, str]]) -> list[Any]:
    """Put files into a pool, and return them, the schema's own last."""
    known = dict(_known_files())
    added: set[str] = set()

    def add(file: Any) -> None:
        for name in file.dependency:
            if name not in added and name in known:
                add(known[name])
        if file.name in added:
            return
        if any(isinstance(name, bytes) for name in file.dependency):
            raise Unusable("it imports what has no name in UTF-8")
        missing = sorted(set(file.dependency) - added)
        if missing:
            raise Unusable(f"it imports {missing[0][:80]!r}, which the registry does not have")
        try:
            pool.Add(file)
        except (TypeError, ValueError):
            raise Unusable("it is no schema of Protobuf's") from None
        added.add(file.name)

    files = [*(_file(text, name) for name, text in referenced), _file(schema, _ROOT)]
    for file in files:
        add(file)
    return files


def _file(text: str, name: str) -> Any:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
    from google.protobuf.message import DecodeError

    try:
        raw = b64decode(text, validate=True)
    except ValueError:
        raise Unusable(
            "it is Protobuf as its source: the registry has no ?format=serialized"
        ) from None
    try:
        file = FileDescriptorProto.FromString(raw)
        if not (file.message_type or file.enum_type or file.dependency):
            (file,) = FileDescriptorSet.FromString(raw).file
    except (DecodeError, ValueError):
        raise Unusable("it is no descriptor of a Protobuf file") from None
    file.name = name
    return file


def _known_files() -> Iterable[tuple[str, Any]]:
    """Files that may be imported and that registries do not hold."""
    from importlib import import_module

    from google.protobuf.descriptor_pb2 import DESCRIPTOR, FieldDescriptorProto, FileDescriptorProto

    modules = [import_module(f"google.protobuf.{name}_pb2") for name in _KNOWN]
    for descriptor in [DESCRIPTOR, *(module.DESCRIPTOR for module in modules)]:
        yield descriptor.name, FileDescriptorProto.FromString(descriptor.serialized_pb)
    # Of Confluent's options nothing is needed but that the file is there.
    yield _CONFLUENT, FileDescriptorProto(name=_CONFLUENT, package="confluent")
    for name, package, fields in (
        ("confluent/type/decimal.proto", "confluent.type", ("value", "precision", "scale")),
        ("google/type/decimal.proto", "google.type", ("value",)),
    ):
        file = FileDescriptorProto(name=name, package=package, syntax="proto3")
        message = file.message_type.add(name="Decimal")
        types = (
            (FieldDescriptorProto.TYPE_STRING,)
            if len(fields) == 1
            else (
                FieldDescriptorProto.TYPE_BYTES,
                FieldDescriptorProto.TYPE_UINT32,
                FieldDescriptorProto.TYPE_INT32,
            )
        )
        for number, (field, kind) in enumerate(zip(fields, types, strict=True), 1):
            message.field.add(
                name=field, number=number, type=kind, label=FieldDescriptorProto.LABEL_OPTIONAL
            )
        yield name, file


def _widest(descriptors: Iterable[Any]) -> int:
    """Bytes of memory, from above, that a message takes which may come many times."""
    repeating: dict[str, Any] = {}
    left = [
        field.message_type
        for message in descriptors
        for field in message.fields
        if field.message_type is not None and field.is_repeated
    ]
    while left:
        message = left.pop()
        if message.full_name not in repeating:
            repeating[message.full_name] = message
            left += [field.message_type for field in message.fields if field.message_type]
    return max((_OF_MESSAGE + _OF_FIELD * len(one.fields) for one in repeating.values()), default=0)


class _Writers:
    """What makes values of JSON of messages, by the message's name."""

    def __init__(self) -> None:
        self._made: dict[str, Write] = {}

    def of(self, descriptor: Any) -> Write:
        name = descriptor.full_name
        known = _MEANT.get(name)
        if known is not None:
            return known
        if name not in self._made:
            fields: dict[int, tuple[str, Write]] = {}
            always: list[tuple[int, str, Any]] = []
            self._made[name] = _object(fields, always)
            for field in descriptor.fields:
                said = _name(field)
                fields[field.number] = said, self._field(field)
                if (value := _unset(field)) is not None:
                    always.append((field.number, said, value))
        return self._made[name]

    def _later(self, descriptor: Any) -> Write:
        """What is made when it is needed: messages may name one another without end."""
        if descriptor.full_name in _MEANT:
            return _MEANT[descriptor.full_name]
        return lambda message, room, level: self.of(descriptor)(message, room, level)

    def _field(self, field: Any) -> Write:
        message = field.message_type
        if message is not None and message.GetOptions().map_entry:
            return _map(self._value(message.fields_by_name["value"]))
        value = self._value(field)
        return _list(value) if field.is_repeated else value

    def _value(self, field: Any) -> Write:
        if field.message_type is not None:
            return self._later(field.message_type)
        if field.enum_type is not None:
            return _symbol(field.enum_type)
        if field.type == field.TYPE_FLOAT:
            return _single
        return _PLAIN.get(field.type, _same)


def _name(field: Any) -> str:
    words = field.name.split("_")
    usual = words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])
    said: str = field.name if field.json_name == usual else field.json_name
    return said


def _unset(field: Any) -> Any:
    """What a field means that is not there, where its type cannot tell; None: nothing."""
    if field.has_presence or field.is_repeated:
        return None
    if field.type == field.TYPE_BOOL:
        return False
    if field.enum_type is not None:
        first = field.enum_type.values_by_number.get(0)
        if first is not None and not _UNSAID.search(first.name):
            return _spelt(field.enum_type, first.name)
    return None


def _object(fields: Mapping[int, tuple[str, Write]], always: list[tuple[int, str, Any]]) -> Write:
    def write(message: Any, room: Room, level: int) -> Any:
        _deeper(level)
        room.take(2)
        found = {}
        there = message.ListFields()
        for field, value in there:
            if field.is_extension:
                continue
            name, write_field = fields[field.number]
            room.take(len(name) + 4)
            found[name] = write_field(value, room, level + 1)
        for _, name, value in always:
            if name not in found:
                room.take(len(name) + 4 + len(str(value)))
                found[name] = value
        return found

    return write


def _list(value: Write) -> Write:
    def write(items: Any, room: Room, level: int) -> Any:
        _deeper(level)
        room.take(2 + len(items))
        return [value(item, room, level + 1) for item in items]

    return write


def _map(value: Write) -> Write:
    def write(items: Any, room: Room, level: int) -> Any:
        _deeper(level)
        room.take(2 + 4 * len(items))
        found = {}
        for key in items:
            name = str(key).lower() if isinstance(key, bool) else str(_whole(key))
            room.take(len(name))
            found[name] = value(items[key], room, level + 1)
        return found

    return write


def _deeper(level: int) -> None:
    if level > LEVELS:
        raise BadPayload(f"its values stand in one another over {LEVELS} deep")


def _symbol(enum: Any) -> Write:
    names = {number: _spelt(enum, value.name) for number, value in enum.values_by_number.items()}

    def write(number: int, room: Room, level: int) -> Any:
        name = names.get(number, number)
        room.take(len(str(name)) + 2)
        return name

    return write


def _spelt(enum: Any, name: str) -> str:
    """A symbol as JSON would have it.

    >>> from types import SimpleNamespace as Enum
    >>> _spelt(Enum(name="TradeKind"), "TRADE_KIND_REFUND"), _spelt(Enum(name="Trade"), "refund")
    ('refund', 'refund')
    """
    prefix = _WORD.sub("_", enum.name).upper() + "_"
    if name.startswith(prefix) and len(name) > len(prefix):
        name = name[len(prefix) :]
    return name.lower() if name.isupper() else name


def _text(value: Any, room: Room, level: int) -> Any:
    room.take(len(value) + 2)
    return _whole(value)


def _whole(value: Any) -> Any:
    """A text or a key; the runtime gives bytes where one of proto2 is no UTF-8."""
    if isinstance(value, bytes):
        raise BadPayload("a text is not UTF-8")
    return value


def _base64(value: Any, room: Room, level: int) -> Any:
    room.take(len(value))
    return b64encode(value).decode()


def _single(value: Any, room: Room, level: int) -> Any:
    return single(value)


def _double(value: Any, room: Room, level: int) -> Any:
    return double(value)


def _same(value: Any, room: Room, level: int) -> Any:
    return value


_PLAIN: Final[Mapping[int, Write]] = {1: _double, 9: _text, 12: _base64}  # descriptor.proto's


def _timestamp(message: Any, room: Room, level: int) -> Any:
    room.take(32)
    return moment(message.seconds * 10**9 + message.nanos, 9)


def _duration(message: Any, room: Room, level: int) -> Any:
    return f"{decimal(message.seconds * 10**9 + message.nanos, 9)}s"


def _exact(message: Any, room: Room, level: int) -> Any:
    if len(message.value) > 512:
        raise TooMuch
    text = decimal(int.from_bytes(message.value, signed=True), message.scale)
    room.take(len(text) + 2)
    return text


def _inner(write: Write = _same) -> Write:
    def inner(message: Any, room: Room, level: int) -> Any:
        return write(message.value, room, level)

    return inner


def _struct(message: Any, room: Room, level: int) -> Any:
    return _map(_any_value)(message.fields, room, level)


def _values(message: Any, room: Room, level: int) -> Any:
    return _list(_any_value)(message.values, room, level)


def _any_value(message: Any, room: Room, level: int) -> Any:
    kind = message.WhichOneof("kind")
    value: Any = getattr(message, kind) if kind else None
    match kind:
        case "number_value":
            return int(value) if value.is_integer() and abs(value) < 2**53 else double(value)
        case "string_value":
            return _text(value, room, level)
        case "struct_value":
            return _struct(value, room, level + 1)
        case "list_value":
            return _values(value, room, level + 1)
        case "bool_value":
            return value
    return None


_WRAPPED: Final[Mapping[str, Write]] = {
    **dict.fromkeys(("Bool", "Int32", "Int64", "UInt32", "UInt64"), _same),
    "Double": _double,
    "Float": _single,
    "String": _text,
    "Bytes": _base64,
}
_MEANT: Final[Mapping[str, Write]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _values,
    "google.protobuf.Value": _any_value,
    "google.type.Decimal": _inner(_text),
    "confluent.type.Decimal": _exact,
    **{f"google.protobuf.{name}Value": _inner(write) for name, write in _WRAPPED.items()},
}
