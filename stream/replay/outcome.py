"""What a row of a log comes to: a record, a line of an order, or a refusal."""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple, TypeAlias

import orjson

#: The topics that a replay publishes to.
Kind: TypeAlias = Literal["clicks", "purchases", "feedback", "customers", "catalog"]


class PublishedRecord(NamedTuple):
    """A record for a topic.

    ``row`` is how many rows had been read when it was complete; it rises strictly from record to
    record of one kind, so it tells where a replay was when it ended. ``time_ms`` is the event
    time, or that of the row before where it has none that can be read. ``rows`` is how many rows
    it holds: the lines of its order; none for the catalog, whose rows are published as well.
    """

    kind: Kind
    key: bytes
    value: bytes
    time_ms: int
    row: int
    rows: int = 1


class RefusedRow(NamedTuple):
    """A row that is no record: its number in the file (the first is 1), why, and its bytes.

    ``file`` is the file's name where several are read.
    """

    row: int
    reason: str
    raw: bytes
    file: str | None = None


class OrderKey(NamedTuple):
    """What lines must agree in to be one event."""

    customer: str
    order: str
    trade: str
    currency: str | None


class OrderLine(NamedTuple):
    """A row that is one line of an order.

    ``event`` is the order's head as this row tells it, ``product`` the line itself, ``row`` the
    number of rows read so far.
    """

    key: OrderKey
    event: dict[str, Any]
    product: dict[str, Any]
    time_ms: int
    row: int


def publish(
    kind: Kind, key: str, value: dict[str, Any], time_ms: int, row: int, rows: int = 1
) -> PublishedRecord:
    """Make the record of a value; Kafka knows no times before 1970."""
    return PublishedRecord(kind, key.encode(), _written(value), max(time_ms, 0), row, rows)


def _written(value: dict[str, Any]) -> bytes:
    """JSON, of whatever a row may hold: numbers of any length, nesting of any depth."""
    try:
        return orjson.dumps(value)
    except TypeError:  # over 64 bits, or over 254 levels
        pass
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except RecursionError:
        scalars = {name: v for name, v in value.items() if not isinstance(v, dict | list)}
        return orjson.dumps(scalars | {"unreadable": "nested too deeply"}, default=str)
