"""Files as tables, lists of baskets, or lines of text: what the evaluations read.

Rules:

- Several files are read one after the other; their columns may stand in another order.
- A row with more or fewer cells than the header has names is left out and counted.
- What is not in the encoding ends the reading: to leave such rows out would favour some words.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final

from stream.config import ConfigError
from stream.reading.cells import decode
from stream.reading.document import Document
from stream.reading.encodings import by_lines
from stream.reading.format import FileFormat, NoRow, delimiter_of
from stream.reading.inputs import told
from stream.reading.layout import Empty, Layout, headless, read_layout
from stream.reading.lines import LONGEST, Lines
from stream.reading.records import DocumentRecord, records
from stream.reading.source import InputSource

_FLAT: Final = 3  # levels of objects whose fields are columns
_TOLD: Final = 20  # names of columns in an error


def told_format(delimiter: str, encoding: str, *, header: bool = True) -> FileFormat:
    """Read the options ``--delimiter`` and ``--encoding``, and whether there is a header.

    Raises
    ------
    ConfigError
        One of them cannot be.
    """
    try:
        found = delimiter_of(delimiter)
    except ValueError as error:
        raise ConfigError(f"--delimiter {error}") from None
    try:
        by_lines(encoding)
        wrong = by_lines(encoding) is False and not encoding.lower().startswith("utf")
    except (LookupError, ValueError):
        wrong = True
    if wrong:
        raise ConfigError(
            f"--encoding is {encoding!r}, which is unknown; utf-8 and latin-1 are usual"
        )
    return FileFormat(delimiter=found, encodings=(encoding,), header=header)


class _Progress:
    """How many bytes of all sources were read."""

    def __init__(self, found: Sequence[InputSource]) -> None:
        self.size = sum(source.size for source in found)
        self.begin()

    def begin(self) -> None:
        self._before = 0
        self._now: Callable[[], float] = lambda: 0.0
        self._source: InputSource | None = None

    def follow(self, source: InputSource, share: Callable[[], float]) -> None:
        if self._source is not None:
            self._before += self._source.size
        self._source, self._now = source, share

    def read(self) -> int:
        if self._source is None:
            return 0
        return self._before + round(self._now() * self._source.size)


class Table:
    """Rows of one or several files, as values by the columns' names.

    Parameters
    ----------
    found
        What is read.
    file
        What was told of its format.
    needed
        Columns that must be there.
    unused
        Columns that may be twice; None if only those that are needed are used.

    Attributes
    ----------
    name
        What is read, in few words.
    size
        Bytes of all files.
    left_out
        Rows that are none, by `NoRow`, of those that were read last.

    Raises
    ------
    ConfigError
        A file cannot be read, or lacks a column, or has it twice.
    """

    def __init__(
        self,
        found: Sequence[InputSource],
        file: FileFormat,
        needed: Collection[str],
        unused: Collection[str] | None = None,
    ) -> None:
        self.name = told(found)
        self._needed = needed
        self._unused = unused
        self._progress = _Progress(found)
        self.size = self._progress.size
        self.left_out: Counter[str] = Counter()
        self._files: list[tuple[Document, Layout]] = []
        empty: Empty | None = None
        for source in found:
            document = Document(source, file)
            try:
                with document.forward() as (lines, _):
                    layout = read_layout(lines, document, frozenset(needed))
            except Empty as error:
                empty = error
                continue
            if document.shape.kind == "csv":
                self._check(document, layout.names)
            elif not file.header:
                raise ConfigError(
                    f"{document.name}: its columns have names, not numbers: leave out --no-header"
                )
            self._files.append((document, layout))
        if empty is not None and not self._files:
            raise empty

    def _check(self, document: Document, names: tuple[str, ...]) -> None:
        for name in self._needed:
            if name not in names:
                raise ConfigError(f"{document.name}: {_absent(name, names, document.file)}")
        counts = Counter(names)
        used = self._needed if self._unused is None else counts.keys() - set(self._unused)
        for name in names:
            if counts[name] > 1 and name in used:
                raise ConfigError(
                    f"{document.name}: {counts[name]} columns are called {name!r}: rename one"
                )

    @property
    def read(self) -> int:
        """Bytes of the files that were read so far."""
        return self._progress.read()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.left_out.clear()
        self._progress.begin()
        met: set[str] = set()
        rows = 0
        for document, layout in self._files:
            is_csv = document.shape.kind == "csv"
            for row in self._rows(document, layout):
                rows += 1
                if is_csv:
                    yield dict(zip(layout.names, row, strict=True))
                    continue
                flat: dict[str, Any] = {}
                _flatten(row, "", flat, _FLAT)
                met.update(name for name in self._needed if name in flat)
                yield flat
            if not is_csv and rows and (absent := set(self._needed) - met):
                raise ConfigError(f"{document.name}: no row has a {sorted(absent)[0]!r}")

    def cells(self, names: Sequence[str]) -> Iterator[list[str]]:
        """Of each row the cells of some columns, as texts without white space around."""
        for row in self:
            yield [text_of(row.get(name)).strip() for name in names]

    def _rows(self, document: Document, layout: Layout) -> Iterator[Any]:
        with document.forward() as (lines, share):
            self._progress.follow(document.source, share)
            read_layout(lines, document, frozenset(self._needed))
            for record in records(lines, document, layout):
                if isinstance(record.row, NoRow):
                    demand_encoding(record, document)
                    self.left_out[record.row] += 1
                else:
                    yield record.row


def _absent(name: str, names: tuple[str, ...], file: FileFormat) -> str:
    if not file.header:
        return f"no column {name!r}: without a header columns are 1 … {len(names)}"
    there = ", ".join(names[:_TOLD]) + (", …" if len(names) > _TOLD else "")
    way = "; is there no header? --no-header takes numbers" if name.isdecimal() else ""
    return f"no column {name!r}; there are: {there}{way}"


def _flatten(row: dict[str, Any], prefix: str, flat: dict[str, Any], depth: int) -> None:
    for name, value in row.items():
        if isinstance(value, dict) and depth:
            _flatten(value, f"{prefix}{name}.", flat, depth - 1)
        elif isinstance(value, dict | list):
            flat[prefix + name] = json.dumps(value, ensure_ascii=False)[:1_000]
        else:
            flat[prefix + name] = value


def text_of(value: object) -> str:
    """A cell as text, as a CSV file would have it.

    >>> text_of(None), text_of(True), text_of(3), text_of(" x ")
    ('', 'true', '3', ' x ')
    """
    if isinstance(value, str):
        return value
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def demand_encoding(record: DocumentRecord, document: Document) -> None:
    """Raise ``ConfigError`` if what is no row is not in the file's encoding."""
    if decode(record.raw, document.encodings) is None:
        raise ConfigError(
            f"{document.name}: is not {' or '.join(document.encodings)}, at byte "
            f"{record.offset:,} at the latest: say what it is in, such as --encoding latin-1"
        )


