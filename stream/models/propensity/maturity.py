"""Maturity: how much of what was exposed could have been bought by now.

Rules
-----
- An exposure is told at once, its purchase when it comes. While purchases are still on their way
  there are too few of them for the exposures that were told; after a busy hour there are too many.
  So an exposure that is told counts with a weight: what the exposures of before, and it, have
  matured meanwhile, shared among those that are told now. Then purchases and what they are of keep
  step, and P(purchase) is right while the first window is still open, by day and by night.
- An exposure matures by the time that purchases take: a mixture of exponentials [1]_ at fixed
  scales, 30 s … 6 days. What each is worth is learned with every purchase (online EM): purchases
  that are put down to a scale, over the exposures that have matured at it. That is the maximum of
  likelihood where only what has happened so far is seen (purchases on their way are no evidence of
  haste), held back by a prior.
- No weight is lost: what exceeds `MOST` for an exposure waits for the next.
- A label whose ``waits`` is negative is whole, and counts once.

References
----------
.. [1] Chapelle, "Modeling delayed feedback in display advertising", KDD 2014: one exponential,
   fitted in batch; the mixture, and the weights in place of latent labels, are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.kernel import kernel
from stream.models.base.sigmoid import Floats
from stream.models.base.state import State, StateValue, array, number

Numbers = npt.NDArray[np.int64]

SCALES: Final = 30_000.0 * 4.0 ** np.arange(8)  # ms
USUAL: Final = np.array([0.3, 0.3, 0.25, 0.13, 0.015, 0.004, 0.0007, 0.0003])  # before any purchase
MOST: Final = 4.0
PENDING, MATURED, BOUGHT, SHARE = range(4)
LATEST, DUE = range(2)
_NEVER: Final = -1.0
_MOST_DUE: Final = 4_096.0


class Maturity:
    """Weighs labels.

    Parameters
    ----------
    memory
        Exposures after which one counts a third.
    prior
        Exposures that the usual mixture is worth.

    Examples
    --------
    >>> maturity, minute = Maturity(), 60_000
    >>> times, nothing = np.arange(32) * minute, np.zeros(32, np.int64)
    >>> first = maturity.weigh(times, nothing, nothing)
    >>> later = maturity.weigh(times + 600 * minute, nothing, nothing)
    >>> bool(first.mean() < 0.9 < later.mean())
    True
    """

    def __init__(self, memory: float = 30_000.0, prior: float = 200.0) -> None:
        self.memory = memory
        self.prior = prior
        self._sums = np.zeros((4, len(SCALES)))
        self._sums[SHARE] = USUAL
        self._clock = np.array([_NEVER, 0.0])

    def weigh(self, times: Numbers, labels: Numbers, waits: Numbers) -> Floats:
        """Return the weight of each label, and learn how long purchases take.

        Parameters
        ----------
        times
            In ms, shape (labels,).
        labels
            0 or 1.
        waits
            Ms from the exposure to what is told; below 0 for a whole label.
        """
        weights: Floats = weighed(
            times, labels, waits, self._sums, self._clock, self.memory, self.prior
        )
        return weights

    def seen(self, age: float) -> float:
        """Return the share of purchases that have come after so many ms, in [0, 1]."""
        return float(self._sums[SHARE] @ -np.expm1(-max(age, 0.0) / SCALES))

    def state(self) -> State:
        """Return parameters and sums."""
        return {
            "memory": self.memory,
            "prior": self.prior,
            "sums": self._sums.copy(),
            "clock": self._clock.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the maturity that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        maturity = cls(number(state, "memory"), number(state, "prior"))
        maturity._sums = array(state, "sums", np.float64, (4, len(SCALES)))
        maturity._clock = array(state, "clock", np.float64, (2,))
        return maturity


@kernel
def weighed(
    times: Numbers,
    labels: Numbers,
    waits: Numbers,
    sums: Floats,
    clock: Floats,
    memory: float,
    prior: float,
) -> Floats:
    """Weigh labels; see `Maturity.weigh`.

    Parameters
    ----------
    times, labels, waits
        Of shape (labels,).
    sums
        Of shape (4, scales): exposures that are not mature, those that are, purchases, and the
        share of each scale in these.
    clock
        The latest time in ms, and the weight that is due.
    memory, prior
        As of `Maturity`.
    """
    weights = np.ones(len(times))
    exposures, latest = 0, clock[LATEST]
    for at in range(len(times)):
        latest = max(latest, float(times[at]))
        if waits[at] >= 0 and labels[at] == 0:
            exposures += 1
        elif waits[at] >= 0:
            weights[at] = 0.0
            _credit(sums, float(waits[at]))
    passed = latest - clock[LATEST] if clock[LATEST] >= 0.0 else latest - float(times.min())
    clock[LATEST] = latest
    due = clock[DUE] + _ripen(sums, exposures, passed, math.exp(-exposures / memory))
    _share(sums, prior)
    weight = min(max(due, 0.0) / exposures, MOST) if exposures else 0.0  # rounded, it may be below
    clock[DUE] = min(due - weight * exposures, _MOST_DUE)
    for at in range(len(times)):
        if waits[at] >= 0 and labels[at] == 0:
            weights[at] = weight
    return weights


@kernel
def _credit(sums: Floats, waited: float) -> None:
    """Put a purchase down to the scales that may have brought it after so many ms."""
    total = 0.0
    for scale in range(len(SCALES)):
        total += sums[SHARE, scale] * math.exp(-waited / SCALES[scale]) / SCALES[scale]
    for scale in range(len(SCALES)):
        part = sums[SHARE, scale] * math.exp(-waited / SCALES[scale]) / SCALES[scale]
        if total > 0.0:
            sums[BOUGHT, scale] += part / total
        elif scale == len(SCALES) - 1:
            sums[BOUGHT, scale] += 1.0


@kernel
def _ripen(sums: Floats, exposures: int, passed: float, keep: float) -> float:
    """Let time pass, in ms, in which exposures came evenly; what has matured of the mixture."""
    due = 0.0
    for scale in range(len(SCALES)):
        ripe, old = 0.0, passed / SCALES[scale]
        if old > 0.0:
            gone = 1.0 - math.exp(-old)
            ripe = sums[PENDING, scale] * gone + exposures * (1.0 - gone / old)
        sums[PENDING, scale] += exposures - ripe
        sums[MATURED, scale] = sums[MATURED, scale] * keep + ripe
        sums[BOUGHT, scale] *= keep
        due += sums[SHARE, scale] * ripe
    return due


@kernel
def _share(sums: Floats, prior: float) -> None:
    """Say what each scale is worth: purchases over what has matured, held back by the prior."""
    bought, matured = 0.01, 1.0
    for scale in range(len(SCALES)):
        bought += sums[BOUGHT, scale]
        matured += sums[SHARE, scale] * sums[MATURED, scale]
    total = 0.0
    for scale in range(len(SCALES)):
        known = sums[BOUGHT, scale] + prior * bought / matured * USUAL[scale]
        sums[SHARE, scale] = known / (sums[MATURED, scale] + prior)
        total += sums[SHARE, scale]
    for scale in range(len(SCALES)):
        sums[SHARE, scale] /= total
