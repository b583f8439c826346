"""Files written in all the ways that are read: packed, encoded, and cut into cells."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Sequence

MAPPING = """
[columns]
time = "ts"
customer = "user"
item = "sku"
price = "price"
[events]
type = "view"
[defaults]
currency = "EUR"
consent = true
"""


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def _mac(content: bytes) -> bytes:
    return zipped({"log.csv": content, "__MACOSX/._log.csv": b"\0\5\x16\7", ".DS_Store": b"\0"})


def _members(content: bytes) -> bytes:
    return b"".join(gzip.compress(content[at : at + 40]) for at in range(0, len(content) or 1, 40))


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip, in members": _members,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda content: lzma.compress(content, format=lzma.FORMAT_ALONE),
    "zip": lambda content: zipped({"log.csv": content}),
    "zip of a Mac": _mac,
    "gzip in zip": lambda content: zipped({"log.csv.gz": gzip.compress(content)}),
}
try:
    from backports import zstd  # type: ignore[attr-defined,unused-ignore]
except ImportError:
    pass
else:
    PACKINGS["zstd"] = zstd.compress
    PACKINGS["zstd, in frames"] = lambda c: zstd.compress(c[:30]) + zstd.compress(c[30:])

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "utf-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "utf-16-le": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "utf-16-be": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
}


def table(
    rows: Sequence[Sequence[str]], delimiter: str, *, quote_all: bool = False, end: str = "\n"
) -> str:
    """Rows as Python's own writer of CSV writes them, and what would end a line in quotes.

    Before 3.13 it leaves a LF without quotes where lines end in CR: no reader can tell that file
    from one whose lines end in LF.
    """
    made = io.StringIO(newline="")
    minimal, whole = [
        csv.writer(made, delimiter=delimiter, lineterminator=end, quoting=quoting)
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    ]
    for row in rows:
        ambiguous = end == "\r" and any("\n" in cell for cell in row)
        (whole if quote_all or ambiguous else minimal).writerow(row)
    return made.getvalue()
