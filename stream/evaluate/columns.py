"""Chosen columns of a CSV file, by name or, where there is no header, by number.

Rules
-----
- The delimiter is found by itself: the first of comma, tab, semicolon, bar and double colon by
  which the first line has the columns that are asked for.
- A row that has too few cells is left out, and counted.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from stream.config import ConfigError
from stream.evaluate.text_file import TextFile, open_text

_DELIMITERS: Final = (",", "\t", ";", "|", "::")
_NAMED: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}
_ODD: Final = "\x1f"  # stands for a delimiter of two characters, which csv does not know


class Columns:
    """Some columns of a CSV file, row by row, as texts.

    Parameters
    ----------
    file
        Gzip is recognised.
    wanted
        Names of the columns, or their numbers from 1 where there is no header; none for all.
    header
        Whether the first line names the columns.
    delimiter
        Between cells; ``tab`` for a tab; None to find it.

    Attributes
    ----------
    names
        Of all columns: ``"1"``, ``"2"``, … where there is no header.
    size, read
        Bytes of the file, and how many of them were read so far.
    left_out
        Rows with too few cells so far.

    Raises
    ------
    ConfigError
        If the file can't be read or is empty, or has no such column, in one line.
    """

    def __init__(
        self,
        file: Path,
        wanted: Sequence[str] = (),
        *,
        header: bool = True,
        delimiter: str | None = None,
    ) -> None:
        self.file = file
        self.header = header
        self.size = self.read = self.left_out = 0
        first = self._first()
        self.delimiter = self._chosen(first, wanted, delimiter)
        cells = _cells(first, self.delimiter)
        self.names = cells if header else [str(n) for n in range(1, len(cells) + 1)]
        self.at = [self._index(name) for name in wanted or self.names]

    def __iter__(self) -> Iterator[list[str]]:
        opened = self._open()
        self.left_out = 0
        with closing(opened.raw):
            rows = csv.reader(_lines(opened, self.delimiter), delimiter=_short(self.delimiter))
            try:
                for number, row in enumerate(rows):
                    if number % 256 == 0:
                        self.read = opened.raw.tell()
                    if number == 0 and self.header:
                        continue
                    if len(row) >= len(self.names):
                        yield [row[at].strip() for at in self.at]
                    else:
                        self.left_out += bool(row)
            except csv.Error as error:
                raise ConfigError(f"{self.file}: line {rows.line_num}: {error}") from None
            except (EOFError, OSError) as error:  # a torn gzip file
                raise ConfigError(f"{self.file}: can't be read: {error}") from None
        self.read = self.size

    def _open(self) -> TextFile:
        opened = open_text(self.file)
        self.size = opened.size
        return opened

    def _first(self) -> str:
        opened = self._open()
        with closing(opened.raw):
            try:
                first = opened.text.readline(1 << 20).rstrip("\r\n")
            except (EOFError, OSError) as error:
                raise ConfigError(f"{self.file}: can't be read: {error}") from None
        if not first.strip():
            raise ConfigError(f"{self.file}: is empty, or its first line is")
        return first

    def _chosen(self, first: str, wanted: Sequence[str], told: str | None) -> str:
        if told is not None:
            delimiter = _NAMED.get(told, told)
            if delimiter != "::" and (len(delimiter) != 1 or delimiter in '"\r\n'):
                raise ConfigError("--delimiter: is one character, ::, or tab")
            return delimiter
        if self.header and wanted:
            for delimiter in _DELIMITERS:
                if set(wanted) <= set(_cells(first, delimiter)):
                    return delimiter
        return max(_DELIMITERS, key=lambda delimiter: len(_cells(first, delimiter)))

    def _index(self, name: str) -> int:
        if name in self.names:
            return self.names.index(name)
        if self.header:
            there = ", ".join(self.names[:20])
            more = ", …" if len(self.names) > 20 else ""
            way = "; is there no header? --no-header takes numbers" if name.isdecimal() else ""
            raise ConfigError(f"{self.file}: no column {name!r}; there are: {there}{more}{way}")
        raise ConfigError(
            f"{self.file}: no column {name!r}: without a header columns are 1 … {len(self.names)}"
        )


def _cells(line: str, delimiter: str) -> list[str]:
    line = line.replace("::", _ODD) if delimiter == "::" else line
    row = next(csv.reader([line], delimiter=_short(delimiter)), [])
    return [cell.strip() for cell in row]


def _short(delimiter: str) -> str:
    return _ODD if delimiter == "::" else delimiter


def _lines(opened: TextFile, delimiter: str) -> Iterator[str]:
    for line in opened.text:
        yield line.replace("::", _ODD) if delimiter == "::" else line
