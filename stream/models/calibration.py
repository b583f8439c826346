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

from stream.models.state import State, StateValue, array, integer, number

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]
Segments: TypeAlias = Sequence[int | None] | npt.NDArray[np.int64]

_REACH = 5  # knots at log-odds -5 … 5: 0.7 % to 99.3 %
_KNOTS = 2 * _REACH + 1
_FAR = 40.0
_POSITIONS = np.arange(-_REACH, _REACH + 1.0)
_REACHED = np.array([-_FAR, *_POSITIONS, _FAR])
_LIMIT = 1.5  # of a correction: odds times 4.5


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
    ...     calibration.learn(np.zeros(10), np.array([1.0] * 8 + [0.0] * 2))
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

    def corrected(self, logits: Floats, segments: Segments | None = None) -> Floats:
        """Return calibrated log-odds.

        Parameters
        ----------
        logits
            Of shape (rows,).
        segments
            Of each row's customer; None, or out of range, means overall only.
        """
        everyone = self._overall.bent(logits)
        if segments is None:
            return everyone
        return self._own.bent(everyone, self._numbers(segments))

    def learn(self, logits: Floats, labels: Floats, segments: Segments | None = None) -> None:
        """Learn from log-odds that came before their labels, as `corrected` takes them."""
        keep = math.exp(-len(logits) / self.memory)
        if segments is not None:
            everyone = self._overall.bent(logits)
            self._own.learn(everyone, labels, self._numbers(segments), keep)
        self._overall.learn(logits, labels, None, keep)

    def forget(self, keep: float) -> None:
        """After a drift, keep this share of what was seen."""
        self._overall.forget(keep)
        self._own.forget(keep)

    def _numbers(self, segments: Segments) -> Numbers:
        if not isinstance(segments, np.ndarray):
            segments = np.array([-1 if s is None else s for s in segments], dtype=np.intp)
        return np.where((segments >= 0) & (segments < self.segments), segments, -1)

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


class _Curves:
    """Corrections through knots; ``sums`` holds what was missed, and its weight, at each."""

    def __init__(self, count: int, prior: float, sums: Floats | None = None) -> None:
        self.prior = prior
        self.sums = np.zeros((2, count, _KNOTS)) if sums is None else sums
        self._curves = self._drawn()

    def bent(self, logits: Floats, which: Numbers | None = None) -> Floats:
        """Return the log-odds corrected by each row's curve: the first, or ``which``; -1 none."""
        if which is None:
            everyone: Floats = np.interp(logits, _REACHED, self._curves[0])
            return everyone
        at = np.searchsorted(_REACHED[1:-1], logits)
        left, right = _REACHED[at], _REACHED[at + 1]
        part = (logits - left) / (right - left)
        own = self._curves[which, at] * (1.0 - part) + self._curves[which, at + 1] * part
        return np.where(which >= 0, own, logits)

    def learn(self, logits: Floats, labels: Floats, which: Numbers | None, keep: float) -> None:
        """Decay, then add what these rows missed to the two knots around each."""
        self.sums *= keep
        p = 1.0 / (1.0 + np.exp(-np.maximum(np.minimum(logits, _FAR), -_FAR)))
        seen = np.empty((2, len(p)))
        np.subtract(labels, p, out=seen[0])
        np.multiply(p, 1.0 - p, out=seen[1])
        inside = np.maximum(np.minimum(logits, _REACH), -_REACH)
        hats = np.maximum(1.0 - np.abs(inside[:, None] - _POSITIONS), 0.0)
        if which is None:
            self.sums[:, 0] += seen @ hats
        else:
            own = which >= 0
            for sums, values in zip(self.sums, seen, strict=True):
                np.add.at(sums, which[own], hats[own] * values[own, None])
        self._curves = self._drawn()

    def forget(self, keep: float) -> None:
        """Keep this share of what was seen."""
        self.sums *= keep
        self._curves = self._drawn()

    def _drawn(self) -> Floats:
        """Return each curve's values at its knots, and far beyond, where it goes on in parallel."""
        missed, weight = self.sums
        bend = missed / (weight + self.prior)
        drawn = np.empty((len(bend), _KNOTS + 2))
        knots = drawn[:, 1:-1]
        np.add(_POSITIONS, np.maximum(np.minimum(bend, _LIMIT), -_LIMIT), out=knots)
        np.maximum.accumulate(knots, axis=1, out=knots)
        drawn[:, 0] = knots[:, 0] - (_FAR - _REACH)
        drawn[:, -1] = knots[:, -1] + (_FAR - _REACH)
        return drawn
