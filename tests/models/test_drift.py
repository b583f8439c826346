from __future__ import annotations

import numpy as np
import pytest

from stream.models.propensity.drift import DriftWatch

# What is measured has bars of its own: with seeds drawn anew it would fail by chance.
SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])


def losses(rng: np.random.Generator, rate: float, count: int) -> list[float]:
    """Log losses of the constant 0.1, when the rate of positives is another."""
    told: list[float] = (-np.log(np.where(rng.random(count) < rate, 0.1, 0.9))).tolist()
    return told


@SEEDS
def test_a_steady_loss_is_no_drift(seed: int) -> None:
    watch = DriftWatch()
    assert not watch.update(losses(np.random.default_rng(seed), 0.1, 30_000))


@SEEDS
def test_a_loss_that_doubles_is_found_soon(seed: int) -> None:
    rng = np.random.default_rng(seed)
    watch = DriftWatch()
    watch.update(losses(rng, 0.1, 5_000))
    assert any(watch.update(losses(rng, 0.25, 32)) for _ in range(40))
    assert watch.drifts == 1


@SEEDS
def test_a_loss_that_falls_is_no_drift(seed: int) -> None:
    rng = np.random.default_rng(seed)
    watch = DriftWatch()
    watch.update(losses(rng, 0.3, 5_000))
    watch.update(losses(rng, 0.05, 5_000))
    assert watch.drifts == 0


@SEEDS
def test_restored_it_finds_what_it_would_have_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stream = losses(rng, 0.1, 6_000) + losses(rng, 0.4, 3_000)
    watch, restored = DriftWatch(window=1024), None
    for at in range(0, len(stream), 50):
        found = watch.update(stream[at : at + 50])
        if restored is not None:
            assert restored.update(stream[at : at + 50]) == found
        if at == 3_000:
            restored = DriftWatch.from_state(watch.state())
    assert watch.drifts >= 1
    assert len(watch.state()["losses"]) <= 1024  # type: ignore[arg-type]
