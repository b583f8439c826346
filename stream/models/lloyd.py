"""Batch k-means on some hundred weighted points: seeding and Lloyd's steps.

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
Weights = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]


def distances(points: Points, centres: Points) -> Points:
    """Return squared distances, of shape (points, centres)."""
    out = np.zeros((len(points), len(centres)))
    for axis in range(points.shape[1]):
        gap = points[:, axis, None] - centres[:, axis]
        gap *= gap
        out += gap
    return out


def inertia(points: Points, centres: Points, weights: Weights | None = None) -> float:
    """Return the weighted sum of squared distances to the nearest centre.

    Examples
    --------
    >>> inertia(np.array([[0.0], [2.0], [9.0]]), np.array([[1.0], [9.0]]))
    2.0
    """
    nearest = distances(points, centres).min(axis=1)
    return float(nearest.sum() if weights is None else nearest @ weights)


def seeded(points: Points, weights: Weights, k: int, rng: np.random.Generator) -> Points:
    """Return k of the points, far apart by greedy k-means++; some are equal if points are."""
    first = _drawn(weights, 1, rng)
    chosen = first.tolist()
    nearest = distances(points, points[first])[:, 0]
    for _ in range(k - 1):
        potential = nearest * weights
        if potential.sum() <= 0:
            chosen.append(chosen[0])
            continue
        drawn = _drawn(potential, 2 + int(math.log(k)), rng)
        options = np.minimum(nearest[:, None], distances(points, points[drawn]))
        best = int((weights @ options).argmin())
        chosen.append(int(drawn[best]))
        nearest = options[:, best]
    seeds: Points = points[chosen]
    return seeds


def settled(points: Points, weights: Weights, centres: Points, steps: int = 100) -> Points:
    """Return the centres after Lloyd's steps until nothing moves; an empty one stays in place."""
    centres = centres.copy()
    before = None
    for _ in range(steps):
        nearest = distances(points, centres).argmin(axis=1)
        if before is not None and np.array_equal(nearest, before):
            break
        before = nearest
        sizes = np.bincount(nearest, weights, minlength=len(centres))
        for axis in range(points.shape[1]):
            sums = np.bincount(nearest, points[:, axis] * weights, minlength=len(centres))
            np.divide(sums, sizes, out=centres[:, axis], where=sizes > 0)
    return centres


def best_of(
    points: Points, weights: Weights, k: int, starts: int, rng: np.random.Generator
) -> Points:
    """Return the centres of least inertia among several seeded and settled starts."""
    tried = [settled(points, weights, seeded(points, weights, k, rng)) for _ in range(starts)]
    return min(tried, key=lambda centres: inertia(points, centres, weights))


def _drawn(odds: Weights, count: int, rng: np.random.Generator) -> Numbers:
    total = np.cumsum(odds)
    drawn = np.searchsorted(total, rng.random(count) * total[-1], side="right")
    last: Numbers = np.minimum(drawn, len(odds) - 1)
    return last
