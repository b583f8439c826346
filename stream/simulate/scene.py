"""What the demo shows: one frozen value, from which every display is drawn.

Rules: a scene holds plain numbers and words, so that drawing needs no engine; rates are per second
of wall time, shares lie in [0, 1], money is in minor units, times from event to offer are in
seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan, nan, sqrt
from typing import Any, NamedTuple

import numpy as np

from stream.simulate.shop import Books, Counts


class Suggestion(NamedTuple):
    """One item of an offer, in words."""

    name: str
    reason: str
    score: float
    price: int


class ShownOffer(NamedTuple):
    """An offer as people read it; ``discount`` in percent."""

    customer: str
    segment: str
    campaign: str
    discount: int
    items: tuple[Suggestion, ...]


class SeenSegment(NamedTuple):
    """A group of customers and what sets it apart."""

    number: int
    words: str


class ModelScores(NamedTuple):
    """How well the models predict, before they learn; the last number of each is the latest."""

    labels: int = 0
    auc: tuple[float, ...] = ()
    log_loss: tuple[float, ...] = ()
    calibration: float = nan
    pairs: int = 0
    true_pairs: int = 0


class ShopperGroup(NamedTuple):
    """Customers who may get offers, or who are held out: what they did."""

    customers: int = 0
    visits: int = 0
    orders: int = 0
    revenue: int = 0


class Uplift(NamedTuple):
    """Orders a visit of those with offers less those held out, with a 95 % interval."""

    offered: ShopperGroup = ShopperGroup()
    held_out: ShopperGroup = ShopperGroup()
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0


class Answers(NamedTuple):
    """What shoppers made of their offers."""

    seen: int = 0
    clicked: int = 0
    dismissed: int = 0
    orders: int = 0
    unwanted: int = 0


class Scene(NamedTuple):
    """A moment of the demo.

    ``now`` is the shop's time in ms; ``counts`` are the engine's, by outcome and reason.
    """

    seconds: float = 0.0
    of: float = 30.0
    now: int = 0
    warming: bool = True
    customers: int = 0
    items: int = 0
    refused_consent: int = 0
    events: int = 0
    event_rates: tuple[float, ...] = ()
    offers: int = 0
    offer_rates: tuple[float, ...] = ()
    latest: tuple[ShownOffer, ...] = ()
    segments: tuple[SeenSegment, ...] = ()
    learning: ModelScores = ModelScores()
    p50: float | None = None
    p99: float | None = None
    counts: Mapping[str, int] = {}
    answers: Answers = Answers()
    effect: Uplift = Uplift()

    def reasons(self, prefix: str) -> list[tuple[str, int]]:
        """The counts under a prefix (``denied``, ``rejected``), the largest first.

        >>> Scene(counts={"denied:consent": 2, "denied:holdout": 5}).reasons("denied")
        [('holdout', 5), ('consent', 2)]
        """
        found = [
            (name.partition(":")[2], count)
            for name, count in self.counts.items()
            if name.startswith(prefix + ":") and count
        ]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def shown(offer: Mapping[str, Any], names: Mapping[str, str]) -> ShownOffer:
    """Put an offer (JSON per ``schemas/``) into words; ``names`` are of the items, by id."""
    segment = offer.get("segment") or {}
    return ShownOffer(
        customer=offer["customer_id"],
        segment="" if not segment else f"segment {segment['id'] + 1}",
        campaign=offer["campaign_id"],
        discount=offer["discount_percent"],
        items=tuple(_suggestion(item, names) for item in offer["items"]),
    )


def segments(names: Sequence[str]) -> tuple[SeenSegment, ...]:
    """Number the models' names of segments from 1; one that there is not has no name."""
    return tuple(SeenSegment(number, words) for number, words in enumerate(names, 1) if words)


def effect(before: Books, after: Books, offered: Counts, held_out: Counts) -> Uplift:
    """Compare orders a visit between two groups of customers, given by number.

    The variance of a ratio of sums over customers is by linearisation, since visits of one customer
    are alike (Deng, Knoblich and Lu, KDD 2018).
    """
    visits, orders = after.visits - before.visits, after.orders - before.orders
    revenue = after.revenue - before.revenue
    groups, rates, variance = [], [], 0.0
    for who in (offered, held_out):
        total = int(visits[who].sum())
        rate = orders[who].sum() / total if total else 0.0
        spread = float(np.square(orders[who] - rate * visits[who]).sum())
        variance += spread / total**2 if total else 0.0
        rates.append(float(rate))
        groups.append(
            ShopperGroup(len(who), total, int(orders[who].sum()), int(revenue[who].sum()))
        )
    difference, margin = rates[0] - rates[1], 1.96 * sqrt(variance)
    return Uplift(groups[0], groups[1], difference, difference - margin, difference + margin)


def answers(books: Books) -> Answers:
    """Sum up what shoppers made of their offers."""
    return Answers(
        seen=int(books.impressions.sum()),
        clicked=int(books.offer_clicks.sum()),
        dismissed=int(books.dismissals.sum()),
        orders=int(books.offer_orders.sum()),
        unwanted=int(books.unwanted.sum()),
    )


def as_json(scene: Scene) -> dict[str, Any]:
    """The scene as JSON-ready values, for machines."""
    last = scene.learning
    told = {
        "seconds": round(scene.seconds, 1),
        "customers": scene.customers,
        "items": scene.items,
        "refused_consent": scene.refused_consent,
        "events": scene.events,
        "events_per_second": round(scene.event_rates[-1], 1) if scene.event_rates else 0.0,
        "offers": scene.offers,
        "event_to_offer_seconds": {"p50": scene.p50, "p99": scene.p99},
        "counts": dict(sorted(scene.counts.items())),
        "segments": [segment._asdict() for segment in scene.segments],
        "learning": {
            "labels": last.labels,
            "auc": last.auc[-1] if last.auc else None,
            "log_loss": last.log_loss[-1] if last.log_loss else None,
            "calibration_ratio": None if isnan(last.calibration) else last.calibration,
            "pairs": last.pairs,
            "true_pairs": last.true_pairs,
        },
        "answers": scene.answers._asdict(),
        "effect": {
            "offered": scene.effect.offered._asdict(),
            "held_out": scene.effect.held_out._asdict(),
            "orders_a_visit_difference": scene.effect.difference,
            "interval_95": [scene.effect.low, scene.effect.high],
        },
    }
    latest = [
        offer._asdict() | {"items": [item._asdict() for item in offer.items]}
        for offer in scene.latest
    ]
    return told | {"latest_offers": latest}


def _suggestion(item: Mapping[str, Any], names: Mapping[str, str]) -> Suggestion:
    reason, because = item["reason"], item.get("because")
    if because is not None:
        reason = reason.replace(because, names.get(because, because))
    return Suggestion(
        name=names.get(item["product_id"], item["product_id"]),
        reason=reason,
        score=item["score"],
        price=item.get("price_minor", 0),
    )
