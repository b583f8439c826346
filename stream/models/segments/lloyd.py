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

from stream.models.base.kernel import kernel

Points = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@kernel
def distance(points: Points, i: int, centres: Points, j: int) -> float:
    """Return the squared distance of point i from centre j; both have shape (·, dimensions)."""
    total = 0.0
    for axis in range(points.shape[1]):
        gap = points[i, axis] - centres[j, axis]
        total += gap * gap
    return total


@kernel
def nearest(points: Points, centres: Points) -> tuple[Numbers, Weights]:
    """Return which centre is nearest to each point, and their squared distance.

    Points and centres have shape (·, dimensions), both results shape (points,).
    """
    which = np.zeros(len(points), np.int64)
    squared = np.empty(len(points))
    for i in range(len(points)):
        least = distance(points, i, centres, 0)
        for j in range(1, len(centres)):
            other = distance(points, i, centres, j)
            if other < least:
                which[i], least = j, other
        squared[i] = least
    return which, squared


@kernel
def distances(points: Points, centres: Points) -> Points:
    """Return squared distances, of shape (points, centres)."""
    out = np.empty((len(points), len(centres)))
    for i in range(len(points)):
        for j in range(len(centres)):
            out[i, j] = distance(points, i, centres, j)
    return out


def inertia(points: Points, centres: Points, weights: Weights | None = None) -> float:
    """Return the weighted sum of squared distances to the nearest centre.

    Examples
    --------
    >>> inertia(np.array([[0.0], [2.0], [9.0]]), np.array([[1.0], [9.0]]))
    2.0
    """
    _, squared = nearest(points, centres)
    return float(squared.sum() if weights is None else squared @ weights)


def seeded(points: Points, weights: Weights, k: int, rng: np.random.Generator) -> Points:
    """Return k of the points, far apart by greedy k-means++; some are equal if points are."""
    first = _drawn(weights, 1, rng)
    chosen = first.tolist()
    _, least = nearest(points, points[first])
    for _ in range(k - 1):
        potential = least * weights
        if potential.sum() <= 0:
            chosen.append(chosen[0])
            continue
        drawn = _drawn(potential, 2 + int(math.log(k)), rng)
        options = np.minimum(least[:, None], distances(points, points[drawn]))
        best = int((weights @ options).argmin())
        chosen.append(int(drawn[best]))
        least = options[:, best]
    seeds: Points = points[chosen]
    return seeds


@kernel
def settled(points: Points, weights: Weights, centres: Points, steps: int = 100) -> Points:
    """Return the centres after Lloyd's steps until nothing moves; an empty one stays in place.

    Points and centres have shape (·, dimensions), weights shape (points,).
    """
    centres = centres.copy()
    before = np.full(len(points), -1)
    for _ in range(steps):
        which, _ = nearest(points, centres)
        if (which == before).all():
            break
        before = which
        sizes, sums = np.zeros(len(centres)), np.zeros(centres.shape)
        for i in range(len(points)):
            sizes[which[i]] += weights[i]
            for axis in range(points.shape[1]):
                sums[which[i], axis] += points[i, axis] * weights[i]
        for j in range(len(centres)):
            for axis in range(centres.shape[1]):
                if sizes[j] > 0.0:
                    centres[j, axis] = sums[j, axis] / sizes[j]
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
