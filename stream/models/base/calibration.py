"""Calibration: what a model's probabilities were worth, overall and in each segment.

Rules
-----
- A correction is added to the log-odds. It is a curve through knots one apart, and for each knot
  decayed sums tell by how much the labels around it were missed: one Newton step for the miss,
  held back by a prior of no correction.
- A segment's curve corrects what the overall curve left, with a stronger prior: a segment that
  was hardly seen is treated as everybody is.
- A corrected curve never falls: calibration changes what a score means, not who scores higher.
- It must be fed probabilities that were predicted before their labels were learned.

References
----------
.. [1] Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
   estimates", KDD 2002 (binning); the interpolation, decay and prior are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from stream.models.base.kernel import kernel
from stream.models.base.sigmoid import Floats, sigmoid
from stream.models.base.state import State, StateValue, array, integer, number
from stream.models.base.truth import Truth

Numbers = npt.NDArray[np.int64]
Segments: TypeAlias = Sequence[int | None] | npt.NDArray[np.int64]

_REACH = 5  # knots at log-odds -5 … 5: 0.7 % to 99.3 %
_KNOTS = 2 * _REACH + 1
_FAR = 40.0
NOBODY = -1
_LIMIT = 1.5  # of a correction: odds times 4.5
_NO_CURVES = np.zeros((0, _KNOTS + 2))


class Calibration:
    """Corrects log-odds by what labels showed, overall and by segment.

    Parameters
    ----------
    segments
        Segments 0 … segments - 1 have curves of their own.
    memory
        Rows after which a row counts a third.
    prior, segment_prior
        How much has to be seen at a knot before it is believed, in units of p (1 - p).

    Examples
    --------
    >>> calibration = Calibration()
    >>> for _ in range(200):
    ...     calibration.learn(np.zeros(10), (np.array([1.0] * 8 + [0.0] * 2), np.ones(10)))
    >>> calibration.corrected(np.zeros(1)).round(1).tolist()
    [1.2]
    """

    def __init__(
        self,
        segments: int = 64,
        memory: float = 3200.0,
        prior: float = 10.0,
        segment_prior: float = 30.0,
    ) -> None:
        self.segments = segments
        self.memory = memory
        self.prior = prior
        self.segment_prior = segment_prior
        self._overall = _Curves(1, prior)
        self._own = _Curves(segments, segment_prior)

    @property
    def drawn(self) -> tuple[Floats, Floats]:
        """Everyone's curve, and those of segments, as `corrected` takes them."""
        return self._overall.drawn, self._own.drawn

    def corrected(self, logits: Floats, segments: Segments | None = None) -> Floats:
        """Return calibrated log-odds.

        Parameters
        ----------
        logits
            Of shape (rows,).
        segments
            Of each row's customer; None, or out of range, means overall only.
        """
        return corrected(*self.drawn, logits, numbered(segments, len(logits)))

    def learn(self, logits: Floats, truth: Truth, segments: Segments | None = None) -> None:
        """Learn from log-odds that came before their labels, as `corrected` takes them.

        Parameters
        ----------
        logits, segments
            As of `corrected`.
        truth
            What became of each.
        """
        keep = math.exp(-len(logits) / self.memory)
        everyone = np.zeros(len(logits), dtype=np.int64)
        if segments is not None:
            left = corrected(self._overall.drawn, _NO_CURVES, logits, everyone)
            self._own.learn(left, truth, numbered(segments, len(logits)), keep)
        self._overall.learn(logits, truth, everyone, keep)

    def forget(self, keep: float) -> None:
        """After a drift, keep this share of what was seen."""
        self._overall.forget(keep)
        self._own.forget(keep)

    def state(self) -> State:
        """Return parameters and the sums at each knot."""
        return {
            "segments": self.segments,
            "memory": self.memory,
            "prior": self.prior,
            "segment_prior": self.segment_prior,
            "overall": self._overall.sums.copy(),
            "own": self._own.sums.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the calibration that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        segments = integer(state, "segments", 0, 100_000)
        names = ("memory", "prior", "segment_prior")
        calibration = cls(segments, *(number(state, name) for name in names))
        overall = array(state, "overall", np.float64, (2, 1, _KNOTS))
        own = array(state, "own", np.float64, (2, segments, _KNOTS))
        calibration._overall = _Curves(1, calibration.prior, overall)
        calibration._own = _Curves(segments, calibration.segment_prior, own)
        return calibration


def numbered(segments: Segments | None, rows: int) -> Numbers:
    """Return the segments of rows as an array, -1 for none.

    Raises
    ------
    ValueError
        If there is not one a row.

    Examples
    --------
    >>> numbered([3, None], 2).tolist(), numbered(None, 2).tolist()
    ([3, -1], [-1, -1])
    """
    if segments is None:
        return np.full(rows, NOBODY, dtype=np.int64)
    if len(segments) != rows:
        raise ValueError("segments: not one a row")
    if isinstance(segments, np.ndarray):
        return segments.astype(np.int64)
    return np.array([NOBODY if s is None else s for s in segments], dtype=np.int64)


class _Curves:
    """Corrections through knots.

    ``sums``, shape (2, curves, knots), holds what was missed at each, and its weight; ``drawn``
    each curve's values at its knots, and far beyond on either side, where it goes on in parallel.
    """

    def __init__(self, count: int, prior: float, sums: Floats | None = None) -> None:
        self.prior = prior
        self.sums = np.zeros((2, count, _KNOTS)) if sums is None else sums
        self.drawn = np.zeros((count, _KNOTS + 2))
        self.forget(1.0)

    def learn(self, logits: Floats, truth: Truth, which: Numbers, keep: float) -> None:
        """Decay, then add what these rows missed to the two knots around each."""
        self.sums *= keep
        _add(self.sums, which, logits, truth)
        _draw(self.sums, self.prior, self.drawn)

    def forget(self, keep: float) -> None:
        """Keep this share of what was seen."""
        self.sums *= keep
        _draw(self.sums, self.prior, self.drawn)


@kernel
def corrected(everyone: Floats, own: Floats, logits: Floats, which: Numbers) -> Floats:
    """Return the log-odds corrected by everyone's curve, and then by each row's own.

    Parameters
    ----------
    everyone, own
        Curves as drawn, of shape (1, knots + 2) and (curves, knots + 2).
    logits, which
        Of shape (rows,); the number of each row's own curve, out of range for none. Where no row
        has one, ``which`` may be empty.
    """
    out = np.empty(len(logits))
    for row in range(len(logits)):
        out[row] = _bent(everyone, 0, min(max(logits[row], -_FAR), _FAR))
        if row < len(which) and 0 <= which[row] < len(own):
            out[row] = _bent(own, which[row], out[row])
    return out


@kernel
def _bent(drawn: Floats, which: int, logit: float) -> float:
    """Return what log-odds are on one of the curves as drawn, shape (curves, knots + 2)."""
    cell = min(max(math.floor(logit) + _REACH + 1, 0), _KNOTS)
    left = -_FAR if cell == 0 else float(cell - 1 - _REACH)
    width = _FAR - _REACH if cell in (0, _KNOTS) else 1.0
    low, high = float(drawn[which, cell]), float(drawn[which, cell + 1])
    return low + (high - low) / width * (logit - left)


@kernel
def _add(sums: Floats, which: Numbers, logits: Floats, truth: Truth) -> None:
    """Add what each row missed to the two knots around it.

    Parameters
    ----------
    sums
        Of shape (2, curves, knots).
    which
        The number of each row's curve, out of range for none.
    logits
        Of shape (rows,).
    truth
        As of `Truth`.
    """
    labels, weights = truth
    for row in range(len(logits)):
        if 0 <= which[row] < sums.shape[1]:
            p = sigmoid(min(max(logits[row], -_FAR), _FAR))
            inside = min(max(logits[row] + _REACH, 0.0), 2.0 * _REACH)
            knot = min(math.floor(inside), _KNOTS - 2)
            for at in range(knot, knot + 2):
                share = 1.0 - abs(inside - at)
                sums[0, which[row], at] += share * (labels[row] - weights[row] * p)
                sums[1, which[row], at] += share * (weights[row] * (p * (1.0 - p)))


@kernel
def _draw(sums: Floats, prior: float, drawn: Floats) -> None:
    """Draw curves, shape (curves, knots + 2), from ``sums`` of shape (2, curves, knots)."""
    for which in range(len(drawn)):
        for knot in range(_KNOTS):
            bend = sums[0, which, knot] / (sums[1, which, knot] + prior)
            value = knot - _REACH + min(max(bend, -_LIMIT), _LIMIT)
            if knot > 0:
                value = max(value, drawn[which, knot])
            drawn[which, knot + 1] = value
        drawn[which, 0] = drawn[which, 1] - (_FAR - _REACH)
        drawn[which, _KNOTS + 1] = drawn[which, _KNOTS] + (_FAR - _REACH)
