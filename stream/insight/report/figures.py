"""The figures of a report, from what was gathered.

Rules
-----
- A purchase is put down to the offers that its customer saw, with an item of it, within the
  attribution window before: all to the last, to the first, or the same to each (``core.credit``).
  Where nobody reports impressions at all, offers count as seen when they were made.
- The lift over holdout goes by customers, whether an offer reached them or not: who visited in the
  period and may be made offers, from the first visit on. What they spent before is taken out
  (CUPED).
- Intervals are confidence sequences: they hold at every look.
- P(purchase) is of who sees an item, so it is held to what was bought only of offers that were
  reported as seen.
- A figure with too little behind it is None, never a guess.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from stream.config import Settings
from stream.decide.policy import CONTROL, TREATED, arm_of
from stream.domain.event import Response
from stream.insight.report.decisions import decisions
from stream.insight.report.fairness import fairness
from stream.insight.report.gather import Gathered, MadeOffer, by_customer
from stream.insight.report.variants import variants
from stream.models.base.metrics import auc, log_loss
from stream.models.experiments.credit import shares
from stream.models.experiments.guardrail import stops
from stream.models.experiments.moments import Moments
from stream.models.experiments.ratio import is_mismatch
from stream.models.experiments.sequences import Interval, difference

DAY: Final = 86_400_000
FEWEST: Final = 10  # purchases behind a figure of the model
BINS: Final = 10
TOP: Final = 10
_SHOWN = Response.IMPRESSION


class ReportPeriod(NamedTuple):
    """What a report is about: ms since the epoch, the end included."""

    start: int
    end: int


def report(facts: Gathered, settings: Settings, since: float | None) -> dict[str, Any]:
    """Return a report as plain values.

    Parameters
    ----------
    facts
        What was gathered.
    settings
        Of the log.
    since
        Seconds to look back from the latest event on; None for all there is.
    """
    start = 0 if since is None else facts.end - round(since * 1000)
    period = ReportPeriod(start, facts.end)
    offers = {key: made for key, made in facts.offers.items() if made.issued >= start}
    touches = _touches(facts, offers)
    groups = _groups(facts, offers, touches, settings)
    return {
        "from": _first(facts, start),
        "until": facts.end,
        "currency": settings.core.currency,
        "credit": settings.core.credit,
        "attribution_seconds": settings.core.attribution,
        "seen_by": "impressions" if facts.seen[_SHOWN] else "emissions",
        "funnel": _sum(groups),
        "campaigns": [
            {"campaign": campaign, "arm": arm, **group}
            for (campaign, arm), group in sorted(groups.items())
        ],
        "variants": variants(facts, offers, settings.core.attribution * 1000),
        "segments": _segments(facts, offers, touches),
        "experiment": _experiment(facts, settings, period),
        "decisions": decisions(facts, start, settings.core.session_gap),
        "fairness": _fairness(facts, offers, settings, start),
        "suppressed": dict(_counted(facts.counts, "denied:")),
        "left_out": dict(_counted(facts.counts, "left_out:")),
        "events": {name: n for name, n in sorted(facts.counts.items()) if ":" not in name},
        "model": _model(facts, offers, touches, settings),
        "rules": _rules(facts),
        "days": _days(facts, offers, period),
    }


def _first(facts: Gathered, start: int) -> int:
    times = [min(facts.visits[1], default=facts.end), facts.end]
    times += [order.time for order in facts.orders[:1]]
    return max(start, min(times))


def _touches(facts: Gathered, offers: Mapping[str, MadeOffer]) -> dict[str, int]:
    """When each offer was seen."""
    shown = facts.seen[_SHOWN]
    if shown:
        return {key: shown[key] for key in offers if key in shown}
    return {key: made.issued for key, made in offers.items()}


Group = dict[str, float]


def _empty() -> Group:
    names = ("offers", "shown", "clicked", "dismissed", "converted", "revenue_minor")
    return dict.fromkeys(names, 0)


def _groups(
    facts: Gathered, offers: Mapping[str, MadeOffer], touches: Mapping[str, int], settings: Settings
) -> dict[tuple[str, str], Group]:
    """The funnel of each campaign and arm."""
    groups: defaultdict[tuple[str, str], Group] = defaultdict(_empty)
    names = {_SHOWN: "shown", Response.CLICK: "clicked", Response.DISMISS: "dismissed"}
    for key, made in offers.items():
        group = groups[made.campaign, made.arm]
        group["offers"] += 1
        for response, name in names.items():
            group[name] += key in facts.seen[response]
    window, credit = settings.core.attribution * 1000, settings.core.credit
    mine = by_customer({key: offers[key] for key in touches})
    for order in facts.orders:
        near = [made for made in mine.get(order.customer, ()) if set(made.items) & set(order.items)]
        times = [touches[made.offer_id] for made in near]
        for made, share in zip(near, shares(times, order.time, window, credit), strict=True):
            groups[made.campaign, made.arm]["converted"] += share
        for item, money in order.items.items():
            those = [made for made in near if item in made.items]
            times = [touches[made.offer_id] for made in those]
            for made, share in zip(those, shares(times, order.time, window, credit), strict=True):
                groups[made.campaign, made.arm]["revenue_minor"] += share * money
    return dict(groups)


def _sum(groups: Mapping[Any, Group]) -> Group:
    total = _empty()
    for group in groups.values():
        for name, count in group.items():
            total[name] += count
    return total


def _segments(
    facts: Gathered, offers: Mapping[str, MadeOffer], touches: Mapping[str, int]
) -> list[dict[str, Any]]:
    made = Counter(offer.segment for offer in offers.values())
    seen = Counter(offers[key].segment for key in touches)
    clicked = Counter(offers[key].segment for key in facts.seen[Response.CLICK] if key in offers)
    found = []
    for segment, customers in sorted(facts.segments.items(), key=lambda pair: str(pair[0])):
        name = "" if segment is None else str(segment)
        found.append(
            {
                "segment": segment,
                "customers": customers,
                "offers": made[name],
                "shown": seen[name],
                "clicked": clicked[name],
            }
        )
    return found


def _counted(counts: Mapping[str, int], what: str) -> Iterator[tuple[str, int]]:
    """What was counted by reason, the commonest first."""
    found = {name.partition(":")[2]: n for name, n in counts.items() if name.startswith(what)}
    return iter(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _experiment(facts: Gathered, settings: Settings, period: ReportPeriod) -> dict[str, Any] | None:
    """Offers against holdout, by customers; None where nobody is held out."""
    policy = settings.core.policy
    if not policy.holdout:
        return None
    first: dict[str, int] = {}
    for who, when in zip(*facts.visits, strict=True):
        if when >= period.start and who not in facts.refused:
            first[who] = min(first.get(who, when), when)
    bought: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    before: Counter[str] = Counter()
    for order in facts.orders:
        begun = first.get(order.customer)
        if begun is None:
            continue
        money = sum(order.items.values())
        if order.time >= begun:
            bought[order.customer] += 1
            spent[order.customer] += money
        elif order.time < period.start:
            before[order.customer] += money
    arms: dict[str, list[str]] = {TREATED: [], CONTROL: []}
    for who in first:
        arms[arm_of(who, settings.core.seed, policy)].append(who)
    metrics = {
        arm: {
            "conversion": Moments.of([min(bought[w], 1) for w in members], _log(before, members)),
            "revenue_minor": Moments.of([spent[w] for w in members], _log(before, members)),
        }
        for arm, members in arms.items()
    }
    counts = [len(arms[CONTROL]), len(arms[TREATED])]
    stopped = stops(metrics, CONTROL)
    return {
        "arms": {
            arm: {
                "customers": len(members),
                "conversion": metrics[arm]["conversion"].mean if members else None,
                "revenue_minor": metrics[arm]["revenue_minor"].mean if members else None,
            }
            for arm, members in arms.items()
        },
        "lift": {
            name: _told(difference(metrics[TREATED][name], metrics[CONTROL][name]))
            for name in ("conversion", "revenue_minor")
        },
        "sample_ratio_mismatch": is_mismatch(counts, [policy.holdout, 1.0 - policy.holdout]),
        "guardrail": [str(stop) for stop in stopped],
    }


def _fairness(
    facts: Gathered, offers: Mapping[str, MadeOffer], settings: Settings, start: int
) -> list[dict[str, Any]]:
    core = settings.core
    visitors = {
        who
        for who, when in zip(*facts.visits, strict=True)
        if when >= start and who not in facts.refused
    }
    mine = {who for who in visitors if arm_of(who, core.seed, core.policy) != CONTROL}
    treated = {
        "offer": {made.customer for made in offers.values()},
        "incentive": {made.customer for made in offers.values() if made.incentive},
    }
    return fairness(facts.groups, sorted(mine), treated, core.fairness_least)


def _log(before: Mapping[str, int], members: list[str]) -> list[float]:
    return [math.log1p(max(before.get(who, 0), 0)) for who in members]


def _told(interval: Interval) -> dict[str, Any]:
    bounded = math.isfinite(interval.low)
    return {
        "estimate": interval.estimate if bounded else None,
        "interval": [interval.low, interval.high] if bounded else None,
        "excludes_zero": interval.excludes_zero,
    }


def _model(
    facts: Gathered, offers: Mapping[str, MadeOffer], touches: Mapping[str, int], settings: Settings
) -> dict[str, Any]:
    """How well P(purchase) of what was seen came true."""
    times: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for order in facts.orders:
        for item in order.items:
            times[order.customer, item].append(order.time)
    window = settings.core.attribution * 1000
    scores, labels = [], []
    for key, touch in touches.items() if facts.seen[_SHOWN] else ():
        made = offers[key]
        for item, score in zip(made.items, made.scores, strict=True):
            bought = times.get((made.customer, item), [])
            at = bisect_left(bought, touch)
            scores.append(score)
            labels.append(at < len(bought) and bought[at] - touch <= window)
    p, y = np.array(scores, np.float64), np.array(labels, np.float64)
    purchases = int(y.sum())
    enough = FEWEST <= purchases < len(y)
    return {
        "items_seen": len(y),
        "bought": purchases,
        "auc": auc(y, p) if enough else None,
        "log_loss": log_loss(y, p) if enough else None,
        "predicted": float(p.mean()) if len(p) else None,
        "observed": float(y.mean()) if len(y) else None,
        "calibration_ratio": float(p.sum()) / purchases if enough else None,
        "bins": _bins(p, y) if enough else [],
    }


def _bins(p: Any, y: Any) -> list[dict[str, float]]:
    """Predicted and observed in parts of equal size, from the lowest prediction on."""
    parts = np.array_split(np.argsort(p, kind="stable"), BINS)
    return [
        {"predicted": float(p[part].mean()), "observed": float(y[part].mean()), "items": len(part)}
        for part in parts
        if len(part)
    ]


def _rules(facts: Gathered) -> dict[str, Any]:
    def weight(rule: Mapping[str, Any]) -> float:
        value = rule.get("lift", 0.0)
        return float(value) if isinstance(value, int | float) else 0.0

    return {"count": len(facts.rules), "top": sorted(facts.rules, key=weight, reverse=True)[:TOP]}


def _days(
    facts: Gathered, offers: Mapping[str, MadeOffer], period: ReportPeriod
) -> list[dict[str, int]]:
    """What happened on each day."""
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for made in offers.values():
        found[made.issued // DAY]["offers"] += 1
    for response, name in ((_SHOWN, "shown"), (Response.CLICK, "clicked")):
        for key, time in facts.seen[response].items():
            if key in offers:
                found[time // DAY][name] += 1
    for order in facts.orders:
        if order.time >= period.start:
            found[order.time // DAY]["orders"] += 1
    names = ("offers", "shown", "clicked", "orders")
    return [{"day": day * DAY} | {n: found[day][n] for n in names} for day in sorted(found)]
