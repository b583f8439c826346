"""How a file is cut into rows and values: what the reader is told, and what it tells by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

DELIMITERS: Final[Mapping[str, str | None]] = {
    "auto": None,
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "\\t": "\t",
    "pipe": "|",
    "space": " ",
}
"""Delimiters that have a name; None is told from the file, a space is any white space."""
ESCAPES: Final[Mapping[str, str | None]] = {
    "auto": None,
    "none": "",
    "": "",
    "backslash": "\\",
    "\\": "\\",
}
"""Escape characters by their names; None is told from the file."""


class NoRow(StrEnum):
    """Why something in a file is no row."""

    UNPARSABLE = "unparsable"  # no CSV, no JSON object, or not in the encoding
    RAGGED = "ragged"  # more or fewer values than the header has names: which is which?
    EMPTY = "empty"  # the array that should be exploded has no elements


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How a file is cut into rows and values."""

    format: Literal["auto", "csv", "jsonl"] = "auto"  # of a text that might be either
    delimiter: str | None = None  # None: told from the first line; " ": any white space
    quote: str = '"'  # empty: quotes mean nothing
    escape: str | None = None  # None: told from the first rows; empty: a backslash means nothing
    encodings: tuple[str, ...] = ("utf-8",)  # the first that a record decodes in
    names: tuple[str, ...] = ()  # of the columns, for a file whose first line does not name them
    skip: int = 0  # lines before the header, such as a title or a licence
    explode: str | None = None  # JSON: the array whose every element is a row
    missing: tuple[str, ...] | None = None  # texts that stand for no value; None: the usual ones
    whole_ids: bool = False  # 17850.0 means 17850: an export in which numbers became floats
    header: bool = field(default=True, repr=False)  # whether the first line names the columns


def delimiter_of(text: str, quote: str = '"') -> str | None:
    """Read a delimiter as people give it; None is one to be told from the file.

    Raises
    ------
    ValueError
        It cannot be one; the message is the same everywhere.

    Examples
    --------
    >>> delimiter_of("tab"), delimiter_of("\\\\t"), delimiter_of("::"), delimiter_of("auto")
    ('\\t', '\\t', '::', None)
    >>> delimiter_of("x")
    Traceback (most recent call last):
    ...
    ValueError: is 'x', which cannot be a delimiter: give a sign such as ',' ';' '|', or tab, \
space, auto
    """
    if text in DELIMITERS:
        return DELIMITERS[text]
    if (
        not text
        or any(sign.isalnum() or sign in "\r\n\0\\" or sign == quote for sign in text)
        or (text.isspace() and text != "\t")
        or len(text) > 8
    ):
        raise ValueError(
            f"is {text!r}, which cannot be a delimiter: give a sign such as ',' ';' '|', or tab, "
            "space, auto"
        )
    return text
