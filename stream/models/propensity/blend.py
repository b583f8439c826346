"""The learners' log-odds as one calibrated probability: a stack, and a calibration after it.

Rules
-----
- Both learn from log-odds that came before their labels. They do so once every 128 rows: a step
  costs the same for few rows as for many, and neither changes fast. In the beginning, and after
  a drift, they learn at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.calibration import (
    NOBODY,
    Calibration,
    Numbers,
    Segments,
    corrected,
    numbered,
)
from stream.models.base.kernel import kernel
from stream.models.base.sigmoid import Floats, sigmoids
from stream.models.base.state import (
    State,
    StateError,
    StateValue,
    array,
    integer,
    length,
    nested,
    part_of,
)
from stream.models.base.truth import Truth
from stream.models.propensity.stack import OnlineStack, blended

_ROWS = 128  # in a step
_BEGINNING = 1024  # rows that are learned at once

_NONE: Numbers = np.zeros(0, dtype=np.int64)
_Batch = tuple[Floats, Floats, Floats, npt.NDArray[np.int64]]  # log-odds, truth, segments


class LogitBlend:
    """Blends and calibrates log-odds.

    Parameters
    ----------
    inputs
        Number of learners.
    segments
        Segments 0 … segments - 1 are calibrated apart.
    lead
        Weight that the last learner has in the beginning; 0 for what everyone has.

    Examples
    --------
    >>> blend = LogitBlend(2, 0)
    >>> blend.called(np.array([[1.0, 3.0]]), None).round(2).tolist()
    [0.88]
    """

    def __init__(self, inputs: int, segments: int, lead: float = 0.0) -> None:
        self.inputs = inputs
        self.rows = 0
        self._stack = OnlineStack(inputs, lead)
        self._calibration = Calibration(segments)
        self._waiting: list[_Batch] = []

    def called(self, logits: Floats, segments: Segments | None) -> Floats:
        """Return P of rows of log-odds, shape (rows, inputs)."""
        calls: Floats = called(logits, *self.by(segments, len(logits)))
        return calls

    def by(self, segments: Segments | None, rows: int) -> tuple[Any, ...]:
        """Return by what rows are called: weights, and curves, as `called` takes them."""
        which = _NONE if segments is None else numbered(segments, rows)
        return self._stack.weights, *self._calibration.drawn, which

    def learn(self, logits: Floats, truth: Truth, segments: Segments | None) -> None:
        """Take in what the learners said of rows, and what became of these."""
        labels, weights = truth
        which = numbered(segments, len(labels))
        self._waiting.append((logits.copy(), labels.copy(), weights.copy(), which))
        self.rows += len(labels)
        if sum(len(batch[1]) for batch in self._waiting) >= _ROWS or self.rows <= _BEGINNING:
            self._step()

    def _step(self) -> None:
        logits, labels, weights, segments = self._waited()
        truth = labels, weights
        nobody = not len(segments) or int(segments.max()) == NOBODY
        stacked = self._stack.logits(logits)
        self._calibration.learn(stacked, truth, None if nobody else segments)
        self._stack.learn(logits, truth)
        self._waiting.clear()

    def _waited(self) -> _Batch:
        none = np.zeros((0, self.inputs)), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
        columns = map(np.concatenate, zip(none, *self._waiting, strict=True))
        logits, labels, weights, segments = columns
        return logits, labels, weights, segments

    def forget(self, keep: float) -> None:
        """After a drift, keep this share of what was learned."""
        self.rows = 0
        self._stack.forget(keep)
        self._calibration.forget(keep)

    def state(self) -> State:
        """Return stack, calibration, and the rows that wait for a step."""
        logits, labels, weights, segments = self._waited()
        return {
            "rows": self.rows,
            "logits": logits,
            "labels": labels,
            "weights": weights,
            "segments": segments,
            **nested("stack", self._stack.state()),
            **nested("calibration", self._calibration.state()),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the blend that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        stack = OnlineStack.from_state(part_of(state, "stack"))
        calibration = Calibration.from_state(part_of(state, "calibration"))
        waiting = length(state, "labels")
        if waiting >= _ROWS:
            raise StateError("labels: more wait than there can")
        blend = cls(stack.inputs, calibration.segments)
        blend.rows = integer(state, "rows", 0, 2**62)
        blend._stack, blend._calibration = stack, calibration
        logits = array(state, "logits", np.float64, (waiting, stack.inputs))
        labels = array(state, "labels", np.float64, (waiting,))
        weights = np.ones(waiting)
        if "weights" in state:  # in a snapshot of before there are none
            weights = array(state, "weights", np.float64, (waiting,))
        segments = array(state, "segments", np.int64, (waiting,))
        blend._waiting = [(logits, labels, weights, segments)]
        return blend


@kernel
def called(
    logits: Floats, weights: Floats, everyone: Floats, own: Floats, which: Numbers
) -> Floats:
    """Return P of rows of log-odds: blended by weights, and corrected by curves.

    Parameters
    ----------
    logits, weights
        As of `blended`.
    everyone, own, which
        As of `corrected`.
    """
    return sigmoids(corrected(everyone, own, blended(logits, weights), which))
