from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest

from stream.models.base.metrics import quality
from stream.models.base.state import StateError
from stream.models.propensity import Encoder, Propensity
from stream.models.propensity.dense import DenseLogistic
from stream.models.propensity.encoding import EncodedRow
from stream.models.propensity.scaling import InputPlaces, RunningScale

# What is measured has bars of its own: with seeds drawn anew it would fail by chance.
SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])


def linear_world(seed: int, count: int) -> tuple[list[dict[Hashable, Any]], np.ndarray, np.ndarray]:
    """Examples of ten numbers of all sizes, their labels, and the best that could be told."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 10))
    p = 1 / (1 + np.exp(-(x @ rng.normal(0, 0.6, 10) - 1.0)))
    labels = (rng.random(count) < p).astype(float)
    sizes = 10.0 ** np.arange(-3, 7)
    rows: list[dict[Hashable, Any]] = [
        {f"n{i}": v for i, v in enumerate(row)} for row in (x * sizes + sizes).tolist()
    ]
    return rows, labels, p


@SEEDS
def test_what_is_linear_is_foreseen_nearly_as_well_as_can_be(seed: int) -> None:
    rows, labels, best = linear_world(seed, 3_000)
    model = Propensity(bits=16)
    told = np.empty(len(rows))
    for i, (x, label) in enumerate(zip(rows, labels, strict=True)):
        told[i] = model.predict_proba_one(x)[True]
        model.learn_one(x, bool(label))
    ours, theirs = quality(labels[1000:], told[1000:]), quality(labels[1000:], best[1000:])
    assert ours.auc is not None and theirs.auc is not None and ours.auc > theirs.auc - 0.012
    assert ours.log_loss is not None and theirs.log_loss is not None
    assert ours.log_loss < theirs.log_loss + 0.012


@SEEDS
def test_without_dense_inputs_the_same_costs_more_examples(seed: int) -> None:
    rows, labels, _ = linear_world(seed, 1_500)
    losses = []
    for inputs in (128, 0):
        model = Propensity(bits=16, inputs=inputs)
        told = np.empty(len(rows))
        for i, (x, label) in enumerate(zip(rows, labels, strict=True)):
            told[i] = model.predict_proba_one(x)[True]
            model.learn_one(x, bool(label))
        losses.append(quality(labels[500:], told[500:]).log_loss or 0.0)
    assert losses[0] < losses[1] - 0.01


def test_its_weights_are_those_of_a_batch_fit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = np.array([-1.0, 0.8, -0.5, 0.0])
    x = np.column_stack([np.ones(8_000), rng.normal(size=(8_000, 3))])
    labels = (rng.random(8_000) < 1 / (1 + np.exp(-x @ weights))).astype(float)
    model = DenseLogistic(3, memory=1e9)
    for at in range(0, 8_000, 32):
        model.learn(x[at : at + 32], (labels[at : at + 32], np.ones(32)))
    fit = np.zeros(4)
    for _ in range(20):
        p = 1 / (1 + np.exp(-x @ fit))
        fit += np.linalg.solve((x.T * (p * (1 - p))) @ x + 1e-6 * np.eye(4), x.T @ (labels - p))
    assert model._weights == pytest.approx(fit, abs=0.03)


def test_inputs_that_come_later_find_the_others_as_they_were() -> None:
    model = DenseLogistic(9)
    before = model.rows(2, [[1], [1]], [[1.0], [-1.0]])
    for _ in range(20):
        model.learn(before, (np.array([1.0, 0.0]), np.ones(2)))
    told = model.logits(before)
    later = model.rows(1, [[1, 9]], [[1.0, 5.0]])
    assert later.shape == (1, 10) and model.logits(later) == pytest.approx(told[:1])
    model.learn(later, (np.array([1.0]), np.ones(1)))
    assert model.rows(1, [], []).shape == (1, 10)


def test_more_inputs_than_there_may_be_are_refused() -> None:
    with pytest.raises(IndexError, match="input 4 of at most 3"):
        DenseLogistic(3).rows(1, [[4]], [[1.0]])


@pytest.mark.parametrize("size", [0, 5])
def test_a_state_of_another_size_is_refused(size: int) -> None:
    state = DenseLogistic(3).state() | {
        "weights": np.zeros(size),
        "curvature": np.zeros((size, size)),
    }
    with pytest.raises(StateError, match="weights"):
        DenseLogistic.from_state(state)


def test_a_scale_follows_what_moves_and_survives_what_is_huge() -> None:
    scale = RunningScale()
    for n in range(30_000):
        scale.learn(float(n % 10))
    for n in range(60_000):
        scale.learn(1e6 + n % 10)
    assert abs(scale.scaled(1e6 + 4.5)) < 0.1
    scale.learn(-1.7e308)
    assert np.isfinite(scale.scaled(1.7e308))


def test_a_value_that_never_came_back_gets_no_place() -> None:
    places = InputPlaces(most=5)
    for n in range(20_000):
        places.count(n)
        places.count(7)
    assert places.find(7) == 1 and places.find(8) == 0
    assert len(places._counted) <= 4096


def test_all_columns_have_their_places_however_many_texts_come() -> None:
    encoder = Encoder(inputs=4)
    for n in range(100):
        encoder.learn({"a": n / 7, "b": n / 3, "c": f"t{n % 2}"})
    row: EncodedRow = encoder.encode({"a": 1.0, "b": 2.0, "c": "t1"})
    assert sorted(row.inputs) == [1, 2, 3, 4]
    assert len(row.values) == 4 and np.isfinite(row.values).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("most", 1),
        ("given", np.array([7, 7, 9], dtype=np.uint32)),
        ("times", np.zeros(9, dtype=np.uint8)),
        ("counted", np.zeros(5_000, dtype=np.uint32)),
    ],
)
def test_places_that_cannot_be_are_refused(name: str, value: Any) -> None:
    places = InputPlaces(most=3)
    for key in (1, 2, 3):
        places.reserve(key)
    with pytest.raises(StateError):
        InputPlaces.from_state(places.state() | {name: value})
