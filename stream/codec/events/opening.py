"""From a record's value to one native object that keeps its topic's contract.

Rules. Whatever it came in, a payload is validated in its native form, so every producer meets
the same contract; the pointers in a rejection are those of the native form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from stream.codec.events import ga4, segment
from stream.codec.events.envelope import Headers, are_plain, parse, unwrapped
from stream.codec.events.permission import ENVELOPE, words_of
from stream.codec.events.segment import Ignored
from stream.codec.refused import Refused
from stream.codec.schema import TopicSchema
from stream.domain.event import Rejection, RejectionCode
from stream.extending import Packed

__all__ = [
    "MAX_HEADERS",
    "MAX_KEY",
    "MAX_VALUE",
    "Ignored",
    "Opens",
    "are_bare",
    "bounded",
    "native_of",
    "opened",
    "unpacked",
]

MAX_VALUE: Final = 256 * 1024
"""Bytes of a value that are read at all."""
MAX_HEADERS: Final = 64 * 1024
"""Bytes of a record's headers, names and values together, that are read at all."""
MAX_KEY: Final = 4096
"""Bytes of a key that are kept of a record that is refused; no id is as long."""


class Opens(Protocol):
    """An envelope of the shop's own, which raises `Refused` only; see :mod:`stream.extending`."""

    def open(self, packed: Packed, /) -> bytes | None:
        """The JSON in a record; None if it is in no such envelope."""


def unpacked(
    topic: str, value: bytes, headers: Headers, envelopes: Sequence[Opens]
) -> tuple[dict[str, Any], Headers]:
    """Return the object in a value, and the headers that tell more of it.

    Raises
    ------
    Refused
        ``decode``, ``schema`` or ``oversize``.
    """
    for envelope in envelopes:
        inside = envelope.open(Packed(topic, value, tuple(headers)))
        if inside is not None:
            if len(inside) > MAX_VALUE:
                raise Refused(RejectionCode.OVERSIZE, f"what is in it is over {MAX_VALUE} bytes")
            return parse(inside), ()
    return parse(value, headers), headers


def opened(
    schema: TopicSchema,
    identity: str,
    value: bytes,
    headers: Headers,
    record_time: int = -1,
    envelopes: Sequence[Opens] = (),
) -> dict[str, Any] | Ignored:
    """Return the native object in a value, validated and plain (`stream.codec.events.plain`).

    Parameters
    ----------
    schema
        Of the topic.
    identity
        The field that every native object of the topic has, and no envelope.
    value, headers
        As in Kafka.
    record_time
        The record's own timestamp, in ms.
    envelopes
        Of the shop's own.

    Raises
    ------
    Refused
        See rules 1 to 4 of `stream.codec.events.decoding`.
    """
    if len(value) > MAX_VALUE:
        raise Refused(RejectionCode.OVERSIZE, f"the value is over {MAX_VALUE} bytes")
    if headers and _size(headers) > MAX_HEADERS:
        raise Refused(RejectionCode.OVERSIZE, f"the headers are over {MAX_HEADERS} bytes")
    data, headers = unpacked(schema.topic, value, headers, envelopes)
    if headers or identity not in data:
        native = native_of(schema, identity, data, headers, record_time)
        if isinstance(native, Ignored):
            return native
        data = native
    try:
        if schema.is_plain(data):
            return data
        valid = schema.is_valid(data)
    except ValueError:  # nested beyond what jsonschema-rs reads
        valid = False
    if not valid:
        raise Refused(*schema.fault(data))
    schema.plain.make(data)
    return data


def are_bare(headers: Headers) -> bool:
    """Tell whether headers are certain to be within bounds and no part of an envelope."""
    return are_plain(headers) and _size(headers) <= MAX_HEADERS


def bounded(
    rejection: Rejection, key: bytes | None, value: bytes | None, headers: Headers
) -> Rejection:
    """Return why a record is refused: first of all that it is too large to be kept as it is.

    A broker takes a compressed record that it would refuse as a dead letter.
    """
    for what, size, limit in (
        ("value", len(value or b""), MAX_VALUE),
        ("key", len(key or b""), MAX_KEY),
        ("headers", _size(headers), MAX_HEADERS),
    ):
        if size > limit:
            are = "are" if what == "headers" else "is"
            return Rejection(RejectionCode.OVERSIZE, f"the {what} {are} over {limit} bytes")
    return rejection


def _translated(topic: str, payload: dict[str, Any], record_time: int) -> dict[str, Any] | Ignored:
    if segment.is_segment(payload):
        return segment.translate(topic, payload)
    if ga4.is_ga4(payload):
        return ga4.translate(topic, payload, record_time)
    return payload


def _size(headers: Headers) -> int:
    return sum(len(name) + len(raw or b"") for name, raw in headers)


def native_of(
    schema: TopicSchema, identity: str, data: dict[str, Any], headers: Headers, record_time: int
) -> dict[str, Any] | Ignored:
    """Return the native object in an object, valid or not, with all envelopes off.

    Raises
    ------
    Refused
        ``decode`` or ``schema``: of an envelope.
    """
    payload, known = unwrapped(data, headers)
    if payload is not data and identity == "customer_id" and (said := words_of(data)):
        payload[ENVELOPE] = said
    if identity == "customer_id" and identity not in payload:
        native = _translated(schema.topic, payload, record_time)
        if isinstance(native, Ignored):
            return native
        payload = native
    for name, text in known.items():
        if name in schema.fields and payload.get(name) in (None, ""):
            payload[name] = text
    return payload
