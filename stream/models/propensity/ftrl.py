"""FTRL-proximal logistic regression on hashed features: several learners in one table.

Rules
-----
- A row's buckets come in groups of columns. Each group has a slow and a fast learner; the two
  see the same buckets, groups never do (but for collisions). Of a bucket are kept the weight
  ``w`` and the sum of squared gradients ``n``, each of both learners side by side, so that a batch
  is gathered and scattered once for the two.
- FTRL-proximal [1]_ without its L1 term, usually written with z, is in terms of w exactly
  ``w -= g * rate / (beta + sqrt(n + g * g))``; its L2 term only adds ``rate * l2`` to ``beta``.
  Written so, single precision suffices.
- A batch's gradients are those of the weights before the batch; a bucket hit several times in it
  takes their sum, in one step.
- A row's step is shared among its features: rates are given for a row of one feature, and divided
  by the root of the number of columns in the group.
- A gradient is a probability less a label, so in [-1, 1]: no input can make a weight infinite.

References
----------
.. [1] McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Self

import numpy as np
import numpy.typing as npt

from stream.models.propensity.buckets import PADDING, Buckets, Mask
from stream.models.state import State, StateValue, array, integer, number

Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.complex64]
Shares = npt.NDArray[np.float32]


_CERTAIN = 8.0


class HashedFTRL:
    """Pairs of a slow and a fast logistic regression on the same buckets.

    Parameters
    ----------
    beta
        Slows the first steps; in units of the root of summed squared gradients.
    bits
        There are ``2 ** bits`` buckets of 24 bytes, in 8 … 24.

    Examples
    --------
    >>> model = HashedFTRL(bits=8)
    >>> buckets = np.array([[1, 17], [1, 99]])
    >>> for _ in range(50):
    ...     weights = model.weights(buckets)
    ...     errors = sigmoid(logits(weights, [2])) - [[1.0], [0.0]]
    ...     model.step(buckets, weights, errors, [2], [(0.3, 1.2)])
    >>> sigmoid(logits(model.weights(buckets), [2])).round(1).tolist()
    [[0.8, 1.0], [0.2, 0.0]]
    """

    def __init__(self, beta: float = 0.5, bits: int = 18) -> None:
        self.beta = beta
        self.bits = bits
        # slow and fast learner as real and imaginary part: one gather and scatter for the two
        self._weights = np.zeros(2**bits, dtype=np.complex64)
        self._squares = np.zeros(2**bits, dtype=np.complex64)
        self._gradients = np.zeros(2**bits, dtype=np.complex64)  # scratch: zero between steps

    def weights(self, buckets: Buckets) -> Cells:
        """Return the weights of each bucket, of shape (rows, columns): slow + i fast."""
        return self._weights.take(buckets)

    def known(self, buckets: Buckets) -> Mask:
        """Return which buckets were learned before."""
        known: Mask = self._squares.take(buckets).real > 0.0
        return known

    def step(
        self,
        buckets: Buckets,
        weights: Cells,
        errors: Floats,
        sizes: Sequence[int],
        rates: Sequence[tuple[float, float]],
    ) -> None:
        """Learn a batch.

        Parameters
        ----------
        buckets
            Of shape (rows, columns).
        weights
            What `weights` returned for them; changed in place to what they are after the step.
        errors
            Predicted probability less label, in [-1, 1], of shape (rows, 2 * groups).
        sizes
            Columns of each group.
        rates
            Alpha of each group's slow and fast learner, for rows of one feature.
        """
        at = buckets.reshape(-1)
        slopes = errors.astype(np.float32).view(np.complex64)
        np.add.at(self._gradients, at, slopes.repeat(sizes, axis=1).reshape(-1))
        total = self._gradients.take(buckets)
        self._gradients[at] = 0
        squares = self._squares.take(buckets)
        g, n, w = (each.view(np.float32) for each in (total, squares, weights))
        n += g * g
        self._squares[at] = squares.reshape(-1)
        np.sqrt(n, out=n)
        n += np.float32(self.beta)
        g /= n
        g *= _by_column(tuple(rates), tuple(sizes))
        w -= g
        self._weights[at] = weights.reshape(-1)
        self._weights[PADDING] = self._squares[PADDING] = 0

    def forget(self, keep: float) -> None:
        """Make steps larger again after a drift: keep this share of the squared gradients."""
        self._squares *= np.float32(keep)

    def state(self) -> State:
        """Return parameters, and weights and squares of shape (buckets, 2): slow, fast."""
        return {
            "beta": self.beta,
            "bits": self.bits,
            "weights": self._weights.view(np.float32).reshape(-1, 2).copy(),
            "squares": self._squares.view(np.float32).reshape(-1, 2).copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the model that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        model = cls(number(state, "beta"), integer(state, "bits", 8, 24))
        for name, own in (("weights", model._weights), ("squares", model._squares)):
            own[:] = array(state, name, np.float32, (len(own), 2)).view(np.complex64)[:, 0]
        return model


def logits(weights: Cells, sizes: Sequence[int]) -> Floats:
    """Return the log-odds of each group's slow and fast learner.

    Returns
    -------
    ndarray of shape (rows, 2 * groups)
        Cut to -8 … 8: one part in 3000 is certainty enough for one learner.
    """
    starts = list(accumulate(sizes[:-1], initial=0))
    sums = np.add.reduceat(weights, starts, axis=1).view(np.float32).astype(np.float64)
    np.minimum(sums, _CERTAIN, out=sums)
    return np.maximum(sums, -_CERTAIN, out=sums)


def sigmoid(logits: Floats) -> Floats:
    """Return probabilities of log-odds, which must be within -700 … 700.

    Examples
    --------
    >>> sigmoid(np.array([0.0, 2.0])).round(3).tolist()
    [0.5, 0.881]
    """
    out = np.exp(-logits)
    out += 1.0
    return np.reciprocal(out, out=out)


@lru_cache(maxsize=256)
def _by_column(rates: tuple[tuple[float, float], ...], sizes: tuple[int, ...]) -> Shares:
    """Return the rates of the two learners for each column, shared among its group's columns."""
    shared = [np.array(pair) / np.sqrt(size) for pair, size in zip(rates, sizes, strict=True)]
    return np.repeat(np.array(shared, dtype=np.float32), sizes, axis=0).reshape(-1)
