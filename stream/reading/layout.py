"""What the first lines of a file tell: the columns, what stands between them, and what escapes.

Rules:

- Blank lines before the header are passed over. A first line ``sep=;``, which Excel writes, names
  the delimiter.
- The first line is the header, unless the reader was told the names and the line holds none of
  those that are wanted. A header may hold line ends, in quotes.
- Where the reader was told that there is no header, the columns are called by their numbers, from
  1. There are as many as most of the first rows have cells, by the delimiter that cuts most of them
  into equally many.
- A backslash escapes where that is certain: the first rows cannot be read by quotes alone, and all
  of them can with it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from typing import Final, NamedTuple

from stream.config import ConfigError
from stream.reading.cells import Dialect, Unclosed, decode, split
from stream.reading.document import Document
from stream.reading.lines import Lines

_SIGNS: Final = (",", ";", "\t", "|")
_DELIMITERS: Final = (*_SIGNS, "::")
_QUOTED_LINES: Final = 1_000
_SAMPLE: Final = 1 << 18
_SAMPLE_LINES: Final = 1_000
_SEP: Final = re.compile(r'"?sep=(?P<delimiter>[^\w\s"]|\t)"?', re.IGNORECASE)


class Empty(ConfigError):
    """A file that has nothing in it, not even a header."""


class Layout(NamedTuple):
    """Column names (none for JSON), and how a line is cut into cells."""

    names: tuple[str, ...]
    dialect: Dialect


def read_layout(lines: Lines, document: Document, wanted: frozenset[str]) -> Layout:
    """Read up to the first row; tell the header and the delimiter from the columns ``wanted``.

    Raises
    ------
    ConfigError
        The file is empty, or its header cannot be read.
    """
    file = document.file
    if document.shape.kind != "csv":
        first = lines.read()
        if not first:
            raise Empty(f"{document.name}: is empty: there is nothing to read")
        lines.give_back([first])
        return Layout((), Dialect(",", "", "", document.encodings))
    for _ in range(file.skip):
        lines.read()
    read: list[bytes] = []
    text, delimiter = _line(lines, document, read), file.delimiter
    if match := _SEP.fullmatch(text.strip(" \r\n")):
        delimiter = delimiter or match["delimiter"]
        read.clear()
        text = _line(lines, document, read)
    text = _closed(lines, document, read, text, delimiter)
    numbered: tuple[str, ...] = ()
    if not file.header:
        lines.give_back(read)
        delimiter, numbered = _numbered(lines, document, delimiter)
    elif delimiter is None:
        delimiter = _likeliest(text, file.quote, wanted)
    dialect = Dialect(delimiter, file.quote, file.escape or "", document.encodings)
    cells = numbered or _cells(text, dialect)
    if file.names and not numbered and not wanted.intersection(cells):
        lines.give_back(read)
        cells = file.names
    if file.escape is None and document.escapes is None:
        document.escapes = _escapes(lines, dialect, document.shape.end, len(cells))
    if file.escape is None and document.escapes:
        dialect = dialect._replace(escape="\\")
        if cells is not file.names and cells is not numbered:
            cells = _cells(text, dialect)
    return Layout(cells, dialect)


def headless(lines: Lines, document: Document) -> Dialect:
    """Tell how the lines of a file without a header are cut: by commas, unless there are none."""
    file = document.file
    delimiter = file.delimiter
    first = lines.read()
    text = (decode(first, document.encodings) or "").strip(" \r\n")
    if match := _SEP.fullmatch(text):
        delimiter = delimiter or match["delimiter"]
    else:
        lines.give_back([first])
    if delimiter is None:
        sample = _sample(lines)
        raw = b"".join(sample)
        others = [sign for sign in _SIGNS[1:] if sign.encode() in raw]
        if b"," in raw or not others:
            delimiter = ","
        else:
            delimiter = max(others, key=lambda sign: raw.count(sign.encode()))
    return Dialect(delimiter, file.quote, file.escape or "", document.encodings)


def _line(lines: Lines, document: Document, read: list[bytes]) -> str:
    """The next line that is not blank, decoded; it is added to what was read."""
    while (line := lines.read()) and line.isspace():
        pass
    if not line:
        raise Empty(f"{document.name}: is empty: there is nothing to read")
    read.append(line)
    return _decoded(line, document)


def _decoded(line: bytes, document: Document) -> str:
    text = decode(line, document.encodings)
    if text is None:
        raise ConfigError(
            f"{document.name}: its header is not in {', '.join(document.encodings)}: say what it "
            "is in (file.encoding in a mapping, --encoding elsewhere); latin-1 fits any"
        )
    return text.rstrip("\r\n")


def _closed(
    lines: Lines, document: Document, read: list[bytes], text: str, delimiter: str | None
) -> str:
    """The header's text, with the lines that its quotes reach over; as it is if they never end."""
    quote = document.file.quote
    if not quote or quote not in text or delimiter == " ":
        return text
    kept, whole = len(read), text
    while _is_open(whole, delimiter, quote):
        line = lines.read()
        if not line or len(read) - kept >= 100:
            back = read[kept:] + ([line] if line else [])
            del read[kept:]
            lines.give_back(back)
            return text
        read.append(line)
        whole = _joined(read, document)
    return whole


