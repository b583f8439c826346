"""``offerstream evaluate forecast``: how well a file's series are foreseen."""

from __future__ import annotations

import json
from typing import Any

import click

from stream.cli.progress import gauge
from stream.cli.table_options import TableOptions, at_least, shown, table_options
from stream.config import ConfigError
from stream.insight.evaluate.forecast import ForecastEvaluation
from stream.insight.evaluate.periods import read_series
from stream.insight.plot import line_chart


@click.command(short_help="How well series are foreseen, period by period.")
@table_options(
    click.option("--time", required=True, metavar="COL", help="When: in any usual form."),
    click.option("--value", required=True, metavar="COL", help="What is foreseen."),
    click.option("--by", metavar="COL", help="One series for each value of this column."),
    click.option("--horizon", default=1, show_default=True, help="Periods ahead."),
)
def forecast(
    told: TableOptions,
    time: str,
    value: str,
    by: str | None,
    horizon: int,
) -> None:
    """Forecast each period before it comes, then learn it; in one pass.

    Whether periods are months, days, hours … is found from the times; rows of one period are added
    up. MASE is 1 for a forecast as good as the seasonal naive one step ahead, sMAPE is in
    percent; coverage is that of 90 % intervals. Beside it: the seasonal naive, and exponential
    smoothing that is refitted on all of the past.

    \b
    offerstream evaluate forecast --csv passengers.csv --time month --value passengers
    offerstream evaluate forecast --csv 'orders-*.csv.gz' --time date --value amount --by country
    """
    at_least(1, "--horizon", horizon, 1_000)
    with told.opened([time, value, *([by] if by else [])]) as opened:
        with told.reading(opened.table) as tick:
            table = read_series(opened.table, time, value, by, tick)
        evaluation = ForecastEvaluation(table, horizon)
        with gauge("forecasting", evaluation.total, "periods", quiet=told.in_json) as progress:
            for done in evaluation.run():
                progress.show(done)
        report = evaluation.report()
        if not report["series"]:
            longest = max(len(one.values) for one in table.series)
            raise ConfigError(
                f"{opened.table.name}: no series is long enough: {longest} periods of a "
                f"{table.period.name}, and {evaluation.season + 3} are needed"
            )
        title = f"{opened.title}: {value}"
        opened.draw(lambda: line_chart(evaluation.chart, title, table.period.name, value))
    click.echo(json.dumps(report, indent=2) if told.in_json else _words(report))


def _words(report: dict[str, Any]) -> str:
    lines = [
        f"{report['rows']:,} rows, {report['left_out']:,} left out; {report['series']:,} series by "
        f"{report['period']}, {report['too_short']:,} too short; {report['horizon']} ahead",
        f"{'':<18}{'MASE':>9}{'sMAPE':>9}",
        *(
            f"{name:<18}{shown(part['mase'], 3):>9}{shown(part['smape'], 2):>9}"
            for name, part in (
                ("model", report),
                ("seasonal naive", report["seasonal_naive"]),
                ("batch", report["batch"]),
            )
        ),
        f"coverage of 90 % intervals: {shown(report['coverage'], 3)} of {report['intervals']:,}",
        f"who forecast most often: {', '.join(list(report['chosen'])[:5])}",
    ]
    return "\n".join(lines)
