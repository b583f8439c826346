"""FTRL-proximal logistic regression on hashed features: several learners in one table.

Rules
-----
- A row's buckets come in groups of columns. Each group has a slow and a fast learner; the two
  see the same buckets, groups never do (but for collisions). Of a bucket are kept the weight
  ``w`` and the sum of squared gradients ``n``, each of both learners side by side.
- FTRL-proximal [1]_ without its L1 term, usually written with z, is in terms of w exactly
  ``w -= g * rate / (beta + sqrt(n + g * g))``; its L2 term only adds ``rate * l2`` to ``beta``.
  Written so, single precision suffices.
- A batch's gradients are those of the weights before the batch; a bucket hit several times in it
  takes their sum, in one step.
- A row's step is shared among its features: rates are given for a row of one feature, and divided
  by the root of the number of columns in the group.
- A gradient is a weighted probability less a label, so in [-1, 1]: no input can make a weight
  infinite.

References
----------
.. [1] McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.kernel import kernel
from stream.models.base.sigmoid import Floats, sigmoid
from stream.models.base.state import State, StateValue, array, integer, number
from stream.models.base.truth import Truth
from stream.models.propensity.buckets import PADDING, Buckets, Numbers
from stream.models.propensity.cells import GRADIENT, SQUARE, WEIGHT, Cells, both, empty_cells

Rates = npt.NDArray[np.float32]
Pairs = tuple[tuple[float, float], ...]

_CERTAIN = 8.0
_KEPT = {"weights": WEIGHT, "squares": SQUARE}


class Groups(NamedTuple):
    """Groups of columns: group ``i`` has columns ``starts[i]`` … ``starts[i + 1] - 1``.

    ``rates`` are the alphas of its slow and its fast learner, shared among its columns.
    """

    starts: Numbers
    rates: Rates


@lru_cache(maxsize=256)
def grouped(sizes: tuple[int, ...], rates: Pairs) -> Groups:
    """Return groups of so many columns.

    Parameters
    ----------
    sizes
        Columns of each group.
    rates
        Alpha of each group's slow and fast learner, for rows of one feature.
    """
    starts = np.array(list(accumulate(sizes, initial=0)), dtype=np.int64)
    shared = [np.array(pair) / np.sqrt(size) for pair, size in zip(rates, sizes, strict=True)]
    return Groups(starts, np.array(shared, dtype=np.float32))


class HashedFTRL:
    """Pairs of a slow and a fast logistic regression on the same buckets.

    Parameters
    ----------
    beta
        Slows the first steps; in units of the root of summed squared gradients.
    bits
        There are ``2 ** bits`` buckets of 32 bytes, in 8 … 24.

    Attributes
    ----------
    cells
        Of all buckets.

    Examples
    --------
    >>> model = HashedFTRL(bits=8)
    >>> buckets = np.array([[1, 17], [1, 99]], dtype=np.int32)
    >>> groups = grouped((2,), ((0.3, 1.2),))
    >>> logits = np.zeros((2, 2))
    >>> from stream.models.base.truth import whole
    >>> for _ in range(50):
    ...     model.look(buckets, groups, logits)
    ...     model.step(buckets, groups, logits, whole(np.array([1.0, 0.0])))
    >>> model.look(buckets, groups, logits)
    >>> (logits > 0.0).tolist()
    [[True, True], [False, False]]
    """

    def __init__(self, beta: float = 0.5, bits: int = 18) -> None:
        self.beta = beta
        self.bits = bits
        self.cells = empty_cells(2**bits)

    def slow(self, buckets: Buckets) -> Cells:
        """Return the slow learner's weights of some buckets, in the shape of these."""
        weights: Cells = self.cells[buckets, WEIGHT]
        return weights

    def look(self, buckets: Buckets, groups: Groups, logits: Floats) -> None:
        """Write the log-odds of each group's slow and fast learner.

        Parameters
        ----------
        buckets
            Of shape (rows, columns).
        groups
            Of the columns.
        logits
            Of shape (rows, 2 * groups) or wider, where they are written to, cut to -8 … 8: one
            part in 3000 is certainty enough for one learner.
        """
        look(self.cells, buckets, groups.starts, logits)

    def step(self, buckets: Buckets, groups: Groups, logits: Floats, truth: Truth) -> None:
        """Learn a batch, from what `look` wrote for it."""
        starts, rates = groups
        _step(self.cells, buckets, starts, rates, logits, truth, np.float32(self.beta))

    def forget(self, keep: float) -> None:
        """Make steps larger again after a drift: keep this share of the squared gradients."""
        self.cells[:, SQUARE:GRADIENT] *= np.float32(keep)

    def state(self) -> State:
        """Return parameters, and weights and squares of shape (buckets, 2): slow, fast."""
        return {
            "beta": self.beta,
            "bits": self.bits,
            **{
                name: both(self.cells, what).copy().view(np.float32).reshape(-1, 2)
                for name, what in _KEPT.items()
            },
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
        for name, what in _KEPT.items():
            told = array(state, name, np.float32, (len(model.cells), 2))
            both(model.cells, what)[:] = told.view(np.uint64)[:, 0]
        model.cells[PADDING] = 0.0
        return model


@kernel
def look(cells: Cells, buckets: Buckets, starts: Numbers, logits: Floats) -> None:
    """Add up the weights of each row's groups; see `HashedFTRL.look`.

    Parameters
    ----------
    cells
        Of shape (buckets, 8).
    buckets, logits
        Of shape (rows, columns) and (rows, 2 * groups) or wider.
    starts
        Of the groups' columns, shape (groups + 1,).
    """
    for row in range(len(buckets)):
        for group in range(len(starts) - 1):
            slow = fast = 0.0
            for column in range(starts[group], starts[group + 1]):
                bucket = buckets[row, column]
                slow += float(cells[bucket, WEIGHT])
                fast += float(cells[bucket, WEIGHT + 1])
            logits[row, 2 * group] = min(max(slow, -_CERTAIN), _CERTAIN)
            logits[row, 2 * group + 1] = min(max(fast, -_CERTAIN), _CERTAIN)


@kernel
def _step(
    cells: Cells,
    buckets: Buckets,
    starts: Numbers,
    rates: Rates,
    logits: Floats,
    truth: Truth,
    beta: np.float32,
) -> None:
    """Learn a batch: add up its gradients, then move each cell once.

    A cell that is met again has no gradient left, and stays: to ask would cost more. Of groups that
    collide in a cell, the rates of the last column that hits it count.

    Parameters
    ----------
    cells, buckets, starts, logits
        As of `look`.
    rates
        Of shape (groups, 2): slow, fast.
    truth
        As of `Truth`.
    beta
        As of `HashedFTRL`.
    """
    labels, weights = truth
    for row in range(len(buckets)):
        for group in range(len(starts) - 1):
            slow = np.float32(weights[row] * sigmoid(logits[row, 2 * group]) - labels[row])
            p = sigmoid(logits[row, 2 * group + 1])
            fast = np.float32(weights[row] * p - labels[row])
            for column in range(starts[group], starts[group + 1]):
                bucket = buckets[row, column]
                cells[bucket, GRADIENT] += slow
                cells[bucket, GRADIENT + 1] += fast
    cells[PADDING, GRADIENT] = cells[PADDING, GRADIENT + 1] = 0.0
    for row in range(len(buckets) - 1, -1, -1):
        for group in range(len(starts) - 2, -1, -1):
            for column in range(starts[group + 1] - 1, starts[group] - 1, -1):
                bucket = buckets[row, column]
                _move(cells, bucket, 0, rates[group, 0], beta)
                _move(cells, bucket, 1, rates[group, 1], beta)


@kernel
def _move(cells: Cells, bucket: int, which: int, rate: np.float32, beta: np.float32) -> None:
    """Take one learner's gradient, 0 the slow one's, into its square and weight."""
    gradient = cells[bucket, GRADIENT + which]
    square = cells[bucket, SQUARE + which] + gradient * gradient
    pace = gradient / (np.float32(math.sqrt(square)) + beta) * rate
    cells[bucket, WEIGHT + which] -= pace
    cells[bucket, SQUARE + which] = square
    cells[bucket, GRADIENT + which] = 0.0
