"""One record of a CSV file → its cells (RFC 4180, and what people write instead)."""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from typing import Final, NamedTuple

_LONGEST: Final = 2**31 - 1
csv.field_size_limit(_LONGEST)  # of the process: a line is bounded where it is read


class Dialect(NamedTuple):
    """How a line is cut: an empty ``quote`` or ``escape`` means that there is none."""

    delimiter: str
    quote: str = '"'
    escape: str = ""
    encodings: tuple[str, ...] = ("utf-8",)


class Unclosed(Exception):
    """The text ends within quotes."""


def split(text: str, dialect: Dialect, strictly: bool = False) -> list[str] | None:
    """Cut a record into cells; None if it is no CSV, or, ``strictly``, none by the book.

    Raises
    ------
    Unclosed
        The record goes on in the next line.

    Examples
    --------
    >>> split('a,"b ""c"", d",5" screw', Dialect(","))
    ['a', 'b "c", d', '5" screw']
    >>> split('"a\\\\"b",\\\\N', Dialect(",", escape="\\\\"))
    ['a"b', '']
    """
    delimiter, quote, escape, _ = dialect
    if delimiter == " ":
        return text.split()
    if len(delimiter) > 1 or not (quote or escape):
        return text.split(delimiter)
    if escape and "\\N" in text:
        text = _nulls(delimiter).sub("", text)
    for strict in (True,) if strictly else (True, False):  # "abc"def is read as well as can be
        try:
            rows = list(
                csv.reader(
                    [text],
                    delimiter=delimiter,
                    quotechar=quote or None,
                    quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
                    escapechar=escape or None,
                    strict=strict,
                )
            )
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise Unclosed from error
        else:
            return rows[0] if rows else []
    return None


@lru_cache(maxsize=16)
def _nulls(delimiter: str) -> re.Pattern[str]:
    r"""MySQL's and PostgreSQL's ``\N``, alone between delimiters: no value."""
    between = re.escape(delimiter)
    return re.compile(rf"(?:(?<={between})|(?<![\s\S]))\\N(?={between}|[\r\n]*\Z)")


def decode(raw: bytes, encodings: tuple[str, ...]) -> str | None:
    """Decode bytes by the first encoding that they are in; None if they are in none."""
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            pass
    return None