def _joined(read: list[bytes], document: Document) -> str:
    return _decoded(b"".join(read), document)


def _is_open(text: str, delimiter: str | None, quote: str) -> bool:
    if text.count(quote) % 2 == 0:
        return False
    if delimiter is None or len(delimiter) > 1:
        return True
    try:
        split(text, Dialect(delimiter, quote))
    except Unclosed:
        return True
    return False


def _likeliest(text: str, quote: str, wanted: frozenset[str]) -> str:
    """Choose what makes most wanted names of the line, or else most cells; a comma if in doubt."""

    def merit(delimiter: str) -> tuple[int, int]:
        cells = _cells(text, Dialect(delimiter, quote))
        return len(wanted.intersection(cells)), len(cells)

    return max(_DELIMITERS, key=merit)


def _numbered(
    lines: Lines, document: Document, delimiter: str | None
) -> tuple[str, tuple[str, ...]]:
    """The delimiter and the columns' numbers, of rows that are read again; a comma if in doubt."""
    sample = _sample(lines)
    raw = b"".join(sample)
    text = decode(raw, document.encodings) or ""
    quote, whole = document.file.quote, _is_whole(sample, raw)
    found, columns, key = delimiter or ",", 1, (False, 0.0, 0)
    for sign in (delimiter,) if delimiter else _DELIMITERS:
        rows = None
        if quote and len(sign) == 1 and sign != " ":
            rows = _rows(text, Dialect(sign, quote), document.shape.end, whole=whole)
        if rows is None:
            end = "\r" if document.shape.end == b"\r" else "\r?\n"
            rows = [_line_cells(line, sign) for line in re.split(end, text) if line]
        widths = Counter(map(len, rows))
        width, count = max(widths.items(), key=lambda each: each[1], default=(1, 0))
        merit = width > 1, count / max(widths.total(), 1), width
        if merit > key:
            found, columns, key = sign, width, merit
    return found, tuple(str(number + 1) for number in range(columns))


def _line_cells(line: str, delimiter: str) -> list[str]:
    return line.split(None if delimiter == " " else delimiter)


def _cells(text: str, dialect: Dialect) -> tuple[str, ...]:
    try:
        cells = split(text, dialect) or []
    except Unclosed:
        cells = text.split(dialect.delimiter)
    return tuple(cell.strip() for cell in cells)


def _escapes(lines: Lines, dialect: Dialect, end: bytes, width: int) -> bool:
    """Whether a backslash escapes, for certain, in the first rows; they are read again."""
    if not dialect.quote or len(dialect.delimiter) > 1 or dialect.delimiter == " ":
        return False
    sample = _sample(lines)
    raw = b"".join(sample)
    whole = _is_whole(sample, raw)
    if b"\\" not in raw:
        return False
    text = decode(raw, dialect.encodings)
    if text is None:
        return False
    rows = _rows(text, dialect._replace(escape="\\"), end, whole=whole)
    if rows is None or not rows or any(len(row) != width for row in rows):
        return False
    plain = _rows(text, dialect, end, whole=whole)
    return plain is None or any(len(row) != width for row in plain)


def _sample(lines: Lines) -> list[bytes]:
    """The next lines, which are read again."""
    sample: list[bytes] = []
    size = 0
    while size < _SAMPLE and len(sample) < _SAMPLE_LINES and (line := lines.read()):
        sample.append(line)
        size += len(line)
    lines.give_back(sample)
    return sample


def _is_whole(sample: list[bytes], raw: bytes) -> bool:
    return len(raw) < _SAMPLE and len(sample) < _SAMPLE_LINES


def _rows(text: str, dialect: Dialect, end: bytes, *, whole: bool) -> list[list[str]] | None:
    """Rows by the book; None if it is not kept. The last is left out if it may be cut."""
    reader = csv.reader(
        re.findall("[^\r]*\r|[^\r]+" if end == b"\r" else "[^\n]*\n|[^\n]+", text),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=dialect.escape or None,
        strict=True,
    )
    rows = []
    try:
        rows += [row for row in reader if row]
    except csv.Error:
        if whole or not rows:
            return None
    return rows if whole else rows[:-1]
