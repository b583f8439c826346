"""Lines of a stream, forward or by position, each with the place where it starts.

Rules:

- A line ends in LF, or, in a file that has no LF outside quotes, in CR.
- A line longer than 1 MiB comes in pieces, so that no file can take all memory.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, Protocol

LONGEST: Final = 1 << 20
"""Bytes of a line; four times what the pipeline takes as a record."""

_QUOTED: Final = re.compile(rb'"[^"]*"?')


class Readable(Protocol):
    """What lines are read from."""

    def readline(self, size: int, /) -> bytes:
        """At most ``size`` bytes, up to and with the next line end."""

    def seek(self, offset: int, /) -> object:
        """Go to a position; only where reading is by position."""


class Lines:
    """The lines of a stream; those that were read too far are read again."""

    def __init__(self, stream: Readable) -> None:
        self.offset = 0  # of the next line
        self._readline = stream.readline
        self._seek = stream.seek
        self._returned: deque[bytes] = deque()

    def read(self) -> bytes:
        """Read the next line, with its line end; empty at the end of the file."""
        line = self._returned.popleft() if self._returned else self._readline(LONGEST)
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


def line_end(head: bytes) -> bytes:
    """Tell what ends the lines of a text: LF, or CR alone, as on old Macs.

    >>> line_end(b"a,b\\r1,2\\r"), line_end(b"a,b\\r\\n1,2"), line_end(b'a,"b\\r"\\n')
    (b'\\r', b'\\n', b'\\n')
    """
    if b"\r" not in head:
        return b"\n"
    bare = _QUOTED.sub(b"", head) if b'"' in head else head
    return b"\r" if b"\r" in bare and b"\n" not in bare else b"\n"


class CarriageReturns:
    """A stream whose lines end in CR."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._left = b""

    def readline(self, size: int, /) -> bytes:
        """At most ``size`` bytes, up to and with the next CR."""
        while (end := self._left.find(b"\r", 0, size)) < 0 and len(self._left) < size:
            more = self._stream.readline(size)
            if not more:
                break
            self._left += more
        cut = size if end < 0 else end + 1
        line, self._left = self._left[:cut], self._left[cut:]
        return line

    def seek(self, offset: int, /) -> object:
        """Go to a position."""
        self._left = b""
        return self._stream.seek(offset)


class Mapped:
    """Bytes in memory, or mapped into it, read line by line from any place.

    Parameters
    ----------
    data
        The bytes; ``base`` is where the file begins in them, ``stop`` where it ends.
    end
        What ends a line.
    """

    def __init__(self, data: Findable, end: bytes, base: int, stop: int) -> None:
        self._data, self._end, self._base, self._stop = data, end, base, stop
        self._at = base

    def readline(self, size: int, /) -> bytes:
        """At most ``size`` bytes, up to and with the next line end."""
        start = self._at
        most = min(start + size, self._stop)
        end = self._data.find(self._end, start, most)
        self._at = most if end < 0 else end + 1
        return self._data[start : self._at]

    def seek(self, offset: int, /) -> None:
        """Go to a position in the file."""
        self._at = self._base + offset


class Findable(Protocol):
    """Bytes that can be searched and cut."""

    def find(self, sub: bytes, start: int, end: int, /) -> int:
        """Where ``sub`` is, -1 if nowhere."""

    def __getitem__(self, key: slice, /) -> bytes: ...
