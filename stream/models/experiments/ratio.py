"""Sample ratio: are the arms as large as they were meant to be, at every look?

References
----------
.. [1] Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def evidence(counts: Sequence[int], shares: Sequence[float], strength: float = 100.0) -> float:
    """Return by how much the counts are likelier under other shares, as a logarithm.

    It is the Dirichlet mixture martingale of [1]_: if the shares are right, the chance that it ever
    passes ``log(1 / alpha)`` is at most ``alpha``, however often one looks.

    Parameters
    ----------
    counts
        Customers of each arm.
    shares
        Of each arm, as meant; they sum to 1.
    strength
        Of the prior, in customers: larger finds smaller mismatches later.

    Examples
    --------
    >>> evidence([5_000, 5_010], [0.5, 0.5]) < 0 < evidence([5_000, 5_600], [0.5, 0.5])
    True
    """
    total = sum(counts)
    log = math.lgamma(strength) - math.lgamma(strength + total)
    for count, share in zip(counts, shares, strict=True):
        if share <= 0.0:
            return math.inf if count else log
        prior = strength * share
        log += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return log


def is_mismatch(counts: Sequence[int], shares: Sequence[float], alpha: float = 0.001) -> bool:
    """Whether the arms are not of the sizes that were meant: then no other figure is to be trusted.

    Examples
    --------
    >>> is_mismatch([9_500, 500], [0.95, 0.05]), is_mismatch([9_300, 700], [0.95, 0.05])
    (False, True)
    """
    return evidence(counts, shares) > -math.log(alpha)
