from __future__ import annotations

import math

import numpy as np
import pytest
from river import datasets

from stream.codec.snapshots.snapshot import decode, encode, fingerprint
from stream.models.base.state import StateError
from stream.models.forecast import ConformalIntervals, SeriesForecaster, SeriesShelf
from stream.models.forecast.candidates import candidates

PASSENGERS = [float(y) for _, y in datasets.AirlinePassengers()]


def errors(values: list[float], seasons: tuple[int, ...]) -> tuple[float, float]:
    """Mean absolute error of the forecaster and of the seasonal naive, after two seasons."""
    model, season = SeriesForecaster(seasons), seasons[0]
    ours, naive = [], []
    for at, value in enumerate(values):
        if at >= 2 * season:
            ours.append(abs(model.forecast(1)[0] - value))
            naive.append(abs(values[at - season] - value))
        model.learn_one(value)
    return sum(ours) / len(ours), sum(naive) / len(naive)


def covered(values: np.ndarray, seasons: tuple[int, ...] = (7,), leads: int = 1) -> float:
    model, inside = SeriesForecaster(seasons, leads), []
    for at, value in enumerate(values[: len(values) - leads].tolist()):
        model.learn_one(value)
        told = model.predict(leads)[-1]
        if at > 50 and not math.isnan(told.low):
            inside.append(told.low <= values[at + leads] <= told.high)
    return float(np.mean(inside))


def drifting(kind: str, seed: int, size: int = 900) -> np.ndarray:
    rng, t = np.random.default_rng(seed), np.arange(size)
    noise, usual = rng.normal(0, 1, size), 100 + 10 * np.sin(2 * np.pi * t / 7)
    if kind == "level":
        return usual + noise + 60.0 * (t > size // 2)
    if kind == "noise":
        return usual + noise * (1 + 5 * (t > size // 2))
    if kind == "growing":
        return usual + noise * (1 + t / 100)
    return usual + noise + rng.normal(0, 2, size).cumsum()


def test_the_best_beats_the_seasonal_naive_threefold_on_airline_passengers() -> None:
    ours, naive = errors(PASSENGERS, (12,))
    assert ours < 0.33 * naive


@pytest.mark.parametrize("kind", ["level", "noise", "growing", "walk"])
def test_intervals_hold_their_coverage_where_the_series_drifts(kind: str) -> None:
    assert 0.87 <= covered(drifting(kind, 3)) <= 0.93


def test_intervals_of_a_far_lead_hold_their_coverage() -> None:
    assert 0.87 <= covered(drifting("walk", 4, 500), leads=3) <= 0.93


def test_an_interval_is_wider_where_errors_grow_beyond_all_that_were_seen() -> None:
    intervals = ConformalIntervals(window=20)
    hits = []
    for n in range(400):
        error = 1.02**n
        hits.append(error <= intervals.width(0))
        intervals.learn_one(0, error)
    assert np.mean(hits[100:]) > 0.8


@pytest.mark.parametrize("at", [3, 20, 60])
def test_a_forecaster_goes_on_from_its_state_bit_for_bit(at: int) -> None:
    model = SeriesForecaster((12,), leads=2)
    for value in [*PASSENGERS[:at], math.nan]:
        model.learn_one(value)
    again = SeriesForecaster.from_state(decode(encode("forecast", 1, model.state(), {})).state)
    for value in PASSENGERS[at : at + 40]:
        model.learn_one(value)
        again.learn_one(value)
        assert str(model.predict(5)) == str(again.predict(5))
    assert fingerprint(model.state()) == fingerprint(again.state())


def test_a_state_of_something_else_is_refused() -> None:
    state = SeriesForecaster((4,)).state()
    for wrong in ({}, state | {"leads": 0}, state | {"seasons": 3}, state | {"loss": np.zeros(1)}):
        with pytest.raises(StateError):
            SeriesForecaster.from_state(wrong)


def test_wild_values_leave_the_forecast_finite(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = SeriesForecaster((7,), leads=3)
    wild = [0.0, 1e300, -1e300, 1e-300, math.nan, math.inf, 5.0]
    for n in range(150):
        model.learn_one(wild[rng.integers(len(wild))] if n % 3 else float(n % 7))
        assert all(math.isfinite(value) for value in model.forecast(3))


def test_what_was_never_below_zero_is_not_forecast_below_it() -> None:
    model = SeriesForecaster((7,))
    for n in range(80):
        model.learn_one(max(0.0, 40.0 - n))
    assert all(told.value >= 0 and told.low >= 0 for told in model.predict(14))


def test_demand_that_is_mostly_nothing_is_forecast_as_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = [9.0 if rng.random() < 0.15 else 0.0 for _ in range(300)]
    ours, naive = errors(values, (7,))
    assert ours < 0.75 * naive


def test_a_shelf_keeps_so_many_series_and_counts_who_gave_way() -> None:
    shelf = SeriesShelf((4,), most=5)
    for n in range(60):
        shelf.learn_one(f"s{n % 12}", float(n))
    assert len(shelf.names()) == 5 and shelf.evicted == 55
    again = SeriesShelf.from_state(decode(encode("shelf", 1, shelf.state(), {})).state)
    assert again.names() == shelf.names()
    assert fingerprint(again.state()) == fingerprint(shelf.state())
    assert again.predict_one("s11") == shelf.predict_one("s11")


def test_every_candidate_is_named_and_can_be_restored() -> None:
    fresh = candidates((4, 8))
    for value in PASSENGERS[:40]:
        for candidate in fresh.values():
            candidate.learn_one(value)
    for (name, candidate), other in zip(fresh.items(), candidates((4, 8)).values(), strict=True):
        other.restore(candidate.state())
        assert other.forecast(9) == candidate.forecast(9), name
