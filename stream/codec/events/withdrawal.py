"""What a record takes away that is no event: refused, ignored, or read by no client.

Rules. Whoever withdraws permission must not be held up by a wrong price. The JSON of such a record,
in whatever envelopes, is searched for a customer whose id is the record's key, an erasure and
refusals of consent (`stream.codec.events.permission`). What cannot be read for certain is not
guessed at: no JSON, another id than the key, no word of consent that this system knows.

- Only what takes away is heard here: a yes belongs to an event.
- The time is the payload's own, else its envelope's, else the record's; and never later than the
  record's by more than the drift that is allowed: a wrong clock must lock nobody out for years.
- Nothing raises, and nothing of a record's values leaves but the id.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any, Final

import orjson

from stream.codec.events.envelope import Headers
from stream.codec.events.native import MAX_TIME, MIN_TIME, instant
from stream.codec.events.permission import Taken, taken
from stream.codec.events.segment import is_segment
from stream.codec.refused import Refused
from stream.domain.event import Word
from stream.domain.text import tidy

LARGEST: Final = 1 << 20
"""Bytes of a value that are searched: what a broker takes by default, in one record."""
ID_LENGTH: Final = 128
_FRAME, _BOM = b"\x00", b"\xef\xbb\xbf"
_DEEP: Final = 8  # objects, each in the one before
_INNER: Final = ("data", "payload")  # of CloudEvents, of Connect's JSON with a schema
_TIMES: Final = ("timestamp", "originalTimestamp")
_IDS: Final = ("customer_id", "userId", "anonymousId")


def withdrawal(
    key: bytes | None, value: bytes | None, headers: Headers, record_time: int, future: int
) -> Word | None:
    """Return what a record takes away; None if it takes nothing, or says so to no customer.

    Parameters
    ----------
    key, value, headers
        As in Kafka.
    record_time
        The record's own timestamp, in ms.
    future
        By how many ms the time may be ahead of the record's own.

    Examples
    --------
    >>> withdrawal(b"c1", b'{"customer_id":"c1","price":-1,"erase":true}', (), MIN_TIME, 0)
    Word(customer_id='c1', time=631152000000, erase=True, consent=None)
    """
    if key is None or value is None or len(value) > LARGEST:
        return None
    customer = _customer(key)
    objects = list(_objects(_parsed(value)))
    names = [_name(one) for one in objects]
    if not customer or customer not in names:
        return None
    erase, refused = False, frozenset[str]()
    for one, name in zip(objects, names, strict=True):
        if name in (customer, None):  # an envelope need not say whose event is in it
            said = taken(one, is_call=_is_call(one))
            erase, refused = erase or said.erase, refused | said.refused
    if not (erase or refused):
        return None
    time = 0
    if record_time >= MIN_TIME:
        time = min(_time(objects, headers) or record_time, record_time + future)
    return Word(customer, time, erase, Taken(erase, refused).consent)


def _customer(key: bytes) -> str | None:
    """The id that a key stands for, as ids are tidied."""
    try:
        return tidy(key.decode())
    except UnicodeDecodeError:
        return None


def _objects(node: Any) -> Iterator[dict[str, Any]]:
    """The object in a value, and those in it, if it is an envelope: the inmost is the last."""
    for _ in range(_DEEP):
        if isinstance(node, list) and len(node) == 1:
            node = node[0]
        if not isinstance(node, dict):
            return
        yield node
        node = _inner(node)


def _inner(data: dict[str, Any]) -> Any:
    encoded = data.get("data_base64")
    if isinstance(encoded, str):
        try:
            return _parsed(b64decode(encoded))  # line breaks and the like are passed over
        except ValueError:
            return None
    inner = next((data[name] for name in _INNER if data.get(name) is not None), None)
    return _parsed(inner.encode(errors="replace")) if isinstance(inner, str) else inner


def _parsed(raw: bytes) -> Any:
    if raw[:1] == _FRAME:
        raw = raw[5:]
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    folded = raw.lower()
    if not (b"erase" in folded or b"onsent" in folded or b"\\u" in folded or b"data" in folded):
        return None
    try:  # NaN, a byte order mark, bytes that are no text: what else it says may be certain
        return json.loads(raw.removeprefix(_BOM).decode(errors="replace"), strict=False)
    except (ValueError, RecursionError):
        return None


def _is_call(data: dict[str, Any]) -> bool:
    return "customer_id" not in data and is_segment(data)


def _name(data: dict[str, Any]) -> str | None:
    """The id of the customer that an object is about; None if it names none, empty if no id."""
    name = next((data[field] for field in _IDS if data.get(field) not in (None, "")), None)
    if name is None:
        return None
    if type(name) is int:
        name = str(name)
    name = tidy(name) if isinstance(name, str) else ""
    return name if len(name) <= ID_LENGTH else ""


def _time(objects: list[dict[str, Any]], headers: Headers) -> int | None:
    """The first time that can be believed: the payload's own before its envelope's."""
    for data in reversed(objects):
        # An envelope's ``time`` is that of the event; a payload's may be anything.
        for name in (*_TIMES, "time") if "specversion" in data else _TIMES:
            if (time := _instant(data.get(name))) is not None:
                return time
    for name, raw in headers:
        if raw is not None and name.lower() == "ce_time":
            return _instant(raw.decode(errors="replace"))
    return None


def _instant(said: object) -> int | None:
    if isinstance(said, bool) or not isinstance(said, str | int | float):
        return None
    try:
        time = instant(said.strip() if isinstance(said, str) else said, "timestamp")
    except (Refused, ValueError, TypeError, OverflowError):  # no time, or none in any zone
        return None
    return time if MIN_TIME <= time <= MAX_TIME else None
