"""Options of the commands that read some columns of a CSV file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stream.config import ConfigError

FILE = click.Path(path_type=Path)

_BEFORE = (click.option("--csv", "file", type=FILE, required=True, help="May be gzipped."),)
_AFTER = (
    click.option("--no-header", is_flag=True, help="Columns are numbers: --time 1 is the first."),
    click.option("--delimiter", metavar="CHAR", help="Between cells; found by itself."),
    click.option("--plot", type=FILE, help="Draw a chart into this SVG file."),
    click.option("--json", "in_json", is_flag=True, help="Print one JSON object."),
)


def table_options(*columns: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """Give a command the file, its columns, and how to read and tell them.

    Parameters
    ----------
    columns
        Options of the command's own, in the order of the help.
    """

    def decorate(command: Callable[..., Any]) -> Any:
        for option in reversed((*_BEFORE, *columns, *_AFTER)):
            command = option(command)
        return command

    return decorate


def at_least(least: int, name: str, value: int, most: int) -> None:
    """Refuse a number that is too small or too large.

    Raises
    ------
    ConfigError
        In one line that names the option.
    """
    if not least <= value <= most:
        raise ConfigError(f"{name}: is {value}, but must be in {least:,} … {most:,}")


def shown(value: float | None, places: int = 4) -> str:
    """Return a number for people; a dash for none.

    Examples
    --------
    >>> shown(0.12346), shown(None)
    ('0.1235', '–')
    """
    return "–" if value is None else f"{value:,.{places}f}"
