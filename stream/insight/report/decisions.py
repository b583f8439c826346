"""What the sampled decisions say: who was in which arm, what they were refused, what they bought.

Rules
-----
- Only moments of customers who may be made offers are of an arm.
- A visit ends when no moment follows for ``core.session_gap``.
- A customer bought if an order followed the first moment in the period.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from stream.decide.policy import CONTROL, TREATED
from stream.insight.report.gather import Gathered, SampledDecision


def decisions(facts: Gathered, start: int, gap: float) -> dict[str, Any] | None:
    """Return the part of a report that is about decisions; None if the log tells of none.

    Parameters
    ----------
    facts
        What was gathered.
    start
        Of the period, in ms since the epoch.
    gap
        Seconds without a moment that end a visit.
    """
    moments = sorted(m for m in facts.moments if m.time >= start)
    if not moments:
        return None
    arms: dict[str, list[SampledDecision]] = {TREATED: [], CONTROL: []}
    for moment in moments:
        if moment.arm:
            arms.setdefault(moment.arm, []).append(moment)
    orders: defaultdict[str, int] = defaultdict(int)  # the last of each customer
    for order in facts.orders:
        orders[order.customer] = max(orders[order.customer], order.time)
    return {
        "share": moments[-1].share,
        "customers": len({moment.customer for moment in moments}),
        "moments": len(moments),
        "not_allowed": sum(not moment.arm for moment in moments),
        "arms": {arm: _arm(told, orders, gap) for arm, told in arms.items()},
    }


def _arm(
    moments: Sequence[SampledDecision], orders: Mapping[str, int], gap: float
) -> dict[str, Any]:
    """The figures of one arm; moments are in the order of customer and time."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    visits = 0
    for who, when, *_ in moments:
        first.setdefault(who, when)
        visits += who not in last or when - last[who] > gap * 1000
        last[who] = when
    reasons = Counter(moment.reason for moment in moments if moment.reason)
    return {
        "customers": len(first),
        "visits": visits,
        "moments": len(moments),
        "offers": sum(not moment.reason for moment in moments),
        "bought": sum(orders.get(who, begun - 1) >= begun for who, begun in first.items()),
        "refused": dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
    }
