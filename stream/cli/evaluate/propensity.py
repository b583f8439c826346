"""``offerstream evaluate propensity``: how well a label is foreseen, row by row of a file."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from stream.cli.inputs import (
    FILE,
    READS,
    found,
    left_out,
    paths_of,
)
from stream.cli.outputs import outputs
from stream.cli.progress import gauge
from stream.cli.table_options import format_options
from stream.config import ConfigError
from stream.insight.evaluate.propensity import Evaluation, Examples, LabelReader
from stream.insight.plot import line_chart
from stream.models.propensity import Propensity
from stream.models.propensity.challengers import RiverChallenger, challengers
from stream.models.propensity.network import HashedNetwork
from stream.reading.inputs import told
from stream.reading.table import told_format


@click.command(short_help="How well purchases are foreseen, event by event.")
@click.option(
    "--csv", "files", type=FILE, multiple=True, required=True, help=f"Rows in time order. {READS}"
)
@click.option("--label", required=True, help="Column to foresee.")
@click.option("--positive", help="Value of the label that counts as yes, unless it is 1/true/yes.")
@click.option("--drop", multiple=True, metavar="COL…", help="Columns to leave out.")
@click.argument("dropped", nargs=-1, metavar="")
@format_options
@click.option(
    "--delay",
    default=0,
    show_default=True,
    type=click.IntRange(0, 10_000_000),
    help="Rows until a label is known.",
)
@click.option(
    "--threshold",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="From here on it is a yes.",
)
@click.option("--champion-only", is_flag=True, help="Without challengers: much quicker.")
@click.option("--plot", type=FILE, help="Draw the learning curves into this SVG file.")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def propensity(
    files: tuple[Path, ...],
    label: str,
    positive: str | None,
    drop: tuple[str, ...],
    dropped: tuple[str, ...],
    no_header: bool,
    delimiter: str,
    encoding: str,
    delay: int,
    threshold: float,
    champion_only: bool,
    plot: Path | None,
    in_json: bool,
) -> None:
    """Test, then train, in the file's order, in one pass.

    AUC, log loss and calibration error of the champion and of each challenger, over all rows and
    over the last half.
    """
    if dropped and not drop:
        raise click.UsageError(f"unexpected: {' '.join(dropped)}")
    without = _names((*drop, *dropped))
    if label in without:
        raise ConfigError(f"--drop {label} is the label: leave it in")
    read = found(files, quiet=in_json)
    with outputs({"--plot": plot}, paths_of(read)) as written:
        file = told_format(delimiter, encoding, header=not no_header)
        examples = Examples(read, LabelReader(label, positive), without, file)
        network = RiverChallenger("neural_network", HashedNetwork(), free=50_000, share=0.1)
        rivals = [] if champion_only else [*challengers(), network]
        evaluation = Evaluation(Propensity(), rivals, perf_counter, delay)
        with gauge("foreseeing", examples.size, "bytes", quiet=in_json) as progress:
            for rows in evaluation.run(iter(examples)):
                progress.show(examples.read, f"{rows:,} rows")
        if "--plot" in written:
            curves = evaluation.curves("auc")
            title = f"{read[0].short_name}: {label}"
            chart = line_chart(curves, title, "rows", "AUC over the last tenth")
            written["--plot"].write(chart.encode())
        report = evaluation.report(threshold) | {"left_out": examples.left_out}
    click.echo(json.dumps(report, indent=2) if in_json else _words(report))
    _demand_both_classes(report, label, told(read))


def _demand_both_classes(report: dict[str, Any], label: str, read: str) -> None:
    """Say so where nothing could be foreseen: there is no measure of that."""
    if not report["events"]:
        raise ConfigError(
            f"{read}: has no rows to foresee; {left_out(report['left_out'])}".rstrip("; ")
        )
    known = report["events"] - report["unlabelled"]
    positives = report["champion"]["all"]["positives"]
    if not known:
        raise ConfigError(f"{read}: no row has a value of {label}: there is nothing to foresee")
    if positives in (0, known):
        only = "yes" if positives else "no"
        raise ConfigError(
            f"{read}: all {known:,} values of {label} are {only}: there is nothing to tell apart; "
            "say which value is a yes: --positive VALUE"
        )


def _names(drop: tuple[str, ...]) -> list[str]:
    return [name.strip() for each in drop for name in each.split(",") if name.strip()]


def _words(report: dict[str, Any]) -> str:
    lines = [
        f"{report['events']:,} rows, {report['champion']['all']['positives']:,} positive"
        f"{_late(report['delay'])}",
        f"{'':<20}{'all rows':^30}{'last half':^30}",
        f"{'':<20}" + 2 * f"{'AUC':>9}{'log loss':>10}{'ECE':>9}  ",
    ]
    for model in (report["champion"], *report["challengers"]):
        parts = [model["all"], model["last_half"]]
        lines.append(f"{model['name']:<20}" + "".join(map(_row, parts)))
    lines.append(
        f"champion: {report['microseconds_per_event']:.1f} µs a row to predict and learn, "
        f"{report['encoding_microseconds_per_event']:.1f} µs to encode it; "
        f"{report['drifts']} drifts"
    )
    lines += [
        f"{model['name']}: {model['bounded']}"
        for model in report["challengers"]
        if model["bounded"]
    ]
    if told_left := left_out(report["left_out"]):
        lines.append(told_left)
    return "\n".join(lines)


def _row(part: dict[str, Any]) -> str:
    auc, loss, ece = (
        "–" if part[name] is None else f"{part[name]:.4f}" for name in ("auc", "log_loss", "ece")
    )
    return f"{auc:>9}{loss:>10}{ece:>9}  "


def _late(delay: int) -> str:
    return f", labels {delay:,} rows late" if delay else ""
