"""``offerstream evaluate ratings``: how well ratings are foreseen, one by one."""

from __future__ import annotations

import json
from typing import Any

import click

from stream.cli.progress import gauge
from stream.cli.table_options import TableOptions, shown, table_options
from stream.insight.evaluate.ratings import MODELS, RatingEvaluation, read_ratings
from stream.insight.plot import line_chart
from stream.models.ratings import RatingModel


@click.command(short_help="How well a customer's rating of an item is foreseen.")
@table_options(
    click.option("--user", required=True, metavar="COL", help="Who rated."),
    click.option("--item", required=True, metavar="COL", help="What was rated."),
    click.option("--rating", required=True, metavar="COL", help="A number."),
    click.option("--time", required=True, metavar="COL", help="When: in any usual form."),
)
def ratings(
    told: TableOptions,
    user: str,
    item: str,
    rating: str,
    time: str,
) -> None:
    """Foresee each rating, then learn it, in the order of time.

    RMSE and MAE of user factors and user-based neighbours, blended, and of each alone. Beside
    them: the mean so far, and matrix factorisation by many passes over all of the past.

    \b
    offerstream evaluate ratings --csv ratings.csv --user userId --item movieId \\
        --rating rating --time timestamp
    offerstream evaluate ratings --csv u.data --no-header --user 1 --item 2 --rating 3 --time 4
    """
    wanted = (user, item, rating, time)
    with told.opened(wanted) as opened:
        with told.reading(opened.table) as tick:
            read = read_ratings(opened.table, wanted, tick)
        evaluation = RatingEvaluation(read, RatingModel())
        with gauge("foreseeing", len(read.ratings), "ratings", quiet=told.in_json) as progress:
            for done in evaluation.run():
                progress.show(done)
        title = f"{opened.title}: {rating}"
        of = "RMSE, last tenth"
        opened.draw(lambda: line_chart(evaluation.curves(), title, "ratings", of))
    report = evaluation.report()
    click.echo(json.dumps(report, indent=2) if told.in_json else _words(report))


def _words(report: dict[str, Any]) -> str:
    lines = [
        f"{report['ratings']:,} ratings, {report['left_out']:,} left out; {report['users']:,} "
        f"users, {report['items']:,} items",
        f"{'':<12}{'RMSE':>9}{'MAE':>9}{'RMSE, last half':>18}",
    ]
    for name in MODELS:
        part = report if name == "model" else report[name]
        lines.append(
            f"{name:<12}{shown(part['rmse']):>9}{shown(part['mae']):>9}"
            f"{shown(part['rmse_last_half']):>18}"
        )
    return "\n".join(lines)
