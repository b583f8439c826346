"""The report: results become ``bench.json`` and tables, with the bars that they are held to."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.figures import Figure, figure, ratios
from bench.results import RATE, Results, Throughput
from bench.run import Job

OURS = "offerstream"
OTHERS = ("stock_faust", "quixstreams", "bare_loop")
JOBS: tuple[Job, ...] = ("state", "whole")


class Bar(NamedTuple):
    """What is asked of a figure, by its dotted name in the document."""

    name: str
    wanted: str
    reached: Callable[[float, Mapping[str, Any]], bool]


def _at_least(name: str, bound: float) -> Bar:
    return Bar(name, f"≥ {bound:g}", lambda value, _: value >= bound)


def _at_most(name: str, bound: float) -> Bar:
    return Bar(name, f"≤ {bound:g}", lambda value, _: value <= bound)


def _below_quix(percentile: str) -> Bar:
    def below(value: float, document: Mapping[str, Any]) -> bool:
        other = document["latency_ms"]["quixstreams"][percentile]
        return other is not None and value < other

    return Bar(f"latency_ms.offerstream.{percentile}", "< quixstreams", below)


BARS = (
    _at_least("ratios.stock_faust_state", 20),
    _at_least("ratios.quixstreams_state", 1.5),
    _at_least("ratios.bare_loop_state", 0.85),
    _at_least("ratios.stock_faust_whole", 10),
    _at_least("ratios.quixstreams_whole", 3),
    _below_quix("p50"),
    _below_quix("p99"),
    _at_most("latency_ms.offerstream.p99", 40),
    _at_least("recovery_records_per_second", 50_000),
    _at_most("rss_mb.1000000", 1_500),
)


def document(results: Results) -> dict[str, Any]:
    """The results as ``bench.json`` has them: medians, their spread, and the details behind.

    A figure whose runs all failed is None.
    """
    figures: dict[str, Figure | None] = {
        **{f"ratios.{name}": found for name, found in _ratios(results).items()},
        **{
            f"latency_ms.{name}.{p}": _figure([found[p] for found in results.latency[name]])
            for name in (OURS, "quixstreams")
            for p in ("p50", "p99")
        },
        "recovery_records_per_second": _recovery(results),
        **{
            f"rss_mb.{customers}": figure([found.resident_mb for found in kept])
            for customers, kept in results.memory.items()
        },
    }
    medians = _nested({name: found and found.median for name, found in figures.items()})
    medians.setdefault("rss_mb", {})
    spread = _nested({name: found and found.spread for name, found in figures.items()})
    return {**medians, "spread": spread, "details": _details(results)}


def lookup(found: Mapping[str, Any], name: str) -> Any:
    """A value by its dotted name; None where there is none.

    >>> lookup({"rss_mb": {"10000": 180.0}}, "rss_mb.10000")
    180.0
    """
    value: Any = found
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def tell(found: Mapping[str, Any], console: Console) -> None:
    """Print the tables."""
    console.print(_bars_table(found), _rates_table(found), _rest_table(found))
    for failure in found["details"]["failures"]:
        console.print(f"[red]failed:[/red] {failure}", highlight=False)


def _ratios(results: Results) -> dict[str, Figure | None]:
    found: dict[str, Figure | None] = {}
    for job in JOBS:
        runs = results.runs[job]
        for other in OTHERS:
            rounds = zip(runs[OURS], runs[other], strict=False)
            pairs = [(a.events_per_second, b.events_per_second) for a, b in rounds if a and b]
            ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
            found[f"{other}_{job}"] = ratios(ours, theirs) if pairs else None
    return found


def _recovery(results: Results) -> Figure | None:
    """Of the largest changelog: a small one says how long it takes to begin."""
    if not results.memory:
        return None
    return figure([m.recovery_per_second for m in results.memory[max(results.memory)]])


def _figure(values: Sequence[float]) -> Figure | None:
    return figure(values) if values else None


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        at = nested
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return nested


def _details(results: Results) -> dict[str, Any]:
    rates: dict[str, dict[str, Any]] = {
        job: {name: _rate(runs) for name, runs in results.runs[job].items()} for job in JOBS
    }
    rates["state"]["floor"] = _rate(results.floor)
    return {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "throughput": rates,
        "cpu_ratios": _cpu_ratios(rates),
        "stage_us_per_event": {job: _stages(results.runs[job][OURS]) for job in JOBS},
        "latency_ms_at_2000": {n: _percentiles(f) for n, f in results.latency.items() if f},
        "latency_ms_at_load": {f"{s:.0%}": p for s, p in results.latency_at_load.items()},
        "customers": {
            str(n): [asdict(kept) for kept in found] for n, found in results.memory.items()
        },
        "ten_times": {name: asdict(found) for name, found in results.scaled.items()},
        "workers": results.workers and {**asdict(results.workers), "gain": results.workers.gain},
        "failures": results.failures,
    }


def _cpu_ratios(rates: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """How many times our CPU per event the others use: steadier than rates on a busy machine."""
    return {
        f"{other}_{job}": rates[job][other]["cpu_us_per_event"] / ours["cpu_us_per_event"]
        for job in JOBS
        for other in OTHERS
        if (ours := rates[job].get(OURS)) and rates[job].get(other)
    }


def _rate(runs: Sequence[Throughput | None]) -> dict[str, Any]:
    done = [run for run in runs if run]
    if not done:
        return {}
    events = figure([run.events_per_second for run in done])
    return {
        "events_per_second": events.median,
        "spread": events.spread,
        "rounds": len(done),
        "cpu_us_per_event": figure([run.cpu for run in done]).median,
        "learner_behind_seconds": max(run.learner_behind for run in done),
    }


def _stages(runs: Sequence[Throughput | None]) -> dict[str, float]:
    done = [run.stages for run in runs if run]
    if not done:
        return {}
    return {stage: figure([found[stage] for found in done]).median for stage in done[0]}


def _percentiles(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: figure([each[name] for each in found]).median for name in found[0]}


def _bars_table(found: Mapping[str, Any]) -> Table:
    table = Table("figure", "median", "spread", "wanted", "", title="Bars")
    table.columns[0].no_wrap = True
    for name, wanted, reached in BARS:
        value = lookup(found, name)
        if value is None:
            table.add_row(name, "-", "", wanted, "not measured")
            continue
        verdict = "[green]yes[/green]" if reached(value, found) else "[red]no[/red]"
        table.add_row(name, _number(value), _range(lookup(found["spread"], name)), wanted, verdict)
    return table


def _rates_table(found: Mapping[str, Any]) -> Table:
    table = Table("job", "system", "events/s", "spread", "CPU µs/event", title="Throughput")
    for job, systems in found["details"]["throughput"].items():
        for name, rate in systems.items():
            if rate:
                events, cpu = rate["events_per_second"], rate["cpu_us_per_event"]
                table.add_row(job, name, _number(events), _range(rate["spread"]), _number(cpu))
    return table


def _rest_table(found: Mapping[str, Any]) -> Table:
    details = found["details"]
    table = Table("what", "figures", title="Where it goes, and how it grows")
    table.add_row("their CPU over ours", _list(details["cpu_ratios"]))
    for job, stages in details["stage_us_per_event"].items():
        table.add_row(f"µs per event, {job}", _list(stages))
    for name, values in details["latency_ms_at_2000"].items():
        table.add_row(f"ms at {RATE:,.0f}/s, {name}", _list(values))
    for share, values in details["latency_ms_at_load"].items():
        table.add_row(f"ms at {share} load", _list(values))
    for customers, kept in details["customers"].items():
        shown = {k: v for k, v in kept[-1].items() if k not in ("customers", "record_bytes")}
        table.add_row(f"{int(customers):,} customers", _list(shown))
    for name, values in details["ten_times"].items():
        costs = {"events/s": values["events_per_second"], "CPU µs/event": values["cpu"]}
        table.add_row(f"ten times the {name}", _list(costs))
    if details["workers"]:
        table.add_row("workers, events/s", _list(details["workers"]))
    return table


def _list(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in values.items())


def _range(spread: Sequence[float]) -> str:
    low, high = spread
    return f"{_number(low)} - {_number(high)}"


def _number(value: float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
