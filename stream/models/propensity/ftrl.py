"""FTRL-proximal logistic regression on hashed features, in small batches.

Rules
-----
- A row is a sequence of 32-bit feature hashes. A bias is added to it, and (optionally) a feature
  for each pair in it: that is what lets a linear model know that two things matter together.
- Per bucket two numbers are kept: the weight ``w`` and the sum of squared gradients ``n``.
  FTRL-proximal [1]_ without its L1 term, usually written with z, is in terms of w exactly
  ``w -= g * rate / (beta + sqrt(n + g * g))``; its L2 term only adds ``rate * l2`` to ``beta``.
  Written so, single precision suffices.
- A batch's gradients are those of the weights before the batch; a bucket hit several times in it
  takes their sum, in one step. Batches of up to a few dozen lose nothing by that.
- A gradient is a probability less a label, so in [-1, 1]: no input can make a weight infinite.

References
----------
.. [1] McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from stream.models.hashing import mix
from stream.models.state import State, StateValue, array, integer, number

Rows: TypeAlias = Sequence[Sequence[int]] | npt.NDArray[np.uint32]
Floats: TypeAlias = npt.NDArray[np.float32]

_BIAS = 1  # bucket of the bias; bucket 0 takes what is padded, and its weight stays zero
_CLIP = 30.0  # of a logit: e**-30 is no probability that data can tell from zero


class HashedFTRL:
    """Logistic regression on hashed features and their pairs.

    Parameters
    ----------
    rate
        Alpha of FTRL-proximal: about .03 with crosses, .2 without.
    beta
        Slows the first steps; in units of the root of summed squared gradients.
    bits
        There are ``2 ** bits`` buckets of 16 bytes, in 8 … 24.
    crosses
        How many of a row's first features are paired with each other; 0 for none.
    """

    def __init__(
        self, rate: float = 0.03, beta: float = 1.0, bits: int = 18, crosses: int = 24
    ) -> None:
        self.rate = rate
        self.beta = beta
        self.bits = bits
        self.crosses = crosses
        # w, n, and two scratch columns that are zero between steps: together in a cache line
        self._table = np.zeros((2**bits, 4), dtype=np.float32)
        self._flat = self._table.reshape(-1)

    def buckets(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Return the buckets of each row's features, its pairs and the bias.

        Returns
        -------
        ndarray of shape (rows, features)
            Short rows are padded with bucket 0.
        """
        hashes, present = matrix(rows)
        spread = mix(hashes)
        crossed = min(self.crosses, hashes.shape[1])
        left, right = np.triu_indices(crossed, 1)
        pairs = mix(spread[:, left] + spread[:, right])
        shift = np.uint32(32 - self.bits)
        out = np.empty((len(hashes), hashes.shape[1] + left.size + 1), dtype=np.int64)
        out[:, 0] = _BIAS
        out[:, 1 : hashes.shape[1] + 1] = spread >> shift
        out[:, hashes.shape[1] + 1 :] = pairs >> shift
        if present is not None:
            both = present[:, left] & present[:, right]
            out[:, 1:] *= np.concatenate([present, both], axis=1)
        return out

    def logits(self, buckets: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the log-odds of rows given by their buckets, in -30 … 30."""
        sums: npt.NDArray[np.float64] = (
            self._table[:, 0].take(buckets).sum(axis=1, dtype=np.float64)
        )
        return sums.clip(-_CLIP, _CLIP)

    def step(self, buckets: npt.NDArray[np.int64], errors: npt.NDArray[np.float64]) -> None:
        """Learn a batch.

        Parameters
        ----------
        buckets
            Of shape (rows, features), from `buckets`.
        errors
            Predicted probability less label, one a row, in [-1, 1].
        """
        at = buckets.reshape(-1)
        base = at * 4
        gradient = np.repeat(errors.astype(np.float32), buckets.shape[1])
        np.add.at(self._flat, base + 2, gradient)
        np.add.at(self._flat, base + 3, gradient * gradient)
        w, n, total, squares = self._table.take(at, axis=0).T
        n = n + squares
        w = w - total * np.float32(self.rate) / (np.float32(self.beta) + np.sqrt(n))
        self._table[at] = np.stack([w, n, np.zeros_like(w), np.zeros_like(w)], axis=1)
        self._table[0] = 0.0

    def forget(self, keep: float) -> None:
        """Make steps larger again after a drift: keep this share of the squared gradients."""
        self._table[:, 1] *= np.float32(keep)

    def state(self) -> State:
        """Return parameters, weights and squared gradients."""
        return {
            "rate": self.rate,
            "beta": self.beta,
            "bits": self.bits,
            "crosses": self.crosses,
            "w": self._table[:, 0].copy(),
            "n": self._table[:, 1].copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the model that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        bits = integer(state, "bits", 8, 24)
        w = array(state, "w", np.float32, (2**bits,))
        n = array(state, "n", np.float32, (2**bits,))
        crosses = integer(state, "crosses", 0, 10_000)
        model = cls(number(state, "rate"), number(state, "beta"), bits, crosses)
        model._table[:, 0], model._table[:, 1] = w, n
        return model


def matrix(rows: Rows) -> tuple[npt.NDArray[np.uint32], npt.NDArray[Any] | None]:
    """Return rows as one matrix, and which of its cells are features if lengths differ."""
    if isinstance(rows, np.ndarray):
        return rows, None
    lengths = [len(row) for row in rows]
    width = max(lengths, default=0)
    if min(lengths, default=0) == width:
        return np.array(rows, dtype=np.uint32).reshape(len(rows), width), None
    padded = [(*row, *([0] * (width - len(row)))) for row in rows]
    present = np.arange(width) < np.array(lengths)[:, None]
    return np.array(padded, dtype=np.uint32), present


def sigmoid(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return probabilities of log-odds.

    Examples
    --------
    >>> sigmoid(np.array([0.0, 2.0])).round(3).tolist()
    [0.5, 0.881]
    """
    out: npt.NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0)))
    return out
