"""Lines of a document → rows: lists of cells, or JSON objects.

Rules:

- No line is dropped without a word: a line that is no row is a ``NoRow``. Blank lines, the lines
  before the header and the header are no rows.
- A quoted value may hold line ends, within 1,000 lines. Where a quote is never closed, only the
  line that opens it is lost, not the rest of the file.
- A row with more or fewer cells than the header has names is ragged: nobody knows which is which.
  Empty cells beyond the last name are none.
- Whole numbers in JSON stay exact, however long they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from stream.reading.cells import Unclosed, decode, split
from stream.reading.document import Document
from stream.reading.format import NoRow
from stream.reading.layout import Layout
from stream.reading.lines import Lines

#: A CSV row's cells, or a JSON object.
Row: TypeAlias = "list[str] | dict[str, Any]"

_QUOTED_LINES: Final = 1_000
_LONG: Final = re.compile(rb"[0-9]{19}")  # beyond 64 bits orjson makes whole numbers inexact


class DocumentRecord(NamedTuple):
    """What stands in the document from ``offset`` on, and what it is."""

    offset: int
    raw: bytes
    row: Row | NoRow


def records(lines: Lines, document: Document, layout: Layout) -> Iterator[DocumentRecord]:
    """Read record after record, from wherever ``lines`` stands; blank lines are passed over."""
    is_csv = document.shape.kind == "csv"
    parse = _csv_parser(lines, layout) if is_csv else _json_parser(document.encodings)
    blank = b"\r\n " if is_csv and layout.dialect.delimiter == "\t" else None
    while raw := lines.read():
        if raw.isspace() and (blank is None or not raw.strip(blank)):
            continue
        offset = lines.offset - len(raw)
        row = parse(raw)
        if isinstance(row, _Joined):
            yield DocumentRecord(offset, row.raw, row.row)
        else:
            yield DocumentRecord(offset, raw, row)


def explode(row: Row | NoRow, path: str) -> list[Row | NoRow]:
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
        return [NoRow.EMPTY]
    return [_with(row, keys, element) for element in array]


def _with(row: dict[str, Any], keys: list[str], element: object) -> dict[str, Any]:
    head, *rest = keys
    return {**row, head: _with(row[head], rest, element) if rest else element}


class _Joined(NamedTuple):
    """A row that took several lines."""

    raw: bytes
    row: Row | NoRow


_Parse: TypeAlias = Callable[[bytes], "Row | NoRow | _Joined"]


def _json_parser(encodings: tuple[str, ...]) -> _Parse:
    def parse(raw: bytes) -> Row | NoRow:
        try:
            if _LONG.search(raw):
                return exact(raw)
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:  # Python writes NaN, and not every log is UTF-8
            return exact(raw)
        return value if isinstance(value, dict) else NoRow.UNPARSABLE

    def exact(raw: bytes) -> Row | NoRow:
        try:
            value = json.loads(decode(raw, encodings) or "", parse_int=_whole)
            _encodable(value)
        except (ValueError, TypeError, RecursionError):
            return NoRow.UNPARSABLE
        return value if isinstance(value, dict) else NoRow.UNPARSABLE

    return parse


def _whole(digits: str) -> int | str:
    """A whole number, as text where Python refuses to read so many digits."""
    return int(digits) if len(digits) < 4_000 else digits


def _encodable(value: Any) -> None:
    """Raise ValueError for lone surrogates: such texts cannot be written again."""
    json.dumps(value, ensure_ascii=False).encode()


def _csv_parser(lines: Lines, layout: Layout) -> _Parse:
    dialect = layout.dialect
    width, delimiter, encodings = len(layout.names), dialect.delimiter, dialect.encodings
    quote = dialect.quote if len(delimiter) == 1 and delimiter != " " else ""
    quote_byte = quote.encode() or b"\n\n"  # no line holds two line ends
    escape_byte = dialect.escape.encode() or b"\n\n"
    separator = None if delimiter == " " else delimiter
    encoding = encodings[0]

    def parse_escaped(raw: bytes) -> Row | NoRow | _Joined:
        return parse_quoted(raw) if escape_byte in raw else parse(raw)

    def parse(raw: bytes) -> Row | NoRow | _Joined:
        if quote_byte in raw:
            return parse_quoted(raw)
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            found = decode(raw, encodings)
            if found is None:
                return NoRow.UNPARSABLE
            text = found
        return fit(text.rstrip("\r\n").split(separator))

    def fit(cells: list[str]) -> Row | NoRow:
        if len(cells) == width or not width:
            return cells
        if len(cells) < width or any(cells[width:]):
            return NoRow.RAGGED
        return cells[:width]

    def parse_quoted(first: bytes) -> Row | NoRow | _Joined:
        raw, more = first, list[bytes]()
        while (text := decode(raw, encodings)) is not None:
            try:
                cells = split(text, dialect, strictly=bool(more))
            except Unclosed:
                if not to_next_quote(more):
                    break
                raw = first + b"".join(more)
                continue
            row = NoRow.UNPARSABLE if cells is None else fit(cells)
            if not more:
                return row
            if isinstance(row, NoRow):
                break  # a stray quote met the next one: what stands between them are rows
            return _Joined(raw, row)
        lines.give_back(more)
        return NoRow.UNPARSABLE

    def to_next_quote(more: list[bytes]) -> bool:
        """Read on to a line that may close the quotes; False if there is none near."""
        while len(more) < _QUOTED_LINES and (line := lines.read()):
            more.append(line)
            if quote_byte in line or dialect.escape:
                return True
        return False

    return parse_escaped if dialect.escape else parse
