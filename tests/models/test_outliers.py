from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from river.checks import common

from stream.codec.snapshots.snapshot import decode, encode, fingerprint
from stream.models.base.metrics import auc
from stream.models.base.state import StateError
from stream.models.outliers import OutlierDetector
from stream.models.outliers.isolation import batch_scores

CHECKS = [
    common.check_repr,
    common.check_clone_same_class,
    common.check_init_has_default_params_for_tests,
    common.check_doc,
    common.check_pickling_supports_roundtrip,
    common.check_repr_roundtrips_clone,
    common.check_get_params_matches_signature,
]
ON_DATA = [
    common.check_learn_one,
    common.check_pickling,
    common.check_shuffle_features_no_impact,
    common.check_emerging_features,
    common.check_disappearing_features,
    common.check_radically_disappearing_features,
    common.check_no_state_aliasing_with_input,
    common.check_clone_is_independent,
]


def orders(
    seed: int, size: int = 1_500, odd: float = 0.03
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Orders, of which some are far off in one way or the other, or in how things go together."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for _ in range(size):
        items = int(rng.integers(1, 6))
        x: dict[str, Any] = {
            "items": items,
            "amount": float(items * rng.lognormal(3.0, 0.3)),
            "hour": float(rng.normal(14, 3)),
            "country": str(rng.choice(["de", "fr"], p=[0.7, 0.3])),
        }
        label = rng.random() < odd
        if label:
            x |= ({"amount": 5_000.0}, {"country": f"c{len(rows)}"}, {"items": 1, "amount": 400.0})[
                int(rng.integers(3))
            ]
        rows.append(x)
        labels.append(float(label))
    return rows, np.array(labels)


def test_what_is_odd_scores_higher_in_one_pass() -> None:
    rows, labels = orders(1)
    detector, scores = OutlierDetector(seed=3), []
    for x in rows:
        scores.append(detector.score_one(x))
        detector.learn_one(x)
    assert (auc(labels[100:], np.array(scores)[100:]) or 0.0) > 0.95


def test_the_reason_names_what_is_off() -> None:
    detector = OutlierDetector()
    detector.learn_many(orders(2)[0])
    usual = {"items": 2, "amount": 40.0, "hour": 14.0, "country": "de"}
    assert detector.reason_one(usual | {"amount": 9_000.0}).startswith("amount is 9000,")
    assert detector.reason_one(usual | {"country": "xx"}).startswith("country is 'xx', as in 0.00%")
    assert "no value is far off" in detector.reason_one(usual)


def test_one_by_one_and_many_at_once_are_the_same() -> None:
    rows, _ = orders(3, 700)
    one, many = OutlierDetector(trees=16), OutlierDetector(trees=16)
    for x in rows:
        one.learn_one(x)
    many.learn_many(rows[:450])
    many.learn_many(rows[450:])
    assert fingerprint(one.state()) == fingerprint(many.state())
    assert one.score_many(rows[:9]).tolist() == [many.score_one(x) for x in rows[:9]]


@pytest.mark.parametrize("stop", [0, 10, 100, 600])
def test_restored_it_goes_on_bit_for_bit(stop: int) -> None:
    rows, _ = orders(4, 1_100)
    one = OutlierDetector(trees=16)
    one.learn_many(rows[:stop])
    if stop:
        one.learn_one(rows[0] | {"late": 3.0})
    other = OutlierDetector.from_state(decode(encode("outliers", 1, one.state(), {})).state)
    for model in (one, other):
        model.learn_many(rows[stop:])
    assert fingerprint(one.state()) == fingerprint(other.state())
    assert one.score_one(rows[5]) == other.score_one(rows[5])


def test_scoring_changes_nothing() -> None:
    rows, _ = orders(5, 300)
    detector = OutlierDetector(trees=16)
    detector.learn_many(rows)
    before = fingerprint(detector.state())
    detector.score_many(rows)
    detector.reason_one(rows[0])
    assert fingerprint(detector.state()) == before


def test_wild_values_are_no_harm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wild = [math.nan, math.inf, -1e308, 1e308, 0.0, 1e-320, "", "text", None, True]
    detector = OutlierDetector(trees=8)
    for _ in range(200):
        x = {name: wild[rng.integers(len(wild))] for name in "abc"}
        assert math.isfinite(detector.score_one(x))
        detector.learn_one(x)


def test_features_are_bounded() -> None:
    detector = OutlierDetector(trees=8)
    for n in range(40):
        detector.learn_one({f"f{n}_{at}": 1.0 for at in range(20)})
    assert len(detector.state()["names"]) == 256  # type: ignore[arg-type]


def test_a_state_it_cannot_have_written_is_refused() -> None:
    detector = OutlierDetector(trees=8)
    detector.learn_many(orders(6, 100)[0])
    state = detector.state()
    for name, value in (
        ("sample", 1), ("points", np.zeros((2, 2))), ("median", np.zeros(1)),
        ("forest.axis", np.full((8, 512), 77)), ("usual", np.full((2, 3), np.nan)),
    ):  # fmt: skip
        with pytest.raises(StateError):
            OutlierDetector.from_state(state | {name: value})


def test_the_reference_isolates_what_is_far_off(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.normal(0, 1, (900, 3)), rng.normal(6, 1, (20, 3))])
    scores = np.concatenate(list(batch_scores(points)))
    assert (auc(np.arange(920) >= 900, scores) or 0.0) > 0.98


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
def test_rivers_checks_pass(check: Any) -> None:
    check(OutlierDetector(trees=8))


@pytest.mark.parametrize("check", ON_DATA, ids=lambda check: str(check.__name__))
def test_rivers_checks_on_data_pass(check: Any) -> None:
    check(OutlierDetector(trees=8), dataset=[(x, None) for x in orders(7, 150)[0]])
