"""Lines of a log → one event an order.

Rules:

- An order is what agrees in customer, order id, purchase or refund, and currency.
- It is known when its last line is: it is published at that line's place, with that line's time.
  Of lines that stand together, the last is that of the purchase and its refund together.
- An event holds at most 500 lines, the most that the pipeline takes; a longer order goes on in
  another event. The ids of that, its own and the order's, end in the number of the part: an order
  counts once by its id.
- Its id, session and consent are those of its first line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

from stream.replay.outcome import OrderKey, OrderLine, PublishedRecord, RefusedRow, publish

MOST_LINES: Final = 500


class Joiner(Protocol):
    """Takes rows in the order of reading, and gives records."""

    def take(
        self, outcome: PublishedRecord | OrderLine | RefusedRow
    ) -> Iterable[PublishedRecord | RefusedRow]:
        """What is complete now that this row has been read."""

    def finish(self) -> Iterable[PublishedRecord | RefusedRow]:
        """What is complete now that there are no more rows."""


def joined(lines: list[OrderLine], part: int, timed: OrderLine | None = None) -> PublishedRecord:
    """Make one event of lines with the same key.

    Parameters
    ----------
    lines
        At least one, in the order of reading.
    part
        Which event of the order it is, from 1.
    timed
        The line whose time it takes; None means the last.
    """
    first, last = lines[0], lines[-1]
    timed = timed or last
    ending = f":{part}" if part > 1 else ""
    event = first.event | {
        "event_id": _with(first.event["event_id"], ending),
        "event": first.key.trade,
        "timestamp": timed.event["timestamp"],
        "order_id": first.key.order + ending,
        "currency": first.key.currency,
        "products": [line.product for line in lines],
    }
    customer = first.key.customer
    return publish("purchases", customer, event, timed.time_ms, last.row, len(lines))


def _with(event_id: object, ending: str) -> object:
    return event_id + ending if isinstance(event_id, str) else event_id  # no id: to be refused


class NoLines:
    """Joins nothing: every row is a record of its own."""

    def take(
        self, outcome: PublishedRecord | OrderLine | RefusedRow
    ) -> Iterable[PublishedRecord | RefusedRow]:
        """The row's own record."""
        if isinstance(outcome, OrderLine):
            outcome = joined([outcome], 1)
        return (outcome,)

    def finish(self) -> Iterable[PublishedRecord | RefusedRow]:
        """Nothing."""
        return ()


class ConsecutiveLines:
    """Joins orders whose lines stand together: a line of another order ends them.

    Refused rows in between do not. A run may hold a purchase and a refund of the same order.
    """

    def __init__(self) -> None:
        self._open: dict[OrderKey, list[OrderLine]] = {}
        self._parts: dict[OrderKey, int] = {}

    def take(
        self, outcome: PublishedRecord | OrderLine | RefusedRow
    ) -> Iterator[PublishedRecord | RefusedRow]:
        """What is complete now that this row has been read."""
        if isinstance(outcome, RefusedRow):
            yield outcome
        elif isinstance(outcome, PublishedRecord):
            yield from self.finish()
            yield outcome
        else:
            key = outcome.key
            if self._parts and next(iter(self._parts))[:2] != key[:2]:
                yield from self.finish()
            self._parts.setdefault(key, 1)
            lines = self._open.setdefault(key, [])
            lines.append(outcome)
            if len(lines) == MOST_LINES:
                yield from self._flush()

    def finish(self) -> Iterator[PublishedRecord | RefusedRow]:
        """What is complete now that there are no more rows."""
        yield from self._flush()
        self._parts.clear()

    def _flush(self) -> Iterator[PublishedRecord]:
        whole = sorted(self._open.values(), key=lambda lines: lines[-1].row)
        for lines in whole:
            key = lines[0].key
            yield joined(lines, self._parts[key], whole[-1][-1])
            self._parts[key] += 1
        self._open.clear()


class LinesAnywhere:
    """Joins orders whose lines may stand apart, by how many lines each is known to have."""

    def __init__(self, counts: Mapping[OrderKey, int]) -> None:
        self._left = dict(counts)
        self._open: dict[OrderKey, list[OrderLine]] = {}
        self._parts: dict[OrderKey, int] = {}

    def take(
        self, outcome: PublishedRecord | OrderLine | RefusedRow
    ) -> Iterator[PublishedRecord | RefusedRow]:
        """What is complete now that this row has been read."""
        if not isinstance(outcome, OrderLine):
            yield outcome
            return
        key = outcome.key
        lines = self._open.setdefault(key, [])
        lines.append(outcome)
        self._left[key] -= 1
        if self._left[key] and len(lines) < MOST_LINES:
            return
        part = self._parts.pop(key, 1)
        if self._left[key]:
            self._parts[key] = part + 1
        else:
            del self._left[key]
        yield joined(self._open.pop(key), part)

    def finish(self) -> Iterable[PublishedRecord | RefusedRow]:
        """Nothing: every order has met its last line."""
        return ()
