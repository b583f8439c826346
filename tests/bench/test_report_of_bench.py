"""The benchmark's document: the keys that readers rely on, medians by round, and honest gaps."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from rich.console import Console

from bench.figures import Sample
from bench.report import BARS, document, lookup, tell
from bench.results import CaughtUp, Memory, Results, Throughput, Workers, judged
from bench.workload import Load, Shape


def results() -> Results:
    found = Results()
    rates = {"offerstream": [40.0, 20.0, 44.0], "bare_loop": [50.0, 25.0, 44.0]}
    rates |= {"stock_faust": [2.0, 1.0, 2.0], "quixstreams": [20.0, 10.0, 20.0]}
    for job in ("state", "whole"):
        for name, values in rates.items():
            found.runs[job][name] = [Throughput(v, 1e6 / v, {"decide": 3.0}) for v in values]
    found.floor = [Throughput(400.0)]
    for name, p50 in (("offerstream", 5.0), ("quixstreams", 9.0)):
        found.latency[name] = [{"p50": p50 + n, "p99": 30.0, "p99_9": 50.0} for n in range(3)]
    found.latency_at_load = {0.25: {"p50": 4.0, "p99": 9.0, "p99_9": 12.0}}
    for customers, recovery in ((10_000, 20_000.0), (1_000_000, 80_000.0)):
        kept = Memory(customers, customers, 900.0, recovery, 200.0, 1e4, 50.0, True)
        found.memory[customers] = [kept]
    found.workers = Workers(10.0, 15.0)
    return found


def test_it_has_the_keys_that_were_asked_for_each_with_its_spread() -> None:
    made = document(results())
    systems = ("stock_faust", "quixstreams", "bare_loop")
    assert set(made["ratios"]) == {f"{s}_{job}" for s in systems for job in ("state", "whole")}
    assert set(made["latency_ms"]) == {"offerstream", "quixstreams"}
    assert set(made["latency_ms"]["offerstream"]) == {"p50", "p99"}
    assert set(made["rss_mb"]) == {"10000", "1000000"}
    asked = ("ratios", "latency_ms", "rss_mb", "recovery_records_per_second")
    assert set(made) == {*asked, "spread", "details"}
    assert set(made["spread"]) == set(asked)
    assert made["spread"]["ratios"].keys() == made["ratios"].keys()
    orjson.dumps(made)


def test_a_ratio_is_ours_over_theirs_in_the_same_round() -> None:
    made = document(results())
    assert made["ratios"]["stock_faust_state"] == 20.0
    assert made["ratios"]["bare_loop_whole"] == pytest.approx(0.8)
    assert made["spread"]["ratios"]["bare_loop_whole"] == (0.8, 1.0)


def test_a_round_in_which_either_failed_is_left_out_of_their_ratio() -> None:
    found = results()
    found.runs["state"]["stock_faust"][0] = None
    found.runs["state"]["offerstream"][1] = None
    assert document(found)["ratios"]["stock_faust_state"] == 22.0


def test_recovery_is_that_of_the_largest_changelog() -> None:
    assert document(results())["recovery_records_per_second"] == 80_000.0


def test_what_failed_throughout_is_null_and_never_a_number() -> None:
    found = Results()
    found.failures.append("state: offerstream: it ended with 1")
    made = document(found)
    assert made["ratios"]["stock_faust_state"] is None
    assert made["latency_ms"]["quixstreams"]["p99"] is None
    assert made["recovery_records_per_second"] is None
    assert told(made).count("not measured") == len(BARS)


def test_every_bar_names_a_figure_of_the_document_and_is_told_as_reached_or_not() -> None:
    made = document(results())
    assert all(lookup(made, bar.name) is not None for bar in BARS)
    text = told(made)
    assert "ratios.stock_faust_state" in text
    verdicts = [(bar.name, bar.reached(lookup(made, bar.name), made)) for bar in BARS]
    assert ("ratios.stock_faust_state", True) in verdicts
    assert ("ratios.bare_loop_state", False) in verdicts
    assert ("latency_ms.offerstream.p50", True) in verdicts
    assert ("latency_ms.offerstream.p99", False) in verdicts  # equal is not below


ONE_IN_TEN = Load(Shape(100_000), (), (), decisions=range(0, 100_000, 10))
SAMPLES = [Sample(0.0, 0), Sample(1.0, 2_000, 1.0), Sample(3.0, 10_000, 1.8)]


def test_offers_are_reckoned_back_to_events() -> None:
    found = judged(SAMPLES, ONE_IN_TEN, "whole", {"decide": 0.5})
    assert found.events_per_second == 40_000.0
    assert found.cpu == pytest.approx(10.0)
    assert found.stages == {"decide": 5.0}


def test_who_is_cut_off_gets_the_rate_of_the_events_that_were_done() -> None:
    dense_at_first = Load(Shape(1_000), (), (), decisions=[*range(100), *range(100, 1_000, 10)])
    slow = [Sample(0.0, 0), Sample(1.0, 50), Sample(2.0, 100), Sample(3.0, 105)]
    assert judged(slow, dense_at_first, "whole", {}).events_per_second == 50.0


@pytest.mark.parametrize(
    ("learner", "rate", "behind"),
    [
        (CaughtUp(taught=500, known=490, seconds=0.5), 40_000.0, 0.0),
        (CaughtUp(taught=500, known=200, seconds=6.0), 10_000.0, 6.0),
        (CaughtUp(taught=500, known=0, seconds=2.0), 40_000.0, 2.0),
    ],
)
def test_a_run_is_as_fast_as_its_learner_if_that_lags(
    learner: CaughtUp, rate: float, behind: float
) -> None:
    found = judged(SAMPLES, ONE_IN_TEN, "whole", {}, learner)
    assert (found.events_per_second, found.learner_behind) == (rate, behind)


def test_more_offers_than_there_should_be_are_no_result() -> None:
    with pytest.raises(ValueError, match="10001 offers"):
        judged([Sample(0.0, 0), Sample(1.0, 50), Sample(2.0, 10_001)], ONE_IN_TEN, "whole", {})


def told(made: dict[str, Any]) -> str:
    console = Console(width=140)
    with console.capture() as captured:
        tell(made, console)
    return captured.get()
