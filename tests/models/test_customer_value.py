from __future__ import annotations

import math

import numpy as np
import pytest

from stream.codec.snapshots.snapshot import decode, encode, fingerprint
from stream.models.base.state import StateError
from stream.models.value import Purchases, SpendRegressor
from stream.models.value.purchases import DAY


def shop(model: SpendRegressor, seed: int, size: int = 3_000) -> tuple[np.ndarray, np.ndarray]:
    """What was foretold of a made-up shop's customers, and what came."""
    rng = np.random.default_rng(seed)
    told, came = [], []
    for _ in range(size):
        eager, rich = rng.random(), rng.normal(3, 0.7)
        x = {"orders": eager * 10, "mean": rich, "past": 20.0}
        told.append(model.predict_one(x))
        came.append(math.exp(rich + rng.normal(0, 0.5)) if rng.random() < eager else 0.0)
        model.learn_one(x, came[-1])
    return np.array(told), np.array(came)


def test_what_is_foretold_comes_on_average_and_in_order(seed: int) -> None:
    told, came = shop(SpendRegressor(), seed)
    told, came = told[1_000:], came[1_000:]
    assert 0.85 < told.mean() / came.mean() < 1.15
    assert np.corrcoef(told, came)[0, 1] > 0.5
    high = told > np.quantile(told, 0.8)
    assert came[high].mean() > 3 * came[~high].mean()


def test_before_any_label_half_of_the_past_is_foretold() -> None:
    model = SpendRegressor()
    assert model.predict_one({"past": 40.0}) == 20.0
    assert model.predict_one({"orders": 3.0}) == 0.0


def test_churn_and_the_next_order_follow_from_the_chance_of_an_order(seed: int) -> None:
    model = SpendRegressor()
    shop(model, seed, 1_500)
    eager, idle = (model.predict({"orders": n, "mean": 3.0}) for n in (9.0, 1.0))
    assert eager.churn == 1.0 - eager.order < idle.churn
    assert eager.next_order < 1.0 < idle.next_order
    assert eager.spend == pytest.approx(eager.order * eager.amount)


@pytest.mark.parametrize("stop", [0, 3, 400])
def test_restored_it_goes_on_bit_for_bit(stop: int, seed: int) -> None:
    one = SpendRegressor()
    shop(one, seed, stop)
    other = SpendRegressor.from_state(decode(encode("spend", 1, one.state(), {})).state)
    for model in (one, other):
        shop(model, seed + 1, 200)
    assert fingerprint(one.state()) == fingerprint(other.state())


def test_a_state_it_cannot_have_written_is_refused() -> None:
    state = SpendRegressor().state()
    for name, value in (("rate", math.nan), ("error", np.zeros(2)), ("order.steps", -1)):
        with pytest.raises(StateError):
            SpendRegressor.from_state(state | {name: value})
    with pytest.raises(StateError):
        Purchases.from_state(Purchases().state() | {"customers": ["a"]})


def test_wild_inputs_and_labels_leave_it_finite(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wild = [0.0, -1e300, 1e300, math.nan, math.inf, "text", 3.0, None]
    model = SpendRegressor()
    for _ in range(300):
        x = {name: wild[rng.integers(len(wild))] for name in ("a", "b", "past")}
        model.learn_one(x, float(rng.choice([0.0, 5.0, 1e12, -4.0, math.nan])))
        assert math.isfinite(model.predict_one(x))


def test_lines_of_one_time_are_one_order_and_refunds_are_none() -> None:
    purchases = Purchases()
    for time, amount in ((0.0, 10.0), (0.0, 5.0), (DAY, 20.0), (2 * DAY, -5.0)):
        purchases.learn_one("c", time, amount)
    assert (purchases.orders("c"), purchases.spent("c")) == (2, 30.0)
    assert purchases.summary("c", 4 * DAY) == (2, 1.0, 4.0, 15.0)
    purchases.learn_one("nobody", 0.0, -5.0)
    assert "nobody" not in purchases


def test_customers_are_bounded_and_who_gave_way_is_counted() -> None:
    purchases = Purchases(most=3)
    for n in range(10):
        purchases.learn_one(f"c{n % 5}", n * DAY, 1.0)
    assert len(purchases) == 3 and purchases.evicted == 7
    again = Purchases.from_state(decode(encode("purchases", 1, purchases.state(), {})).state)
    assert again.customers() == ["c2", "c3", "c4"]
    assert fingerprint(again.state()) == fingerprint(purchases.state())
    assert again.features("c4", 20 * DAY) == purchases.features("c4", 20 * DAY)
