"""A source as text: unpacked, decoded, and cut into lines, forward or by position.

Rules:

- What it is (CSV, JSON, Parquet), how it is packed and encoded, and what ends its lines, is told
  once, from the first bytes that are left when all packing is off.
- Reading forward holds one buffer in memory. Reading by position maps a plain file into memory;
  anything else is first written, as lines of text, to a temporary file, removed at the end.
"""

from __future__ import annotations

import io
import mmap
import tempfile
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from shutil import copyfileobj
from typing import Any, BinaryIO, Final, Literal, NamedTuple, cast

import orjson

from stream.reading.encodings import Encoding, as_utf8, encoding_of
from stream.reading.format import FileFormat
from stream.reading.json_stream import elements, is_stream
from stream.reading.kinds import PARQUET
from stream.reading.lines import CarriageReturns, Lines, Mapped, line_end
from stream.reading.parquet import json_lines
from stream.reading.source import InputSource
from stream.reading.streams import CHUNK, Pieces, guarded
from stream.reading.unpacking import peeked, refuse_foreign, unpacked

_MOST_MAPPED: Final = 128  # files that are mapped one by one: a process may open some 1,000

Kind = Literal["csv", "json", "parquet"]
Share = Callable[[], float]


class Shape(NamedTuple):
    """What a file turned out to be; ``streamed`` JSON has its values not one a line."""

    kind: Kind
    encoding: Encoding
    end: bytes
    streamed: bool


class Document:
    """A source and what was told of its format, ready to be read as lines.

    Raises
    ------
    ConfigError
        It cannot be read, or is of a kind that is not read here.
    """

    def __init__(self, source: InputSource, file: FileFormat) -> None:
        self.source = source
        self.file = file
        self.escapes: bool | None = None  # a backslash, as its first rows told; None: not asked yet
        with source.opened() as raw:
            stream = unpacked(raw, source.name, source.member)
            self._packed = stream is not raw
            self.shape = self._told(peeked(stream, source.name), stream)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.source.name

    @property
    def encodings(self) -> tuple[str, ...]:
        """The encodings of its lines, to be tried in turn."""
        return self.shape.encoding.names

    def _told(self, head: bytes, stream: BinaryIO) -> Shape:
        if head.startswith(PARQUET):
            return Shape("parquet", Encoding(("utf-8",)), b"\n", True)
        refuse_foreign(head, self.name)
        encoding = encoding_of(head, self.file.encodings, self.name)
        text = head[encoding.mark :]
        if encoding.whole:
            decoder = getincrementaldecoder(encoding.whole)("replace")  # the head may cut a sign
            text = decoder.decode(text).encode("utf-8", "replace")
        end = line_end(text)
        if self.file.format == "jsonl" or _is_json(text, end):
            return Shape("json", encoding, end, is_stream(text))
        return Shape("csv", encoding, end, False)

    @contextmanager
    def forward(self) -> Iterator[tuple[Lines, Share]]:
        """Read from the start: the lines, and how much of the file has been read, in [0, 1]."""
        size = self.source.size or 1
        with self.source.opened() as raw, self._text(raw) as stream:
            lines = CarriageReturns(stream) if self.shape.end == b"\r" else stream
            yield Lines(lines), lambda: 1.0 if raw.closed else min(raw.tell() / size, 1.0)

    @contextmanager
    def _text(self, raw: BinaryIO) -> Iterator[io.BufferedReader]:
        """The file's text, in an encoding in which lines can be told, without a mark."""
        stream = unpacked(raw, self.name, self.source.member)
        kind, encoding, _, streamed = self.shape
        if kind == "parquet":
            with ExitStack() as stack:
                if self._packed:
                    plain = stack.enter_context(tempfile.TemporaryFile(prefix="offerstream-"))
                    copyfileobj(stream, plain, CHUNK)
                    plain.seek(0)
                    stream = cast(BinaryIO, plain)
                yield _buffered(Pieces(json_lines(stream, self.name)))
            return
        if encoding.mark:
            guarded(lambda: stream.read(encoding.mark), self.name)
        if encoding.whole:
            stream = cast(BinaryIO, Pieces(as_utf8(stream, encoding.whole, self.name)))
        if streamed:
            stream = cast(BinaryIO, Pieces(elements(stream, self.name)))
        if isinstance(stream, io.BufferedReader):
            yield stream
        else:
            yield _buffered(stream)

    @property
    def is_plain(self) -> bool:
        """Whether its lines stand in a file as they are."""
        shape = self.shape
        return self.source.is_file and not (self._packed or shape.streamed or shape.encoding.whole)

    def copy(self, spool: BinaryIO) -> None:
        """Write its text behind what is in a spool."""
        with self.source.opened() as raw, self._text(raw) as stream:
            copyfileobj(stream, spool, CHUNK)


@contextmanager
def by_position(documents: list[Document]) -> Iterator[list[Lines]]:
    """Read documents from any place, all at once."""
    with ExitStack() as stack:
        plain = [d for d in documents if d.is_plain and d.source.size][:_MOST_MAPPED]
        spool = stack.enter_context(tempfile.TemporaryFile(prefix="offerstream-"))
        spans: dict[int, tuple[int, int]] = {}
        for number, document in enumerate(documents):
            if document not in plain:
                start = spool.tell()
                document.copy(cast(BinaryIO, spool))
                spans[number] = start, spool.tell()
        spool.flush()
        spooled = _mapped(stack, spool.fileno()) if spool.tell() else b""
        found = []
        for number, document in enumerate(documents):
            data: Any = spooled
            if number in spans:
                start, stop = spans[number]
            else:
                with document.source.opened() as raw:
                    data = _mapped(stack, raw.fileno())
                start, stop = document.shape.encoding.mark, len(data)
            found.append(Lines(Mapped(data, document.shape.end, start, stop)))
        yield found


def _mapped(stack: ExitStack, number: int) -> mmap.mmap:
    return stack.enter_context(mmap.mmap(number, 0, access=mmap.ACCESS_READ))


def _buffered(stream: Any) -> io.BufferedReader:
    """Give lines in large steps: unpackers read line by line in small, slow ones."""
    return io.BufferedReader(stream, CHUNK)


def _is_json(text: bytes, end: bytes) -> bool:
    """Whether a text is JSON: its first line is an object, or it begins with an array of them."""
    start = text.lstrip(b" \t\r\n")
    if start[:1] == b"[" and is_stream(start):
        return True
    if start[:1] != b"{":
        return False
    line, found, _ = start.partition(end)
    if not found and len(text) > 1 << 15:  # a first line beyond what was looked at
        return line[1:].lstrip()[:1] == b'"'
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return is_stream(start) or line[1:].lstrip()[:1] == b'"'
