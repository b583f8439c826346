"""Events in a file, one a line: plain or gzipped, or standard input."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

from stream.config import ConfigError

LONGEST: Final = 1 << 20  # bytes of a line that are read; an event has a quarter of that at most


class Line(NamedTuple):
    """A line that is not blank, and its number, from 1."""

    number: int
    value: bytes


@contextmanager
def event_lines(file: Path) -> Iterator[tuple[Iterator[Line], Callable[[], int], int | None]]:
    """Open a file of events: its lines, the bytes of it that were read, and its size if known.

    ``-`` is standard input. What a file is, its first bytes say.

    Raises
    ------
    ConfigError
        If it cannot be read, or holds something else than lines.
    """
    if str(file) == "-":
        stdin = sys.stdin.buffer
        yield _lines(stdin, file), lambda: 0, None
        return
    try:
        with file.open("rb") as raw:
            start = raw.read(4)
            size = raw.seek(0, io.SEEK_END)
            raw.seek(0)
            is_packed = start[:2] == b"\x1f\x8b"
            unpacked: IO[bytes] = gzip.GzipFile(fileobj=raw) if is_packed else raw  # type: ignore[assignment]
            yield _lines(unpacked, file), raw.tell, size
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error


def _lines(stream: IO[bytes], file: Path) -> Iterator[Line]:
    number = 0
    try:
        while line := stream.readline(LONGEST):
            number += 1
            rest = line
            while len(rest) == LONGEST and not rest.endswith(b"\n"):  # it is refused for its size
                rest = stream.readline(LONGEST)
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
                _check(line, file)
            if value := line.strip():
                yield Line(number, value)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ConfigError(f"{file}: is cut or damaged behind line {number}") from error


def _check(first: bytes, file: Path) -> None:
    if first.lstrip()[:1] == b"[":
        raise ConfigError(
            f"{file}: is a JSON array; one event a line is wanted: jq -c '.[]' makes that of it"
        )
    if b"\x00" in first[:64]:
        raise ConfigError(f"{file}: is no text with one event a line")
