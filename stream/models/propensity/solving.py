"""A few linear equations: by hand, since numbers that small cost LAPACK mostly its calls."""

from __future__ import annotations

import math

import numpy as np

from stream.models.base.kernel import kernel
from stream.models.base.sigmoid import Floats


@kernel
def solved(matrix: Floats, right: Floats) -> Floats:
    """Return x of ``matrix @ x = right``, by Cholesky's decomposition.

    Parameters
    ----------
    matrix
        Symmetric, positive definite, of shape (n, n).
    right
        Of shape (n,).

    Examples
    --------
    >>> solved(np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([4.0, 7.0])).round(9).tolist()
    [1.0, 2.0]
    """
    n = len(right)
    root = np.zeros((n, n))
    x = np.empty(n)
    for i in range(n):
        x[i] = right[i]
        for j in range(i + 1):
            left = matrix[i, j]
            for k in range(j):
                left -= root[i, k] * root[j, k]
            root[i, j] = math.sqrt(left) if i == j else left / root[j, j]
        for k in range(i):
            x[i] -= root[i, k] * x[k]
        x[i] /= root[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            x[i] -= root[k, i] * x[k]
        x[i] /= root[i, i]
    return x
