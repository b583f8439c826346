"""``offerstream evaluate segments``: incremental k-means beside batch k-means++ on a CSV file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import click

from stream.cli.inputs import FILE, READS, found, paths_of
from stream.cli.outputs import outputs
from stream.cli.progress import gauge
from stream.cli.table_options import format_options, shown
from stream.config import ConfigError
from stream.insight.evaluate.cluster_quality import Qualities
from stream.insight.evaluate.segments import Comparison, log_scaled, read_points, standardised
from stream.insight.pictures import dendrogram, self_organising_map
from stream.insight.plot import line_chart
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
@format_options
@click.option("--plot", type=FILE, help="Draw the learning curve into this SVG file.")
@click.option("--dendrogram", "tree", type=FILE, help="Draw the tree of segments into this SVG.")
@click.option("--map", "sheet", type=FILE, help="Draw the self-organising map into this SVG.")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def segments(
    files: tuple[Path, ...],
    columns: str,
    k: int,
    in_log: bool,
    scale: bool,
    shuffles: int,
    no_header: bool,
    delimiter: str,
    encoding: str,
    plot: Path | None,
    tree: Path | None,
    sheet: Path | None,
    in_json: bool,
) -> None:
    """Learn customers one by one, in several orders; compare with batch k-means++, 20 starts.

    The ratio of the two inertias is 1 if nothing is lost by seeing each customer once. Beside it
    the quality of each way to segment: silhouette (more is better), Davies-Bouldin (less is), and
    stability: how alike the segments of different orders are, 1 for the same.
    """
    names = [name.strip() for name in columns.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"--columns {columns!r} names no column: --columns A,B")
    read = found(files, quiet=in_json)
    pictures = {"--plot": plot, "--dendrogram": tree, "--map": sheet}
    with outputs(pictures, paths_of(read)) as written:
        table = read_points(read, names, told_format(delimiter, encoding, header=not no_header))
        points = log_scaled(table.points) if in_log else table.points
        points = standardised(points) if scale else points
        comparison = Comparison(points, k)
        total = shuffles * len(points)
        with gauge("segmenting", total, "customers", quiet=in_json) as progress:
            for done in comparison.run(shuffles):
                progress.show(done)
        qualities = Qualities(points, k)
        with gauge("comparing", qualities.total, "customers", quiet=in_json) as progress:
            for done in qualities.run():
                progress.show(done)
        _draw(qualities, names, read[0].short_name, written)
        if "--plot" in written:
            curve = {"incremental": comparison.curve}
            chart = line_chart(curve, "Segments, one pass", "customers", "inertia / batch")
            written["--plot"].write(chart.encode())
    report = comparison.report(names) | {"left_out": table.left_out}
    report |= {"quality": qualities.report()}
    click.echo(json.dumps(report, indent=2) if in_json else _words(report))


def _draw(
    qualities: Qualities, names: list[str], title: str, written: Mapping[str, BinaryIO]
) -> None:
    if "--dendrogram" in written:
        tree = qualities.last["hierarchical"]
        picture = dendrogram(tree.tree()[0], tree.cut(), f"{title}: segments of segments")
        written["--dendrogram"].write(picture.encode())
    if "--map" in written:
        sheet = qualities.last["som"]
        if not sheet.is_ready:
            raise ConfigError(f"--map: needs {sheet.warmup} customers")
        written["--map"].write(self_organising_map(sheet, names, f"{title}: a map").encode())


def _words(report: dict[str, Any]) -> str:
    ratio = report["inertia_ratio"]
    if ratio["mean"] is None:
        return f"{report['points']:,} customers: too few to segment"
    lines = [
        f"{report['points']:,} customers, {report['left_out']:,} rows left out",
        f"inertia over batch k-means++: mean {ratio['mean']:.4f}, worst {ratio['worst']:.4f} "
        f"of {report['shuffles']} orders",
        *(f"  {number}: {text}" for number, text in enumerate(report["segments"])),
        f"{'':<14}{'segments':>9}{'silhouette':>12}{'Davies-Bouldin':>16}{'stability':>11}",
        *(
            f"{kind:<14}{part['segments']:>9}{shown(part['silhouette'], 3):>12}"
            f"{shown(part['davies_bouldin'], 3):>16}{shown(part['stability'], 3):>11}"
            for kind, part in report["quality"].items()
        ),
    ]
    return "\n".join(lines)
