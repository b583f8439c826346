from __future__ import annotations

import numpy as np
import pytest

from stream.models.base.calibration import Calibration
from stream.models.base.metrics import calibration_error
from stream.models.base.truth import whole

# What is measured has bars of its own: with seeds drawn anew it would fail by chance.
SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


@SEEDS
def test_overconfident_scores_become_honest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    calibration = Calibration()
    raw, honest, labels = [], [], []
    for n in range(600):
        z = rng.normal(-2, 1.5, 32)
        y = (rng.random(32) < sigmoid(0.5 * z - 0.4)).astype(float)
        if n >= 200:
            raw.append(sigmoid(z))
            honest.append(sigmoid(calibration.corrected(z)))
            labels.append(y)
        calibration.learn(z, whole(y))
    y = np.concatenate(labels)
    before = calibration_error(y, np.concatenate(raw))
    after = calibration_error(y, np.concatenate(honest))
    assert after < before / 3


@SEEDS
def test_each_segment_is_calibrated_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    calibration = Calibration()
    shift = np.array([1.0, 0.0, -1.0])
    for _ in range(400):
        z, segments = rng.normal(-1, 1, 32), rng.integers(0, 3, 32)
        y = (rng.random(32) < sigmoid(z + shift[segments])).astype(float)
        calibration.learn(z, whole(y), segments.tolist())
    told = calibration.corrected(np.full(5, -1.0), [0, 1, 2, None, 99])
    assert 0.5 < told[0] - told[1] < 1.5
    assert -1.5 < told[2] - told[1] < -0.3
    assert told[3] == told[4]


def test_nothing_learned_changes_nothing() -> None:
    z = np.array([-40.0, -7.3, -0.2, 0.0, 2.5, 33.0])
    assert Calibration().corrected(z, [0, 1, 2, 3, None, None]) == pytest.approx(z)


def test_who_scores_higher_stays_higher(seed: int) -> None:
    rng = np.random.default_rng(seed)
    calibration = Calibration(prior=0.1)
    for _ in range(100):
        z = rng.normal(0, 3, 32)
        calibration.learn(z, whole((rng.random(32) < sigmoid(-2 * z)).astype(float)))  # upside down
    told = calibration.corrected(np.linspace(-9, 9, 200))
    assert (np.diff(told) >= -1e-12).all()
