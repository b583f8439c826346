"""How good predicted probabilities are: exactly, over all or over the latest.

Rules
-----
- Only predictions made before their label was learned may go in: then a metric over a stream is
  honest without a test set (prequential).
- The area under the ROC curve is computed from ranks, ties counting half, not from thresholds:
  a histogram of ten of them is off by a quarter where probabilities are small.
- A metric that has no meaning (no positives, say) is None, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.state import State, StateValue, array, integer, length

Floats = npt.NDArray[np.float64]

_TINY = 1e-15  # log loss of a certainty that was wrong is finite


class ProbabilityScores(NamedTuple):
    """How good probabilities were.

    Attributes
    ----------
    events, positives
        Number of labels, and of those that were 1.
    auc
        Area under the ROC curve, in 0 … 1; None without both kinds of label.
    log_loss
        Mean negative log likelihood, in nats; None without labels.
    ece
        Expected calibration error over 10 bins of equal width; None without labels.
    accuracy, recall, f1
        At the decision threshold; recall and F1 are None without positives.
    """

    events: int
    positives: int
    auc: float | None
    log_loss: float | None
    ece: float | None
    accuracy: float | None
    recall: float | None
    f1: float | None


def quality(labels: Floats, scores: Floats, threshold: float = 0.5) -> ProbabilityScores:
    """Return all metrics of probabilities, one for each label of 0 or 1.

    Examples
    --------
    >>> quality(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.6, 0.4, 0.9])).auc
    0.75
    """
    events, positives = len(labels), int(labels.sum())
    if not events:
        return ProbabilityScores(0, 0, None, None, None, None, None, None)
    called = scores >= threshold
    hits = int(labels[called].sum())
    recall = hits / positives if positives else None
    return ProbabilityScores(
        events,
        positives,
        auc(labels, scores),
        log_loss(labels, scores),
        calibration_error(labels, scores),
        float((called == (labels == 1)).mean()),
        recall,
        2.0 * hits / (positives + int(called.sum())) if positives else None,
    )


def auc(labels: Floats, scores: Floats) -> float | None:
    """Return the share of pairs of a positive and a negative that are in the right order.

    Examples
    --------
    >>> auc(np.array([0.0, 1.0, 1.0]), np.array([0.3, 0.3, 0.8]))
    0.75
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return None
    ordered = np.sort(scores)
    below = np.searchsorted(ordered, scores, "left")
    upto = np.searchsorted(ordered, scores, "right")
    ranks = (below + upto + 1) / 2
    above = ranks[labels == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def log_loss(labels: Floats, scores: Floats) -> float:
    """Return the mean negative log likelihood, in nats.

    Examples
    --------
    >>> round(log_loss(np.array([0.0, 1.0]), np.array([0.5, 0.5])), 3)
    0.693
    """
    right = np.where(labels == 1, scores, 1.0 - scores)
    return float(-np.log(np.clip(right, _TINY, 1.0)).mean())


def calibration_error(labels: Floats, scores: Floats, bins: int = 10) -> float:
    """Return the mean gap between probability and share of positives, over equal-width bins.

    Examples
    --------
    >>> round(calibration_error(np.array([0.0, 1.0]), np.array([0.1, 0.9])), 3)
    0.1
    """
    which = np.minimum((scores * bins).astype(np.intp), bins - 1)
    gaps = np.bincount(which, labels - scores, bins)
    return float(np.abs(gaps).sum() / len(labels))


class Rolling:
    """Metrics over the latest predictions, in bounded memory.

    Parameters
    ----------
    window
        How many are looked back on.

    Examples
    --------
    >>> rolling = Rolling(window=4)
    >>> for score, label in [(0.9, 0), (0.2, 0), (0.6, 1), (0.4, 0), (0.7, 1)]:
    ...     rolling.update([score], [label])
    >>> rolling.quality().auc
    1.0
    """

    def __init__(self, window: int = 4096) -> None:
        self.window = window
        self.events = 0
        self._scores = np.zeros(window)
        self._labels = np.zeros(window)

    def update(self, scores: npt.ArrayLike, labels: npt.ArrayLike) -> None:
        """Take predictions in, with their labels; what is not finite counts as 0.5."""
        new = np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=0.5)
        at = (self.events + np.arange(len(new))) % self.window
        self._scores[at] = np.clip(new, 0.0, 1.0)
        self._labels[at] = np.asarray(labels, dtype=np.float64)
        self.events += len(new)

    def quality(self, threshold: float = 0.5) -> ProbabilityScores:
        """Return the metrics over the window."""
        kept = min(self.events, self.window)
        return quality(self._labels[:kept], self._scores[:kept], threshold)

    def state(self) -> State:
        """Return the window."""
        return {
            "events": self.events,
            "scores": self._scores.copy(),
            "labels": self._labels.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return what `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        rolling = cls(length(state, "scores"))
        rolling.events = integer(state, "events", 0, 2**62)
        rolling._scores = array(state, "scores", np.float64, (rolling.window,))
        rolling._labels = array(state, "labels", np.float64, (rolling.window,))
        return rolling
