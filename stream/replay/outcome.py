"""What a row of a log comes to: a record, a line of an order, or a refusal."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import orjson

#: The topics that a replay publishes to.
Kind: TypeAlias = Literal["clicks", "purchases", "feedback", "catalog"]


class Published(NamedTuple):
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


class Refused(NamedTuple):
    """A row that is no record: its number in the file (the first is 1), why, and its bytes."""

    row: int
    reason: str
    raw: bytes


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
) -> Published:
    """Make the record of a value; Kafka knows no times before 1970."""
    return Published(kind, key.encode(), orjson.dumps(value), max(time_ms, 0), row, rows)
