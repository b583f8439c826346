"""How a file's text is encoded, told from its first bytes; UTF-16 becomes UTF-8 on the way.

Rules:

- A byte order mark decides. Without one it is what the reader was told, UTF-8 if nothing.
- Nothing is ever replaced: what is not in the encoding is said, or the row is refused.
- Text has no zero bytes: what has some is UTF-16 or UTF-32 without a mark, or no text.
"""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from stream.config import ConfigError
from stream.reading.streams import CHUNK, damaged

_UTF8: Final = codecs.BOM_UTF8
_UTF32: Final = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CONVERT: Final = "convert it: iconv -f {} -t UTF-8 FILE > NEW"


class Encoding(NamedTuple):
    """How text is encoded: ``mark`` bytes at the start are no part of it.

    ``names`` are tried in turn, line by line. ``whole`` is an encoding in which lines cannot be
    told by their bytes: the whole stream is made UTF-8.
    """

    names: tuple[str, ...]
    mark: int = 0
    whole: str | None = None


def by_lines(encoding: str) -> bool:
    """Whether lines and delimiters of an encoding can be told by their bytes.

    Raises
    ------
    LookupError
        Nobody knows the encoding.

    >>> by_lines("latin-1"), by_lines("utf-16-le")
    (True, False)
    """
    codec = codecs.lookup(encoding)
    if not codec._is_text_encoding:
        raise LookupError(encoding)
    return '\n,"\r'.encode(encoding) == b'\n,"\r'


def encoding_of(head: bytes, told: tuple[str, ...], name: str) -> Encoding:
    """Tell a text's encoding by its first bytes.

    Parameters
    ----------
    head
        The first bytes.
    told
        What the reader was told, the likeliest first.
    name
        What error messages call the file.

    Raises
    ------
    ConfigError
        It is UTF-32, or no text.

    Examples
    --------
    >>> encoding_of(b"\\xff\\xfea\\x00", ("utf-8",), "a.csv")
    Encoding(names=('utf-8',), mark=2, whole='utf-16-le')
    """
    if head.startswith(_UTF32):
        raise ConfigError(f"{name}: is UTF-32: {_CONVERT.format('UTF-32')}")
    for mark, whole in _UTF16.items():
        if head.startswith(mark):
            return Encoding(("utf-8",), len(mark), whole)
    if head.startswith(_UTF8):
        return Encoding(tuple(dict.fromkeys(("utf-8", *told))), len(_UTF8))
    if not by_lines(told[0]):
        return Encoding(("utf-8",), 0, codecs.lookup(told[0]).name)
    if b"\0" in head:
        raise ConfigError(f"{name}: {_zeros(head)}")
    return Encoding(told)


def is_marked(head: bytes) -> bool:
    """Whether a text begins with a mark of UTF-16 or UTF-32.

    >>> is_marked("a".encode("utf-16")), is_marked("a".encode("utf-8-sig"))
    (True, False)
    """
    return head.startswith((*_UTF32, *_UTF16))


def _zeros(head: bytes) -> str:
    """Say what a text with zero bytes may be."""
    quarters = [head[start::4].count(0) for start in range(4)]
    size = max(len(head) // 4, 1)
    full = [count > 0.6 * size for count in quarters]
    if sum(full) == 3:
        return f"is UTF-32 without a mark: {_CONVERT.format('UTF-32LE (or UTF-32BE)')}"
    for at, encoding in (((1, 3), "UTF-16LE"), ((0, 2), "UTF-16BE")):
        if all(full[place] for place in at):
            return f"is {encoding} without a mark: {_CONVERT.format(encoding)}"
    return f"is no text (byte {head.index(0)} is zero): it is damaged, or of a kind unknown here"


def as_utf8(stream: BinaryIO, encoding: str, name: str) -> Iterator[bytes]:
    """Make a stream UTF-8, piece by piece.

    Raises
    ------
    ConfigError
        It is not in the encoding, or ends within a character.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        while chunk := stream.read(CHUNK):
            if text := decoder.decode(chunk):
                yield text.encode()
        if text := decoder.decode(b"", final=True):
            yield text.encode()
    except UnicodeError as error:
        raise damaged(name, f"no {encoding.upper()}: {error}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file: UTF-8, with or without a byte order mark, or UTF-16 with one.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is no text or no TOML; the message says where.
    """
    return tomllib.loads(text_of(path.read_bytes()))


def text_of(raw: bytes) -> str:
    """Decode the text of a small file, with one kind of line end.

    Raises
    ------
    ValueError
        It is not UTF-8, and has no mark of UTF-16.

    >>> text_of("a = 1".encode("utf-16")), text_of(b"\\xef\\xbb\\xbfa = 1\\r\\n")
    ('a = 1', 'a = 1\\n')
    """
    if raw.startswith(_UTF32):
        raise ValueError("it is UTF-32: save it as UTF-8")
    name = "utf-16" if raw.startswith(tuple(_UTF16)) else "utf-8-sig"
    try:
        text = raw.decode(name)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
