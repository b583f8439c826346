from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from river.checks import common, reco

from stream.codec.snapshots.snapshot import decode, encode, fingerprint
from stream.models.base.state import StateError
from stream.models.ratings import RatingModel
from tests.uncompiled import uncompiled

SMALL: dict[str, Any] = {"factors": 6, "latest": 16, "memory": 4_000}

CHECKS = [
    common.check_repr,
    common.check_clone_same_class,
    common.check_init_has_default_params_for_tests,
    common.check_doc,
    common.check_pickling_supports_roundtrip,
    common.check_get_params_matches_signature,
    reco.check_reco_routine,
]


def tastes(seed: int, size: int, users: int = 60, items: int = 40) -> list[tuple[str, str, float]]:
    """Ratings of users and items with tastes in two directions."""
    rng = np.random.default_rng(seed)
    liking, kind = rng.normal(0, 1, (users, 2)), rng.normal(0, 1, (items, 2))
    mild, good = rng.normal(0, 0.4, users), rng.normal(0, 0.4, items)
    told = []
    for _ in range(size):
        u, i = int(rng.integers(users)), int(rng.integers(items))
        value = 3.5 + mild[u] + good[i] + 0.7 * liking[u] @ kind[i] + rng.normal(0, 0.3)
        told.append((f"u{u}", f"i{i}", float(np.clip(round(value * 2) / 2, 1, 5))))
    return told


def test_the_blend_beats_mean_biases_and_each_way_alone() -> None:
    model, off = RatingModel(**SMALL), []
    for user, item, value in tastes(1, 6_000):
        off.append(np.array(model.predict(user, item)) - value)
        model.learn_one(user, item, value)
    blend, biases, factors, neighbours = np.sqrt((np.array(off)[3_000:] ** 2).mean(axis=0))
    assert blend < 0.6 * biases
    assert blend <= min(factors, neighbours) + 0.005
    assert neighbours < biases


def test_who_is_not_known_is_foreseen_by_what_is() -> None:
    model = RatingModel(**SMALL)
    assert model.predict_one("u", "i") == 0.0
    for n in range(300):
        model.learn_one(f"u{n % 20}", f"i{n % 3}", (1.0, 3.0, 5.0)[n % 3])
    assert model.predict_one("new", "i0") < 2.0 < 4.0 < model.predict_one("new", "i2")
    assert 1.0 <= model.predict_one("new", "new") <= 5.0


def test_predicting_changes_nothing() -> None:
    model = RatingModel(**SMALL)
    for row in tastes(2, 300):
        model.learn_one(*row)
    before = fingerprint(model.state())
    for user, item, _ in tastes(3, 50):
        model.predict(user, item)
    model.predict("new", "i1")
    assert fingerprint(model.state()) == before


@pytest.mark.parametrize("stop", [0, 1, 250, 900])
def test_restored_it_goes_on_bit_for_bit(stop: int) -> None:
    rows = tastes(4, 1_200)
    one = RatingModel(**SMALL, users=30, items=25)
    for row in rows[:stop]:
        one.learn_one(*row)
    other = RatingModel.from_state(decode(encode("ratings", 1, one.state(), {})).state)
    for model in (one, other):
        for row in rows[stop:]:
            model.learn_one(*row)
    assert fingerprint(one.state()) == fingerprint(other.state())
    assert one.predict("u1", "i1") == other.predict("u1", "i1")


def test_users_and_items_are_bounded_and_who_gave_way_is_counted() -> None:
    model = RatingModel(factors=2, users=10, items=8, latest=4, memory=50)
    for n in range(500):
        model.learn_one(f"u{n % 25}", f"i{n % 21}", 1.0 + n % 5)
    users, items = model.evicted()
    assert users == 490 and items == 492
    state = model.state()
    assert len(state["user_bias"]) == 10 and len(state["item_bias"]) == 8  # type: ignore[arg-type]
    assert len(state["kept_users"]) == 50  # type: ignore[arg-type]


def test_wild_ratings_are_left() -> None:
    model = RatingModel(**SMALL)
    for value in (math.nan, math.inf, 1e300, 3.0, 4.0):
        model.learn_one("u", "i", value)
    assert model.seen == 2 and 3.0 <= model.predict_one("u", "i") <= 4.0


def test_a_state_it_cannot_have_written_is_refused() -> None:
    model = RatingModel(**SMALL)
    for row in tastes(5, 100):
        model.learn_one(*row)
    state = model.state()
    for name, value in (
        ("factors", 0), ("user_bias", np.zeros(1)), ("places.user.places", np.zeros(3, np.int64)),
        ("blend.weights", np.zeros(2)), ("mean", math.nan),
    ):  # fmt: skip
        with pytest.raises(StateError):
            RatingModel.from_state(state | {name: value})


def fingerprint_of(seed: int) -> str:
    model = RatingModel(**SMALL, users=30)
    for row in tastes(seed, 300):
        model.learn_one(*row)
    return fingerprint(model.state())


def test_uncompiled_it_learns_the_same_bytes(seed: int) -> None:
    program = f"from {__name__} import fingerprint_of; print(fingerprint_of({seed}))"
    assert uncompiled(program) == fingerprint_of(seed)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: str(check.__name__))
def test_rivers_checks_pass(check: Any) -> None:
    check(RatingModel(factors=4))
