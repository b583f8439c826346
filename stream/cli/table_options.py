"""Options of the commands that read columns of a table, and the table that they name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import click

from stream.cli.inputs import FILE, READS, delimiter_option, encoding_option, found, paths_of
from stream.cli.outputs import outputs
from stream.cli.progress import gauge
from stream.config import ConfigError
from stream.reading.table import Table, told_format

C = TypeVar("C", bound=Callable[..., Any])


class OpenTable(NamedTuple):
    """A table, the title of a picture of it, and where that is drawn, if anywhere."""

    table: Table
    title: str
    chart: BinaryIO | None

    def draw(self, picture: Callable[[], str]) -> None:
        """Draw the picture, if one is wanted."""
        if self.chart is not None:
            self.chart.write(picture().encode())


class TableOptions(NamedTuple):
    """What a command is told of the table that it reads, and how it tells what came of it."""

    files: tuple[Path, ...]
    no_header: bool
    delimiter: str
    encoding: str
    plot: Path | None
    in_json: bool

    @contextmanager
    def opened(
        self, needed: Collection[str], unused: Collection[str] | None = None
    ) -> Iterator[OpenTable]:
        """Open the table, and the picture, which takes its name when all went well.

        Parameters
        ----------
        needed, unused
            Columns, as of `Table`.

        Raises
        ------
        ConfigError
            A file cannot be read, lacks a column, or would be overwritten.
        """
        read = found(self.files, quiet=self.in_json)
        with outputs({"--plot": self.plot}, paths_of(read)) as written:
            file = told_format(self.delimiter, self.encoding, header=not self.no_header)
            table = Table(read, file, needed, unused)
            yield OpenTable(table, read[0].short_name, written.get("--plot"))

    @contextmanager
    def reading(self, table: Table) -> Iterator[Callable[[int], None]]:
        """Show how much of a table was read that is read twice."""
        with gauge("reading", 2 * table.size, "bytes", quiet=self.in_json) as progress:
            yield progress.show


def format_options(command: C) -> C:
    """Give a command the options ``--no-header``, ``--delimiter`` and ``--encoding``."""
    header = click.option(
        "--no-header", is_flag=True, help="The first line is a row; columns are called 1, 2, …"
    )
    return header(delimiter_option()(encoding_option(command)))


_BEFORE = (click.option("--csv", "files", type=FILE, multiple=True, required=True, help=READS),)
_AFTER = (
    format_options,
    click.option("--plot", type=FILE, help="Draw a chart into this SVG file."),
    click.option("--json", "in_json", is_flag=True, help="Print one JSON object."),
)


def table_options(*columns: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """Give a command what `TableOptions` are made of, as its first argument.

    Parameters
    ----------
    columns
        Options of the command's own, in the order of the help.
    """

    def decorate(command: Callable[..., Any]) -> Any:
        @wraps(command)
        def with_table(**named: Any) -> Any:
            told = TableOptions(*(named.pop(name) for name in TableOptions._fields))
            return command(told, **named)

        decorated: Callable[..., Any] = with_table
        for option in reversed((*_BEFORE, *columns, *_AFTER)):
            decorated = option(decorated)
        return decorated

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
