"""Trials of campaigns' variants: what each brought, which to try now, and which is stopped.

Rules
-----
- A trial is one customer with one variant for the attribution window. It is told when it begins;
  the customer's first purchase within it, and a dismissal, are told when they happen.
- Every trial counts with the inverse of its probability [1]_. So at any time the variants have
  begun as much, and neither purchases still to come nor a drift of the shop favour one of them.
- A segment's belief in a variant is held to that of all customers, as if by `HELD` trials more.
- A variant is stopped when the confidence sequence of its difference from the first says that it
  hurts: more dismissals, or fewer purchases that do not make up for it in money. It stays so.
- All is sums, in the order of what was told: equal logs give equal states. An edition, that is a
  campaign's variants as they were at a time, learns for itself; of too many the oldest gives way.

References
----------
.. [1] Dimakopoulou, Zhou, Athey and Imbens, "Balanced linear contextual bandits", AAAI 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.state import State, StateError, StateValue, array, length, texts
from stream.models.experiments.bandit import floored, likely_best
from stream.models.experiments.sequences import EVENTS, FEWEST, Interval, radius

Floats = npt.NDArray[np.float64]

PARTS: Final = 1 << 16  # a probability is a whole number of these parts
MOST: Final = 8  # variants of a campaign
EDITIONS: Final = 64  # learned at once
SEGMENTS: Final = 32  # of an edition; those of others count for all customers alone
HELD: Final = 100.0
ALPHA: Final = 0.05  # chance that any harmless variant of an edition is ever stopped
EXPECTED: Final = 5.0  # outcomes in the smaller of two variants, for their difference to count
MOST_ASKED: Final = 4_096  # answers that are kept
NOBODY: Final = -1
SPAN: Final = 0x7FF  # segments that a code can name
BEGUN, BOUGHT, DISMISSED = range(3)  # what is told of a trial
EVENLY, PURCHASES, REVENUE = range(3)  # by what is chosen
METRICS: Final = ("purchases", "dismissals")

# Of each variant: trials, their weights, and squares of these; the same of those that came to a
# purchase, and to a dismissal; weighted money, and weighted squares of it.
COUNT, BUYS, REFUSALS, SPENT, SQUARES, WIDTH = 0, 3, 6, 9, 10, 11
WEIGHT, WEIGHT_SQUARED = 1, 2  # behind each of the first three


class Code(NamedTuple):
    """What is kept of a trial with the customer, in 31 bits.

    Examples
    --------
    >>> Code.of(Code(7, 1_023, 1).packed), Code.of(Code(0, None, PARTS).packed)
    (Code(arm=7, segment=1023, parts=1), Code(arm=0, segment=None, parts=65536))
    """

    arm: int
    segment: int | None
    parts: int

    @property
    def packed(self) -> int:
        """The code as a number above 0."""
        segment = 0 if self.segment is None else self.segment + 1
        return (self.arm + 1) << 27 | segment << 16 | (self.parts - 1)

    @classmethod
    def of(cls, code: int) -> Self:
        """The trial of a code; its arm is -1 if it is none."""
        segment = (code >> 16 & SPAN) - 1
        arm = (code >> 27) - 1
        known = None if segment < 0 else segment
        return cls(arm if arm < MOST else NOBODY, known, (code & PARTS - 1) + 1)


class Stopped(NamedTuple):
    """A variant that hurts: on which metric, by how much a customer, after how many trials."""

    arm: int
    metric: str
    harm: Interval
    trials: int

    def words(self, name: str) -> str:
        """Say it of the variant of this name.

        >>> harm = Interval(0.05, 0.01, 0.09)
        >>> Stopped(1, "dismissals", harm, 900).words("red").partition(": ")[2]
        'it hurts dismissals, by 0.05 a customer (0.01 … 0.09)'
        """
        estimate, low, high = self.harm
        return (
            f"variant {name!r} is stopped after {self.trials:,} trials: it hurts {self.metric}, by "
            f"{estimate:.4g} a customer ({low:.4g} … {high:.4g})"
        )


class Edition:
    """What is known of a campaign's variants.

    Attributes
    ----------
    rows
        By segment, `NOBODY` for all others: float64 ``[MOST, WIDTH]``.
    begun
        Trials.
    next_look
        At how many the guardrail looks next.
    newest
        When the last of them began, in ms.
    stopped
        By variant.
    """

    def __init__(self) -> None:
        self.rows: dict[int, Floats] = {}
        self.begun = 0
        self.next_look = FEWEST
        self.newest = 0
        self.stopped: dict[int, Stopped] = {}

    def learn(self, code: Code, what: int, spent: int, time: int) -> None:
        """Learn what is told of a trial; see `Trials.learn`."""
        segment = NOBODY if code.segment is None else code.segment
        if segment not in self.rows and len(self.rows) >= SEGMENTS:
            segment = NOBODY
        row = self.rows.get(segment)
        if row is None:
            row = self.rows[segment] = np.zeros((MOST, WIDTH))
        sums, weight = row[code.arm], PARTS / code.parts
        first = (COUNT, BUYS, REFUSALS)[what]
        sums[first : first + 3] += (1.0, weight, weight * weight)
        if what == BOUGHT:
            sums[SPENT] += weight * spent
            sums[SQUARES] += weight * float(spent) * spent
        if what == BEGUN:
            self.begun += 1
            self.newest = max(self.newest, time)
            if self.begun >= self.next_look:
                self.next_look = self.begun + max(self.begun >> 5, 8)
                self._guard()

    @property
    def sums(self) -> Floats:
        """Of all customers, shape (MOST, WIDTH)."""
        total = np.zeros((MOST, WIDTH))
        for segment in sorted(self.rows):
            total += self.rows[segment]
        return total

    def odds(self, arms: int, segment: int | None, floor: float, goal: int) -> tuple[int, ...]:
        """The probability of each variant for the customers of a segment, in `PARTS`."""
        live = [arm for arm in range(arms) if arm not in self.stopped]
        chances = np.full(len(live), 1.0 / len(live))
        if goal != EVENLY and len(live) > 1:
            means, spreads = self._beliefs(segment, goal, live)
            chances = likely_best(means[None], spreads[None])[0]
            chances = floored(chances, min(floor, 1.0 / len(live)))
        parts = [max(math.floor(chance * PARTS), 1) for chance in chances.tolist()]
        parts[parts.index(max(parts))] += PARTS - sum(parts)
        found = [0] * arms
        for arm, part in zip(live, parts, strict=True):
            found[arm] = part
        return tuple(found)

    def _beliefs(self, segment: int | None, goal: int, live: list[int]) -> tuple[Floats, Floats]:
        """The mean of each variant for a segment, and the standard deviation of the belief."""
        means, size, variance = _seen(self.sums[live], goal)
        weight = max(float(size.sum()), 1.0)
        centre = float((means * size).sum()) / weight
        means = (means * size + centre) / (size + 1.0)
        spreads = variance / (size + 1.0)
        row = self.rows.get(NOBODY if segment is None else segment)
        if segment is not None and row is not None and len(self.rows) > 1:
            own, n, _ = _seen(row[live], goal)
            share = HELD / (n + HELD)
            means = own * (1.0 - share) + means * share
            spreads = variance / (n + HELD) + share * share * spreads
        return means, np.sqrt(spreads)

    def _guard(self) -> None:
        """Stop the variants that hurt."""
        sums = self.sums
        tried = [arm for arm in range(1, MOST) if sums[arm, COUNT] > 0]
        level = ALPHA / max(len(METRICS) * len(tried), 1)
        for arm in tried:
            if arm in self.stopped:
                continue
            less = difference(sums[arm], sums[0], BUYS, self.begun, level)
            more = difference(sums[arm], sums[0], REFUSALS, self.begun, level)
            if less.high < 0.0 and sums[arm, SPENT] <= sums[0, SPENT]:
                self.stopped[arm] = Stopped(arm, METRICS[0], less, self.begun)
            elif more.low > 0.0:
                self.stopped[arm] = Stopped(arm, METRICS[1], more, self.begun)


def difference(tried: Floats, control: Floats, first: int, trials: int, alpha: float) -> Interval:
    """How many more of a variant's customers do something than of the control's, at every look.

    Parameters
    ----------
    tried, control
        Sums of the two, shape (WIDTH,).
    first
        `BUYS` or `REFUSALS`.
    trials
        Of all variants.
    alpha
        Chance to miss the truth at any look.

    Notes
    -----
    The variance is that of variants that do not differ, or the one seen if it is larger: where a
    rare variant has had no purchase by chance, the one seen knows nothing of what it may bring.
    """
    estimate = (tried[first + WEIGHT] - control[first + WEIGHT]) / max(trials, 1)
    none = Interval(float(estimate), -math.inf, math.inf)
    fewest = min(tried[COUNT], control[COUNT])
    if fewest < FEWEST or tried[first] + control[first] < EVENTS:
        return none
    weights = tried[COUNT + WEIGHT] + control[COUNT + WEIGHT]
    rate = (tried[first + WEIGHT] + control[first + WEIGHT]) / weights
    if rate * fewest < EXPECTED:
        return none
    alike = rate * (tried[COUNT + WEIGHT_SQUARED] + control[COUNT + WEIGHT_SQUARED])
    seen = tried[first + WEIGHT_SQUARED] + control[first + WEIGHT_SQUARED]
    half = radius(trials, float(max(alike, seen)) / trials, alpha)
    return Interval(float(estimate), float(estimate) - half, float(estimate) + half)


def _seen(sums: Floats, goal: int) -> tuple[Floats, Floats, float]:
    """Of each variant the mean reward and the effective number of trials; the pooled variance."""
    weights, squares = sums[:, COUNT + WEIGHT], sums[:, COUNT + WEIGHT_SQUARED]
    reward = sums[:, BUYS + WEIGHT] if goal == PURCHASES else sums[:, SPENT]
    square = sums[:, BUYS + WEIGHT] if goal == PURCHASES else sums[:, SQUARES]
    size = weights * weights / np.maximum(squares, 1.0)
    means = reward / np.maximum(weights, 1.0)
    total = max(float(weights.sum()), 1.0)
    variance = float(square.sum()) / total - (float(reward.sum()) / total) ** 2
    return means, size, max(variance, 1e-12) if reward.any() else 1.0


class Trials:
    """The trials of all campaigns.

    Examples
    --------
    >>> trials = Trials()
    >>> for n in range(400):
    ...     code = Code(n % 2, None, PARTS // 2)
    ...     trials.learn("spring", 1, code.packed, BEGUN, 0, n)
    ...     if n % 8 == 1:
    ...         trials.learn("spring", 1, code.packed, BOUGHT, 900, n)
    >>> [round(part / PARTS, 2) for part in trials.odds("spring", 1, 2, None, 0.05, PURCHASES)]
    [0.05, 0.95]
    >>> trials.odds("spring", 2, 2, None, 0.05, PURCHASES)
    (32768, 32768)
    """

    def __init__(self) -> None:
        self.editions: dict[tuple[str, int], Edition] = {}
        self._odds: dict[tuple[Any, ...], tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self.editions)

    def learn(
        self, campaign_id: str, edition: int, code: int, what: int, spent: int, time: int
    ) -> None:
        """Learn what is told of a trial.

        Parameters
        ----------
        campaign_id, edition
        code
            Of the trial, `Code.packed`.
        what
            `BEGUN`, `BOUGHT` or `DISMISSED`.
        spent
            With a purchase, in minor units.
        time
            In ms.
        """
        trial = Code.of(code)
        if trial.arm == NOBODY:
            return
        self._odds.clear()
        known = self.editions.get((campaign_id, edition))
        if known is None:
            if len(self.editions) >= EDITIONS:
                del self.editions[min(self.editions, key=lambda key: self.editions[key].newest)]
            known = self.editions[campaign_id, edition] = Edition()
        known.learn(trial, what, spent, time)

    def odds(
        self,
        campaign_id: str,
        edition: int,
        arms: int,
        segment: int | None,
        floor: float,
        goal: int,
    ) -> tuple[int, ...]:
        """The probability of each variant now, in `PARTS`, of which they are the whole.

        Parameters
        ----------
        campaign_id, edition
        arms
            Variants, `MOST` at most.
        segment
            The customer's.
        floor
            Least probability of a variant that is not stopped.
        goal
            `EVENLY`, or by the mean of `PURCHASES` or of `REVENUE` a trial.
        """
        asked = (campaign_id, edition, arms, segment, floor, goal)
        found = self._odds.get(asked)
        if found is None:
            if len(self._odds) >= MOST_ASKED:
                self._odds.clear()
            known = self.editions.get((campaign_id, edition)) or Edition()
            found = self._odds[asked] = known.odds(arms, segment, floor, goal)
        return found

    def stopped(self, campaign_id: str, edition: int) -> list[Stopped]:
        """The variants of an edition that are stopped."""
        known = self.editions.get((campaign_id, edition))
        return [] if known is None else list(known.stopped.values())

    def state(self) -> State:
        """Everything that was learned; nothing at all where that is nothing."""
        if not self.editions:
            return {}
        known = list(self.editions.values())
        rows = [(n, s) for n, one in enumerate(known) for s in one.rows]
        stops = [(n, stop) for n, one in enumerate(known) for stop in one.stopped.values()]
        return {
            "names": [name for name, _ in self.editions],
            "editions": np.array([edition for _, edition in self.editions], np.int64),
            "counts": np.array([(e.begun, e.next_look, e.newest) for e in known], np.int64),
            "rows": np.array(rows, np.int64),
            "sums": np.array([known[n].rows[segment] for n, segment in rows]),
            "stops": np.array(
                [(n, s.arm, METRICS.index(s.metric), s.trials) for n, s in stops], np.int64
            ).reshape(-1, 4),
            "harms": np.array([s.harm for _, s in stops], np.float64).reshape(-1, 3),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """The trials that ``state`` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        self = cls()
        if not state:
            return self
        names, n = texts(state, "names"), length(state, "editions")
        if not len(names) == n <= EDITIONS:
            raise StateError("names: not one of each edition, or too many")
        editions = array(state, "editions", np.int64, (n,)).tolist()
        counts = array(state, "counts", np.int64, (n, 3))
        rows = array(state, "rows", np.int64, (length(state, "rows"), 2))
        sums = array(state, "sums", np.float64, (len(rows), MOST, WIDTH))
        stops = array(state, "stops", np.int64, (length(state, "stops"), 4))
        harms = array(state, "harms", np.float64, (len(stops), 3)).tolist()
        if (
            (counts < 0).any()
            or not _within(rows, n, SPAN, NOBODY)
            or not _within(stops, n, MOST, 1)
        ):
            raise StateError("rows: of no edition, no segment, or no variant")
        known = [Edition() for _ in names]
        for one, count in zip(known, counts.tolist(), strict=True):
            one.begun, one.next_look, one.newest = count
        for (at, segment), row in zip(rows.tolist(), sums, strict=True):
            known[at].rows[segment] = row
        for (at, arm, metric, trials), harm in zip(stops.tolist(), harms, strict=True):
            if not 0 <= metric < len(METRICS):
                raise StateError("stops: of no metric")
            known[at].stopped[arm] = Stopped(arm, METRICS[metric], Interval(*harm), trials)
        self.editions = dict(zip(zip(names, editions, strict=True), known, strict=True))
        return self


def _within(pairs: npt.NDArray[np.int64], editions: int, most: int, least: int) -> bool:
    """Whether pairs, shape (n, 2 or more), name editions that there are, and what may be."""
    of, what = pairs[:, 0], pairs[:, 1]
    known = ((of >= 0) & (of < editions)).all() and ((what >= least) & (what < most)).all()
    return bool(known)
