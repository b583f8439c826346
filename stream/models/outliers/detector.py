"""The outlier detector: three scores of one point, in units of what is usual, added up.

Rules
-----
- Scales, trees and what scores usually are come from points before; they are renewed when 32, 64,
  … 512 points have come, and later every 512.
- What they come from is a sample of the last twenty thousand points or so, drawn by a hash of their
  number.
- A text counts as how rare it is. What is missing, or is no finite number, counts as usual.
- Scoring changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from river import base

from stream.models.base.hashing import draws, feature_hash
from stream.models.base.state import (
    State,
    StateError,
    StateValue,
    array,
    integer,
    length,
    nested,
    part_of,
    texts,
)
from stream.models.outliers.halfspace import HalfSpaceTrees
from stream.models.outliers.isolation import IsolationTrees
from stream.models.outliers.robust import RobustScale, deviations, oddness, scale_of, squeezed

Floats = npt.NDArray[np.float64]

WINDOW: Final = 512
_FIRST: Final = 32
_RECENT: Final = 20_000
_RARE: Final = 2**14  # places for counts of texts
_FEATURES: Final = 256
_HUGE: Final = 1e30
_WEIGHTS: Final = np.array([1.0, 0.5, 0.5])  # of isolation trees, half-space trees, robust scores


class OutlierDetector(base.AnomalyDetector):
    """Scores how odd an example is, and says in words why.

    Parameters
    ----------
    trees
        Isolation trees.
    sample
        Points that are kept.
    seed
        Of the draws.

    Attributes
    ----------
    seen
        Points learned.

    Examples
    --------
    >>> detector = OutlierDetector(seed=1)
    >>> for n in range(200):
    ...     detector.learn_one({"amount": 20.0 + n % 7, "items": 1.0 + n % 3})
    >>> detector.score_one({"amount": 900.0, "items": 2.0}) > detector.score_one(
    ...     {"amount": 22.0, "items": 2.0}
    ... )
    True
    >>> detector.reason_one({"amount": 900.0, "items": 2.0})
    'amount is 900, 296 spreads above the usual 23'
    """

    def __init__(self, trees: int = 64, sample: int = 1024, seed: int = 0) -> None:
        self.trees = trees
        self.sample = sample
        self.seed = seed
        self.seen = 0
        self._names: list[str] = []
        self._counts = np.zeros(_RARE)
        self._points = np.zeros((0, 0))
        self._kept = 0
        self._scale = RobustScale(np.zeros(0), np.ones(0))
        self._forest = IsolationTrees(trees)
        self._halves: HalfSpaceTrees | None = None
        self._usual = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])  # mean and spread of the scores

    def learn_one(self, x: dict[Hashable, Any]) -> None:
        """Learn one example: numbers and texts by name."""
        self.learn_many([x])

    def learn_many(self, examples: Sequence[Mapping[Any, Any]]) -> None:
        """Learn examples, as `learn_one` does each in order."""
        at = 0
        while at < len(examples):
            room = self.due(self.seen) - self.seen
            self._learn(examples[at : at + room])
            at += room

    def _learn(self, examples: Sequence[Mapping[Any, Any]]) -> None:
        """Learn examples up to the next renewal at most."""
        due, points = self.due(self.seen), []
        for x in examples:
            self._name(x)
            points.append(self._vector(x))
            self._count(x)
            self._keep(points[-1])
            self.seen += 1
        if self._halves is not None:
            size = len(self._scale.median)
            known = np.array([point[:size] for point in points])
            self._halves.count(squeezed(deviations(known, self._scale)))
        if self.seen == due:
            self._renew()

    @staticmethod
    def due(seen: int) -> int:
        """Return after how many points what scores depend on is renewed next."""
        power = max(_FIRST, 1 << seen.bit_length())
        return power if power <= WINDOW else (seen // WINDOW + 1) * WINDOW

    def score_one(self, x: dict[Hashable, Any]) -> float:
        """Return how odd an example is: about 0 is usual, from 2 on is odd."""
        return float(self.score_many([x])[0])

    def score_many(self, examples: Sequence[Mapping[Any, Any]]) -> Floats:
        """Return how odd examples are, of shape (examples,)."""
        if not len(self._scale.median):
            return np.zeros(len(examples))
        return self._scores(np.array([self._vector(x) for x in examples]))

    def _scores(self, points: Floats) -> Floats:
        parts = (self._parts(points) - self._usual[0]) / self._usual[1]
        return np.asarray(parts @ _WEIGHTS / _WEIGHTS.sum())

    def _parts(self, points: Floats) -> Floats:
        """Return the three scores of points, of shape (points, 3)."""
        size = len(self._scale.median)
        away = deviations(points[:, :size], self._scale)
        halves = self._halves
        half = np.zeros(len(points)) if halves is None else halves.oddness(squeezed(away))
        return np.stack([self._forest.oddness(away), half, oddness(away)], axis=1)

    def reason_one(self, x: Mapping[Any, Any]) -> str:
        """Return in words what is most unusual about an example; an empty text before any."""
        size = len(self._scale.median)
        if not size:
            return ""
        away = deviations(self._vector(x)[:size], self._scale)
        at = int(np.abs(away).argmax())
        name, value = self._names[at], x.get(self._names[at])
        if abs(away[at]) < 1.0:
            return "no value is far off by itself: the combination is rare"
        if isinstance(value, str):
            share = self._counts[_place(name, value)] / max(1, self.seen)
            return f"{name} is {value!r}, as in {share:.2%} of all"
        word = "above" if away[at] > 0 else "below"
        usual = self._scale.median[at]
        return f"{name} is {value:g}, {abs(away[at]):.3g} spreads {word} the usual {usual:.4g}"

    def _name(self, x: Mapping[Any, Any]) -> None:
        known = set(self._names)
        new = sorted(name for name in map(str, x) if name not in known)
        new = new[: _FEATURES - len(self._names)]
        if new:
            self._names += new
            wider = np.full((self.sample, len(self._names)), np.nan)
            wider[: len(self._points), : self._points.shape[1]] = self._points
            self._points = wider

    def _vector(self, x: Mapping[Any, Any]) -> Floats:
        """Return an example as numbers; what can't be told is the median."""
        given = {str(name): value for name, value in x.items()}
        vector = np.full(len(self._names), np.nan)
        for at, name in enumerate(self._names):
            value = given.get(name)
            if isinstance(value, str):
                vector[at] = math.log((self.seen + 1.0) / (self._counts[_place(name, value)] + 1.0))
            elif value is not None:
                vector[at] = min(max(float(value), -_HUGE), _HUGE)
        size = len(self._scale.median)
        vector[:size] = np.where(np.isfinite(vector[:size]), vector[:size], self._scale.median)
        return vector

    def _count(self, x: Mapping[Any, Any]) -> None:
        for name, value in x.items():
            if isinstance(value, str):
                self._counts[_place(str(name), value)] += 1.0

    def _keep(self, point: Floats) -> None:
        """Take a point into the sample, if it is drawn."""
        drawn, where = draws(self.seed, 2 * self.seen, 2).tolist()
        if self._kept < self.sample:
            slot = self._kept
            self._kept += 1
        elif drawn < max(self.sample / (self.seen + 1), self.sample / _RECENT):
            slot = int(where * self.sample)
        else:
            return
        self._points[slot] = point

    def _renew(self) -> None:
        """Have scales, trees and what is usual follow the sample."""
        points = self._points[: self._kept]
        holes = ~np.isfinite(points)
        if holes.any():
            with_any = ~holes.all(axis=0)
            middle = np.zeros(points.shape[1])
            middle[with_any] = np.nanmedian(np.where(holes, np.nan, points)[:, with_any], axis=0)
            points = np.where(holes, middle, points)
        grown = len(self._names) != len(self._scale.median)
        self._scale = scale_of(points)
        away = deviations(points, self._scale)
        rng = np.random.default_rng([self.seed % 2**63, self.seen])
        if grown:
            self._forest = IsolationTrees(self.trees)
        young = grown or self.seen <= WINDOW
        self._forest.renew(away, self.trees if young else max(1, self.trees // 8), rng)
        if self._halves is None or grown:
            self._halves = HalfSpaceTrees(len(self._names), seed=abs(self.seed))
        if young:
            self._halves.count(squeezed(away))
        self._halves.turn()
        parts = self._parts(points)
        middle = np.median(parts, axis=0)
        spread = np.quantile(parts, 0.9, axis=0) - middle
        self._usual = np.stack([middle, np.where(spread > 1e-9, spread, 1.0)])

    def state(self) -> State:
        """Return all that the future depends on."""
        points = self._points[: self._kept]
        state: State = {
            "trees": self.trees,
            "sample": self.sample,
            "seed": self.seed,
            "seen": self.seen,
            "names": list(self._names),
            "counts": self._counts.copy(),
            "points": np.where(np.isfinite(points), points, _HOLE),
            "median": self._scale.median.copy(),
            "spread": self._scale.spread.copy(),
            "usual": self._usual.copy(),
            **nested("forest", self._forest.state()),
        }
        return state | (nested("halves", self._halves.state()) if self._halves else {})

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the detector that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        detector = cls(
            integer(state, "trees", 1, 10_000),
            integer(state, "sample", _FIRST, 1_000_000),
            integer(state, "seed", -(2**62), 2**62),
        )
        detector.seen = integer(state, "seen", 0, 2**62)
        names = detector._names = texts(state, "names")
        detector._counts = array(state, "counts", np.float64, (_RARE,))
        kept = detector._kept = min(detector.seen, detector.sample)
        points = array(state, "points", np.float64, (kept, len(names) if kept else 0))
        detector._points = np.full((detector.sample, len(names)), np.nan)
        detector._points[:kept] = np.where(points == _HOLE, np.nan, points)
        size = length(state, "median")
        detector._scale = RobustScale(
            array(state, "median", np.float64, (size,)), array(state, "spread", np.float64, (size,))
        )
        detector._usual = array(state, "usual", np.float64, (2, 3))
        detector._forest = IsolationTrees.from_state(part_of(state, "forest"))
        if "halves.seed" in state:
            detector._halves = HalfSpaceTrees.from_state(part_of(state, "halves"))
        dimensions = detector._halves.dimensions if detector._halves else 0
        if dimensions != size or size > len(names) or detector._forest.most_axis >= max(1, size):
            raise StateError("halves, forest: not of as many dimensions")
        return detector


_HOLE: Final = -1.7e308


def _place(name: str, value: str) -> int:
    return feature_hash(name, value) % _RARE
