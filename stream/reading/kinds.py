"""What a file is, by its first bytes: how it is packed, and what it holds that is no text.

The magic numbers are those of the formats' own specifications.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

HEAD: Final = 1 << 16
"""Bytes of a file that are looked at."""


class Packing(StrEnum):
    """How bytes are packed."""

    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZIP = "zip"
    ZSTD = "zstd"


_PACKED: Final = (
    (b"\x1f\x8b", Packing.GZIP),
    (b"\xfd7zXZ\x00", Packing.XZ),
    (b"]\x00\x00", Packing.XZ),  # the older .lzma, which no text begins like
    (b"PK\x03\x04", Packing.ZIP),
    (b"PK\x05\x06", Packing.ZIP),
    (b"PK\x07\x08", Packing.ZIP),
    (b"\x28\xb5\x2f\xfd", Packing.ZSTD),
)
_BZIP2: Final = (
    b"\x31\x41\x59\x26\x53\x59",
    b"\x17\x72\x45\x38\x50\x90",
)  # after "BZh" and a digit
_SKIPPABLE: Final = b"\x2a\x4d\x18"  # the end of a skippable zstd frame's magic number

PARQUET: Final = b"PAR1"

_UNPACK: Final = "unpack it first"
_SAVE: Final = "save the sheet as CSV (UTF-8) and read that"
_FOREIGN: Final = (
    (b"PARE", "is encrypted Parquet", "decrypt it, or write it as CSV or JSON lines"),
    (b"Obj\x01", "is Avro", "write it as JSON lines (avro-tools tojson) or Parquet"),
    (b"ORC", "is ORC", "write it as Parquet, CSV or JSON lines"),
    (b"ARROW1", "is an Arrow file", "write it as Parquet, CSV or JSON lines"),
    (b"FEA1", "is a Feather file", "write it as Parquet, CSV or JSON lines"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is a workbook (.xls) or another Office file", _SAVE),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", f"{_UNPACK} (7z x)"),
    (b"Rar!\x1a\x07", "is a RAR archive", f"{_UNPACK} (unrar x)"),
    (b"\x04\x22\x4d\x18", "is packed by LZ4", f"{_UNPACK} (lz4 -d)"),
    (b"\xff\x06\x00\x00sNaPpY", "is packed by Snappy", _UNPACK),
    (b"\x1f\x9d", "is packed by compress (.Z)", f"{_UNPACK} (gzip -d)"),
    (b"LZIP", "is packed by lzip", f"{_UNPACK} (lzip -d)"),
    (b"SQLite format 3\x00", "is an SQLite database", "export the table as CSV"),
    (b"\x89HDF\r\n\x1a\n", "is HDF5", "write it as Parquet or CSV"),
    (b"%PDF-", "is a PDF", "ask for the data as CSV"),
    (b"{\\rtf", "is a rich text document", "save it as CSV"),
    (b"\x89PNG", "is a picture", "name the data's own file"),
    (b"\xff\xd8\xff", "is a picture", "name the data's own file"),
    (b"GIF8", "is a picture", "name the data's own file"),
    (b"-----BEGIN PGP", "is encrypted (PGP)", "decrypt it first"),
    (b"age-encryption.org/", "is encrypted (age)", "decrypt it first"),
    (b"version https://git-lfs", "is a pointer of Git LFS", "fetch the file itself (git lfs pull)"),
)
_MARKED_UP: Final = (
    (b"<!doctype html", "is an HTML page", "download the data itself; this may be a login page"),
    (b"<html", "is an HTML page", "download the data itself; this may be a login page"),
    (b"<?xml", "is XML", "write it as CSV or JSON lines"),
)
_TAR: Final = slice(257, 262)


def packing_of(head: bytes) -> Packing | None:
    """Tell how a file is packed; None if it is not.

    Examples
    --------
    >>> packing_of(b"\\x1f\\x8b\\x08"), packing_of(b"ts,user")
    (<Packing.GZIP: 'gzip'>, None)
    """
    for magic, packing in _PACKED:
        if head.startswith(magic):
            return packing
    if head.startswith(b"BZh") and head[4:10] in _BZIP2:
        return Packing.BZIP2
    if head[1:4] == _SKIPPABLE and 0x50 <= head[0] <= 0x5F:
        return Packing.ZSTD
    return None


def foreign(head: bytes) -> str | None:
    """Say what a file is that is neither text nor Parquet, and what to do; None if it may be text.

    Examples
    --------
    >>> foreign(b"Obj\\x01...")
    'is Avro: write it as JSON lines (avro-tools tojson) or Parquet'
    """
    for magic, what, help in _FOREIGN:
        if head.startswith(magic):
            return f"{what}: {help}"
    if head[_TAR] == b"ustar":
        return f"is a tar archive: {_UNPACK} (tar xf), and name the files or their directory"
    start = head[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, what, help in _MARKED_UP:
        if start.startswith(magic):
            return f"{what}: {help}"
    return None


def office(names: list[str]) -> str | None:
    """Say which Office document a zip archive of these names is, and what to do."""
    if "[Content_Types].xml" in names:
        kind = "a workbook (.xlsx)" if any(n.startswith("xl/") for n in names) else "an Office file"
        return f"is {kind}: {_SAVE}"
    if "mimetype" in names and "content.xml" in names:
        return f"is a workbook or another document (OpenDocument): {_SAVE}"
    return None
