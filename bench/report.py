"""The report: results become ``bench.json`` and tables, with the bars that they are held to."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.figures import Figure, figure, ratios
from bench.quiet import Quietness, summary
from bench.results import RATE, Results, Throughput
from bench.systems import CONTENDERS
from bench.told import Job

OURS = "offerstream"
OTHERS = ("stock_faust", "quixstreams", "bytewax", "pathway", "bare_loop")
JOBS: tuple[Job, ...] = ("state", "whole")


class Bar(NamedTuple):
    """What is asked of a figure, by its dotted name in the document.

    A ratio of rates is believed on a quiet machine; on another the ratio of CPU decides.
    """

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
    _at_least("ratios.bytewax_state", 1.2),
    _at_least("ratios.pathway_state", 1.2),
    _at_least("ratios.bare_loop_state", 0.8),
    _at_least("ratios.stock_faust_whole", 18),
    _at_least("ratios.quixstreams_whole", 3),
    _at_least("ratios.bytewax_whole", 2),
    _at_least("ratios.pathway_whole", 2),
    _at_most("cpu_us_per_event.whole.offerstream", 70),
    _at_most("learner_us_per_event", 20),
    _at_most("recommend_us.mean", 60),
    _at_most("recommend_us.p99", 400),
    _below_quix("p50"),
    _below_quix("p99"),
    _at_most("latency_ms.offerstream.p99", 40),
    _at_least("recovery_records_per_second", 50_000),
    _at_most("rss_mb.1000000", 1_500),
    _at_least("details.workers.gain", 1.7),
)


def document(results: Results) -> dict[str, Any]:
    """The results as ``bench.json`` has them: medians, their spread, and the details behind.

    A figure whose runs all failed is None.
    """
    figures = _figures(results)
    medians = _nested({name: found and found.median for name, found in figures.items()})
    medians.setdefault("rss_mb", {})
    spread = _nested({name: found and found.spread for name, found in figures.items()})
    recommend = results.recommend_us or {}
    return {
        **medians,
        "recommend_us": {name: recommend.get(name) for name in ("mean", "p99")},
        "quietness": summary(_quiet(results, JOBS)),
        "spread": spread,
        "details": _details(results),
    }


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
    console.print(_quiet_line(found), highlight=False)
    console.print(_bars_table(found), _rates_table(found), _rest_table(found))
    for name, reason in found["details"]["left_out"].items():
        console.print(f"[yellow]{name} is left out:[/yellow] {reason}", highlight=False)
    for failure in found["details"]["failures"]:
        console.print(f"[red]failed:[/red] {failure}", highlight=False)


def _figures(results: Results) -> dict[str, Figure | None]:
    ours = [run for run in results.runs["whole"][OURS] if run]
    return {
        **{f"ratios.{name}": found for name, found in _ratios(results).items()},
        **{
            f"cpu_us_per_event.{job}.{name}": _figure(_each(results.runs[job][name], "cpu"))
            for job in JOBS
            for name in (OURS, *OTHERS)
        },
        "learner_us_per_event": _figure(_each(ours, "learner")),
        "start_seconds": _figure(results.starts),
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


def _ratios(results: Results) -> dict[str, Figure | None]:
    """How many times their rate ours is, in rounds in which both were there."""
    return {
        name: ratios(_each(ours, "events_per_second"), _each(theirs, "events_per_second"))
        if ours
        else None
        for name, ours, theirs in _pairs(results)
    }


def _cpu_ratios(results: Results) -> dict[str, float | None]:
    """How many times our CPU per event theirs is: steadier than rates on a busy machine."""
    return {
        name: ratios(_each(theirs, "cpu"), _each(ours, "cpu")).median if ours else None
        for name, ours, theirs in _pairs(results)
    }


def _pairs(results: Results) -> Iterator[tuple[str, list[Throughput], list[Throughput]]]:
    for job in JOBS:
        runs = results.runs[job]
        for other in OTHERS:
            rounds = [(a, b) for a, b in zip(runs[OURS], runs[other], strict=False) if a and b]
            yield f"{other}_{job}", [a for a, _ in rounds], [b for _, b in rounds]


def _each(runs: Sequence[Throughput | None], name: str) -> list[float]:
    return [getattr(run, name) for run in runs if run]


def _quiet(results: Results, jobs: Sequence[Job]) -> list[Quietness]:
    turns = [run for job in jobs for runs in results.runs[job].values() for run in runs if run]
    return [turn.quiet for turn in turns if turn.quiet]


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
        "cpu_ratios": _cpu_ratios(results),
        "quietness": {job: summary(_quiet(results, (job,))) for job in JOBS},
        "after_crash": {
            job: {each.name: each.after_crash for each in contenders}
            for job, contenders in CONTENDERS.items()
        },
        "left_out": results.left_out,
        "stage_us_per_event": {job: _stages(results.runs[job][OURS]) for job in JOBS},
        "latency_ms_at_2000": {n: _percentiles(f) for n, f in results.latency.items() if f},
        "latency_ms_at_load": {f"{s:.0%}": p for s, p in results.latency_at_load.items()},
        "customers": {
            str(n): [asdict(kept) for kept in found] for n, found in results.memory.items()
        },
        "ten_times": {name: _turn(found) for name, found in results.scaled.items()},
        "workers": results.workers and {**asdict(results.workers), "gain": results.workers.gain},
        "turns": _turns(results),
        "failures": results.failures,
    }


def _turn(turn: Throughput) -> dict[str, Any]:
    return {**asdict(turn), "quiet": turn.quiet and turn.quiet._asdict()}


def _turns(results: Results) -> list[dict[str, Any]]:
    """Every turn, for whoever doubts a median."""
    return [
        {
            "job": job,
            "system": name,
            "round": number,
            "events_per_second": run.events_per_second,
            "cpu_us_per_event": run.cpu,
            **(run.quiet._asdict() if run.quiet else {}),
        }
        for job in JOBS
        for name, runs in results.runs[job].items()
        for number, run in enumerate(runs)
        if run
    ]


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


def _quiet_line(found: Mapping[str, Any]) -> str:
    """How quiet the machine was, and what that means for the ratios below."""
    quiet = found["quietness"]
    if quiet is None:
        return "How quiet the machine was is not known."
    said = (
        f"The machine: others took {quiet['others']:.0%} of it (at most {quiet['others_most']:.0%}"
        f" in a turn), steal {quiet['steal']:.0%} (at most {quiet['steal_most']:.0%}); a fixed loop"
        f" took {quiet['spin']:.2f} times its shortest, in {quiet['turns']} turns. "
    )
    if quiet["quiet"]:
        return said + "[green]Quiet: ratios of rates decide.[/green]"
    return said + "[red]Not quiet: rates say little, ratios of CPU decide.[/red]"


def judge(bar: Bar, found: Mapping[str, Any]) -> tuple[float | None, bool]:
    """What decides on a bar, and whether that is the CPU's ratio in place of the rates'."""
    quiet, name = found["quietness"], bar.name.removeprefix("ratios.")
    by_cpu = found["details"]["cpu_ratios"].get(name)
    if name != bar.name and by_cpu is not None and not (quiet and quiet["quiet"]):
        return by_cpu, True
    return lookup(found, bar.name), False


def _bars_table(found: Mapping[str, Any]) -> Table:
    table = Table("figure", "median", "spread", "by CPU", "wanted", "", title="Bars")
    table.columns[0].no_wrap = True
    for bar in BARS:
        value, (decides, by_cpu) = lookup(found, bar.name), judge(bar, found)
        if value is None or decides is None:
            table.add_row(bar.name, "-", "", "", bar.wanted, "not measured")
            continue
        verdict = "[green]yes[/green]" if bar.reached(decides, found) else "[red]no[/red]"
        cpu = found["details"]["cpu_ratios"].get(bar.name.removeprefix("ratios."))
        table.add_row(
            bar.name,
            _number(value),
            _range(lookup(found["spread"], bar.name)),
            "" if cpu is None else _number(cpu),
            bar.wanted,
            verdict + (", by CPU" if by_cpu else ""),
        )
    return table


def _rates_table(found: Mapping[str, Any]) -> Table:
    details = found["details"]
    columns = ("job", "system", "events/s", "spread", "CPU µs/event", "after kill -9")
    table = Table(*columns, title="Throughput", show_lines=True)
    for job, systems in details["throughput"].items():
        for name, rate in systems.items():
            if rate:
                events, cpu = rate["events_per_second"], rate["cpu_us_per_event"]
                crash = details["after_crash"][job].get(name, "")
                spread = _range(rate["spread"])
                table.add_row(job, name, _number(events), spread, _number(cpu), crash)
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
    shown = {name: value for name, value in values.items() if value is not None}
    return ", ".join(f"{name} {_number(value)}" for name, value in shown.items())


def _range(spread: Sequence[float] | None) -> str:
    if spread is None:
        return ""
    low, high = spread
    return f"{_number(low)} - {_number(high)}"


def _number(value: float | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
