"""``offerstream extensions``: what packages offer, and what of it is in force."""

from __future__ import annotations

import json

import click

from stream.cli.options import settings_option
from stream.config import Settings
from stream.host.extensions import ExtensionPoint, Installed, in_force, installed


@click.command
@settings_option
@click.option("--json", "as_json", is_flag=True, help="A list of objects, for machines.")
def extensions(settings: Settings, as_json: bool) -> None:
    """Show which extensions installed packages offer, and which of them are in force.

    In force is what the settings name, in their order. Each of these is loaded: a broken one is
    named, with exit code 2, as a worker would at its start.

    \b
    offerstream extensions
    offerstream extensions --set extensions.rules=no-alcohol-for-minors
    """
    found = [each for point in ExtensionPoint for each in installed(point)]
    rows = [_row(each, settings) for each in found]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif rows:
        _show(rows)
    else:
        click.echo("no installed package offers an extension: docs/extending.md shows how one does")
    in_force(settings)


def _row(each: Installed, settings: Settings) -> dict[str, object]:
    named = getattr(settings.extensions, each.point.value, ())
    place = named.index(each.name) + 1 if each.name in named else None
    return {**each._asdict(), "point": each.point.value, "in_force": place}


def _show(rows: list[dict[str, object]]) -> None:
    table = [
        (
            f"{row['point']}",
            f"{row['name']}",
            f"{row['distribution']} {row['version']}",
            f"{row['target']}",
            "" if row["in_force"] is None else f"in force, number {row['in_force']}",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
