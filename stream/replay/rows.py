"""Rows of a log → the pipeline's own JSON, as the files under ``schemas/`` describe it.

Rules:

- A row is refused here only if it cannot be a record at all (``admit``, ``records``).
- Everything else is published as it stands: a time, a price or a quantity that cannot be read
  keeps its text, so that the pipeline's decoder dead-letters it with a reason of its own.
- A value depends on the row, its number and the file's fingerprint, and on nothing else.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from stream.core.event import Trade
from stream.core.text import tidy
from stream.replay.admit import Admission, Admitted
from stream.replay.fields import Binder, Getter, nothing
from stream.replay.mapping import Mapping, RefusalReason
from stream.replay.money import Terms, whole
from stream.replay.outcome import OrderKey, OrderLine, Published, Refused, publish
from stream.replay.records import Row
from stream.replay.times import time_reader

_REFUND: Final = Trade.REFUND.value
_YES: Final = ("true", "1", "yes", "y", "t")
_NO: Final = ("false", "0", "no", "n", "f")

Outcome: TypeAlias = Published | OrderLine | Refused


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

    Raises
    ------
    ConfigError
        A column of the mapping is not in the file.
    """

    def __init__(self, mapping: Mapping, binder: Binder, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        self._get = binder.fields()
        self._admission = Admission(mapping, binder, self._get)
        self._groups = mapping.orders.lines != "alone"
        self._time = mapping.time
        self._plus = binder.bind(mapping.time.plus, "time.plus")
        self._read_time = time_reader(mapping.time)
        self._last_value: object = None
        self._last_time: int | None = None
        self._terms = Terms(mapping, self._get.price, self._get.quantity)
        self._consent = _consent(mapping.defaults.consent, self._get.consent)

    def time(self, row: Row | RefusalReason, number: int) -> int | None:
        """Read the event time of row ``number``, in ms since the epoch; None if it has none."""
        if isinstance(row, RefusalReason):
            return None
        if self._get.time is nothing:
            return self._time.start + (number - 1) * self._time.step
        value = self._get.time(row)
        if value != self._last_value:  # times of a log come in runs
            self._last_value = value
            self._last_time = None if value is None else self._read_time(value)
        time = self._last_time
        if time is None or self._plus is nothing:
            return time
        plus = whole(self._plus(row)) or 0
        return time + (plus if self._time.plus_unit == "ms" else plus * 1_000)

    def order_key(self, row: Row | RefusalReason) -> OrderKey | str | None:
        """The order that the row is a line of, None if it stands alone, or why it is refused.

        Where the mapping knows no orders of several lines, it is None for every row.
        """
        if not self._groups:
            return None
        if isinstance(row, RefusalReason):
            return row
        admitted = self._admission.admit(row)
        return admitted if isinstance(admitted, str) else self._admission.order_key(row, admitted)

    def map(
        self, number: int, position: int, row: Row | RefusalReason, raw: bytes, before: int
    ) -> Outcome:
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
        if isinstance(row, RefusalReason):
            return Refused(number, row.value, raw)
        admitted = self._admission.admit(row)
        if isinstance(admitted, str):
            return Refused(number, str(admitted), raw)
        return self._record(number, position, row, admitted, before)

    def item(self, row: Row) -> str | None:
        """The row's item, by the id that the pipeline will know it by."""
        item = self._get.item(row)
        return tidy(item) or None if isinstance(item, str) else None

    def catalog_record(self, row: Row, item: str, time_ms: int, position: int) -> Published:
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
    ) -> Published | OrderLine:
        get = self._get
        time = self.time(row, number)
        event: dict[str, Any] = {
            "event_id": get.event(row) or f"{self._fingerprint}-{number}",
            "customer_id": admitted.customer,
            "timestamp": get.time(row) if time is None else time,
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

    def _purchase(
        self, row: Row, admitted: Admitted, event: dict[str, Any], time_ms: int, position: int
    ) -> Published | OrderLine:
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
    words: dict[str, object] = {}
    for flag, spellings in ((True, _YES), (False, _NO)):
        words |= {text: {"profiling": flag, "offers": flag} for text in spellings}
    known = None if default is None else words[str(default).lower()]
    if get is nothing:
        return lambda row: known

    def consent(row: Row) -> object:
        value = get(row)
        return known if value is None else words.get(str(value).lower(), value)

    return consent
