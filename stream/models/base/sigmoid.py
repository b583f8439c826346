"""Log-odds as probabilities: the same bytes on every CPU, which numpy's exponential has not."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from stream.models.base.kernel import kernel

Floats = npt.NDArray[np.float64]


@kernel
def sigmoid(logit: float) -> float:
    """Return the probability of log-odds, which must be within -700 … 700.

    Examples
    --------
    >>> sigmoid(0.0), round(sigmoid(2.0), 3)
    (0.5, 0.881)
    """
    return 1.0 / (1.0 + math.exp(-logit))


@kernel
def sigmoids(logits: Floats) -> Floats:
    """Return the probabilities of log-odds, shape (rows,); see `sigmoid`."""
    out = np.empty(len(logits))
    for row in range(len(logits)):
        out[row] = sigmoid(logits[row])
    return out
