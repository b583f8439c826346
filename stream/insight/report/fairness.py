"""Offers and incentives by declared groups: are any treated worse?

Rules
-----
- Those count who visited, may be made offers and are not held out; each once. A rate is the share
  of a group's customers who were made an offer, or one with an incentive.
- A group is compared with the one whose rate is highest. The parity difference is its rate less
  the other's; the ratio of the two is held against four fifths [1]_.
- Intervals are confidence sequences at a level that all pairs of groups share, so that it costs
  nothing to look at any time, nor to pick the highest.
- A group of fewer than ``core.fairness_least`` customers is not shown, and takes no part.

References
----------
.. [1] Uniform Guidelines on Employee Selection Procedures, 29 CFR 1607.4 (D), 1978.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from stream.models.experiments.moments import Moments
from stream.models.experiments.sequences import Interval, difference, radius

ALPHA: Final = 0.05
FOUR_FIFTHS: Final = 0.8
MOST: Final = 32
"""Values of one group that are shown: the largest."""

Rates = Mapping[str, Moments]


def fairness(
    groups: Mapping[str, Mapping[str, str]],
    customers: Collection[str],
    treated: Mapping[str, Collection[str]],
    least: int,
) -> list[dict[str, Any]]:
    """Return a report's part on fairness, a group after the other.

    Parameters
    ----------
    groups
        Of each group the value of each customer of whom it is known.
    customers
        Who could have been made an offer.
    treated
        Who was, by what: ``offer``, ``incentive``.
    least
        Customers of a value that is shown.
    """
    return [
        {"group": name, **_compared(values, customers, treated, least)}
        for name, values in groups.items()
    ]


def _compared(
    values: Mapping[str, str],
    customers: Collection[str],
    treated: Mapping[str, Collection[str]],
    least: int,
) -> dict[str, Any]:
    members: defaultdict[str, list[str]] = defaultdict(list)
    for who in customers:
        if who in values:
            members[values[who]].append(who)
    large = sorted((-len(some), value) for value, some in members.items() if len(some) >= least)
    shown = [value for _, value in large[:MOST]]
    rates = {
        what: {v: Moments.of([float(who in some) for who in members[v]]) for v in shown}
        for what, some in treated.items()
    }
    return {
        "not_shown": len(members) - len(shown),
        "values": [
            {
                "value": value,
                "customers": len(members[value]),
                **{what: _against_the_highest(value, each) for what, each in rates.items()},
            }
            for value in shown
        ],
    }


def _against_the_highest(value: str, rates: Rates) -> dict[str, Any]:
    """A group's rate, and how it stands to the highest; None where too few tell."""
    highest = max(rates, key=lambda name: (rates[name].mean, name))
    mine, theirs = rates[value], rates[highest]
    told: dict[str, Any] = {"rate": mine.mean, "highest": highest}
    if value == highest:
        return told | {"parity": None, "ratio": None, "below_four_fifths": False}
    level = ALPHA / (len(rates) * (len(rates) - 1) / 2)
    parity, ratio = difference(mine, theirs, level), _ratio(mine, theirs, level)
    bounded = math.isfinite(parity.low)
    return told | {
        "parity": _plain(parity) if bounded else None,
        "ratio": _plain(ratio) if bounded else None,
        "below_four_fifths": bounded and ratio.high < FOUR_FIFTHS,
    }


def _ratio(mine: Moments, theirs: Moments, level: float) -> Interval:
    """One rate over another, bounded by the sequences of both."""
    (low, high), (least, most) = (_bounds(rate, level / 2) for rate in (mine, theirs))
    estimate = mine.mean / theirs.mean if theirs.mean > 0 else math.inf
    return Interval(
        estimate, low / most if most > 0 else 0.0, high / least if least > 0 else math.inf
    )


def _bounds(rate: Moments, level: float) -> tuple[float, float]:
    smoothed = (rate.y + 1) / (rate.size + 2)  # of all alike the variance is not 0
    half = radius(rate.size, smoothed * (1 - smoothed), level)
    return max(rate.mean - half, 0.0), min(rate.mean + half, 1.0)


def _plain(found: Interval) -> dict[str, Any]:
    high = found.high if math.isfinite(found.high) else None
    return {"estimate": found.estimate, "interval": [found.low, high]}


def words(group: Mapping[str, Any]) -> list[tuple[str, Sequence[str]]]:
    """Each value of a group in words: customers, then rate and ratio of offers and incentives."""
    return [
        (
            one["value"],
            (
                f"{one['customers']:,}",
                *(text for what in ("offer", "incentive") for text in _told(one[what])),
            ),
        )
        for one in group["values"]
    ]


def _told(rate: Mapping[str, Any]) -> tuple[str, str]:
    share = f"{100 * rate['rate']:.1f} %"
    if rate["ratio"] is None:
        return share, "-"
    low, high = rate["ratio"]["interval"]
    end = "…" if high is None else f"{high:.2f}"
    mark = ", below four fifths" if rate["below_four_fifths"] else ""
    return share, f"{rate['ratio']['estimate']:.2f} ({low:.2f} … {end}){mark}"
