"""From a framed payload to the JSON that says the same: read from then on like any other value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from stream.codec.events.envelope import Headers
from stream.codec.events.opening import MAX_VALUE
from stream.codec.refused import Refused
from stream.codec.registry.avro import avro_reader
from stream.codec.registry.frames import FramedValue, SchemaId
from stream.codec.registry.protobuf import protobuf_reader
from stream.codec.registry.room import BadPayload, TooMuch, Unusable
from stream.domain.event import RejectionCode

KINDS: Final = ("AVRO", "PROTOBUF", "JSON")
_DEEPEST: Final = 200  # brackets in one another in a schema's text: ten times what people write


class Definition(NamedTuple):
    """A schema as a registry tells it.

    Attributes
    ----------
    kind
        ``AVRO``, ``PROTOBUF`` or ``JSON``.
    text
        Of Avro its JSON, of Protobuf a file's descriptor in Base64.
    referenced
        The schemas that it refers to, by the names it has for them, each behind its own.
    """

    kind: str
    text: str
    referenced: Sequence[tuple[str, str]] = ()


Translate: TypeAlias = Callable[[FramedValue], bytes | None]
"""Makes JSON of a payload; None of what is JSON already, or should be. Raises `Refused`."""


def translator(schema: SchemaId, definition: Definition) -> Translate:
    """Return what makes JSON of a schema's payloads; where it cannot be used, what refuses them.

    Parameters
    ----------
    schema
        The schema's id, to complain about.
    definition
        What the registry says of it.
    """
    named = f"the Schema Registry's schema {schema}"
    if definition.kind == "JSON":
        return _as_it_is
    try:
        read = _reader(definition)
    except Unusable as why:
        return refusing(f"{named} cannot be used: {why}")
    except RecursionError:
        return refusing(f"{named} cannot be used: it is nested too deep")
    except Exception as error:  # of a library: whoever registers schemas must not stop a partition
        return refusing(f"{named} cannot be used: {type(error).__name__}")
    kind = definition.kind.capitalize()

    def translate(frame: FramedValue) -> bytes:
        try:
            value = orjson.dumps(read(frame))
        except TooMuch:
            value = None
        except BadPayload as why:
            text = f"the value is no {kind} of {named}: {why}"
            raise Refused(RejectionCode.DECODE, text) from None
        except orjson.JSONEncodeError:  # an integer beyond 64 bits
            text = f"the value, {kind} of {named}, is not to be said in JSON"
            raise Refused(RejectionCode.DECODE, text) from None
        except Exception as error:  # as above
            text = f"the value, {kind} of {named}, cannot be read: {type(error).__name__}"
            raise Refused(RejectionCode.DECODE, text) from None
        if value is None or len(value) > MAX_VALUE:
            text = f"the value, {kind} of {named}, is over {MAX_VALUE} bytes of JSON"
            raise Refused(RejectionCode.OVERSIZE, text)
        return value

    return translate


def refusing(detail: str) -> Translate:
    """Return what refuses all payloads of a schema that cannot be had."""

    def translate(frame: FramedValue) -> bytes:
        raise Refused(RejectionCode.UNKNOWN_SCHEMA, detail)

    return translate


def plain_headers(headers: Headers) -> Headers:
    """Headers as they are of the JSON that a payload becomes.

    >>> plain_headers((("content-type", b"application/avro"), ("ce_id", b"1")))
    (('ce_id', b'1'),)
    """
    return tuple(one for one in headers if one[0].lower() != "content-type")


def _as_it_is(frame: FramedValue) -> None:
    return None


def _reader(definition: Definition) -> Callable[[FramedValue], Any]:
    if definition.kind == "AVRO":
        read_avro = avro_reader(
            _parsed(definition.text), tuple(_parsed(text) for _, text in definition.referenced)
        )
        return lambda frame: read_avro(frame.payload)
    if definition.kind == "PROTOBUF":
        read_protobuf = protobuf_reader(definition.text, definition.referenced)
        return lambda frame: read_protobuf(frame.payload, frame.path)
    raise Unusable(f"it is of the kind {definition.kind[:40]!r}, which is none of {KINDS}")


def _parsed(text: str) -> Any:
    deep = most = 0
    for sign in text:
        if sign in "[{":
            deep += 1
            most = max(most, deep)
        elif sign in "]}":
            deep -= 1
    if most > _DEEPEST:
        raise Unusable("it is nested too deep")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text  # the name of a type alone
