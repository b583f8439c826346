"""``offerstream evaluate value``: how well a customer's spend in the next days is foreseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from stream.cli.progress import gauge
from stream.cli.table_options import at_least, shown, table_options
from stream.evaluate.plot import line_chart
from stream.evaluate.value import ValueEvaluation, read_sales


@click.command(short_help="How well a customer's spend in the next days is foreseen.")
@table_options(
    click.option("--customer", required=True, metavar="COL", help="Who ordered."),
    click.option("--time", required=True, metavar="COL", help="When: in any usual form."),
    click.option("--amount", required=True, metavar="COL", help="Spent; A*B is a product."),
    click.option("--horizon", default=30, show_default=True, metavar="DAYS", help="Days ahead."),
)
def value(
    file: Path,
    customer: str,
    time: str,
    amount: str,
    horizon: int,
    no_header: bool,
    delimiter: str | None,
    plot: Path | None,
    in_json: bool,
) -> None:
    """Foretell what each customer spends in the next days; learn it when they are over.

    Mean absolute error, Gini of the order, and deciles: what was foretold and what came. Beside
    it: the customer's own average, and BG/NBD with Gamma-Gamma, fitted anew to all of the past.

    \b
    offerstream evaluate value --csv orders.csv --customer id --time date --amount total
    offerstream evaluate value --csv lines.csv --customer id --time date --amount 'Qty*Price'
    """
    at_least(1, "--horizon", horizon, 10_000)
    sales = read_sales(file, customer, time, amount, header=not no_header, delimiter=delimiter)
    evaluation = ValueEvaluation(sales, float(horizon))
    with gauge("foretelling", len(sales.sales), "amounts", quiet=in_json) as progress:
        for done in evaluation.run():
            progress.show(done)
    report = evaluation.report()
    if plot:
        title = f"{file.name}: spend in {horizon} days"
        chart = line_chart(evaluation.chart(), title, "decile of what was foretold", amount)
        plot.write_text(chart, encoding="utf-8")
    click.echo(json.dumps(report, indent=2) if in_json else _words(report))


def _words(report: dict[str, Any]) -> str:
    models = (
        ("model", report),
        ("past average", report["past_average"]),
        ("batch", report["batch"]),
    )
    lines = [
        f"{report['rows']:,} rows, {report['left_out']:,} left out; {report['customers']:,} "
        f"customers, {report['predictions']:,} predictions of {report['horizon']:g} days",
        f"{'':<14}{'MAE':>12}{'Gini':>9}{'RMSE':>14}",
        *(
            f"{name:<14}{shown(part['mae'], 2):>12}{shown(part['gini'], 3):>9}"
            f"{shown(part['rmse'], 2):>14}"
            for name, part in models
        ),
        f"any order: AUC {shown(report['order']['auc'])}, ECE {shown(report['order']['ece'])}, "
        f"{report['order']['share']:.1%} did",
        "deciles, predicted / observed: "
        + "  ".join(f"{d['predicted']:,.0f}/{d['observed']:,.0f}" for d in report["deciles"]),
    ]
    return "\n".join(lines)
