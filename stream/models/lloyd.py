"""Batch k-means on a few hundred points: seeding and Lloyd's steps.

Rules
-----
- All randomness comes from the generator that is given.
- Seeds are drawn by greedy k-means++ [1]_: of a few candidates the one that helps most.
- Ties go to the lower index, so equal input gives equal output.

References
----------
.. [1] Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def distances(points: Points, centres: Points) -> Points:
    """Return squared distances, of shape (points, centres)."""
    return np.stack([((points - centre) ** 2).sum(axis=1) for centre in centres], axis=1)


def inertia(points: Points, centres: Points) -> float:
    """Return the sum of squared distances to the nearest centre.

    Examples
    --------
    >>> inertia(np.array([[0.0], [2.0], [9.0]]), np.array([[1.0], [9.0]]))
    2.0
    """
    return float(distances(points, centres).min(axis=1).sum())


def seeded(points: Points, k: int, rng: np.random.Generator) -> Points:
    """Return k of the points, far apart by greedy k-means++; some are equal if points are."""
    chosen = [int(rng.integers(len(points)))]
    nearest = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    tries = 2 + int(math.log(k))
    while len(chosen) < k:
        total = nearest.sum()
        if total <= 0:
            chosen.append(chosen[0])
            continue
        drawn = np.searchsorted(np.cumsum(nearest), rng.random(tries) * total)
        drawn = np.minimum(drawn, len(points) - 1)
        options = np.minimum(nearest[:, None], distances(points, points[drawn]))
        best = int(options.sum(axis=0).argmin())
        chosen.append(int(drawn[best]))
        nearest = options[:, best]
    return points[chosen].copy()


def settled(points: Points, centres: Points, steps: int = 100) -> Points:
    """Return the centres after Lloyd's steps until nothing moves; an empty one stays in place."""
    centres = centres.copy()
    before = None
    for _ in range(steps):
        nearest = distances(points, centres).argmin(axis=1)
        if before is not None and np.array_equal(nearest, before):
            break
        before = nearest
        sizes = np.bincount(nearest, minlength=len(centres))
        for axis in range(points.shape[1]):
            sums = np.bincount(nearest, points[:, axis], minlength=len(centres))
            np.divide(sums, sizes, out=centres[:, axis], where=sizes > 0)
    return centres


def best_of(points: Points, k: int, starts: int, rng: np.random.Generator) -> Points:
    """Return the centres of least inertia among several seeded and settled starts."""
    tried = [settled(points, seeded(points, k, rng)) for _ in range(starts)]
    return min(tried, key=lambda centres: inertia(points, centres))
