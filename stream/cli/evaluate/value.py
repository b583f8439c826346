"""``offerstream evaluate value``: how well a customer's spend in the next days is foreseen."""

from __future__ import annotations

import json
from typing import Any

import click

from stream.cli.progress import gauge
from stream.cli.table_options import TableOptions, at_least, shown, table_options
from stream.insight.evaluate.value import ValueEvaluation, factors_of, read_sales
from stream.insight.plot import line_chart


@click.command(short_help="How well a customer's spend in the next days is foreseen.")
@table_options(
    click.option("--customer", required=True, metavar="COL", help="Who ordered."),
    click.option("--time", required=True, metavar="COL", help="When: in any usual form."),
    click.option("--amount", required=True, metavar="COL", help="Spent; A*B is a product."),
    click.option("--horizon", default=30, show_default=True, metavar="DAYS", help="Days ahead."),
)
def value(
    told: TableOptions,
    customer: str,
    time: str,
    amount: str,
    horizon: int,
) -> None:
    """Foretell what each customer spends in the next days; learn it when they are over.

    Mean absolute error, Gini of the order, and deciles: what was foretold and what came. Beside
    it: the customer's own average, and BG/NBD with Gamma-Gamma, fitted anew to all of the past.

    \b
    offerstream evaluate value --csv orders.csv --customer id --time date --amount total
    offerstream evaluate value --csv lines.csv --customer id --time date --amount 'Qty*Price'
    """
    at_least(1, "--horizon", horizon, 10_000)
    with told.opened([customer, time, *factors_of(amount)]) as opened:
        with told.reading(opened.table) as tick:
            sales = read_sales(opened.table, customer, time, amount, tick)
        evaluation = ValueEvaluation(sales, float(horizon))
        with gauge("foretelling", len(sales.sales), "amounts", quiet=told.in_json) as progress:
            for done in evaluation.run():
                progress.show(done)
        report = evaluation.report()
        title = f"{opened.title}: spend in {horizon} days"
        of = "decile of what was foretold"
        opened.draw(lambda: line_chart(evaluation.chart(), title, of, amount))
    click.echo(json.dumps(report, indent=2) if told.in_json else _words(report))


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
