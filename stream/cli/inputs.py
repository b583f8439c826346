"""The options by which commands are told what to read, and in which form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from stream.cli.progress import gauge
from stream.reading.inputs import sources
from stream.reading.source import InputSource

FILE = click.Path(path_type=Path)
C = TypeVar("C", bound=Callable[..., Any])

READS = (
    "A file, a glob, a directory, or - for standard input; may be repeated. CSV, JSON or Parquet, "
    "plain or packed: the first bytes tell."
)


def encoding_option(command: C) -> C:
    """Give a command the option ``--encoding``."""
    return click.option(
        "--encoding",
        default="utf-8",
        show_default=True,
        help="Of texts that do not tell.",
    )(command)


def delimiter_option(default: str = "auto") -> Callable[[C], C]:
    """Give a command the option ``--delimiter``."""
    return click.option(
        "--delimiter",
        default=default,
        show_default=True,
        help="Between cells: a sign, tab, space, or auto.",
    )


def found(paths: Iterable[Path], *, quiet: bool) -> list[InputSource]:
    """Find what is to be read, with a word about how much has come on standard input."""
    with gauge("reading standard input", None, "bytes", quiet=quiet) as shown:
        return sources(paths, shown.show)


def paths_of(read: Sequence[InputSource]) -> list[Path]:
    """The files behind sources."""
    return [source.path for source in read]


def left_out(counts: Mapping[str, int]) -> str:
    """Say how many rows were left out, and why; nothing if none was.

    >>> left_out({"ragged": 2, "unparsable": 1})
    'left out: 2 rows ragged, 1 rows unparsable'
    """
    told = ", ".join(f"{count:,} rows {reason}" for reason, count in counts.items() if count)
    return f"left out: {told}" if told else ""
