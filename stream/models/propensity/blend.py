"""The learners' log-odds as one calibrated probability: a stack, and a calibration after it.

Rules
-----
- Both learn from log-odds that came before their labels. They do so once every 128 rows: a step
  costs the same for few rows as for many, and neither changes fast. In the beginning, and after
  a drift, they learn at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from stream.models.calibration import Calibration, Segments
from stream.models.propensity.ftrl import Floats, sigmoid
from stream.models.propensity.stack import OnlineStack
from stream.models.state import (
    State,
    StateError,
    StateValue,
    array,
    integer,
    length,
    nested,
    part_of,
)

_ROWS = 128  # in a step
_BEGINNING = 1024  # rows that are learned at once
_NOBODY = -1


class Blend:
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
    >>> blend = Blend(2, 0)
    >>> blend.called(np.array([[1.0, 3.0]]), None).round(2).tolist()
    [0.88]
    """

    def __init__(self, inputs: int, segments: int, lead: float = 0.0) -> None:
        self.inputs = inputs
        self.rows = 0
        self._stack = OnlineStack(inputs, lead)
        self._calibration = Calibration(segments)
        self._logits = np.zeros((0, inputs))
        self._labels = np.zeros(0)
        self._segments = np.zeros(0, dtype=np.int64)

    def called(self, logits: Floats, segments: Segments | None) -> Floats:
        """Return P of rows of log-odds, shape (rows, inputs)."""
        return sigmoid(self._calibration.corrected(self._stack.logits(logits), segments))

    def learn(self, logits: Floats, labels: Floats, segments: Segments | None) -> None:
        """Take in what the learners said of rows, and the labels that came."""
        of = [_NOBODY] * len(labels) if segments is None else segments
        told = np.array([_NOBODY if s is None else s for s in of], dtype=np.int64)
        self._logits = np.concatenate([self._logits, logits])
        self._labels = np.concatenate([self._labels, labels])
        self._segments = np.concatenate([self._segments, told])
        self.rows += len(labels)
        if len(self._labels) >= _ROWS or self.rows <= _BEGINNING:
            self._step()

    def _step(self) -> None:
        nobody = not len(self._segments) or int(self._segments.max()) == _NOBODY
        stacked = self._stack.logits(self._logits)
        self._calibration.learn(stacked, self._labels, None if nobody else self._segments)
        self._stack.learn(self._logits, self._labels)
        self._logits, self._labels = self._logits[:0], self._labels[:0]
        self._segments = self._segments[:0]

    def forget(self, keep: float) -> None:
        """After a drift, keep this share of what was learned."""
        self.rows = 0
        self._stack.forget(keep)
        self._calibration.forget(keep)

    def state(self) -> State:
        """Return stack, calibration, and the rows that wait for a step."""
        return {
            "rows": self.rows,
            "logits": self._logits.copy(),
            "labels": self._labels.copy(),
            "segments": self._segments.copy(),
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
        blend._logits = array(state, "logits", np.float64, (waiting, stack.inputs))
        blend._labels = array(state, "labels", np.float64, (waiting,))
        blend._segments = array(state, "segments", np.int64, (waiting,))
        return blend
