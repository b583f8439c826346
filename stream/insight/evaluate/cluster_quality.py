"""How good segments are, whichever way they were found: silhouette, Davies-Bouldin, stability.

References
----------
.. [1] Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster
   analysis", Journal of Computational and Applied Mathematics 20, 1987.
.. [2] Davies and Bouldin, "A cluster separation measure", IEEE PAMI 1(2), 1979.
.. [3] Hubert and Arabie, "Comparing partitions", Journal of Classification 2, 1985.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stream.models.segments.segmenters import SEGMENTERS, segmenter

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

LEARNED: Final = 20_000  # points that each way learns
JUDGED: Final = 1_000  # points by which it is judged
ORDERS: Final = 3


class Qualities:
    """Each way to segment, in a few orders of the points, and how good what it found is.

    Parameters
    ----------
    points
        Of shape (points, coordinates).
    k
        Segments.
    seed
        Of the orders and of the samples.
    """

    def __init__(self, points: Floats, k: int, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, 99])
        kept = rng.permutation(len(points))
        self.points = points[np.sort(kept[:LEARNED])]
        self.judged = points[np.sort(kept[:JUDGED])]
        self.k = k
        self.seed = seed
        self.last: dict[str, Any] = {}
        self._labels: dict[str, list[Numbers]] = {kind: [] for kind in SEGMENTERS}

    @property
    def total(self) -> int:
        """Points to be learned, each as often as it is."""
        return len(SEGMENTERS) * ORDERS * len(self.points)

    def run(self) -> Iterator[int]:
        """Learn all points by each way, in each order; yield the number of points learned."""
        done = 0
        for kind in SEGMENTERS:
            for number in range(ORDERS):
                model = segmenter(kind, self.k, number)
                rng = np.random.default_rng([self.seed, 200 + number])
                order = rng.permutation(len(self.points))
                for part in np.array_split(order, max(1, len(order) // 500)):
                    model.learn_many(self.points[part])
                    done += len(part)
                    yield done
                told = [model.assign(point) for point in self.judged]
                self._labels[kind].append(np.array(told, dtype=np.int64))
                self.last[kind] = model

    def report(self) -> dict[str, dict[str, float | int | None]]:
        """Return what each way's segments are like; see ``offerstream evaluate segments``."""
        return {kind: self._one(labels) for kind, labels in self._labels.items()}

    def _one(self, labels: list[Numbers]) -> dict[str, float | int | None]:
        scores = [silhouette(self.judged, each) for each in labels]
        known = [score for score in scores if score is not None]
        ratios = [davies_bouldin(self.judged, each) for each in labels]
        apart = [ratio for ratio in ratios if ratio is not None]
        pairs = [adjusted_rand(labels[a], labels[b]) for a in range(len(labels)) for b in range(a)]
        return {
            "segments": len(np.unique(labels[-1])),
            "silhouette": sum(known) / len(known) if known else None,
            "davies_bouldin": sum(apart) / len(apart) if apart else None,
            "stability": sum(pairs) / len(pairs),
        }


def silhouette(points: Floats, labels: Numbers) -> float | None:
    """Return how much nearer points are to their own segment than to the next, in -1 … 1 [1]_.

    Parameters
    ----------
    points, labels
        Of shape (points, coordinates), some thousand at most, and (points,).

    Returns
    -------
    float or None
        None where there are not two segments.

    Examples
    --------
    >>> silhouette(np.array([[0.0], [0.0], [9.0], [9.0]]), np.array([0, 0, 1, 1]))
    1.0
    """
    found, which = np.unique(labels, return_inverse=True)
    if len(found) < 2:
        return None
    squares = (points**2).sum(axis=1)
    gaps = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * points @ points.T, 0.0))
    np.fill_diagonal(gaps, 0.0)
    sizes = np.bincount(which)
    sums = np.stack([np.bincount(which, row, len(found)) for row in gaps])
    rows = np.arange(len(points))
    own = sums[rows, which] / np.maximum(sizes[which] - 1, 1)
    means = sums / sizes
    means[rows, which] = np.inf
    other = means.min(axis=1)
    most = np.maximum(own, other)
    told = np.divide(other - own, most, out=np.zeros_like(own), where=most > 0)
    return float(np.where(sizes[which] > 1, told, 0.0).mean())


def davies_bouldin(points: Floats, labels: Numbers) -> float | None:
    """Return how wide segments are beside the gap to the one most like them; less is better [2]_.

    Examples
    --------
    >>> points, labels = np.array([[0.0], [2.0], [9.0], [11.0]]), np.array([0, 0, 1, 1])
    >>> round(davies_bouldin(points, labels) or 0.0, 3)
    0.222
    """
    found, which = np.unique(labels, return_inverse=True)
    if len(found) < 2:
        return None
    centres = np.array([points[which == at].mean(axis=0) for at in range(len(found))])
    away = np.sqrt(((points - centres[which]) ** 2).sum(axis=1))
    wide = np.bincount(which, away) / np.bincount(which)
    gaps = np.sqrt(((centres[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2))
    np.fill_diagonal(gaps, np.inf)
    ratios = (wide[:, None] + wide[None, :]) / np.maximum(gaps, 1e-12)
    return float(ratios.max(axis=1).mean())


def adjusted_rand(one: Numbers, other: Numbers) -> float:
    """Return how alike two segmentations of the same points are: 1 the same, 0 as by chance [3]_.

    Examples
    --------
    >>> adjusted_rand(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2]))
    1.0
    """
    _, a = np.unique(one, return_inverse=True)
    _, b = np.unique(other, return_inverse=True)
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a, b), 1.0)
    both = _pairs(table).sum()
    rows, columns = _pairs(table.sum(axis=1)).sum(), _pairs(table.sum(axis=0)).sum()
    expected = rows * columns / max(1.0, float(_pairs(np.array(float(len(one))))))
    most = (rows + columns) / 2
    return 1.0 if most == expected else float((both - expected) / (most - expected))


def _pairs(counts: Floats) -> Floats:
    return np.asarray(counts * (counts - 1) / 2)
