from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from stream.models.base.metrics import auc, log_loss
from stream.models.propensity.foresight import FEWEST, Foresight


def test_without_labels_there_are_no_figures() -> None:
    quality = Foresight().quality()
    assert quality.labels == 0
    assert isnan(quality.auc) and isnan(quality.log_loss) and isnan(quality.calibration_ratio)


def test_few_purchases_give_no_figures_however_many_exposures() -> None:
    foresight = Foresight()
    ones = np.ones(1_000)
    foresight.take(0.1 * ones, 0 * ones, ones, np.arange(1_000))
    foresight.take(np.ones(FEWEST - 1) / 2, np.ones(FEWEST - 1), np.zeros(FEWEST - 1), np.arange(9))
    assert isnan(foresight.quality().calibration_ratio)
    foresight.take(np.ones(1) / 2, np.ones(1), np.zeros(1), np.array([9]))
    assert foresight.quality().calibration_ratio == pytest.approx(100 / FEWEST)


def test_told_in_two_parts_the_figures_are_those_of_whole_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 8, 2_000)
    y = (rng.random(2_000) < p).astype(float)
    bought = np.flatnonzero(y)
    foresight = Foresight()
    foresight.take(p, np.zeros(2_000), np.ones(2_000), np.arange(2_000))
    foresight.take(rng.random(len(bought)), np.ones(len(bought)), np.zeros(len(bought)), bought)
    quality = foresight.quality()
    assert quality.log_loss == pytest.approx(log_loss(y, p))
    assert quality.auc == pytest.approx(auc(y, p))
    assert quality.calibration_ratio == pytest.approx(p.sum() / y.sum())


def test_whole_labels_give_the_usual_figures(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 8, 2_000)
    y = (rng.random(2_000) < p).astype(float)
    foresight = Foresight()
    foresight.take(p, y, np.ones(2_000), np.arange(2_000))
    assert foresight.quality().log_loss == pytest.approx(log_loss(y, p))
