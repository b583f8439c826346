"""Bytes of a log file → rows: lists of cells, or JSON objects.

Rules:

- No line is dropped without a word: a line that is no row is a ``RefusalReason``. Blank lines, the
  lines before the header and the header are no rows.
- A quoted value may hold line ends, within 100 lines. Where a quote is never closed, only the line
  that opens it is lost, not the rest of the file.
- A row with more cells than the header has names is ragged: nobody knows which is which. One with
  fewer was cut off at its end, and has no values there.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from stream.config import ConfigError
from stream.replay.mapping import FileFormat, Mapping, RefusalReason
from stream.replay.source import Lines

#: A CSV row's cells, or a JSON object.
Row: TypeAlias = "list[str] | dict[str, Any]"

_BOM: Final = b"\xef\xbb\xbf"
_DELIMITERS: Final = (",", ";", "\t", "|")
_QUOTED_LINES: Final = 100


class Record(NamedTuple):
    """What stands in the file from ``offset`` on, and what it is."""

    offset: int
    raw: bytes
    row: Row | RefusalReason


class Layout(NamedTuple):
    """What the first lines of a file tell: column names (none for JSON lines) and delimiter."""

    names: tuple[str, ...]
    delimiter: str


def read_layout(lines: Lines, mapping: Mapping, wanted: frozenset[str], name: str) -> Layout:
    """Read up to the first row; tell the header and the delimiter from the columns ``wanted``.

    The first line is the header, unless the mapping names the columns and the line holds none of
    those that are wanted. ``name`` is what error messages call the file.

    Raises
    ------
    ConfigError
        The file is empty, or its header cannot be read.
    """
    file = mapping.file
    for _ in range(file.skip):
        lines.read()
    first = lines.read()
    if not first:
        raise ConfigError(f"{name}: is empty: there is nothing to replay")
    body = first.removeprefix(_BOM) if lines.offset == len(first) else first
    if file.format == "jsonl":
        lines.give_back([body])
        return Layout((), "")
    text = _decode(body.rstrip(b"\r\n"), file.encodings)
    if text is None:
        raise ConfigError(
            f"mapping {mapping.name}: file.encoding is {', '.join(file.encodings)}, and the header "
            f"of {name} is not; latin-1 fits any"
        )
    delimiter = file.delimiter or _likeliest_delimiter(text, file.quote, wanted)
    cells = _header(text, delimiter, file.quote)
    if file.names and not wanted.intersection(cells):
        lines.give_back([body])
        return Layout(file.names, delimiter)
    return Layout(cells, delimiter)


def _likeliest_delimiter(text: str, quote: str, wanted: frozenset[str]) -> str:
    """Choose what makes most wanted names of the line, or else most cells; a comma if in doubt."""

    def merit(delimiter: str) -> tuple[int, int]:
        cells = _header(text, delimiter, quote)
        return len(wanted.intersection(cells)), len(cells)

    return max(_DELIMITERS, key=merit)


def _header(text: str, delimiter: str, quote: str) -> tuple[str, ...]:
    try:
        cells = _split(text, delimiter, quote) or []
    except _Unclosed:
        cells = text.split(delimiter)
    return tuple(cell.strip() for cell in cells)


def records(lines: Lines, file: FileFormat, layout: Layout) -> Iterator[Record]:
    """Read record after record, from wherever ``lines`` stands; blank lines are passed over."""
    parse = _json_parser(file) if file.format == "jsonl" else _csv_parser(lines, file, layout)
    while raw := lines.read():
        if raw.isspace():
            continue
        offset = lines.offset - len(raw)
        row = parse(raw)
        if isinstance(row, _Joined):
            yield Record(offset, row.raw, row.row)
        else:
            yield Record(offset, raw, row)


def explode(row: Row | RefusalReason, path: str) -> list[Row | RefusalReason]:
    """Make a row of every element of the array at ``path``; the element stands at the path.

    >>> explode({"user": 1, "cart": {"items": [{"sku": "a"}, {"sku": "b"}]}}, "cart.items")[1]
    {'user': 1, 'cart': {'items': {'sku': 'b'}}}
    """
    if not isinstance(row, dict):
        return [row]
    keys = path.split(".")
    array: Any = row
    for key in keys:
        array = array.get(key) if isinstance(array, dict) else None
    if not isinstance(array, list) or not array:
        return [RefusalReason.EMPTY]
    return [_with(row, keys, element) for element in array]


def _with(row: dict[str, Any], keys: list[str], element: object) -> dict[str, Any]:
    head, *rest = keys
    return {**row, head: _with(row[head], rest, element) if rest else element}


class _Joined(NamedTuple):
    """A row that took several lines."""

    raw: bytes
    row: Row | RefusalReason


_Parse: TypeAlias = Callable[[bytes], "Row | RefusalReason | _Joined"]


def _json_parser(file: FileFormat) -> _Parse:
    def parse(raw: bytes) -> Row | RefusalReason:
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:  # Python writes NaN, and not every log is UTF-8
            text = _decode(raw, file.encodings)
            try:
                value = json.loads(text or "")
                orjson.dumps(value)  # what cannot be written again, lone surrogates, cannot go on
            except (ValueError, TypeError, RecursionError):
                return RefusalReason.UNPARSABLE
        return value if isinstance(value, dict) else RefusalReason.UNPARSABLE

    return parse


def _csv_parser(lines: Lines, file: FileFormat, layout: Layout) -> _Parse:
    width, delimiter, encodings = len(layout.names), layout.delimiter, file.encodings
    quote = file.quote if len(delimiter) == 1 and delimiter != " " else ""
    quote_byte = quote.encode() or b"\n\n"  # no line holds two line ends
    separator = None if delimiter == " " else delimiter
    encoding = encodings[0]

    def parse(raw: bytes) -> Row | RefusalReason | _Joined:
        if quote_byte in raw:
            return parse_quoted(raw)
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            found = _decode(raw, encodings)
            if found is None:
                return RefusalReason.UNPARSABLE
            text = found
        return fit(text.rstrip("\r\n").split(separator))

    def fit(cells: list[str]) -> Row | RefusalReason:
        if len(cells) == width:
            return cells
        if len(cells) < width:
            return cells + [""] * (width - len(cells))
        return RefusalReason.RAGGED if any(cells[width:]) else cells

    def parse_quoted(raw: bytes) -> Row | RefusalReason | _Joined:
        more: list[bytes] = []
        while (text := _decode(raw, encodings)) is not None:
            try:
                cells = _split(text, delimiter, quote, strictly=bool(more))
            except _Unclosed:
                line = lines.read()
                more.append(line)
                raw += line
                if line and len(more) < _QUOTED_LINES:
                    continue
                break
            row = RefusalReason.UNPARSABLE if cells is None else fit(cells)
            if not more:
                return row
            if isinstance(row, RefusalReason):
                break  # a stray quote met the next one: what stands between them are rows
            return _Joined(raw, row)
        lines.give_back(more)
        return RefusalReason.UNPARSABLE

    return parse


class _Unclosed(Exception):
    """The text ends within quotes."""


def _split(text: str, delimiter: str, quote: str, strictly: bool = False) -> list[str] | None:
    """Cut a record into cells; None if it is no CSV, or, ``strictly``, none by the book.

    >>> _split('a,"b ""c"", d",5" screw', ",", '"')
    ['a', 'b "c", d', '5" screw']
    """
    if delimiter == " ":
        return text.split()
    if not quote or len(delimiter) > 1:
        return text.split(delimiter)
    for strict in (True,) if strictly else (True, False):  # "abc"def is read as well as can be
        try:
            rows = list(csv.reader([text], delimiter=delimiter, quotechar=quote, strict=strict))
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise _Unclosed from error
        else:
            return rows[0] if rows else []
    return None


def _decode(raw: bytes, encodings: tuple[str, ...]) -> str | None:
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            pass
    return None
