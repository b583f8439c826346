"""A log file as bytes: plain or compressed, forward or by position.

Rules:

- What cannot be read is the operator's mistake: a ``ConfigError`` that names the file.
- Reading forward holds one buffer in memory. Reading by position maps a plain file into memory;
  a compressed one is first unpacked to a temporary file, which is removed at the end.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import mmap
import shutil
import tempfile
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from stream.config import ConfigError

_BUFFER: Final = 1 << 20
_SAMPLE: Final = 1 << 16
_LONGEST: Final = 1 << 20  # bytes of a line; four times what the pipeline takes as a record


class Readable(Protocol):
    """What lines are read from: a file, an unpacker, or a mapped file."""

    def readline(self, size: int, /) -> bytes:
        """At most ``size`` bytes, up to and with the next line end."""

    def seek(self, offset: int, /) -> object:
        """Go to a position; only where reading is by position."""


class Lines:
    """The lines of a file, each with the position where it starts.

    A line longer than 1 MiB comes in pieces, so that no file can take all memory.
    """

    def __init__(self, stream: Readable) -> None:
        self.offset = 0  # of the next line
        self._readline = stream.readline
        self._seek = stream.seek
        self._returned: deque[bytes] = deque()

    def read(self) -> bytes:
        """Read the next line, with its line end; empty at the end of the file."""
        line = self._returned.popleft() if self._returned else self._readline(_LONGEST)
        self.offset += len(line)
        return line

    def give_back(self, lines: list[bytes]) -> None:
        """Let the lines, the last ones read, be read again."""
        self._returned.extendleft(reversed(lines))
        self.offset -= sum(map(len, lines))

    def seek(self, offset: int) -> None:
        """Read on from a position."""
        self._returned.clear()
        self._seek(offset)
        self.offset = offset


class Source:
    """A file that a replay reads, once or twice.

    Raises
    ------
    ConfigError
        It is not there, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self.size = file.seek(0, io.SEEK_END)
                self.fingerprint = _fingerprint(file, self.size)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error

    @contextmanager
    def forward(self) -> Iterator[tuple[Lines, Callable[[], float]]]:
        """Read from the start: the lines, and how much of the file has been read, in [0, 1]."""
        with self._guarded(), self.path.open("rb", buffering=_BUFFER) as raw:
            unpacked = self._unpack(raw)
            if unpacked is not raw:  # unpackers read line by line in small, slow steps
                unpacked = io.BufferedReader(unpacked, _BUFFER)  # type: ignore[type-var]
            yield Lines(unpacked), lambda: raw.tell() / (self.size or 1)

    @contextmanager
    def by_position(self) -> Iterator[Lines]:
        """Read from any place; the file must not be empty."""
        with self._guarded(), self.path.open("rb") as raw:
            unpacked = self._unpack(raw)
            if unpacked is raw:
                with mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                    yield Lines(_Mapped(mapped))
                return
            with tempfile.TemporaryFile(prefix="offerstream-replay-") as plain:
                shutil.copyfileobj(unpacked, plain, _BUFFER)
                plain.flush()
                with mmap.mmap(plain.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                    yield Lines(_Mapped(mapped))

    def _unpack(self, raw: BinaryIO) -> BinaryIO:
        match self.path.suffix.lower():
            case ".gz":
                return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
            case ".bz2":
                return bz2.BZ2File(raw)  # type: ignore[return-value]
            case ".xz":
                return lzma.LZMAFile(raw)  # type: ignore[return-value]
            case ".zip":
                return self._unzip(raw)
        return raw

    def _unzip(self, raw: BinaryIO) -> BinaryIO:
        archive = zipfile.ZipFile(raw)
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        if len(names) != 1:
            raise ConfigError(
                f"{self.path}: holds {len(names)} files; unpack it and name the one to replay"
            )
        return archive.open(names[0])  # type: ignore[return-value]

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Make the failures of reading the operator's, by name."""
        try:
            yield
        except (
            EOFError,
            zlib.error,
            lzma.LZMAError,
            zipfile.BadZipFile,
            gzip.BadGzipFile,
        ) as error:
            raise ConfigError(f"{self.path}: is damaged or cut off: {error}") from error


class _Mapped:
    """A mapped file whose ``readline`` keeps to a size."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped = mapped
        self.seek = mapped.seek

    def readline(self, size: int, /) -> bytes:
        start = self._mapped.tell()
        end = self._mapped.find(b"\n", start, start + size)
        return self._mapped.read(size if end < 0 else end + 1 - start)


def _fingerprint(file: BinaryIO, size: int) -> str:
    """Hash the size and both ends: cheap on a file of any size, and told from its name apart."""
    file.seek(0)
    digest = blake2b(f"{size}:".encode(), digest_size=6)
    digest.update(file.read(_SAMPLE))
    file.seek(max(0, size - _SAMPLE))
    digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
