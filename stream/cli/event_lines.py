"""Events in files, one a line or one an element of a JSON array.

Files are read as all data are (`stream.reading`): packed or not, in any encoding that tells itself.
Standard input that begins as lines of text is taken line by line as it comes, because whoever
writes it may go on for days; what is packed, in UTF-16 or an array is read to its end first.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from shutil import copyfileobj
from typing import Any, BinaryIO, Final, NamedTuple

from stream.reading.document import Document
from stream.reading.encodings import is_marked
from stream.reading.format import FileFormat
from stream.reading.inputs import STANDARD_INPUT, sources
from stream.reading.json_stream import is_stream
from stream.reading.kinds import PARQUET, foreign, packing_of
from stream.reading.lines import LONGEST
from stream.reading.source import InputSource

_FORMAT: Final = FileFormat(format="jsonl")
_NAME: Final = "standard input"


class FileLine(NamedTuple):
    """A line that is not blank, its file, and its number there, from 1.

    One of over 1 MiB, four times what an event may have, is cut off there.
    """

    file: str
    number: int
    value: bytes


class EventLines:
    """The lines of files, one file after the other.

    Parameters
    ----------
    paths
        Files, globs, directories, or ``-`` for standard input.

    Attributes
    ----------
    name
        What is read, in few words.
    size
        Bytes of the files; None if nobody knows, as of standard input.
    read
        Bytes of them that were read so far.

    Raises
    ------
    ConfigError
        A file cannot be read, or is no text; also while the lines are read.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._parts: list[InputSource | Iterator[FileLine]] = []
        for path in paths:
            self._parts += _standard_input() if path == STANDARD_INPUT else sources([path])
        names = [part.name if isinstance(part, InputSource) else _NAME for part in self._parts]
        self.name = names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        known = [part.size for part in self._parts if isinstance(part, InputSource)]
        self.size = sum(known) if len(known) == len(names) else None
        self.read = 0

    def __iter__(self) -> Iterator[FileLine]:
        before = 0
        for part in self._parts:
            if not isinstance(part, InputSource):
                yield from part
                continue
            document = Document(part, _FORMAT)
            with document.forward() as (lines, share):
                for line in _numbered(part.name, iter(lines.read, b""), document.shape.end):
                    self.read = before + round(share() * part.size)
                    yield line
            before += part.size


def _numbered(file: str, pieces: Iterator[bytes], end: bytes) -> Iterator[FileLine]:
    for number, line in enumerate(pieces, 1):
        piece = line
        while len(piece) >= LONGEST and not piece.endswith(end):
            piece = next(pieces, b"")
        if value := line.strip():
            yield FileLine(file, number, value)


def _standard_input() -> list[InputSource] | list[Iterator[FileLine]]:
    stream: Any = sys.stdin.buffer
    first = stream.readline(LONGEST)
    if not _goes_on_as_lines(first):
        spool: BinaryIO = tempfile.TemporaryFile(prefix="offerstream-")  # noqa: SIM115 - lives as long as the source
        spool.write(first)
        copyfileobj(stream, spool)
        return [InputSource(Path(_NAME), spool=spool)]

    def pieces() -> Iterator[bytes]:
        if first:
            yield first.removeprefix(b"\xef\xbb\xbf")
        yield from iter(lambda: stream.readline(LONGEST), b"")

    return [_numbered(_NAME, pieces(), b"\n")]


def _goes_on_as_lines(first: bytes) -> bool:
    """Whether what begins with this line is UTF-8 text, one event a line."""
    return not (
        packing_of(first)
        or foreign(first)
        or first.startswith(PARQUET)
        or is_marked(first)
        or is_stream(first)
        or b"\0" in first
    )
