"""The benchmark's arithmetic: windows, medians, ratios, percentiles."""

from __future__ import annotations

import pytest

from bench.figures import Figure, Sample, figure, percentiles, ratios, stage_costs, window


def test_the_warm_up_does_not_count() -> None:
    slow_start = [Sample(0.0, 0), Sample(10.0, 15), Sample(11.0, 65), Sample(11.7, 100)]
    assert window(slow_start).rate == pytest.approx(85 / 1.7)


def test_looks_before_the_first_and_after_the_last_output_do_not_count() -> None:
    quiet = [Sample(float(t), 0) for t in range(5)]
    busy = [Sample(5.0, 20), Sample(6.0, 60), Sample(7.0, 100)]
    assert window([*quiet, *busy, Sample(60.0, 100)]).rate == 40.0


def test_who_is_cut_off_is_judged_by_what_came_until_then() -> None:
    assert window([Sample(0.0, 0), Sample(1.0, 2), Sample(2.0, 4), Sample(3.0, 6)]).rate == 2.0


def test_cpu_is_told_for_each_output_of_the_window() -> None:
    samples = [Sample(0.0, 0, 3.0), Sample(1.0, 20, 4.0), Sample(2.0, 100, 4.8)]
    assert window(samples).cpu == pytest.approx(0.8 / 80 * 1e6)


@pytest.mark.parametrize("counts", [[], [0], [0, 0, 0], [0, 100], [0, 100, 100]])
def test_too_few_looks_are_refused_and_not_guessed_from(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="too few"):
        window([Sample(float(time), count) for time, count in enumerate(counts)])


def test_a_figure_is_the_median_with_its_spread() -> None:
    assert figure([5.0, 1.0, 9.0, 2.0, 4.0]) == Figure(4.0, 1.0, 9.0)
    assert figure([5.0, 1.0]).spread == (1.0, 5.0)


def test_ratios_are_taken_round_by_round_so_a_slow_round_cancels_out() -> None:
    ours, theirs = [100.0, 10.0, 100.0], [50.0, 5.0, 40.0]
    assert ratios(ours, theirs) == Figure(2.0, 2.0, 2.5)


def test_ratios_want_every_round_of_both() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_percentiles_are_observed_and_never_flattered() -> None:
    waits = [float(n) for n in range(1, 1001)]
    assert percentiles(waits) == {"p50": 501.0, "p99": 991.0, "p99_9": 1000.0}
    assert percentiles([1.0, 1.0, 7.0])["p99"] == 7.0


def test_stages_are_told_in_microseconds_per_event() -> None:
    assert stage_costs({"decide": 0.5, "effects": 0.0}, 1_000) == {"decide": 500.0, "effects": 0.0}
