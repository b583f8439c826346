"""The benchmark's document: the keys that readers rely on, medians by round, and honest gaps."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from rich.console import Console

from bench.quiet import Quietness
from bench.report import BARS, OTHERS, document, judge, lookup, tell
from bench.results import Memory, Results, Throughput, Workers, judged

QUIET, LOUD = Quietness(0.01, 0.0, 0.01), Quietness(0.4, 0.0, 0.01)


def results(machine: Quietness = QUIET) -> Results:
    found = Results()
    rates = {"offerstream": [40.0, 20.0, 44.0], "bare_loop": [80.0, 40.0, 44.0]}
    rates |= {"stock_faust": [2.0, 1.0, 2.0], "quixstreams": [20.0, 10.0, 20.0]}
    rates |= {"bytewax": [20.0, 10.0, 22.0], "pathway": [10.0, 10.0, 11.0]}
    for job in ("state", "whole"):
        for name, values in rates.items():
            found.runs[job][name] = [
                Throughput(v, 2e6 / v**0.5, {"decide": 3.0}, learner=15.0, quiet=machine)
                for v in values
            ]
    found.floor = [Throughput(400.0)]
    found.starts, found.recommend_us = [2.0, 4.0, 3.0], {"mean": 50.0, "p99": 500.0}
    for name, p50 in (("offerstream", 5.0), ("quixstreams", 9.0)):
        found.latency[name] = [{"p50": p50 + n, "p99": 30.0, "p99_9": 50.0} for n in range(3)]
    found.latency_at_load = {0.25: {"p50": 4.0, "p99": 9.0, "p99_9": 12.0}}
    for customers, recovery in ((10_000, 20_000.0), (1_000_000, 80_000.0)):
        kept = Memory(customers, customers, 900.0, recovery, 200.0, 1e4, 50.0, True)
        found.memory[customers] = [kept]
    found.workers = Workers(10.0, 15.0)
    found.scaled["items"] = Throughput(40.0, 20.0, quiet=machine)
    return found


def test_it_has_the_keys_that_were_asked_for_each_with_its_spread() -> None:
    made = document(results())
    assert set(made["ratios"]) == {f"{s}_{job}" for s in OTHERS for job in ("state", "whole")}
    assert set(OTHERS) == {"stock_faust", "quixstreams", "bytewax", "pathway", "bare_loop"}
    assert set(made["cpu_us_per_event"]["whole"]) == {"offerstream", *OTHERS}
    assert (made["learner_us_per_event"], made["start_seconds"]) == (15.0, 3.0)
    assert made["recommend_us"] == {"mean": 50.0, "p99": 500.0}
    assert made["quietness"]["quiet"] is True
    assert set(made["latency_ms"]) == {"offerstream", "quixstreams"}
    assert set(made["latency_ms"]["offerstream"]) == {"p50", "p99"}
    assert set(made["rss_mb"]) == {"10000", "1000000"}
    asked = {"ratios", "latency_ms", "rss_mb", "recovery_records_per_second"}
    asked |= {"cpu_us_per_event", "learner_us_per_event", "start_seconds"}
    assert set(made) == {*asked, "recommend_us", "quietness", "spread", "details"}
    assert set(made["spread"]) == asked
    assert made["spread"]["ratios"].keys() == made["ratios"].keys()
    orjson.dumps(made)


def test_a_ratio_is_ours_over_theirs_in_the_same_round() -> None:
    made = document(results())
    assert made["ratios"]["stock_faust_state"] == 20.0
    assert made["ratios"]["bare_loop_whole"] == pytest.approx(0.5)
    assert made["spread"]["ratios"]["bare_loop_whole"] == (0.5, 1.0)


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
    assert made["learner_us_per_event"] is made["start_seconds"] is made["quietness"] is None
    assert made["recommend_us"] == {"mean": None, "p99": None}
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


def test_keys_are_the_same_when_a_system_is_left_out_and_its_figures_are_null() -> None:
    whole, found = document(results()), results()
    for job in ("state", "whole"):
        found.runs[job]["pathway"] = [None, None, None]
    found.left_out["pathway"] = "there is no .venv-bench-pathway"
    made = document(found)
    assert made["ratios"].keys() == whole["ratios"].keys()
    assert made["ratios"]["pathway_state"] is made["cpu_us_per_event"]["whole"]["pathway"] is None
    assert "pathway is left out: there is no" in told(made)


def test_on_a_quiet_machine_rates_decide_and_on_another_cpu() -> None:
    bar = next(bar for bar in BARS if bar.name == "ratios.bytewax_whole")
    assert judge(bar, document(results(QUIET))) == (2.0, False)
    assert judge(bar, document(results(LOUD))) == (pytest.approx(2**0.5), True)


def test_how_quiet_the_machine_was_is_told_before_any_ratio() -> None:
    text = told(document(results(LOUD)))
    assert text.index("Not quiet") < text.index("ratios.")


def test_each_system_is_told_with_what_its_user_gets_after_a_crash() -> None:
    made = document(results())
    assert all(
        made["details"]["after_crash"][job][name]
        for job in ("state", "whole")
        for name in ("offerstream", *OTHERS)
    )


def test_a_turn_has_the_rate_of_its_events_and_the_stages_of_each() -> None:
    found = judged(10_000, 0.5, 0.0, {"decide": 0.5})
    assert (found.events_per_second, found.stages) == (20_000.0, {"decide": 50.0})


@pytest.mark.parametrize(("behind", "rate"), [(0.5, 5_000.0), (1.5, 5_000.0), (3.0, 2_000.0)])
def test_a_turn_lasts_until_its_learner_is_done_if_that_lags(behind: float, rate: float) -> None:
    found = judged(10_000, 2.0, behind, {})
    assert found.events_per_second == rate
    assert found.learner_behind == (behind if behind > 1.5 else 0.0)


def told(made: dict[str, Any]) -> str:
    console = Console(width=140)
    with console.capture() as captured:
        tell(made, console)
    return captured.get()
