"""Chance that a replay repeats: every draw is a hash of ids and a seed."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

_MASK53 = (1 << 53) - 1


def digest(*parts: str | int, size: int = 8) -> bytes:
    """Hash the parts, kept apart from each other, to ``size`` bytes (BLAKE2b, RFC 7693).

    >>> digest("a", "bc") == digest("ab", "c")
    False
    """
    # Of one part, as of each event's id, the join would cost as much as the hash.
    text = str(parts[0]) if len(parts) == 1 else "\x1f".join([str(part) for part in parts])
    return blake2b(text.encode(), digest_size=size).digest()


def identity(*parts: str | int) -> int:
    """A 53-bit integer for the parts: exact in JSON, and short in a customer's record.

    >>> identity("order-1") == identity("order-1")
    True
    >>> 0 <= identity("order-1") < 2**53
    True
    """
    return int.from_bytes(digest(*parts), "big") & _MASK53


@lru_cache(maxsize=1 << 14)
def session_key(customer_id: str, session_id: str) -> int:
    """:func:`identity` of what is asked for again and again: a customer's session.

    >>> session_key("c1", "s1") == identity("c1", "s1")
    True
    """
    return identity(customer_id, session_id)


def unit(*parts: str | int) -> float:
    """A uniform draw in [0, 1) that depends on the parts alone.

    >>> 0.0 <= unit(7, "customer", "holdout") < 1.0
    True
    """
    return identity(*parts) / (_MASK53 + 1)
