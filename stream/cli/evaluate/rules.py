"""``offerstream evaluate rules``: association rules of a file of baskets."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from stream.cli.inputs import FILE, READS, delimiter_option, encoding_option, found, left_out
from stream.cli.progress import gauge
from stream.config import ConfigError
from stream.insight.evaluate.rules import bounded, mine
from stream.models.association import AssociationRules, TooMany
from stream.models.recommend.cooccurrence import CoOccurrence
from stream.reading.inputs import told
from stream.reading.table import baskets as baskets_in
from stream.reading.table import told_format

SHOWN = 20


@click.command(short_help="Association rules of baskets, exact and bounded.")
@click.option(
    "--baskets",
    "files",
    type=FILE,
    multiple=True,
    required=True,
    help=f"Baskets, one a line, items separated by the delimiter. {READS}",
)
@click.option("--min-support", default=0.01, show_default=True, help="Share of the baskets.")
@click.option("--min-confidence", default=0.5, show_default=True, help="Of each rule.")
@delimiter_option()
@encoding_option
@click.option(
    "--neighbours",
    default=64,
    show_default=True,
    type=click.IntRange(1, 1 << 16),
    help="Pairs an item keeps, bounded.",
)
@click.option(
    "--window",
    default=65_536,
    show_default=True,
    type=click.IntRange(1, 1 << 24),
    help="Baskets kept, bounded.",
)
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def rules(
    files: tuple[Path, ...],
    min_support: float,
    min_confidence: float,
    delimiter: str,
    encoding: str,
    neighbours: int,
    window: int,
    in_json: bool,
) -> None:
    """Find rules “one or more items → an item” by support, confidence and lift.

    They are counted over all baskets where memory allows; beside that, how far the forms are off
    that the stream keeps in bounded memory.
    """
    _check("--min-support", min_support)
    _check("--min-confidence", min_confidence)
    file, without = told_format(delimiter, encoding), Counter[str]()
    read = found(files, quiet=in_json)
    with gauge("reading", None, "baskets", quiet=in_json) as progress:
        baskets = []
        for basket in baskets_in(read, file, without):
            baskets.append(basket)
            progress.show(len(baskets))
    if not baskets:
        raise ConfigError(f"{told(read)}: holds no basket; {left_out(without)}".rstrip("; "))
    began = perf_counter()
    try:
        mined = mine(baskets, min_support, min_confidence)
        seconds = perf_counter() - began
        live = AssociationRules(window, 131_072, 128)
        pairs = CoOccurrence(131_072, neighbours, floor=0.0)
        off = bounded(baskets, mined.rules, min_support, min_confidence, pairs, live)
    except TooMany as error:
        raise ConfigError(f"--min-support {min_support} is too low: {error}") from error
    report = {
        "baskets": len(baskets),
        "left_out": dict(without),
        "rules": len(mined.rules),
        "exact": mined.exact,
        "seconds": seconds,
        **off,
        "rule_list": [rule._asdict() for rule in mined.rules],
    }
    click.echo(json.dumps(report, indent=2, ensure_ascii=False) if in_json else _words(report))


def _check(option: str, share: float) -> None:
    if not 0.0 < share <= 1.0:
        raise ConfigError(f"{option} {share} is no share; give one above 0 and up to 1")


def _words(report: dict[str, Any]) -> str:
    how = "exactly" if report["exact"] else "over the newest that memory allows"
    lines = [
        f"{report['baskets']:,} baskets, {report['rules']:,} rules, counted {how} "
        f"in {report['seconds']:.2f} s",
        *(
            f"  {', '.join(rule['antecedent'])} → {rule['consequent']}   support "
            f"{rule['support']:.4f}  confidence {rule['confidence']:.3f}  lift {rule['lift']:.2f}"
            for rule in report["rule_list"][:SHOWN]
        ),
    ]
    if report["rules"] > SHOWN:
        lines.append(f"  … and {report['rules'] - SHOWN:,} more (--json prints all)")
    if told_left := left_out(report["left_out"]):
        lines.append(told_left)
    error, window = report["lift_error"], report["window"]
    lines.append(
        f"bounded: lift off by {error['mean']:.2%} (at most {error['max']:.2%}) over "
        f"{error['pairs']:,} pairs; the window misses {window['missing']:,} rules and has "
        f"{window['extra']:,} more"
    )
    return "\n".join(lines)
