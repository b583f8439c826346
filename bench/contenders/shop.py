"""The whole job as one would write it with river and a dictionary, for all others alike.

A customer's record is a plain dictionary. A view or cart waits with its features until it leaves
the list of the last eight (not bought) or is put into the cart (wanted), and is learned then by
``StandardScaler | LogisticRegression``; a session's first event moves the customer's vector in
``StandardScaler | KMeans``; items of a session are counted together in a dictionary. The first
event after half an hour without an offer is a full decision: some 40 candidates, scored one by one.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any, TypeAlias

from river import cluster, linear_model, preprocessing

from bench.told import OFFER_GAP_MS

Record: TypeAlias = dict[str, Any]
Features: TypeAlias = dict[str, float]

RECENT, WAITING, WINDOW, NEIGHBOURS, SLATE = 20, 8, 10, 12, 4
_FIELDS: dict[str, type] = {
    "event_id": str, "customer_id": str, "timestamp": int, "event": str, "product_id": str,
    "price_minor": int, "currency": str, "category": str, "brand": str, "quantity": int,
    "session_id": str,
}  # fmt: skip


class Shop:
    """The models, and what is done with one click."""

    def __init__(self) -> None:
        self._wants = preprocessing.StandardScaler() | linear_model.LogisticRegression()
        self._segments = preprocessing.StandardScaler() | cluster.KMeans(n_clusters=8, seed=7)
        self._together: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._items: dict[str, tuple[int, str]] = {}

    def take(self, customer: Record, click: Mapping[str, Any]) -> tuple[Record, Record | None]:
        """The customer's record after a click, and the offer if it was time for one."""
        self._items[click["product_id"]] = (click["price_minor"], click["category"])
        self._label(customer, click)
        customer = _profiled(customer, click)
        self._learn_session(customer, click)
        now = click["timestamp"]
        if now - customer.get("offered", 0) < OFFER_GAP_MS:
            return customer, None
        offer = self._offer(customer, click)
        customer["offered"] = now
        return customer, offer

    def _label(self, customer: Record, click: Mapping[str, Any]) -> None:
        waiting = customer.setdefault("waiting", [])
        item = click["product_id"]
        if click["event"] == "add_to_cart":
            for known, x in waiting:
                if known == item:
                    self._wants.learn_one(x, True)
            waiting[:] = [pair for pair in waiting if pair[0] != item]
        if all(known != item for known, _ in waiting):
            waiting.append((item, self._features(customer, item, click["timestamp"])))
        while len(waiting) > WAITING:
            self._wants.learn_one(waiting.pop(0)[1], False)

    def _learn_session(self, customer: Record, click: Mapping[str, Any]) -> None:
        session, item = customer["session"], click["product_id"]
        if len(session) == 1:
            x = _portrait(customer)
            self._segments.learn_one(x)
            customer["segment"] = self._segments.predict_one(x)
        for other in session[-WINDOW - 1 : -1]:
            if other != item:
                self._together[item][other] += 1
                self._together[other][item] += 1

    def _offer(self, customer: Record, click: Mapping[str, Any]) -> Record:
        now = click["timestamp"]
        candidates = dict.fromkeys(reversed(customer["recent"]), "viewed_not_bought")
        for item in list(candidates)[:3]:
            for other, _ in self._together[item].most_common(NEIGHBOURS):
                candidates.setdefault(other, "viewed_together")
        scored = []
        for item, source in candidates.items():
            p = self._wants.predict_proba_one(self._features(customer, item, now)).get(True, 0.0)
            scored.append((p * self._items[item][0], p, item, source))
        scored.sort(key=lambda row: (-row[0], row[2]))
        return {
            "offer_id": f"{click['customer_id']}-{click['event_id']}",
            "customer_id": click["customer_id"],
            "segment": customer.get("segment"),
            "items": [
                {
                    "product_id": item,
                    "score": p,
                    "source": source,
                    "price_minor": self._items[item][0],
                }
                for _, p, item, source in scored[:SLATE]
            ],
            "issued_at": now,
            "expires_at": now + 3_600_000,
        }

    def _features(self, customer: Record, item: str, now: int) -> Features:
        price, category = self._items[item]
        recent = customer.get("recent", [])
        return {
            "price": math.log1p(price),
            "views": math.log1p(customer.get("views", 0)),
            "carts": math.log1p(customer.get("carts", 0)),
            "taste": customer.get("tastes", {}).get(category, 0.0),
            "seen": float(recent.count(item)),
            "age": math.log1p((now - customer.get("last", now)) / 1000),
            "cheaper": customer.get("log_price", 0.0) - math.log1p(price),
            "session": float(len(customer.get("session", []))),
        }


def check(click: Mapping[str, Any]) -> None:
    """See that a decoded click has its fields.

    Raises
    ------
    ValueError
        If not.
    """
    for name, kind in _FIELDS.items():
        if not isinstance(click.get(name), kind):
            raise ValueError(f"{name} is missing, or of another type")


def _profiled(customer: Record, click: Mapping[str, Any]) -> Record:
    cart = click["event"] == "add_to_cart"
    customer["views"] = customer.get("views", 0) + (not cart)
    customer["carts"] = customer.get("carts", 0) + cart
    log_price = customer.get("log_price", 0.0)
    customer["log_price"] = log_price + 0.1 * (math.log1p(click["price_minor"]) - log_price)
    tastes = {name: 0.98 * weight for name, weight in customer.get("tastes", {}).items()}
    tastes[click["category"]] = tastes.get(click["category"], 0.0) + (3.0 if cart else 1.0)
    customer["tastes"] = dict(sorted(tastes.items(), key=lambda pair: -pair[1])[:8])
    customer["recent"] = [*customer.get("recent", []), click["product_id"]][-RECENT:]
    if customer.get("session_id") != click["session_id"]:
        customer["session_id"], customer["session"] = click["session_id"], []
    customer["session"].append(click["product_id"])
    customer["last"] = click["timestamp"]
    return customer


def _portrait(customer: Record) -> Features:
    return {
        "views": math.log1p(customer["views"]),
        "carts": math.log1p(customer["carts"]),
        "log_price": customer["log_price"],
        "variety": float(len(customer["tastes"])),
        "taste": max(customer["tastes"].values()),
    }
