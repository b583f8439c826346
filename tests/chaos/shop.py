"""A shop's events for chaos, and the oracle: what they must come to, counted without our code."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

START = 1_760_000_000_000  # ms; October 2025, so that no event is from the future


class Sent(NamedTuple):
    """A record to publish."""

    topic: str
    key: bytes
    value: bytes


class Oracle:
    """Counts what stands in the input topics, whoever put it there and however often.

    Per customer: views, carts, orders, units and cents; of all records: what must become of them.
    """

    def __init__(self) -> None:
        self.totals: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.outcomes: Counter[str] = Counter(late=0, suppressed=0)
        self._seen: set[str] = set()

    def take(self, value: bytes) -> None:
        """Count one record of the input."""
        try:
            event = json.loads(value)
        except ValueError:
            self.outcomes["rejected"] += 1
            return
        if event["event_id"] in self._seen:
            self.outcomes["duplicate"] += 1
            return
        self._seen.add(event["event_id"])
        self.outcomes["applied"] += 1
        total = self.totals[event["customer_id"]]
        if event["event"] == "purchase":
            units = sum(line["quantity"] for line in event["products"])
            cents = sum(line["quantity"] * line["price_minor"] for line in event["products"])
            total.update(orders=1, units=units, cents=cents)
        else:
            total["carts" if event["event"] == "add_to_cart" else "views"] += 1


def events(seed: int, customers: int) -> Iterator[Sent]:
    """Clicks, carts and orders of Zipf-ish customers, with duplicates and garbage, for ever."""
    chance = random.Random(seed)
    n = 0
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
