"""``offerstream evaluate policy``: what choosing by context is worth, from a logged experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from stream.cli.inputs import FILE, READS, found
from stream.cli.progress import gauge
from stream.cli.table_options import format_options
from stream.insight.evaluate.policy import FOLDS, ColumnNames, choices, log_of, outcome_of, report
from stream.reading.table import Table, told_format


@click.command(short_help="What choosing by context is worth, from a logged experiment.")
@click.option(
    "--csv", "files", type=FILE, multiple=True, required=True, help=f"A choice a row. {READS}"
)
@click.option("--arm", required=True, metavar="COL", help="What was done.")
@click.option("--reward", required=True, metavar="COL", help="What came of it, a number.")
@click.option("--context", multiple=True, metavar="COL…", help="What was known before.")
@click.argument("more", nargs=-1, metavar="")
@click.option(
    "--propensity",
    metavar="COL",
    help="The probability with which it was done; without it, each arm's share.",
)
@format_options
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def policy(
    files: tuple[Path, ...],
    arm: str,
    reward: str,
    context: tuple[str, ...],
    more: tuple[str, ...],
    propensity: str | None,
    no_header: bool,
    delimiter: str,
    encoding: str,
    in_json: bool,
) -> None:
    """Replay a randomised experiment, and value the policy that is chosen from it.

    A policy by context (linear, learned online) and the best arm for everybody compete; the value
    of the chosen one, of each arm and of uniform chance is estimated doubly robustly, on rows that
    the policy did not learn from. The intervals are of 95 %.

    \b
    Examples:
      offerstream evaluate policy --csv mails.csv --arm segment --reward spend \\
          --context recency history zip_code newbie channel
      offerstream evaluate policy --csv log.csv.gz --arm offer --reward bought --propensity p --json
    """
    if more and not context:
        raise click.UsageError(f"unexpected: {' '.join(more)}")
    names = [name.strip() for each in (*context, *more) for name in each.split(",")]
    columns = ColumnNames(arm, reward, [name for name in names if name], propensity)
    file = told_format(delimiter, encoding, header=not no_header)
    rows = Table(found(files, quiet=in_json), file, columns.names)
    read: list[list[str]] = []
    with gauge("reading", rows.size, "bytes", quiet=in_json) as progress:
        for row in choices(rows, columns):
            read.append(row)
            if len(read) % 10_000 == 0:
                progress.show(rows.read, f"{len(read):,} rows")
    log = log_of(read, columns)
    total = (FOLDS - 1) * len(log.arms)
    with gauge("learning", total, "rows", quiet=in_json) as progress:
        outcome = outcome_of(log, progress.show)
    told = report(log, outcome) | {"left_out": rows.left_out.total()}
    click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2) if in_json else _words(told))


def _words(told: dict[str, Any]) -> str:
    chosen = "by context" if told["policy"] == "linear" else "the best arm for everybody"
    width = max(len(name) for name in ("chosen policy", *told["arms"])) + 2
    lines = [
        f"{told['rows']:,} choices; chosen: {chosen} "
        f"({', '.join(f'{name} {share:.0%}' for name, share in told['choices'].items() if share)})",
        f"{'':<{width}}{'value':>10}{'std. error':>12}{'95 % interval':>26}{'effective':>11}",
        _row("chosen policy", told, width),
        *(_row(name, arm, width) for name, arm in told["arms"].items()),
        _row("uniform", told["uniform"], width),
        "",
        *(_row(name, told["estimates"][name], width) for name in ("ips", "snips")),
    ]
    return "\n".join(lines)


def _row(name: str, value: dict[str, Any], width: int) -> str:
    low, high = value["interval"]
    between = f"{low:.5g} … {high:.5g}"
    return (
        f"{name:<{width}}{value['value']:>10.5g}{value['standard_error']:>12.3g}{between:>26}"
        f"{value['effective_sample_size']:>11,.0f}"
    )
