"""What the variants of campaigns brought, from the probabilities on offers.

Rules
-----
- A trial begins with an offer that says so, and lasts for the attribution window. It came to a
  purchase if its customer bought anything within it, and to a dismissal if its offer was dismissed.
- Each variant's worth is estimated from the probabilities with which variants were chosen (self-
  normalised inverse propensity, `stream.models.experiments.offpolicy`), with an interval of 95 %:
  what a customer would bring if all got it. One look's interval: what is stopped goes by another.
- A variant is stopped if the campaign's newest offer says so.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stream.domain.event import Response
from stream.insight.report.gather import Gathered, MadeOffer, Way
from stream.models.experiments.offpolicy import PolicyValue, snips


def variants(
    facts: Gathered, offers: Mapping[str, MadeOffer], window: float
) -> list[dict[str, Any]]:
    """Return the variants of each campaign that has some.

    Parameters
    ----------
    facts
        What was gathered.
    offers
        Of the period, by their ids.
    window
        Of attribution, in ms.
    """
    by_campaign: defaultdict[str, list[tuple[MadeOffer, Way]]] = defaultdict(list)
    for made in sorted(offers.values(), key=lambda made: (made.issued, made.offer_id)):
        if made.way is not None:
            by_campaign[made.campaign].append((made, made.way))
    orders: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for order in facts.orders:
        orders[order.customer].append((order.time, sum(order.items.values())))
    return [
        {"campaign": name, **_campaign(facts, told, orders, window)}
        for name, told in sorted(by_campaign.items())
    ]


def _campaign(
    facts: Gathered,
    told: Sequence[tuple[MadeOffer, Way]],
    orders: Mapping[str, Sequence[tuple[int, int]]],
    window: float,
) -> dict[str, Any]:
    trials = [(made, way) for made, way in told if way.begins]
    first = [_first(orders.get(made.customer, ()), made.issued, window) for made, _ in trials]
    bought = np.array([money is not None for money in first], np.float64)
    spent = np.array([money or 0 for money in first], np.float64)
    logged = np.array([way.probability for _, way in trials], np.float64)
    dismissed = facts.seen[Response.DISMISS]
    stopped = told[-1][1].stopped
    found = []
    for name in sorted({way.name for _, way in told} | set(stopped)):
        chosen = np.array([float(way.name == name) for _, way in trials])
        mine = [made for made, way in trials if way.name == name]
        found.append(
            {
                "variant": name,
                "offers": sum(way.name == name for _, way in told),
                "trials": len(mine),
                "share": len(mine) / len(trials) if trials else None,
                "bought": int((bought * chosen).sum()),
                "dismissed": sum(made.offer_id in dismissed for made in mine),
                "purchases": _told(snips(bought, chosen, logged)),
                "revenue_minor": _told(snips(spent, chosen, logged)),
                "stopped": name in stopped,
            }
        )
    return {"trials": len(trials), "variants": found}


def _first(orders: Sequence[tuple[int, int]], since: int, window: float) -> int | None:
    """What the first order within the window after a time in ms came to; None if there is none."""
    at = bisect_left(orders, (since, -1))
    if at == len(orders) or orders[at][0] - since >= window:
        return None
    return orders[at][1]


def _told(value: PolicyValue) -> dict[str, float] | None:
    """An estimate a trial, with its interval; None where nothing is known."""
    low, high = value.interval
    if not math.isfinite(value.value):
        return None
    return {"value": value.value, "low": low, "high": high, "effective": value.effective}


def words(variant: Mapping[str, Any]) -> tuple[str, ...]:
    """A row of a table: trials, share, purchases, dismissals, the estimate, and its state."""
    trials, rate = variant["trials"], variant["purchases"]
    estimate = "–"
    if rate is not None:
        low, high = max(rate["low"], 0.0), min(rate["high"], 1.0)
        estimate = f"{rate['value']:.2%} ({low:.2%} … {high:.2%})"
    return (
        f"{trials:,}",
        "–" if variant["share"] is None else f"{variant['share']:.1%}",
        f"{variant['bought']:,}",
        f"{variant['dismissed']:,}",
        estimate,
        "stopped: it hurts" if variant["stopped"] else "",
    )