def baskets(
    found: Sequence[InputSource], file: FileFormat, left_out: Counter[str]
) -> Iterator[list[str]]:
    """Lists of items, one a record; what is none is counted in ``left_out``.

    A file of JSON has an array of items in each line, or one array of such arrays.
    """
    for source in found:
        document = Document(source, file)
        if document.shape.kind == "parquet":
            raise ConfigError(f"{source.name}: is Parquet, which has no baskets: write them as CSV")
        with document.forward() as (lines, _):
            if document.shape.kind == "json" or _is_array(lines):
                yield from _json_baskets(lines, left_out)
                continue
            layout = Layout((), headless(lines, document))
            for record in records(lines, document, layout):
                if isinstance(record.row, NoRow):
                    demand_encoding(record, document)
                    left_out[record.row] += 1
                elif basket := _items(record.row):
                    yield basket


def _is_array(lines: Lines) -> bool:
    first = lines.read()
    lines.give_back([first])
    if first[:1] != b"[":
        return False
    try:
        return isinstance(json.loads(first), list)
    except (ValueError, RecursionError):
        return False


def _json_baskets(lines: Lines, left_out: Counter[str]) -> Iterator[list[str]]:
    while line := lines.read():
        if line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, list) or any(isinstance(item, dict | list) for item in row):
            left_out[NoRow.UNPARSABLE] += 1
        elif basket := _items(row):
            yield basket


def _items(row: Any) -> list[str]:
    return [item for item in (text_of(value).strip() for value in row) if item]


def text_lines(
    found: Sequence[InputSource], encoding: str = "utf-8"
) -> Iterator[tuple[str, int, str]]:
    """Lines of text with the file and the number of each, from 1.

    Raises
    ------
    ConfigError
        A file is no text, or not in the encoding, or a line is over 1 MiB.
    """
    for source in found:
        document = Document(source, told_format("auto", encoding))
        if document.shape.kind == "parquet":
            raise ConfigError(f"{source.name}: is Parquet, and lines of text are read here")
        with document.forward() as (lines, _):
            number = 0
            while raw := lines.read():
                number += 1
                if len(raw) >= LONGEST:
                    raise ConfigError(f"{source.name}: line {number} is over {LONGEST >> 20} MiB")
                text = decode(raw, document.encodings)
                if text is None:
                    demand_encoding(DocumentRecord(lines.offset - len(raw), raw, []), document)
                yield source.name, number, text or ""
