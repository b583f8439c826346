"""Streams of bytes laid over each other, each careful: what goes wrong is one line about the file.

A library that unpacks may raise whatever it likes when a file is damaged. Only what it raises is
caught, at the one place where it is asked for bytes; what the rows' reader raises is its own.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from stream.config import ConfigError

CHUNK: Final = 1 << 20


class Bytes(Protocol):
    """What gives bytes."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; none at the end."""


class Careful(io.RawIOBase):
    """The bytes of another stream; its failures name the file.

    Parameters
    ----------
    inner
        What is read; it can be read from its start again.
    name
        What error messages call the file.

    Raises
    ------
    ConfigError
        While reading: the file is damaged or cut off, or its disk cannot be read.
    """

    def __init__(self, inner: Any, name: str) -> None:
        self._inner = inner
        self._name = name

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read from another place."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place."""
        return int(self._inner.seek(offset, whence))

    def tell(self) -> int:
        """The place, in bytes."""
        return int(self._inner.tell())

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer; 0 at the end."""
        view = memoryview(buffer)
        data = guarded(lambda: self._inner.read(len(view)), self._name)
        view[: len(data)] = data
        return len(data)


def guarded(read: Callable[[], bytes], name: str) -> bytes:
    """Read, and make every failure of it the operator's, by the file's name."""
    try:
        return read()
    except ConfigError:
        raise
    except MemoryError as error:
        raise ConfigError(f"{name}: is damaged, or too large to be unpacked here") from error
    except OSError as error:
        if error.errno is not None:
            raise ConfigError(f"{name}: cannot be read: {error.strerror}") from error
        raise damaged(name, error) from error
    except Exception as error:
        raise damaged(name, error) from error


def damaged(name: str, error: object) -> ConfigError:
    """The one line about a damaged file."""
    why = " ".join(str(error).split()) or type(error).__name__
    return ConfigError(f"{name}: is damaged or cut off ({why[:120]}): fetch or write it anew")


class Pieces(io.RawIOBase):
    """A stream of what an iterator yields."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer; 0 at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        view = memoryview(buffer)
        size = min(len(view), len(self._left))
        view[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def read_head(stream: Bytes, size: int) -> bytes:
    """Read up to ``size`` bytes, fewer only at the end."""
    parts = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
