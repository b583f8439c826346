"""Words that stand for no value, for yes and for no.

Rules: there is one table of each, for consent, labels and flags alike; case and the white space
around a word do not matter.
"""

from __future__ import annotations

from typing import Final

NOTHING: Final = frozenset(
    (
        *("", "-", "--", "null", "nil", "none", "nan", "nat", "na", "n/a", "n.a.", "#n/a", "#na"),
        *("undefined", "not set", "#null!", "\\n"),
        *(f"({word})" for word in ("not set", "null", "none", "nil", "nan", "empty", "blank")),
        *(f"<{word}>" for word in ("na", "n/a", "null", "none", "nil", "nan")),
        *(f"[{word}]" for word in ("null", "none")),
    )
)
"""Texts that stand for no value, in lower case."""
YES: Final = frozenset(
    (
        *("true", "t", "yes", "y", "on", "1"),
        *("granted", "grant", "allow", "allowed", "accept", "accepted", "agreed"),
        *("opt-in", "optin", "opted-in", "opted in", "opt in"),
    )
)
"""Texts that mean yes, in lower case."""
NO: Final = frozenset(
    (
        *("false", "f", "no", "n", "off", "0", "-1"),
        *("deny", "denied", "refused", "rejected", "revoked", "withdrawn", "declined"),
        *("disallowed", "opt-out", "optout", "opted-out", "opted out", "opt out"),
    )
)
"""Texts that mean no, in lower case; -1 is the other label of many data sets."""

NOBODY_LONGEST: Final = 12
"""Bytes of a key that may be a word for no value."""

_LONGEST: Final = max(map(len, NOTHING))
_NOBODY: Final = frozenset(word.encode() for word in NOTHING)


def is_nothing(text: str) -> bool:
    """Whether a text stands for no value.

    >>> [is_nothing(text) for text in (" NULL ", "(not set)", "\\\\N", "Nancy", "0")]
    [True, True, True, False, False]
    """
    if len(text) > _LONGEST:
        text = text.strip()
        if len(text) > _LONGEST:
            return False
    return text.strip().lower() in NOTHING


def is_nobody(key: bytes) -> bool:
    """Whether a customer's id, as a record's key, is a word for no value.

    >>> is_nobody(b"NULL"), is_nobody(b"undefined"), is_nobody(b"c-1")
    (True, True, False)
    """
    return len(key) <= NOBODY_LONGEST and key.lower() in _NOBODY


def flag(said: object) -> bool | None:
    """Read a truth, a number or a word as yes or no; None if it is neither.

    >>> [flag(said) for said in (True, 1.0, " Granted ", "1.0", "OFF", -1, "maybe", None, [True])]
    [True, True, True, True, False, False, None, None, None]
    """
    if isinstance(said, str):
        word = said.strip().lower()
        if "." in word:
            whole, _, fraction = word.partition(".")
            word = word if fraction.strip("0") else whole
        return True if word in YES else False if word in NO else None
    if isinstance(said, int | float):
        return True if said == 1 else False if said in (0, -1) else None
    return None
