"""How well purchases were foreseen, while many of them are still to come.

Rules
-----
- What counts is what was predicted of an exposure when it was told, before it was learned
  (prequential); a purchase is scored by that, too, and not by what is predicted when it comes.
- An exposure and its purchase are told apart (`stream.models.base.truth`). The log loss is the sum
  of what both parts say, the ratio is what was predicted of the exposures over the purchases that
  came, and the area under the curve compares the purchases with all exposures, and takes out that
  these hold the purchased ones as well.
- A figure that has too few labels behind it is NaN, never a guess.
"""

from __future__ import annotations

from math import nan
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.models.base.sigmoid import Floats
from stream.models.propensity.shadow import Standing

Numbers = npt.NDArray[np.int64]

WINDOW: Final = 4_096  # labels that are looked back on
FEWEST: Final = 10  # purchases behind a figure
_KEPT: Final = 1 << 16  # exposures whose prediction is remembered


class Quality(NamedTuple):
    """How good the propensity was on the latest labels, before it learned them.

    Attributes
    ----------
    auc
        Area under the ROC curve, in 0 … 1; NaN where there are fewer than `FEWEST` purchases, or
        nothing else.
    log_loss
        A mean, in nats; NaN there, too.
    calibration_ratio
        Predicted over observed purchases, 1 if right; NaN with fewer than `FEWEST`.
    labels
        How many were looked back on: exposures, and purchases of those.
    standings
        Champion and challengers on the labels that all of them scored.
    """

    auc: float
    log_loss: float
    calibration_ratio: float
    labels: int
    standings: tuple[Standing, ...] = ()


class Foresight:
    """What was predicted of the latest exposures, and which of them were bought.

    Parameters
    ----------
    window
        Labels that are looked back on.

    Examples
    --------
    >>> foresight = Foresight()
    >>> exposures, bought = np.arange(100), np.arange(0, 100, 5)
    >>> foresight.take(np.full(100, 0.2), np.zeros(100), np.ones(100), exposures)
    >>> foresight.take(np.full(20, 0.1), np.ones(20), np.zeros(20), bought)
    >>> foresight.quality().calibration_ratio.__round__(9), foresight.quality().auc
    (1.0, 0.5)
    """

    def __init__(self, window: int = WINDOW) -> None:
        self.window = window
        self._scored = np.zeros((3, 0))  # predicted, label, weight
        self._names = np.zeros(_KEPT, np.int64)
        self._scores = np.zeros(_KEPT)

    def take(self, predicted: Floats, labels: npt.ArrayLike, parts: Floats, of: Numbers) -> None:
        """Take labels in.

        Parameters
        ----------
        predicted
            P before the label was learned, shape (labels,).
        labels
            0 or 1.
        parts
            1 for an exposure or a whole label, 0 for a purchase of what was told before.
        of
            A number for the exposure behind each.
        """
        told = np.array((predicted, labels, parts))
        places = of & (_KEPT - 1)
        late = parts == 0.0
        if late.any():
            known = late & (self._names[places] == of)
            told[0, known] = self._scores[places[known]]
        self._names[places[~late]] = of[~late]
        self._scores[places[~late]] = predicted[~late]
        self._scored = np.concatenate((self._scored, told), axis=1)[:, -self.window :]

    def quality(self) -> Quality:
        """Return the figures over the window, without standings."""
        p, y, weights = self._scored
        exposures, purchases = weights.sum(), y.sum()
        labels = len(y)
        if purchases < FEWEST or exposures <= purchases:
            return Quality(nan, nan, nan, labels)
        loss = -(y * (np.log(p) - np.log1p(-p)) + weights * np.log1p(-p)).sum() / exposures
        ratio = (weights * p).sum() / purchases
        return Quality(_auc(p, y, weights), float(loss), float(ratio), labels)


def _auc(p: Floats, y: Floats, weights: Floats) -> float:
    """Return the chance that what was bought was rated above what was not, a tie counting half."""
    everything, bought = np.sort(p[weights > 0.0]), p[y == 1.0]
    ranks = np.searchsorted(everything, bought, "left") + np.searchsorted(
        everything, bought, "right"
    )
    above = ranks.mean() / 2 / len(everything)
    share = len(bought) / len(everything)
    return float(min(max((above - share / 2) / (1.0 - share), 0.0), 1.0))
