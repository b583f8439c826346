"""``offerstream evaluate segments``: incremental k-means beside batch k-means++ on a CSV file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from stream.cli.inputs import FILE, READS, delimiter_option, encoding_option, found, paths_of
from stream.cli.outputs import outputs
from stream.cli.progress import gauge
from stream.config import ConfigError
from stream.evaluate.plot import line_chart
from stream.evaluate.segments import Comparison, log_scaled, read_points, standardised
from stream.reading.table import told_format


@click.command(short_help="How close the segments come to batch k-means.")
@click.option(
    "--csv", "files", type=FILE, multiple=True, required=True, help=f"A customer a row. {READS}"
)
@click.option("--columns", required=True, metavar="A,B,C", help="Numbers that make a customer.")
@click.option(
    "--k", default=5, show_default=True, type=click.IntRange(1, 1_000), help="Number of segments."
)
@click.option("--log", "in_log", is_flag=True, help="Take logarithms first, as of money.")
@click.option("--scale", is_flag=True, help="Give every column the same spread first.")
@click.option(
    "--shuffles",
    default=10,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Orders that are tried.",
)
@delimiter_option()
@encoding_option
@click.option("--plot", type=FILE, help="Draw the learning curve into this SVG file.")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def segments(
    files: tuple[Path, ...],
    columns: str,
    k: int,
    in_log: bool,
    scale: bool,
    shuffles: int,
    delimiter: str,
    encoding: str,
    plot: Path | None,
    in_json: bool,
) -> None:
    """Learn customers one by one, in several orders; compare with batch k-means++, 20 starts.

    The ratio of the two inertias is 1 if nothing is lost by seeing each customer once.
    """
    names = [name.strip() for name in columns.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"--columns {columns!r} names no column: --columns A,B")
    read = found(files, quiet=in_json)
    with outputs({"--plot": plot}, paths_of(read)) as written:
        table = read_points(read, names, told_format(delimiter, encoding))
        points = log_scaled(table.points) if in_log else table.points
        comparison = Comparison(standardised(points) if scale else points, k)
        total = shuffles * len(points)
        with gauge("segmenting", total, "customers", quiet=in_json) as progress:
            for done in comparison.run(shuffles):
                progress.show(done)
        if "--plot" in written:
            curve = {"incremental": comparison.curve}
            chart = line_chart(curve, "Segments, one pass", "customers", "inertia / batch")
            written["--plot"].write(chart.encode())
    report = comparison.report(names) | {"left_out": table.left_out}
    click.echo(json.dumps(report, indent=2) if in_json else _words(report))


def _words(report: dict[str, Any]) -> str:
    ratio = report["inertia_ratio"]
    if ratio["mean"] is None:
        return f"{report['points']:,} customers: too few to segment"
    lines = [
        f"{report['points']:,} customers, {report['left_out']:,} rows left out",
        f"inertia over batch k-means++: mean {ratio['mean']:.4f}, worst {ratio['worst']:.4f} "
        f"of {report['shuffles']} orders",
        *(f"  {number}: {text}" for number, text in enumerate(report["segments"])),
    ]
    return "\n".join(lines)
