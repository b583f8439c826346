"""A shop's events for chaos, and the oracle: what they must come to, counted without our code."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

START = 1_760_000_000_000  # ms; October 2025, so that no event is from the future


class Sent(NamedTuple):
    """A record to publish."""

    topic: str
    key: bytes
    value: bytes


@dataclass
class Oracle:
    """Per customer, what must be in the record: views, carts, orders, units and cents."""

    totals: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    events: int = 0
    applied: int = 0
    duplicates: int = 0
    rejected: int = 0

    def click(self, customer: str, action: str) -> None:
        """Count a click."""
        self.applied += 1
        self.totals[customer]["carts" if action == "add_to_cart" else "views"] += 1

    def order(self, customer: str, units: int, cents: int) -> None:
        """Count an order."""
        self.applied += 1
        self.totals[customer].update(orders=1, units=units, cents=cents)


def events(seed: int, customers: int, oracle: Oracle) -> Iterator[Sent]:
    """Clicks, carts and orders of Zipf-ish customers, with duplicates and garbage, for ever."""
    chance = random.Random(seed)
    while True:
        oracle.events += 1
        n = oracle.events
        customer = f"c{int(customers * chance.random() ** 2)}"
        record = {
            "event_id": f"e{n}",
            "customer_id": customer,
            "timestamp": START + n * 40,
            "currency": "EUR",
        }
        drawn = chance.random()
        if drawn < 0.005:
            oracle.rejected += 1
            yield Sent("clicks", customer.encode(), b'{"event_id": "broken')
        elif drawn < 0.15:
            lines = [
                {"product_id": f"p{chance.randrange(300)}", "price_minor": 995, "quantity": q}
                for q in range(1, chance.randint(2, 4))
            ]
            units = sum(line["quantity"] for line in lines)  # type: ignore[misc]
            oracle.order(customer, units, units * 995)
            record |= {"event": "purchase", "order_id": f"o{n}", "products": lines}
            yield Sent("purchases", customer.encode(), json.dumps(record).encode())
        else:
            action = "add_to_cart" if drawn < 0.25 else "view"
            oracle.click(customer, action)
            record |= {"event": action, "product_id": f"p{chance.randrange(300)}"}
            click = Sent("clicks", customer.encode(), json.dumps(record).encode())
            yield click
            if drawn > 0.99:
                oracle.events += 1
                oracle.duplicates += 1
                yield click
