from __future__ import annotations

import numpy as np
import pytest

from stream.models.base.metrics import Rolling, auc, calibration_error, log_loss, quality


def slow_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    return float(np.mean(pairs))


def test_the_area_is_that_of_all_pairs_ties_counting_half(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(20):
        labels = (rng.random(60) < 0.3).astype(float)
        scores = rng.integers(0, 8, 60) / 8
        if 0 < labels.sum() < 60:
            assert auc(labels, scores) == pytest.approx(slow_auc(labels, scores))


def test_small_probabilities_lose_nothing_in_the_area() -> None:
    labels = np.array([0.0] * 990 + [1.0] * 10)
    scores = np.concatenate([np.linspace(0.001, 0.009, 990), np.linspace(0.0085, 0.0089, 10)])
    told = auc(labels, scores)
    assert told is not None and told == pytest.approx(slow_auc(labels, scores))


def test_what_has_no_meaning_is_none() -> None:
    assert quality(np.zeros(0), np.zeros(0)) == (0, 0, None, None, None, None, None, None)
    told = quality(np.zeros(3), np.full(3, 0.2))
    assert (told.auc, told.recall, told.f1, told.accuracy) == (None, None, None, 1.0)


def test_a_wrong_certainty_costs_much_but_not_everything() -> None:
    assert 30 < log_loss(np.array([1.0]), np.array([0.0])) < 40


def test_calibration_error_weighs_bins_by_their_rows() -> None:
    labels = np.array([1.0, 0.0, 0.0, 0.0, 1.0])
    scores = np.array([0.15, 0.15, 0.15, 0.15, 1.0])
    assert calibration_error(labels, scores) == pytest.approx(4 / 5 * 0.1)


def test_threshold_metrics() -> None:
    told = quality(np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.9, 0.2, 0.6, 0.1]), 0.5)
    assert (told.accuracy, told.recall, told.f1) == (0.5, 0.5, 0.5)


def test_rolling_is_quality_over_the_latest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = (rng.random(5_000) < 0.2).astype(float), rng.random(5_000)
    rolling = Rolling(window=700)
    for at in range(0, 5_000, 37):
        rolling.update(scores[at : at + 37], labels[at : at + 37])
    assert rolling.quality() == pytest.approx(quality(labels[-700:], scores[-700:]))


def test_not_a_number_does_not_poison() -> None:
    rolling = Rolling(window=4)
    rolling.update([float("nan"), 0.4, float("inf")], [1, 0, 1])
    told = rolling.quality()
    assert told.auc == 1.0 and told.log_loss is not None and np.isfinite(told.log_loss)
