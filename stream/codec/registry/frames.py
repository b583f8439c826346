"""Frames: which schema a value is of, as Confluent's serializers say it.

Rules. A frame stands in front of the value, or in the header ``__value_schema_id`` beside it: a
zero byte and a four-byte id, or a one byte and a sixteen-byte GUID. A value that is a JSON object
in its frame is of no concern here (`stream.codec.events.envelope`): no registry is asked for it.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from orjson import JSONDecodeError, loads

from stream.codec.events.envelope import SCHEMA_ID, Headers
from stream.codec.refused import Refused
from stream.domain.event import RejectionCode

SchemaId: TypeAlias = int | UUID
"""What a registry knows a schema by: its number, or its GUID."""

_ID, _GUID = b"\x00", b"\x01"
_ENDS: Final = {_ID: 5, _GUID: 17}
_OTHER: Final = Refused(
    RejectionCode.DECODE, f"the header {SCHEMA_ID} is neither a schema's id nor its GUID"
)


class FramedValue(NamedTuple):
    """A value and its schema.

    Attributes
    ----------
    schema
        The schema's id.
    payload
        What the schema describes, behind the message's path where ``path`` is None.
    path
        Of Protobuf, the bytes that say which message of the schema it is, if a header has them.
    """

    schema: SchemaId
    payload: bytes
    path: bytes | None = None


def frame_of(value: bytes, headers: Headers) -> FramedValue | None:
    """Return the frame of a value that is no JSON object, None if it has none.

    Raises
    ------
    Refused
        ``decode``, if a header is there and names no schema.

    Examples
    --------
    >>> frame_of(bytes([0, 0, 0, 0, 7, 2, 99]), ())
    FramedValue(schema=7, payload=b'\\x02c', path=None)
    >>> frame_of(b'\\0\\0\\0\\0\\7{"customer_id":"c"}', ()), frame_of(b'{"customer_id":"c"}', ())
    (None, None)
    """
    said = next((raw for name, raw in headers if name == SCHEMA_ID), None) if headers else None
    if said is not None:
        if _is_object(value):
            return None
        end = _ENDS.get(said[:1], 0)
        if not 0 < end <= len(said):
            raise _OTHER
        return FramedValue(_id(said[:end]), value, said[end:])
    end = _ENDS.get(value[:1], 0)
    if not 0 < end < len(value) or _is_object(payload := value[end:]):
        return None
    return FramedValue(_id(value[:end]), payload)


def _id(raw: bytes) -> SchemaId:
    return int.from_bytes(raw[1:]) if raw[:1] == _ID else UUID(bytes=raw[1:])


def _is_object(payload: bytes) -> bool:
    """Whether a payload is a JSON object; few that are none begin like one."""
    if payload.lstrip()[:1] != b"{":
        return False
    try:
        return type(loads(payload)) is dict
    except JSONDecodeError:
        return False
