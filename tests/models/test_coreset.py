from __future__ import annotations

import numpy as np
import pytest

from stream.models.segments.coreset import Coreset


def test_until_it_is_full_everything_is_kept() -> None:
    coreset = Coreset(size=50, window=10**9)
    for n in range(50):
        coreset.add(np.array([float(n)]), 1.0 + n)
    points, weights = coreset.weighted()
    assert coreset.whole and points[:, 0].tolist() == list(range(50))
    assert weights == pytest.approx(np.ones(50), abs=1e-6)


def test_weights_stand_for_the_stream_on_average() -> None:
    """Sums over the sample are sums over the stream, though large values are kept more likely."""
    values = np.exp(np.random.default_rng(5).normal(0, 2, 2_000))
    told, counts = [], []
    for seed in range(60):
        coreset = Coreset(size=200, window=10**9, seed=seed)
        for value in values:
            coreset.add(np.array([value]), 1.0 + value)
        points, weights = coreset.weighted()
        told.append(float(points[:, 0] @ weights))
        counts.append(float(weights.sum()))
    assert np.mean(told) == pytest.approx(values.sum(), rel=0.02)
    assert np.mean(counts) == pytest.approx(2_000, rel=0.05)


def test_what_matters_most_is_always_kept() -> None:
    coreset = Coreset(size=100, window=10**9, seed=3)
    for n in range(5_000):
        coreset.add(np.array([float(n)]), 1e9 if n == 1_234 else 1.0)
    points, weights = coreset.weighted()
    at = points[:, 0].tolist().index(1_234.0)
    assert weights[at] == pytest.approx(1.0, rel=1e-3)


def test_old_points_fade() -> None:
    coreset = Coreset(size=200, window=500, seed=1)
    for n in range(20_000):
        coreset.add(np.array([float(n)]), 1.0)
    points, weights = coreset.weighted()
    assert points[:, 0].min() > 20_000 - 4 * 500 - 1
    assert 300 < weights.sum() < 800
