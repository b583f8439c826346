"""Text: one form for what people call the same, and nothing that could mislead a reader.

Rules. Control characters and bidirectional controls are taken out (a line break or a tab becomes
a space), then the text is brought into Unicode's composed form (NFC, UAX #15). Joiners stay:
scripts and emoji need them. Of more than 30 marks on one letter, in no canonical order, the rest
are taken out: no language has them (UAX #15), and sorting them takes quadratic time. Doing it twice
changes nothing.
"""

from __future__ import annotations

from typing import Final
from unicodedata import combining, is_normalized, normalize

_BREAKS: Final = "\t\n\v\f\r\u0085\u2028\u2029"
_BIDI: Final = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_UNSEEN: Final = "\ufeff\ufff9\ufffa\ufffb"

_MOST_MARKS: Final = 30  # UAX #15, the Stream-Safe Text Format

_STRIP: Final[dict[int, str | None]] = {
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)]),
    **dict.fromkeys(range(0xD800, 0xE000)),  # lone surrogates: no text, and not UTF-8
    **dict.fromkeys(map(ord, _BIDI + _UNSEEN)),
    **dict.fromkeys(map(ord, _BREAKS), " "),
}


def tidy(text: str) -> str:
    """Return ``text`` in NFC without control and bidirectional characters.

    Examples
    --------
    >>> tidy("cafe\\u0301\\x00 \\u202etab\\there") == "caf\\u00e9 tab here"
    True
    """
    if text.isprintable():  # then it holds nothing to take out
        return text if text.isascii() else _composed(text)
    return _composed(text.translate(_STRIP))


def _composed(text: str) -> str:
    if is_normalized("NFC", text):
        return text
    kept, marks = [], 0
    for character in text:
        marks = marks + 1 if combining(character) else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return normalize("NFC", "".join(kept))
