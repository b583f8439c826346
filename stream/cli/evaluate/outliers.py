"""``offerstream evaluate outliers``: how well odd rows are told, row by row of a table."""

from __future__ import annotations

import json
from typing import Any

import click

from stream.cli.progress import gauge
from stream.cli.table_options import TableOptions, shown, table_options
from stream.insight.evaluate.outliers import OutlierEvaluation
from stream.insight.evaluate.propensity import LabelReader
from stream.insight.plot import line_chart


@click.command(short_help="How well what is odd is told from what is usual.")
@table_options(
    click.option("--label", required=True, metavar="COL", help="Says which rows are outliers."),
    click.option("--positive", metavar="V", help="Value of an outlier, unless it is 1/true/yes."),
    click.option("--drop", multiple=True, metavar="A,B", help="Columns to leave out."),
)
def outliers(
    told: TableOptions,
    label: str,
    positive: str | None,
    drop: tuple[str, ...],
) -> None:
    """Score each row before it is learned, in one pass; labels are used to judge only.

    AUC of isolation trees, half-space trees and robust scores together, all online. Beside it: an
    isolation forest that has seen the whole file. Of the oddest rows the reason is told in words.

    \b
    offerstream evaluate outliers --csv orders.csv --label fraud
    offerstream evaluate outliers --csv shuttle.csv --label class --positive o --drop id
    """
    without = [name.strip() for each in drop for name in each.split(",") if name.strip()]
    with told.opened((label, *without), unused=without) as opened:
        evaluation = OutlierEvaluation(opened.table, LabelReader(label, positive), without)
        with gauge("scoring", opened.table.size, "bytes", quiet=told.in_json) as progress:
            for rows in evaluation.run():
                progress.show(opened.table.read, f"{rows:,} rows")
        report = evaluation.report()
        title, of = f"{opened.title}: {label}", "AUC so far"
        opened.draw(lambda: line_chart({"detector": evaluation.curve()}, title, "rows", of))
    click.echo(json.dumps(report, indent=2) if told.in_json else _words(report))


def _words(report: dict[str, Any]) -> str:
    lines = [
        f"{report['rows']:,} rows, {report['outliers']:,} outliers, {report['unlabelled']:,} "
        f"without a label, {report['left_out']:,} left out",
        f"AUC, one pass {shown(report['auc'])} (last half {shown(report['auc_last_half'])}); "
        f"isolation forest of the whole file {shown(report['isolation_forest']['auc'])}",
        "the oddest:",
        *(
            f"  row {odd['row']:,}, {'outlier' if odd['label'] else 'usual'}, "
            f"score {odd['score']:.1f}: {odd['reason']}"
            for odd in report["oddest"]
        ),
    ]
    return "\n".join(lines)
