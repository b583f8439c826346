"""``offerstream evaluate calibration``: purchases foreseen over purchases made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson

from stream.cli.options import loaded_option
from stream.cli.progress import gauge
from stream.host.environment import Loaded


@click.command(short_help="Purchases foreseen over purchases made, in tenths of a shop's log.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--mapping",
    "mapping_name",
    metavar="NAME|PATH",
    help="What the columns mean: a shipped mapping (`offerstream mappings list`) or a TOML file.",
)
@loaded_option
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N rows.")
@click.option("--json", "in_json", is_flag=True, help="Print one JSON object.")
def calibration(
    loaded: Loaded,
    files: tuple[Path, ...],
    mapping_name: str | None,
    limit: int | None,
    in_json: bool,
) -> None:
    """Replay FILES, and hold P(purchase) to what was bought within the attribution window.

    After the first 2,000 exposures, in tenths: the mean that was predicted of exposures before
    they were learned, the share of them that was bought, and the ratio of the two, 1 if right. A
    tenth with fewer than ten purchases has no ratio. Near the end of the files some purchases are
    still to come: `expected by end` is the part of the prediction that can be seen by then.

    \b
    Examples:
      offerstream evaluate calibration 2019-Oct.csv.gz --mapping rees46 --limit 1000000
      offerstream evaluate calibration my-log.jsonl --mapping my-shop.toml --json
    """
    from stream.cli.replay import rehearsed
    from stream.insight.evaluate.calibration import exposures_of, report

    with (
        rehearsed(loaded, files, mapping_name, limit, quiet=in_json) as (settings, _),
        gauge("learning again", None, "records", quiet=in_json) as progress,
    ):
        exposures = exposures_of(settings, progress.show)
    told = report(exposures, settings.core.attribution)
    click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2) if in_json else _words(told))


def _words(told: dict[str, Any]) -> str:
    if not told["exposures"]:
        return "Nobody looked at anything: too few labels to tell."
    lines = [
        f"{told['exposures']:,} exposures; bought within {told['attribution_seconds'] / 3600:g} h",
        f"{'':<10}{'exposures':>10}{'predicted':>11}{'observed':>10}{'ratio':>8}"
        f"{'expected by end':>17}",
        _row("first", told["warm_up"]),
        *(_row(f"tenth {n}", tenth) for n, tenth in enumerate(told["tenths"], 1)),
        _row("tenths", told["all"]),
    ]
    return "\n".join(lines)


def _row(name: str, part: dict[str, Any]) -> str:
    if not part["exposures"]:
        return f"{name:<10}{0:>10}"
    ratio = "too few" if part["ratio"] is None else f"{part['ratio']:.2f}"
    return (
        f"{name:<10}{part['exposures']:>10,}{part['predicted']:>11.4f}{part['observed']:>10.4f}"
        f"{ratio:>8}{part['expected_by_end']:>17.4f}"
    )
