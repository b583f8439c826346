"""Packed files, opened: gzip, bzip2, xz, zip and zstd, also one in another.

Rules:

- A zip archive's members are files of their own; what a Mac or Windows adds is none.
- Layers are taken off until there is none, at most four: an archive that unpacks to itself ends.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zipfile
from typing import Any, BinaryIO, Final, cast

from stream.config import ConfigError
from stream.reading.kinds import HEAD, Packing, foreign, office, packing_of
from stream.reading.streams import Careful, damaged, guarded, read_head

_LAYERS: Final = 4
_METHODS: Final = {
    zipfile.ZIP_STORED: "",
    zipfile.ZIP_DEFLATED: "",
    zipfile.ZIP_BZIP2: "",
    zipfile.ZIP_LZMA: "",
    9: "Deflate64",
    93: "zstd within zip",
    95: "xz within zip",
    98: "PPMd",
}
_ADDED: Final = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


def unpacked(raw: BinaryIO, name: str, member: str | None = None) -> BinaryIO:
    """Take all packing off a file; what is left can be read from its start again.

    Parameters
    ----------
    raw
        A file that can be read from any place.
    name
        What error messages call it.
    member
        Of a zip archive; None if it holds one file only.

    Raises
    ------
    ConfigError
        It is encrypted, or packed in a way that nobody can take off here.
    """
    stream: BinaryIO = raw
    for _ in range(_LAYERS):
        head = peeked(stream, name)
        packing = packing_of(head)
        if packing is None:
            return stream
        if packing is Packing.ZIP:
            stream = _member(stream, name, member)
            member = None
        else:
            stream = cast(BinaryIO, Careful(_opened(stream, packing, name), name))
    raise ConfigError(f"{name}: is packed in more than {_LAYERS} layers: unpack it first")


def peeked(stream: BinaryIO, name: str) -> bytes:
    """The first bytes of a stream, which stands at its start again afterwards."""

    def read() -> bytes:
        stream.seek(0)
        head = read_head(stream, HEAD)
        stream.seek(0)
        return head

    return guarded(read, name)


def members_of(raw: BinaryIO, name: str) -> list[str]:
    """The files in a zip archive, by their names; none if ``raw`` is no zip archive.

    Raises
    ------
    ConfigError
        It is a workbook, damaged, or has no files.
    """
    if packing_of(peeked(raw, name)) is not Packing.ZIP:
        return []
    names = [info.filename for info in _files(_archive(raw, name), name)]
    raw.seek(0)
    return sorted(names)


def _opened(stream: BinaryIO, packing: Packing, name: str) -> Any:
    match packing:
        case Packing.GZIP:
            return gzip.GzipFile(fileobj=stream)
        case Packing.BZIP2:
            return bz2.BZ2File(stream)
        case Packing.XZ:
            return lzma.LZMAFile(stream)
    return _zstd(stream, name)


def _zstd(stream: BinaryIO, name: str) -> Any:
    try:
        if sys.version_info >= (3, 14):
            from compression.zstd import ZstdFile
        else:
            from backports.zstd import ZstdFile
    except ImportError:
        raise ConfigError(
            f"{name}: is packed by zstd, and there is no unpacker for it: "
            "pip install backports.zstd, or unpack it (zstd -d)"
        ) from None
    return ZstdFile(stream)


def _archive(stream: BinaryIO, name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(stream)
    except Exception as error:  # a damaged directory makes zipfile raise a dozen kinds
        raise damaged(name, error) from error


def _files(archive: zipfile.ZipFile, name: str) -> list[zipfile.ZipInfo]:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    document = office([info.filename for info in infos])
    if document:
        raise ConfigError(f"{name}: {document}")
    found = [info for info in infos if not is_added(info.filename)]
    if not found:
        raise ConfigError(f"{name}: is a zip archive without files: there is nothing to read")
    return found


def is_added(path: str) -> bool:
    """Whether a file is one that a system adds beside the data.

    >>> is_added("__MACOSX/._log.csv"), is_added("day/.DS_Store"), is_added("day/log.csv")
    (True, True, False)
    """
    last = path.rpartition("/")[2]
    return path.startswith(_ADDED[0]) or last in _ADDED[1:] or last.startswith(("._", "~$"))


def _member(stream: BinaryIO, name: str, member: str | None) -> BinaryIO:
    archive = _archive(stream, name)
    files = _files(archive, name)
    if member is None and len(files) > 1:
        raise ConfigError(f"{name}: holds {len(files)} files within another archive: unpack it")
    info = next((info for info in files if member in (None, info.filename)), files[0])
    if info.flag_bits & 1:
        raise ConfigError(f"{name}: is an encrypted zip archive: unpack it with its password first")
    method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
    if method:
        raise ConfigError(
            f"{name}: is a zip archive packed by {method}, which cannot be read here: "
            "unpack it (7z x), or zip it the usual way (Deflate)"
        )
    try:
        return cast(BinaryIO, Careful(archive.open(info), name))
    except Exception as error:
        raise damaged(name, error) from error


def refuse_foreign(head: bytes, name: str) -> None:
    """Raise the one line about what is neither text nor Parquet."""
    what = foreign(head)
    if what:
        raise ConfigError(f"{name}: {what}")
