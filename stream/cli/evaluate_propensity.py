"""``offerstream evaluate propensity``: how well a label is foreseen, row by row of a CSV file."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from stream.cli.progress import gauge
from stream.evaluate.plot import line_chart
from stream.evaluate.propensity import Evaluation, Examples, Labels
from stream.models.challengers import Challenger, challengers
from stream.models.network import HashedNetwork
from stream.models.propensity import Propensity

FILE = click.Path(path_type=Path)


@click.command(short_help="How well purchases are foreseen, event by event.")
@click.option("--csv", "file", type=FILE, required=True, help="Rows in time order; may be gzipped.")
@click.option("--label", required=True, help="Column to foresee.")
@click.option("--positive", help="Value of the label that counts as yes, unless it is 1/true/yes.")
@click.option("--drop", multiple=True, metavar="COL…", help="Columns to leave out.")
@click.argument("dropped", nargs=-1, metavar="")
@click.option("--delimiter", default=",", show_default=True, help="Between cells.")
@click.option("--delay", default=0, show_default=True, help="Rows until a label is known.")
@click.option("--threshold", default=0.5, show_default=True, help="From here on it is a yes.")
@click.option("--champion-only", is_flag=True, help="Without challengers: much quicker.")
@click.option("--plot", type=FILE, help="Draw the learning curves into this SVG file.")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def propensity(
    file: Path,
    label: str,
    positive: str | None,
    drop: tuple[str, ...],
    dropped: tuple[str, ...],
    delimiter: str,
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
    left_out = _names((*drop, *dropped))
    examples = Examples(file, Labels(label, positive), left_out, _character(delimiter))
    network = Challenger("neural_network", HashedNetwork(), free=50_000, share=0.1)
    rivals = [] if champion_only else [*challengers(), network]
    evaluation = Evaluation(Propensity(), rivals, perf_counter, max(0, delay))
    with gauge("foreseeing", examples.size, "bytes", quiet=in_json) as progress:
        for rows in evaluation.run(iter(examples)):
            progress.show(examples.read, f"{rows:,} rows")
    if plot:
        curves = evaluation.curves("auc")
        chart = line_chart(curves, f"{file.name}: {label}", "rows", "AUC over the last tenth")
        plot.write_text(chart, encoding="utf-8")
    report = evaluation.report(threshold)
    click.echo(json.dumps(report, indent=2) if in_json else _words(report))


def _names(drop: tuple[str, ...]) -> list[str]:
    return [name.strip() for each in drop for name in each.split(",") if name.strip()]


def _character(delimiter: str) -> str:
    character = {"tab": "\t", "\\t": "\t"}.get(delimiter, delimiter)
    if len(character) != 1:
        raise click.BadParameter("one character, or tab", param_hint="--delimiter")
    return character


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
    return "\n".join(lines)


def _row(part: dict[str, Any]) -> str:
    auc, loss, ece = (
        "–" if part[name] is None else f"{part[name]:.4f}" for name in ("auc", "log_loss", "ece")
    )
    return f"{auc:>9}{loss:>10}{ece:>9}  "


def _late(delay: int) -> str:
    return f", labels {delay:,} rows late" if delay else ""
