"""``offerstream evaluate next-item``: HR@20 and MRR@20 of what is recommended next.

Rules: with ``--train`` and ``--test`` the train file is learned in one pass, in file order, and the
test rows are only asked about; with ``--events`` each event is asked about, then learned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import orjson

from stream.cli.inputs import FILE, READS, encoding_option, found, paths_of
from stream.cli.outputs import outputs
from stream.cli.progress import gauge
from stream.codec.events.native import MAX_TIME
from stream.codec.events.withdrawal import ID_LENGTH
from stream.config import ConfigError
from stream.domain.event import Action
from stream.insight.evaluate.memory import peak_resident_mb
from stream.insight.evaluate.next_item import (
    Curve,
    Measure,
    Question,
    Sessions,
    learn,
    prequential,
    session_steps,
)
from stream.insight.plot import line_chart
from stream.models.recommend.recommender import Recommender
from stream.models.recommend.steps import TimedStep
from stream.reading.inputs import told
from stream.reading.source import InputSource
from stream.reading.table import text_lines
from stream.replay.mapping_file import load_mapping
from stream.replay.outcome import PublishedRecord
from stream.replay.replay import Replay


@click.command(short_help="How often the next item of a session is among the twenty offered.")
@click.option(
    "--train",
    type=FILE,
    multiple=True,
    help="Sessions, one a line, items separated by spaces; may be repeated.",
)
@click.option(
    "--test",
    type=FILE,
    multiple=True,
    help="Questions, one a line: prefix<TAB>target; may be repeated.",
)
@click.option(
    "--events",
    type=FILE,
    multiple=True,
    help=f"Instead: a shop's own log, asked, then learned. {READS}",
)
@click.option("--mapping", metavar="NAME|PATH", help="What the columns of --events mean.")
@encoding_option
@click.option(
    "--items",
    default=131_072,
    show_default=True,
    type=click.IntRange(1, 1 << 22),
    help="Items held at once.",
)
@click.option(
    "--sessions",
    default=262_144,
    show_default=True,
    type=click.IntRange(1, 1 << 23),
    help="Recent sessions held.",
)
@click.option("--plot", type=FILE, help="Draw the learning curve into this SVG file.")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def next_item(
    train: tuple[Path, ...],
    test: tuple[Path, ...],
    events: tuple[Path, ...],
    mapping: str | None,
    encoding: str,
    items: int,
    sessions: int,
    plot: Path | None,
    in_json: bool,
) -> None:
    """Measure what is recommended next: hit rate and mean reciprocal rank of the first twenty.

    Twice: with items that the session has seen already, and without them; then on those rows whose
    target is new to the session.
    """
    if bool(train) != bool(test) or bool(events) == bool(train) or bool(events) != bool(mapping):
        raise click.UsageError("give --train and --test, or --events and --mapping")
    recommender = Recommender(items=items, sessions=sessions, half_life=30 * 86_400.0)
    measure = Measure(recommender, perf_counter)
    curve = Curve(recommender) if plot else None
    read = found((*train, *events), quiet=in_json)
    asked = found(test, quiet=in_json)
    with outputs({"--plot": plot}, paths_of([*read, *asked])) as written:
        began = perf_counter()
        if train:
            learned = _train(recommender, text_lines(read, encoding), curve, in_json)
            seconds = perf_counter() - began
            _ask(measure, text_lines(asked, encoding), in_json)
        else:
            learned = _follow(measure, curve, _events(read, str(mapping)), in_json)
            seconds = perf_counter() - began
        if not measure.allowed.positions:
            raise ConfigError(
                f"{told(asked or read)}: asks nothing: there is no "
                + ("line prefix<TAB>target" if train else "session of two items")
            )
        if "--plot" in written and curve:
            written["--plot"].write(_drawn(curve).encode())
    report = {**measure.report(), **_costs(recommender, learned, seconds)}
    click.echo(json.dumps(report, indent=2) if in_json else _words(report))


_Lines = Iterator[tuple[str, int, str]]


def _train(recommender: Recommender, lines: _Lines, curve: Curve | None, quiet: bool) -> int:
    steps = session_steps(line.split() for _, _, line in lines if line.strip())
    with gauge("learning", None, "steps", quiet=quiet) as progress:
        if curve is None:
            return learn(recommender, steps, progress.show)
        return prequential(recommender, steps, [curve.ask], progress.show)


def _ask(measure: Measure, lines: _Lines, quiet: bool) -> None:
    with gauge("asking", None, "rows", quiet=quiet) as progress:
        for file, number, line in lines:
            if not line.strip():
                continue
            prefix, tab, target = line.rstrip("\r\n").partition("\t")
            if not tab or not target.strip():
                raise ConfigError(f"{file}: line {number} is not prefix<TAB>target")
            measure.ask(Question(prefix.split(), target.strip()))
            progress.show(number)


def _follow(measure: Measure, curve: Curve | None, steps: Iterator[TimedStep], quiet: bool) -> int:
    ask: list[Callable[[Question, int], None]] = [measure.ask]
    if curve is not None:
        ask.append(curve.ask)
    with gauge("asking and learning", None, "events", quiet=quiet) as progress:
        return prequential(measure.recommender, steps, ask, progress.show)


def _events(read: list[InputSource], mapping: str) -> Iterator[TimedStep]:
    """Steps of the log's clicks, in time order."""
    replay = Replay(read, load_mapping(mapping))
    sessions = Sessions()
    for outcome in replay.outcomes(replay.plan()):
        if not isinstance(outcome, PublishedRecord) or outcome.kind != "clicks":
            continue
        event: dict[str, Any] = orjson.loads(outcome.value)
        item, session = event.get("product_id"), event.get("session_id")
        if event.get("event") == Action.REMOVE_FROM_CART or not (item and isinstance(item, str)):
            continue
        fits = isinstance(session, str | None) and len(session or "") <= ID_LENGTH
        if fits and len(item) <= ID_LENGTH and 0 <= outcome.time_ms <= MAX_TIME:
            yield sessions.step(outcome.key.decode(), session, item, outcome.time_ms)


def _costs(recommender: Recommender, learned: int, seconds: float) -> dict[str, Any]:
    return {
        "peak_rss_mb": peak_resident_mb(),
        "learned_steps": learned,
        "microseconds_per_learned_step": seconds / max(1, learned) * 1e6,
        "evicted": recommender.evicted,
    }


def _drawn(curve: Curve) -> str:
    return line_chart(
        curve.series, "Next item, each asked before it is learned", "positions", "MRR@20"
    )


def _words(report: dict[str, Any]) -> str:
    rows = [
        f"{name:<16} {part['positions']:>9,} rows   HR@20 {part['hr_at_20']:.4f}   "
        f"MRR@20 {part['mrr_at_20']:.4f}"
        for name, part in (
            ("seen allowed", report["seen_allowed"]),
            ("seen excluded", report["seen_excluded"]),
            ("new targets", report["new_target_rows"]),
        )
    ]
    times = report["microseconds_per_recommendation"]
    evicted = ", ".join(f"{count:,} {kind}" for kind, count in report["evicted"].items())
    return "\n".join([
        *rows,
        f"a recommendation {times['mean']:,.0f} µs (p99 {times['p99']:,.0f} µs), "
        f"a step asked or learned {report['microseconds_per_learned_step']:,.0f} µs, "
        f"{report['peak_rss_mb']:,.0f} MB at most",
        f"evicted: {evicted}",
    ])  # fmt: skip
