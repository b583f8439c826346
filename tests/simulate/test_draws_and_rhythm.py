"""Chance and rhythm: uniform, keyed, and a week whose mean is one."""

from __future__ import annotations

import numpy as np
import pytest

from stream.simulate.draws import Draws
from stream.simulate.rhythm import DAY_MS, HOUR_MS, Rhythm

MONDAY = 1_759_708_800_000  # 2025-10-06, 00:00 UTC


def test_draws_are_uniform_and_independent_of_their_neighbours() -> None:
    draws = Draws(1, "uniform")
    sample = np.array([draws.uniform() for _ in range(50_000)])
    assert sample.min() >= 0 and sample.max() < 1
    assert sample.mean() == pytest.approx(0.5, abs=0.01)
    assert np.histogram(sample, 10)[0].std() < 150
    assert abs(np.corrcoef(sample[:-1], sample[1:])[0, 1]) < 0.02


def test_each_key_has_luck_of_its_own() -> None:
    first = {Draws(seed, part, n).uniform() for seed in (1, 2) for part in "ab" for n in range(50)}
    assert len(first) == 200


def test_the_decks_have_the_right_moments() -> None:
    draws = Draws(2)
    gumbels = np.concatenate([draws.gumbels(1000) for _ in range(60)])
    normals = np.concatenate([draws.normals(1000) for _ in range(60)])
    assert gumbels.mean() == pytest.approx(np.euler_gamma, abs=0.05)
    assert gumbels.std() == pytest.approx(np.pi / np.sqrt(6), abs=0.05)
    assert normals.mean() == pytest.approx(0, abs=0.05)
    assert normals.std() == pytest.approx(1, abs=0.05)


def test_a_logit_choice_follows_the_utilities() -> None:
    draws, utilities = Draws(3), np.array([0.0, 1.0, 2.0])
    counts = np.bincount([draws.choice(utilities) for _ in range(20_000)], minlength=3) / 20_000
    assert counts == pytest.approx(np.exp(utilities) / np.exp(utilities).sum(), abs=0.02)


def test_waiting_takes_longer_in_the_night() -> None:
    rhythm = Rhythm()
    night = rhythm.after(MONDAY + 2 * HOUR_MS, HOUR_MS) - (MONDAY + 2 * HOUR_MS)
    evening = rhythm.after(MONDAY + 19 * HOUR_MS, HOUR_MS) - (MONDAY + 19 * HOUR_MS)
    assert night > 2 * HOUR_MS > HOUR_MS > evening


@pytest.mark.parametrize("daily", [True, False])
def test_time_only_goes_forward_and_a_week_is_a_week(daily: bool) -> None:
    rhythm = Rhythm(daily=daily)
    for start in range(MONDAY, MONDAY + 7 * DAY_MS, 5 * HOUR_MS):
        assert rhythm.after(start, 7.0 * DAY_MS) == pytest.approx(start + 7 * DAY_MS, abs=2)
        steps = [rhythm.after(start, busy * 1e6) for busy in range(100)]
        assert steps == sorted(steps)
        assert steps[0] == pytest.approx(start, abs=1)
