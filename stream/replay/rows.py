"""Rows of a log → the pipeline's own JSON, as the files under ``schemas/`` describe it.

Rules:

- A row is refused here only if it cannot be a record at all (``admit``, ``stream.reading``).
- What the mapping understood is published in canonical form: times in ms, decimal points, truths.
- A time, a price or a quantity that cannot be read is published as `unreadable`, so that the
  pipeline dead-letters the record, and hears what permission it takes away all the same.
- A value depends on the row, its number and the file's fingerprint, and on nothing else.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from stream.domain.event import Trade
from stream.domain.text import tidy
from stream.grammar.numbers import whole
from stream.grammar.times import FormatChoice, reader_of
from stream.grammar.words import flag
from stream.reading.format import NoRow
from stream.reading.records import Row
from stream.replay.admit import Admitted, RowFilter
from stream.replay.fields import Binder, Getter, nothing
from stream.replay.mapping import Mapping
from stream.replay.money import Terms, unreadable
from stream.replay.outcome import OrderKey, OrderLine, PublishedRecord, RefusedRow, publish

_REFUND: Final = Trade.REFUND.value

Outcome: TypeAlias = PublishedRecord | OrderLine | RefusedRow


class RowMapper:
    """A mapping at work on the rows of one file.

    Parameters
    ----------
    mapping
        What the columns mean.
    binder
        Where the columns are in this file.
    fingerprint
        Of the file; the event ids begin with it.
    times
        The formats of its times.

    Attributes
    ----------
    first
        Rows that were read before this file, for a log without times.

    Raises
    ------
    ConfigError
        A column of the mapping is not in the file.
    """

    def __init__(
        self, mapping: Mapping, binder: Binder, fingerprint: str, times: FormatChoice
    ) -> None:
        self.first = 0
        self._fingerprint = fingerprint
        self._get = binder.fields()
        self._terms = Terms(mapping, self._get.price, self._get.quantity, self._get.currency)
        self._admission = RowFilter(mapping, binder, self._get, self._terms)
        self._groups = mapping.orders.lines != "alone"
        self._time = mapping.time
        self._plus = binder.bind(mapping.time.plus, "time.plus")
        self.choose(times)
        self._consent = _consent(mapping.defaults.consent, self._get.consent)

    def choose(self, times: FormatChoice) -> None:
        """Read times from now on as was decided."""
        self.times = times
        self._read_time = reader_of(times)
        self._last_value: object = None
        self._last_time: int | None = None

    def time_value(self, row: Row | NoRow) -> object:
        """The row's time as it is written."""
        return None if isinstance(row, NoRow) else self._get.time(row)

    def time(self, row: Row | NoRow, number: int) -> int | None:
        """Read the event time of row ``number``, in ms since the epoch; None if it has none.

        Raises
        ------
        Undecided
            Two formats read it differently, and nothing decided between them.
        """
        if isinstance(row, NoRow):
            return None
        if self._get.time is nothing:
            return self._time.start + (self.first + number - 1) * self._time.step
        value = self._get.time(row)
        if value != self._last_value:  # times of a log come in runs
            self._last_value = value
            self._last_time = None if value is None else self._read_time(value)
        time = self._last_time
        if time is None or self._plus is nothing:
            return time
        plus = whole(self._plus(row)) or 0
        return time + (plus if self._time.plus_unit == "ms" else plus * 1_000)

    def order_key(self, row: Row | NoRow) -> OrderKey | str | None:
        """The order that the row is a line of, None if it stands alone, or why it is refused.

        Where the mapping knows no orders of several lines, it is None for every row.
        """
        if not self._groups:
            return None
        if isinstance(row, NoRow):
            return row
        admitted = self._admission.admit(row)
        return admitted if isinstance(admitted, str) else self._admission.order_key(row, admitted)

    def map(self, number: int, position: int, row: Row | NoRow, raw: bytes, before: int) -> Outcome:
        """Map one row.

        Parameters
        ----------
        number
            Of the row in the file, from 1.
        position
            Of the row in the order of reading, from 1.
        row, raw
            What it holds, and its bytes.
        before
            Event time of the row read before, in ms since the epoch.
        """
        if isinstance(row, NoRow):
            return RefusedRow(number, row.value, raw)
        admitted = self._admission.admit(row)
        if isinstance(admitted, str):
            return RefusedRow(number, str(admitted), raw)
        return self._record(number, position, row, admitted, before)

    def item(self, row: Row) -> str | None:
        """The row's item, by the id that the pipeline will know it by."""
        item = self._get.item(row)
        return tidy(item) or None if isinstance(item, str) else None

    def catalog_record(self, row: Row, item: str, time_ms: int, position: int) -> PublishedRecord:
        """Make the catalog's record of the row's item."""
        entry = self._product(row) | {"product_id": item}
        del entry["quantity"]
        for key, get in (("name", self._get.name), ("currency", self._admission.currency)):
            value = get(row)
            if value is not None:
                entry[key] = value
        return publish("catalog", item, entry, time_ms, position, rows=0)

    def _record(
        self, number: int, position: int, row: Row, admitted: Admitted, before: int
    ) -> PublishedRecord | OrderLine:
        get = self._get
        time = self.time(row, number)
        event: dict[str, Any] = {
            "event_id": get.event(row) or f"{self._fingerprint}-{number}",
            "customer_id": admitted.customer,
            "timestamp": self._unreadable_time(row) if time is None else time,
        }
        session, consent = get.session(row), self._consent(row)
        if session is not None:
            event["session_id"] = session
        if consent is not None:
            event["consent"] = consent
        time_ms = before if time is None else time
        topic = admitted.target.topic
        if topic == "purchases":
            return self._purchase(row, admitted, event, time_ms, position)
        event["event"] = admitted.target.word
        if topic == "clicks":
            event |= self._product(row)
            event["currency"] = self._admission.currency(row)
        else:
            event["offer_id"], event["product_id"] = get.offer(row), get.item(row)
        return publish(topic, admitted.customer, event, time_ms, position)

    def _unreadable_time(self, row: Row) -> object:
        value = self._get.time(row)
        return None if value is None else unreadable(value)

    def _purchase(
        self, row: Row, admitted: Admitted, event: dict[str, Any], time_ms: int, position: int
    ) -> PublishedRecord | OrderLine:
        key = self._admission.order_key(row, admitted)
        order = self._get.order(row)
        trade = self._admission.trade(row, order, admitted) if key is None else key.trade
        product = self._product(row)
        if trade == _REFUND and isinstance(units := product["quantity"], int):
            product["quantity"] = abs(units)
        if key is not None:
            return OrderLine(key, event, product, time_ms, position)
        event["event"] = trade
        event["order_id"] = event["event_id"] if order is None else order
        event["currency"] = self._admission.currency(row)
        event["products"] = [product]
        return publish("purchases", admitted.customer, event, time_ms, position)

    def _product(self, row: Row) -> dict[str, Any]:
        get = self._get
        product: dict[str, Any] = {"product_id": get.item(row)}
        self._terms.write(row, product)
        category, brand = get.category(row), get.brand(row)
        if category is not None:
            product["category"] = category
        if brand is not None:
            product["brand"] = brand
        return product


def _consent(default: bool | None, get: Getter) -> Getter:
    """Make the getter of an event's consent: what the row says, else the mapping's default."""
    known = None if default is None else {"profiling": default, "offers": default}
    if get is nothing:
        return lambda row: known

    def consent(row: Row) -> object:
        value = get(row)
        if value is None:
            return known
        said = flag(value)
        return value if said is None else {"profiling": said, "offers": said}

    return consent
