"""``offerstream evaluate rules``: association rules of a file of baskets."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import click

from stream.cli.progress import gauge
from stream.config import ConfigError
from stream.evaluate.rules import bounded, mine
from stream.models.cooccurrence import CoOccurrence
from stream.models.rules import AssociationRules, TooMany
from stream.replay.source import Source

SHOWN = 20


@click.command(short_help="Association rules of baskets, exact and bounded.")
@click.option(
    "--baskets",
    "file",
    type=click.Path(path_type=Path),
    required=True,
    help="Baskets, one a line, items separated by the delimiter.",
)
@click.option("--min-support", default=0.01, show_default=True, help="Share of the baskets.")
@click.option("--min-confidence", default=0.5, show_default=True, help="Of each rule.")
@click.option("--delimiter", default=",", show_default=True, help="Between items.")
@click.option("--neighbours", default=64, show_default=True, help="Pairs an item keeps, bounded.")
@click.option("--window", default=65_536, show_default=True, help="Baskets kept, bounded.")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def rules(
    file: Path,
    min_support: float,
    min_confidence: float,
    delimiter: str,
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
    with gauge("reading", None, "baskets", quiet=in_json) as progress:
        baskets = []
        for basket in _baskets(file, delimiter):
            baskets.append(basket)
            progress.show(len(baskets))
    if not baskets:
        raise ConfigError(f"{file}: holds no basket")
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


def _baskets(file: Path, delimiter: str) -> Iterator[list[str]]:
    source = Source(file)
    with source.forward() as (lines, _):
        while raw := lines.read():
            try:
                text = raw.decode("utf-8").strip("\r\n")
            except UnicodeDecodeError as error:
                raise ConfigError(f"{file}: is not UTF-8 text") from error
            row = next(csv.reader([text], delimiter=delimiter), [])
            basket = [item for item in (value.strip() for value in row) if item]
            if basket:
                yield basket


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
    error, window = report["lift_error"], report["window"]
    lines.append(
        f"bounded: lift off by {error['mean']:.2%} (at most {error['max']:.2%}) over "
        f"{error['pairs']:,} pairs; the window misses {window['missing']:,} rules and has "
        f"{window['extra']:,} more"
    )
    return "\n".join(lines)
