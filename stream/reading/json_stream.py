"""A stream of JSON values (an array, arrays, objects over several lines) → JSON lines.

Rules:

- Each element of an outermost array is a line; so is an object outside of one.
- Nothing is parsed but strings and brackets (RFC 8259): what stands between them is the rows'
  reader's business. Line ends between tokens become spaces.
- An array that is never closed is a file that was cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from stream.config import ConfigError
from stream.reading.streams import CHUNK, damaged

_LONGEST: Final = 1 << 26  # bytes of one element that are held at once
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|["\[\]{},]', re.DOTALL)
_ENDS: Final = bytes.maketrans(b"\r\n", b"  ")
_PRETTY: Final = re.compile(rb"\s*\{\s*\r?\n")
_ARRAY: Final = re.compile(rb"\s*\[\s*(?:[\[{\]]|\Z)|\s*\[[ \t]*\r?\n")


def is_stream(head: bytes) -> bool:
    """Whether a text is JSON whose values are not one a line.

    >>> is_stream(b'[{"a": 1}]'), is_stream(b'{\\n  "a": 1}'), is_stream(b'{"a": 1}\\n')
    (True, True, False)
    """
    return _ARRAY.match(head) is not None or _PRETTY.match(head) is not None


def elements(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Cut a stream of JSON into lines, piece by piece.

    Raises
    ------
    ConfigError
        It ends within a value, or an element is over 64 MiB.
    """
    cutter = _Cutter(name)
    while chunk := stream.read(CHUNK):
        if lines := cutter.feed(chunk):
            yield b"".join(lines)
    if lines := cutter.finish():
        yield b"".join(lines)


class _Cutter:
    def __init__(self, name: str) -> None:
        self._name = name
        self._buffer = b""
        self._at = 0  # where to look on
        self._depth = 0
        self._array = False  # the outermost bracket is an array's

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are complete now."""
        buffer = self._buffer + chunk
        lines: list[bytes] = []
        start, at = 0, self._at
        while token := _TOKEN.search(buffer, at):
            sign = token.group()
            if sign == b'"':  # a string that goes on in the next piece
                at = token.start()
                break
            at = token.end()
            if sign in (b"[", b"{"):
                if not self._depth:
                    self._outside(buffer[start : token.start()])
                    self._array = sign == b"["
                    start = at if self._array else token.start()
                self._depth += 1
            elif sign in (b"]", b"}"):
                self._depth -= 1
                if self._depth < 0:
                    raise damaged(self._name, f"a {sign.decode()} that nothing opens")
                if not self._depth:
                    end = token.start() if self._array else at
                    self._add(lines, buffer[start:end], last=self._array)
                    start = at
            elif sign == b"," and self._depth == 1 and self._array:
                self._add(lines, buffer[start : token.start()], last=False)
                start = at
        else:
            at = len(buffer)
        self._buffer, self._at = buffer[start:], at - start
        if len(self._buffer) > _LONGEST:
            raise ConfigError(
                f"{self._name}: holds an element of over {_LONGEST >> 20} MiB: "
                "write its rows as JSON lines"
            )
        return lines

    def finish(self) -> list[bytes]:
        """What is left at the end."""
        if self._depth:
            raise damaged(self._name, "the JSON ends before it is closed")
        self._outside(self._buffer)
        return []

    def _outside(self, text: bytes) -> None:
        if text.strip(b" \t\r\n,"):
            raise damaged(self._name, "the JSON has more than arrays and objects")

    def _add(self, lines: list[bytes], element: bytes, *, last: bool) -> None:
        line = element.translate(_ENDS).strip()
        if line:
            lines.append(line + b"\n")
        elif not last:  # two commas: an element that is none, to be refused and counted
            lines.append(b",\n")
