"""A log of events as producers send them → records, each on the topic where it belongs.

Rules:

- A row is what a live record's value would be: the native form, a Segment call, a CloudEvent, or
  an event of GA4. Its topic is told by its look, its key is the customer that it names.
- It is published as it stands; the worker reads it as it reads a live one.
- What is of no use, such as a page view, is refused as ``nothing_to_learn``, and counted.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, cast

from stream.codec.events.home import home_of
from stream.codec.events.native import MAX_TIME, MIN_TIME, instant
from stream.codec.events.opening import Ignored, native_of
from stream.codec.events.plain import text
from stream.codec.refused import Refused as NotOpened
from stream.codec.schema import Schemas, load_schemas
from stream.domain.text import tidy
from stream.grammar.times import FormatChoice
from stream.reading.format import NoRow
from stream.reading.records import Row
from stream.replay.outcome import Kind, OrderKey, PublishedRecord, RefusedRow, publish

NOTHING_TO_LEARN: Final = "nothing_to_learn"
NO_CUSTOMER: Final = "no_customer"


class SentMapper:
    """The reader of one file's events; it does what `stream.replay.rows.RowMapper` does.

    Parameters
    ----------
    times
        Formats of times, which are none of its business: an event's own tell themselves.
    """

    def __init__(self, times: FormatChoice) -> None:
        self.first = 0
        self.times = times

    def choose(self, times: FormatChoice) -> None:
        """Nothing is to be chosen."""

    def time_value(self, row: Row | NoRow) -> object:
        """No time of it is undecided."""
        return None

    def time(self, row: Row | NoRow, number: int) -> int | None:
        """Read the event's time, in ms since the epoch; None if it has none that can be read."""
        native = _native(row, 0)
        if not isinstance(native, dict):
            return None
        said = text(native.get("timestamp"))
        try:
            time = int(said) if said.isdecimal() else instant(said, "timestamp")
        except (AttributeError, ValueError, NotOpened):
            return None
        return time if MIN_TIME <= time <= MAX_TIME else None

    def order_key(self, row: Row | NoRow) -> OrderKey | str | None:
        """An event stands alone."""
        return None

    def map(
        self, number: int, position: int, row: Row | NoRow, raw: bytes, before: int
    ) -> PublishedRecord | RefusedRow:
        """Make the record of one row; parameters as of `stream.replay.rows.RowMapper.map`."""
        if isinstance(row, NoRow):
            return RefusedRow(number, row.value, raw)
        native = _native(row, max(before, MIN_TIME))
        if not isinstance(native, dict):
            return RefusedRow(number, native, raw)
        customer = text(native.get("customer_id"))
        if not isinstance(customer, str) or not (key := tidy(customer)):
            return RefusedRow(number, NO_CUSTOMER, raw)
        time = self.time(row, number)
        value = cast(dict[str, Any], row)
        kind = cast(Kind, home_of(value))
        return publish(kind, key, value, before if time is None else time, position)

    def item(self, row: Row) -> str | None:
        """No catalog is made of events."""
        return None

    def catalog_record(self, row: Row, item: str, time_ms: int, position: int) -> PublishedRecord:
        """Make none."""
        raise NotImplementedError


def _native(row: Row | NoRow, record_time: int) -> dict[str, Any] | str:
    """A row in the native form, valid or not, or why it is no record."""
    if not isinstance(row, dict):
        return NoRow.UNPARSABLE.value
    try:
        native = native_of(_schemas().of(home_of(row)), "customer_id", dict(row), (), record_time)
    except NotOpened as refused:
        return refused.rejection.code.value
    return NOTHING_TO_LEARN if isinstance(native, Ignored) else native


@cache
def _schemas() -> Schemas:
    return load_schemas()
