"""An oracle: what a history must come to, counted from its bytes in a few plain lines.

It shares no code with what it judges. It knows only what does not depend on the order across
topics, so it may be asked after any number of crashes; the history must hold no removal from a
cart, no erasure, nothing late and no flood.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

START = 1_760_000_000_000  # ms; October 2025: nothing is from the future
KEPT = 20


class Sent(NamedTuple):
    """A record to publish."""

    kind: str
    key: bytes
    value: bytes


@dataclass
class Account:
    """What one customer did."""

    views: int = 0
    carts: int = 0
    orders: int = 0
    refunds: int = 0
    units: int = 0
    dismissed: int = 0
    spent: Counter[str] = field(default_factory=Counter)
    touched: list[tuple[int, str, int]] = field(default_factory=list)
    bought: list[tuple[int, str]] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """The account in the words of `kept_of`."""
        return {
            "views": self.views,
            "carts": self.carts,
            "orders": self.orders,
            "refunds": self.refunds,
            "units": self.units,
            "dismissed": self.dismissed,
            "spent": dict(self.spent),
            "touched": sorted(self.touched)[-KEPT:],
            "bought": sorted(self.bought)[-KEPT:],
            "first": min(self.times),
            "last": max(self.times),
        }


def recount(history: Iterable[Sent]) -> tuple[dict[str, dict[str, Any]], Counter[str]]:
    """Every customer's account, and how many records have which outcome."""
    accounts: defaultdict[str, Account] = defaultdict(Account)
    seen: set[str] = set()
    outcomes: Counter[str] = Counter()
    for _, _, value in history:
        try:
            event = json.loads(value)
        except ValueError:
            outcomes["rejected"] += 1
            continue
        if event["event_id"] in seen:
            outcomes["duplicate"] += 1
            continue
        seen.add(event["event_id"])
        outcomes["applied"] += 1
        _add(accounts[event["customer_id"]], event)
    return {name: account.told() for name, account in accounts.items()}, outcomes


def _add(account: Account, event: dict[str, Any]) -> None:
    what, time = event.get("event"), event["timestamp"]
    account.times.append(time)
    if what in ("view", "add_to_cart"):
        carted = what == "add_to_cart"
        account.carts += carted
        account.views += not carted
        account.touched.append((time, event["product_id"], 1 + carted))
    elif what in ("purchase", "refund"):
        sign = 1 if what == "purchase" else -1
        account.orders += what == "purchase"
        account.refunds += what == "refund"
        for line in event["products"]:
            account.units += sign * line["quantity"]
            account.spent[event["currency"]] += sign * line["price_minor"] * line["quantity"]
            if what == "purchase":
                account.bought.append((time, line["product_id"]))


def kept_of(state: Any) -> dict[str, Any]:
    """What a customer's record says of the same."""
    profile, history = state.profile, state.history
    return {
        "views": profile.views,
        "carts": profile.carts,
        "orders": profile.orders,
        "refunds": profile.refunds,
        "units": profile.units,
        "dismissed": state.delivery.dismissed,
        "spent": dict(profile.spent),
        "touched": [(touch.time, touch.item_id, touch.weight) for touch in history.recent],
        "bought": [(time, item) for item, time in history.bought],
        "first": profile.first_seen,
        "last": profile.last_seen,
    }


def a_history(seed: int, size: int, customers: int = 300) -> Iterator[Sent]:
    """Clicks, carts, orders, refunds and responses, with repetitions and garbage among them."""
    chance = random.Random(seed)
    lately: list[Sent] = []
    for n in range(size):
        drawn = chance.random()
        if drawn < 0.02:
            yield Sent("clicks", b"c%d" % chance.randrange(customers), b'{"event_id": "cut')
            continue
        if drawn < 0.05 and lately:
            yield chance.choice(lately)
            continue
        lately = [*lately[-15:], _an_event(n, chance, f"c{chance.randrange(customers)}")]
        yield lately[-1]


def _an_event(n: int, chance: random.Random, customer: str) -> Sent:
    event: dict[str, Any] = {
        "event_id": f"e{n}",
        "customer_id": customer,
        "timestamp": START + n * 1_000 + chance.randrange(3) * 1_000,
    }
    item, drawn = f"p{chance.randrange(200)}", chance.random()
    if drawn < 0.70:
        kind = "clicks"
        action = "add_to_cart" if drawn < 0.15 else "view"
        event |= {"event": action, "product_id": item, "category": f"k{n % 7}"}
    elif drawn < 0.90:
        kind = "purchases"
        lines = [
            {"product_id": f"p{chance.randrange(200)}", "price_minor": 5 * k + 95, "quantity": k}
            for k in range(1, chance.randint(2, 4))
        ]
        traded = "refund" if drawn < 0.72 else "purchase"
        currency = chance.choice(["EUR", "EUR", "USD"])
        event |= {"event": traded, "order_id": f"o{n}", "currency": currency, "products": lines}
    elif drawn < 0.98:
        kind = "feedback"
        response = chance.choice(["impression", "click", "dismiss"])
        event |= {"event": response, "offer_id": f"of{n}"}
    else:
        kind = "customers"
        event |= {"traits": {"vip": True}}
    return Sent(kind, customer.encode(), json.dumps(event).encode())
