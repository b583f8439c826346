"""Laws of experiments: false alarms, harm, sample ratios; each over a hundred draws."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream.models.experiments.guardrail import stops
from stream.models.experiments.moments import Moments, adjusted
from stream.models.experiments.ratio import evidence, is_mismatch
from stream.models.experiments.sequences import difference, radius

HOURS = 24 * 10
A_HOUR = 60  # customers
Floats = npt.NDArray[np.float64]


def outcomes(rng: np.random.Generator, rate: float, money: bool) -> tuple[Floats, Floats]:
    """Customers of an arm in the order in which they came: what each brought, and did before."""
    count = HOURS * A_HOUR // 2
    before = rng.gamma(0.5, 2.0, count)
    bought = rng.random(count) < rate * (0.5 + before / 2.0)
    return np.where(bought, rng.lognormal(3.0, 0.8, count) if money else 1.0, 0.0), before


def hourly(arm: tuple[Floats, Floats], covariate: bool) -> list[Moments]:
    """The moments of an arm after each hour."""
    y, x = arm
    found, total = [], Moments()
    for at in range(0, len(y), A_HOUR // 2):
        part = slice(at, at + A_HOUR // 2)
        total = total + Moments.of(y[part], x[part] if covariate else None)
        found.append(total)
    return found


def alarms(seed: int, money: bool, covariate: bool, draws: int = 100) -> int:
    """In how many of so many A/A runs, looked at after every hour, a difference is found."""
    found = 0
    for draw in range(draws):
        rng = np.random.default_rng((seed, draw))
        arms = [hourly(outcomes(rng, 0.05, money), covariate) for _ in range(2)]
        found += any(difference(*look).excludes_zero for look in zip(*arms, strict=True))
    return found


def test_a_run_of_equals_finds_none_though_looked_at_every_hour(seed: int) -> None:
    # At a level of 5 %, 12 of 100 or more is a chance of 1 in 200.
    for money, covariate in ((False, False), (True, True)):
        assert alarms(seed, money, covariate) <= 11, (money, covariate)


def test_intervals_of_a_fixed_sample_would_raise_alarms(seed: int) -> None:
    found = 0
    for draw in range(60):
        rng = np.random.default_rng((seed, draw))
        arms = [hourly(outcomes(rng, 0.05, False), False) for _ in range(2)]
        for first, second in zip(*arms, strict=True):
            error = (first.variance / first.size + second.variance / second.size) ** 0.5
            if first.size > 200 and abs(first.mean - second.mean) > 1.96 * error:
                found += 1
                break
    assert found > 8


def test_a_true_lift_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    treated, control = (Moments.of(rng.random(30_000) < rate) for rate in (0.06, 0.045))
    assert difference(treated, control).low > 0.0


def test_what_customers_did_before_makes_intervals_narrower(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.gamma(0.5, 2.0, 20_000)
    y = x * 3 + rng.normal(size=20_000)
    arms = [(y[:10_000] + 0.1, x[:10_000]), (y[10_000:], x[10_000:])]
    plain = difference(*(Moments.of(y) for y, _ in arms))
    cuped = difference(*(Moments.of(y, x) for y, x in arms))
    assert cuped.high - cuped.low < (plain.high - plain.low) / 2
    assert cuped.low < 0.1 < cuped.high


def test_few_customers_or_outcomes_give_no_bounds() -> None:
    few = Moments.of(np.ones(50))
    rare = Moments.of(np.arange(10_000) < 5)
    assert difference(few, few).low == -np.inf
    assert difference(rare, rare).high == np.inf


def test_an_interval_grows_no_narrower_than_the_variance_allows() -> None:
    widths = [radius(n, 0.05, 0.05) * n**0.5 for n in (100, 1_000, 10_000, 100_000, 1_000_000)]
    assert min(widths) > 1.96 * 0.05**0.5
    assert widths.index(min(widths)) == 2


def test_parts_of_an_arm_add_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = rng.normal(size=(2, 500))
    parts = Moments.of(y[:200], x[:200]) + Moments.of(y[200:], x[200:])
    whole = Moments.of(y, x)
    assert np.allclose(parts, whole)
    assert np.isclose(whole.variance, y.var(ddof=1))
    assert adjusted([whole])[0].variance <= whole.variance + 1e-12


def test_a_planted_harm_is_stopped_and_no_harmless_arm(seed: int) -> None:
    stopped, wrong = 0, 0
    for draw in range(50):
        rng = np.random.default_rng((seed, draw))
        for rate, harmful in ((0.05, False), (0.025, True)):
            arms = {"control": outcomes(rng, 0.05, False), "arm": outcomes(rng, rate, False)}
            looks = {arm: hourly(told, False) for arm, told in arms.items()}
            found = any(
                stops({arm: {"conversion": look[hour]} for arm, look in looks.items()}, "control")
                for hour in range(0, HOURS, 6)
            )
            stopped += found and harmful
            wrong += found and not harmful
    assert stopped >= 45
    assert wrong <= 6


def test_a_stop_says_which_arm_and_by_what() -> None:
    good, bad = Moments.of(np.arange(9_000) % 10 == 0), Moments.of(np.arange(9_000) % 50 == 0)
    (stop,) = stops({"control": {"conversion": good}, "red": {"conversion": bad}}, "control")
    assert "arm red hurts conversion" in str(stop)
    assert not stops({"control": {"c": good}, "red": {"c": bad}}, "control", margin=0.5)


def test_sample_ratios_that_are_right_raise_no_alarm_at_any_look(seed: int) -> None:
    wrong = 0
    for draw in range(200):
        rng = np.random.default_rng((seed, draw))
        counts = np.cumsum(rng.multinomial(100, [0.05, 0.475, 0.475], size=150), axis=0)
        wrong += any(is_mismatch(look, [0.05, 0.475, 0.475], 0.05) for look in counts.tolist())
    assert wrong <= 20


def test_a_sample_ratio_that_is_off_is_found_and_one_that_cannot_be_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(20_000, [0.07, 0.93]).tolist()
    assert is_mismatch(counts, [0.05, 0.95])
    assert evidence([1, 10], [0.0, 1.0]) == np.inf
