"""Envelopes: whatever a record's value is wrapped in is taken off, down to one JSON object.

Rules. Schema Registry framing (a zero byte and a four-byte id) is stripped; the newer header
``__value_schema_id`` leaves the value bare already. CloudEvents (Kafka binding 1.0) come in binary
mode (``ce_`` headers) or structured mode (``application/cloudevents+json``, or an object that has
``specversion``); what they know of the id, the time and the type, without its version, fills in
where the payload does not say. Texts are tidied before anything is validated. No bytes make this
raise but `Refused`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, Final, TypeAlias
from unicodedata import is_normalized

from orjson import JSONDecodeError, loads

from stream.codec.events.plain import text
from stream.codec.refused import Refused
from stream.domain.event import RejectionCode
from stream.domain.text import tidy

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
"""A record's headers, in their order; a name may come more than once."""

SCHEMA_ID: Final = "__value_schema_id"
"""The header in which a Schema Registry's serializers may name a value's schema."""

_FRAME: Final = b"\x00"
_FRAME_LENGTH: Final = 5
_BINARY: Final = (
    "the value is of a Schema Registry's schema{}, and is not JSON but Avro or Protobuf: "
    "these are read on the topics of events, where kafka.schema_registry_url is set; else send "
    "JSON, as by the registry's JSON Schema serializer"
)
_STRUCTURED: Final = "application/cloudevents"
_PLAIN: Final = (None, b"", b"application/json")
_DEEP: Final = 8  # levels to tidy: beyond any field that an envelope around a payload can hold
_VERSION: Final = re.compile(r"(?:[./:@_-]v?[0-9]+(?:\.[0-9]+)*)+\Z", re.IGNORECASE)
_PARTS: Final = re.compile(r"[./:]")
_ATTRIBUTES: Final = {"id": "event_id", "time": "timestamp", "type": "event"}


def parse(raw: bytes, headers: Headers = ()) -> dict[str, Any]:
    """Read one JSON object, its texts tidied, from bytes that may be framed.

    Parameters
    ----------
    raw
        The value.
    headers
        Of its record: one of them may tell that it is no JSON.

    Raises
    ------
    Refused
        ``decode`` if it is no JSON (RFC 8259, UTF-8), ``schema`` if it is no object.
    """
    try:
        data = loads(raw)
    except JSONDecodeError as error:
        data = _unframed(raw, error, headers)
    if type(data) is not dict:
        raise Refused(RejectionCode.SCHEMA, "the value is not of type object")
    if not is_tidy(raw):
        _tidy_values(data, _DEEP)
    return data


def is_tidy(raw: bytes) -> bool:
    """Tell whether the texts in a JSON are certain to be tidy, from its bytes."""
    if 92 in raw:  # a backslash: it may stand for anything
        return False
    if raw.isascii():
        return 127 not in raw  # of ASCII's controls, the one that JSON lets in
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return False
    return text.isprintable() and is_normalized("NFC", text)


def _unframed(raw: bytes, error: JSONDecodeError, headers: Headers) -> Any:
    # No JSON begins with the frame's zero: looked for only here, it costs the others nothing.
    if raw[:1] == _FRAME and len(raw) > _FRAME_LENGTH:
        inside = raw[_FRAME_LENGTH:]
        try:
            return loads(inside)
        except JSONDecodeError as inner:
            if inside.lstrip()[:1] != b"{":
                number = int.from_bytes(raw[1:_FRAME_LENGTH])
                raise Refused(RejectionCode.DECODE, _BINARY.format(f" {number}")) from None
            error = inner
    elif raw.lstrip()[:1] != b"{" and any(name == SCHEMA_ID for name, _ in headers):
        raise Refused(RejectionCode.DECODE, _BINARY.format("")) from None
    # The message tells what was met and where, and holds nothing of the value.
    raise Refused(RejectionCode.DECODE, f"the value is not JSON: {error.msg}")


def are_plain(headers: Headers) -> bool:
    """Tell whether headers are certain to be no part of an envelope."""
    return all(
        raw in _PLAIN if (lowered := name.lower()) == "content-type" else lowered[:3] != "ce_"
        for name, raw in headers
    )


def unwrapped(data: dict[str, Any], headers: Headers) -> tuple[dict[str, Any], dict[str, str]]:
    """Take an object out of CloudEvents, in either mode, if it is in one.

    Returns
    -------
    tuple
        The payload, and what its envelope says under the payload's own names: some of
        ``event_id``, ``timestamp`` and ``event``.

    Raises
    ------
    Refused
        ``decode`` or ``schema``.
    """
    content_type, attributes = _read_headers(headers)
    structured = content_type.startswith(_STRUCTURED)
    if (structured or attributes) and not _is_json(content_type):
        raise Refused(RejectionCode.DECODE, "the header content-type is not JSON")
    if structured or "specversion" in data:
        return _payload(data), _named(data)
    return data, _named(attributes)


def _read_headers(headers: Headers) -> tuple[str, dict[str, str]]:
    content_type, attributes = "", {}
    for name, raw in headers:
        if raw is None:
            continue
        lowered = name.lower()
        if lowered == "content-type":
            content_type = raw.decode("latin-1").strip().lower()
        elif lowered.startswith("ce_"):
            attributes[lowered[3:]] = _text(lowered, raw)
    return content_type, attributes if "specversion" in attributes else {}


def _text(name: str, raw: bytes) -> str:
    try:
        return tidy(raw.decode())
    except UnicodeDecodeError:
        known = name if name[3:] in _ATTRIBUTES else "ce_*"
        raise Refused(RejectionCode.DECODE, f"the header {known} is not UTF-8") from None


def _is_json(content_type: str) -> bool:
    media = content_type.partition(";")[0].rstrip()
    return media in ("", "application/json", "text/json") or media.endswith("+json")


def _payload(data: dict[str, Any]) -> dict[str, Any]:
    if "data_base64" in data:
        try:
            return parse(b64decode(data["data_base64"], validate=True))
        except (ValueError, TypeError):
            raise Refused(RejectionCode.DECODE, "/data_base64 is not Base64") from None
    payload = data.get("data")
    if type(payload) is not dict:
        raise Refused(RejectionCode.SCHEMA, "/data is not of type object")
    return payload


def _named(attributes: dict[str, Any]) -> dict[str, str]:
    """Rename attributes; a type such as ``com.example.shop.view.v1`` has the event's own."""
    named = {
        ours: said
        for theirs, ours in _ATTRIBUTES.items()
        if isinstance(said := text(attributes.get(theirs)), str)
    }
    if "event" in named:
        named["event"] = _event(named["event"])
    return named


def _event(kind: str) -> str:
    """The event that a type ends in, without its version.

    >>> [_event(kind) for kind in ("com.shop.view", "com.shop.view.v1", "shop/view/1.2", "view:v3")]
    ['view', 'view', 'view', 'view']
    """
    return _PARTS.split(_VERSION.sub("", kind))[-1]


def _tidy_values(node: Any, depth: int) -> None:
    """Tidy the texts below ``node`` in place; names are left to their readers."""
    for place, item in node.items() if type(node) is dict else enumerate(node):
        if type(item) is str:
            if not (item.isascii() and item.isprintable()):
                node[place] = tidy(item)
        elif depth and type(item) in (dict, list):
            _tidy_values(item, depth - 1)
