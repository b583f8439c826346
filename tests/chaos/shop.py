"""A shop's events for chaos, and the oracle: what they must come to, counted without our code."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Self

from stream.broker.whole import read_topic
from stream.config import Settings

START = 1_760_000_000_000  # ms; October 2025, so that no event is from the future
NEW = 10  # every so many-th event is of a new customer


class Sent(NamedTuple):
    """A record to publish."""

    topic: str
    key: bytes
    value: bytes


class Oracle:
    """Counts what stands in the input topics, whoever put it there and however often.

    Per customer: views, carts, orders, units and cents; of all records: what must become of them.
    ``repetitions`` are counted again, for whoever does nothing about them.
    """

    def __init__(self, repetitions: bool = False) -> None:
        self._repetitions = repetitions
        self.totals: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.outcomes: Counter[str] = Counter(late=0, suppressed=0)
        self._seen: set[str] = set()

    @classmethod
    def of(cls, settings: Settings, repetitions: bool = False) -> Self:
        """What stands in the input."""
        oracle = cls(repetitions)
        for topic in settings.topics.events:
            read_topic(settings, topic, settings.partitions, lambda r: oracle.take(r.value or b""))
        return oracle

    def take(self, value: bytes) -> None:
        """Count one record of the input."""
        try:
            event = json.loads(value)
        except ValueError:
            self.outcomes["rejected"] += 1
            return
        if event["event_id"] in self._seen and not self._repetitions:
            self.outcomes["duplicate"] += 1
            return
        self._seen.add(event["event_id"])
        self.outcomes["applied"] += 1
        self.count(event)

    def count(self, event: Mapping[str, Any]) -> None:
        """Count an event that is new."""
        total = self.totals[event["customer_id"]]
        if event["event"] == "purchase":
            units = sum(line["quantity"] for line in event["products"])
            cents = sum(line["quantity"] * line["price_minor"] for line in event["products"])
            total.update(orders=1, units=units, cents=cents)
        else:
            total["carts" if event["event"] == "add_to_cart" else "views"] += 1


def events(seed: int, customers: int, after: int = 0) -> Iterator[Sent]:
    """Clicks, carts and orders of Zipf-ish customers, with duplicates and garbage, for ever.

    ``after`` is a number above all that were given before, where there were any.
    """
    chance = random.Random(seed + after)
    n = after
    while True:
        n += 1
        customer = f"c{int(customers * chance.random() ** 2)}"
        key = customer.encode()
        record: dict[str, object] = {
            "event_id": f"e{n}",
            "customer_id": customer,
            "timestamp": START + n * 40,
            "currency": "EUR",
        }
        drawn = chance.random()
        if drawn < 0.005:
            yield Sent("clicks", key, b'{"event_id": "broken')
        elif drawn < 0.15:
            lines = [
                {"product_id": f"p{chance.randrange(300)}", "price_minor": 995, "quantity": q}
                for q in range(1, chance.randint(2, 4))
            ]
            record |= {"event": "purchase", "order_id": f"o{n}", "products": lines}
            yield Sent("purchases", key, json.dumps(record).encode())
        else:
            action = "add_to_cart" if drawn < 0.25 else "view"
            record |= {"event": action, "product_id": f"p{chance.randrange(300)}"}
            click = Sent("clicks", key, json.dumps(record).encode())
            yield from [click] if drawn <= 0.99 else [click, click]


def with_new_customers(source: Iterator[Sent], after: int = 0) -> Iterator[Sent]:
    """The events, every tenth of them of a new customer: there is always someone to offer to.

    ``after`` is as for `events`.
    """
    for n, sent in enumerate(source, after):
        if n % NEW:
            yield sent
            continue
        with suppress(ValueError):
            new = f"new-{n}"  # and the event, which may have been a repetition
            record = json.loads(sent.value) | {"customer_id": new, "event_id": new}
            yield Sent(sent.topic, new.encode(), json.dumps(record).encode())


class Tide:
    """How much comes, and of whom: so many events a second, or a flood of ten times as many.

    Every second event of a flood is one customer's.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self.floods = False

    def rate(self) -> float:
        """Events a second, now."""
        return 10 * self._rate if self.floods else self._rate

    def of(self, source: Iterator[Sent]) -> Iterator[Sent]:
        """The events as they come in this tide."""
        for n, sent in enumerate(source):
            yield _hot(sent) if self.floods and n % 2 else sent


def _hot(sent: Sent) -> Sent:
    try:
        record = json.loads(sent.value)
    except ValueError:
        return sent
    record |= {"customer_id": "hot", "event_id": f"hot-{record['event_id']}"}
    return Sent(sent.topic, b"hot", json.dumps(record).encode())
