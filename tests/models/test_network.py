from __future__ import annotations

import math

import numpy as np
import pytest

from stream.codec.snapshots.snapshot import decode, encode, fingerprint
from stream.models.base.metrics import auc
from stream.models.base.state import StateError
from stream.models.propensity.network import HashedNetwork

Rows = list[tuple[dict[object, object], bool]]


def rows(seed: int, size: int) -> Rows:
    """Who buys, is neither who has a taste nor who has money, but one of the two alone."""
    rng = np.random.default_rng(seed)
    told: Rows = []
    for _ in range(size):
        taste, money = str(rng.choice(["red", "blue"])), float(rng.normal())
        told.append(({"taste": taste, "money": money}, (taste == "red") != (money > 0)))
    return told


def test_it_finds_what_no_line_can(seed: int) -> None:
    model, scores = HashedNetwork(bits=10), []
    told = rows(seed, 2_000)
    for x, y in told:
        scores.append(model.predict_proba_one(x)[True])
        model.learn_one(x, y)
    labels = np.array([float(y) for _, y in told])
    assert (auc(labels[1_000:], np.array(scores)[1_000:]) or 0.0) > 0.95


@pytest.mark.parametrize(("second", "stop"), [(0, 0), (16, 1), (16, 200)])
def test_restored_it_goes_on_bit_for_bit(second: int, stop: int, seed: int) -> None:
    told = rows(seed, 300)
    one = HashedNetwork(bits=8, second=second)
    for x, y in told[:stop]:
        one.learn_one(x, y)
    other = HashedNetwork.from_state(decode(encode("network", 1, one.state(), {})).state)
    for model in (one, other):
        for x, y in told[stop:]:
            model.learn_one(x, y)
    assert fingerprint(one.state()) == fingerprint(other.state())


def test_predicting_changes_nothing_and_a_wrong_state_is_refused() -> None:
    model = HashedNetwork(bits=8)
    for x, y in rows(1, 50):
        model.learn_one(x, y)
    state = model.state()
    before = fingerprint(state)
    model.predict_proba_one({"taste": "green", "new": 3.0})
    assert fingerprint(model.state()) == before
    for name, value in (("bits", 3), ("last", np.zeros(2)), ("rate", math.nan)):
        with pytest.raises(StateError):
            HashedNetwork.from_state(state | {name: value})


def test_wild_values_leave_it_finite(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wild = [math.nan, math.inf, -1e308, 1e308, 0.0, "", "text", None, True]
    model = HashedNetwork(bits=8)
    for _ in range(300):
        x = {name: wild[rng.integers(len(wild))] for name in "abcd"}
        model.learn_one(x, bool(rng.integers(2)))
        assert 0.0 < model.predict_proba_one(x)[True] < 1.0
