"""Traits: what the shop told of a customer, by name, as bytes of the customer's record.

Rules: of two words on a trait the one that happened later counts, and of two of the same time the
one that was read later. What is kept has a bound, 64 traits and 16 KiB: the words that are oldest
give way. They are part of the profile: who may not be profiled has none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

from stream.decide.rows.layout import TRAITS

Fact: TypeAlias = str | int | float | bool
Told: TypeAlias = dict[str, tuple[Fact, int]]
"""By name, what it is, and since when that is known, in ms."""

MOST: Final = 64
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Told).decode


def told(packed: bytes) -> Told:
    """The traits in a record.

    Raises
    ------
    ValueError
        If the bytes are none.
    """
    if not packed:
        return {}
    try:
        return _decode(packed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"no traits: {error}") from error


def after(packed: bytes, facts: Iterable[tuple[str, Fact]], time: int) -> bytes:
    """The traits in a record after it was told some, at a time in ms.

    >>> first = after(b"", [("tier", "gold"), ("age", 40)], 10)
    >>> told(after(first, [("tier", "none"), ("age", 41)], 9)) == told(first)
    True
    >>> told(after(first, [("tier", "none")], 10))["tier"]
    ('none', 10)
    """
    known = told(packed)
    for name, fact in facts:
        if name not in known or known[name][1] <= time:
            known[name] = fact, time
    kept = packed_traits(known)
    while len(known) > MOST or len(kept) > TRAITS:
        del known[min(known, key=lambda name: (known[name][1], name))]
        kept = packed_traits(known)
    return kept


def packed_traits(known: Told) -> bytes:
    """Traits as a record holds them, in the order of their names; none are no bytes."""
    return _encode(dict(sorted(known.items()))) if known else b""
