"""What is kept, offered and learned, compared with what an oracle counts in the input."""

from __future__ import annotations

import json
from collections import Counter

from stream.broker.records import Record
from stream.broker.whole import read_topic
from stream.codec.offers import is_recall
from stream.config import Settings
from stream.insight.changelog import Customers, read_customers
from tests.chaos.shop import Oracle
from tests.lessons import publications

WRONG = (
    "lost", "double_counted", "miscounted", "missing_offers", "conflicting_offers", "mislearned",
)  # fmt: skip


def compared(oracle: Oracle, kept: dict[str, dict[str, int]]) -> dict[str, int]:
    """What customers' records lack, and what they have too much."""
    lost = doubled = 0
    for name in oracle.totals.keys() | kept.keys():
        differences = Counter(kept.get(name, {}))
        differences.subtract(oracle.totals[name])
        lost -= sum(n for n in differences.values() if n < 0)
        doubled += sum(n for n in differences.values() if n > 0)
    return {"events": oracle.outcomes.total(), "lost": lost, "double_counted": doubled}


def judged(settings: Settings) -> dict[str, int]:
    """All figures; those of :data:`WRONG` are zero where nothing is wrong."""
    oracle, customers = Oracle.of(settings), read_customers(settings)
    result = compared(oracle, {name: found(customers, name) for name in customers.states})
    counts: Counter[str] = Counter()
    for ledger in customers.ledgers:
        counts.update(ledger.counts)
    result["miscounted"] = sum(abs(counts[name] - n) for name, n in oracle.outcomes.items())
    if result["miscounted"]:
        print(f"counted {dict(counts)}, expected {dict(oracle.outcomes)}", flush=True)
    return result | offered(settings, customers) | {"mislearned": mislearned(settings)}


def offered(settings: Settings, customers: Customers) -> dict[str, int]:
    """Whether each offer that a record tells of is there, and has one content."""
    contents: dict[str, set[bytes]] = {}
    offers: Counter[str] = Counter()
    total = 0

    def take(record: Record) -> None:
        nonlocal total
        if is_recall(record.value or b""):
            return
        total += 1
        offer = json.loads(record.value or b"{}")
        if offer["offer_id"] not in contents:
            offers[offer["customer_id"]] += 1
        contents.setdefault(offer["offer_id"], set()).add(record.value or b"")

    read_topic(settings, settings.topics.offers, settings.partitions, take)
    made = {name: state.delivery.offers for name, state in customers.states.items()}
    return {
        "offers": len(contents),
        "missing_offers": sum(abs(n - offers[name]) for name, n in made.items()),
        "conflicting_offers": sum(len(different) > 1 for different in contents.values()),
        "duplicate_offers": total - len(contents),
    }


def mislearned(settings: Settings) -> int:
    """How many examples the published models have learned too few or too many, at the worst."""
    return max((abs(one.learned - one.taught) for one in publications(settings)), default=0)


def found(customers: Customers, name: str) -> dict[str, int]:
    """What a customer's record says."""
    p = customers.states[name].profile
    cents = dict(p.spent).get("EUR", 0)
    return {
        "views": p.views,
        "carts": p.carts,
        "orders": p.orders,
        "units": p.units,
        "cents": cents,
    }
