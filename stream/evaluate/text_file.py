"""Text files, plain or compressed, opened for reading."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import IO, Any, NamedTuple

from stream.config import ConfigError

_GZIP = b"\x1f\x8b"


class TextFile(NamedTuple):
    """A file's text, the bytes beneath it (to tell how far the reading is), and their number."""

    text: IO[str]
    raw: IO[bytes]
    size: int


def open_text(file: Path) -> TextFile:
    """Open a UTF-8 file, with or without a byte order mark; gzip is recognised by its bytes.

    Raises
    ------
    ConfigError
        If the file can't be read.
    """
    try:
        raw: IO[bytes] = file.open("rb")
        zipped = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        size = file.stat().st_size
    except OSError as error:
        raise ConfigError(f"{file}: can't be read: {error.strerror}") from None
    packed: Any = gzip.GzipFile(fileobj=raw) if zipped else raw
    text = io.TextIOWrapper(packed, encoding="utf-8-sig", errors="replace", newline="")
    return TextFile(text, raw, size)
