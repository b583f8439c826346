"""Rows of feature hashes as buckets: of the features themselves, of their pairs and triples.

Rules
-----
- A row is a sequence of 32-bit hashes. Rows of a batch may differ in length: the short ones are
  padded with bucket 0, whose weight stays zero. Buckets 2 and 3 are the biases of pairs, triples.
- The hash of a pair or triple is the sum of mixed hashes: it does not depend on the order in it.
- A pair or triple is a feature only if all in it were learned before: what was never seen says
  nothing together with anything else. So identifiers that never come back cannot fill the table.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from stream.models.hashing import mix

Rows: TypeAlias = Sequence[Sequence[int]] | npt.NDArray[np.uint32]
Hashes: TypeAlias = npt.NDArray[np.uint32]
Buckets: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

PADDING = 0
_BIAS = 0x9E3779B9


def hashed(rows: Rows) -> tuple[Hashes, Mask | None]:
    """Return rows as one matrix of mixed hashes, and which of its cells are features.

    The first column is the bias: a feature that every row has.

    Returns
    -------
    hashes
        Of shape (rows, 1 + longest row).
    present
        Of the same shape; None if all rows are of one length.

    Examples
    --------
    >>> hashes, present = hashed([[7, 8], [9]])
    >>> hashes.shape, present.tolist()
    ((2, 3), [[True, True, True], [True, True, False]])
    """
    if isinstance(rows, np.ndarray):
        return mix(_with_bias(rows)), None
    numbers = flat_numbers(rows)
    lengths = [len(row) for row in rows]
    width = max(lengths, default=0)
    if len(numbers) == len(rows) * width:
        return mix(_with_bias(numbers.reshape(len(rows), width))), None
    present = np.arange(1 + width) <= np.array(lengths)[:, None]
    out = np.full(present.shape, _BIAS, dtype=np.uint32)
    out[:, 1:][present[:, 1:]] = numbers
    return mix(out), present


def flat_numbers(rows: Iterable[Iterable[int]]) -> Hashes:
    """Return all numbers of some rows, one row after the other.

    By a list and an array of Python's: numpy takes twice as long for small lists of integers.
    """
    flat: list[int] = []
    for row in rows:
        flat += row
    return np.asarray(array("I", flat), np.uint32)


def _with_bias(rows: Hashes) -> Hashes:
    out = np.empty((len(rows), 1 + rows.shape[1]), dtype=np.uint32)
    out[:, 0] = _BIAS
    out[:, 1:] = rows
    return out


def singles(hashes: Hashes, present: Mask | None, bits: int) -> Buckets:
    """Return the buckets of each row's features.

    Parameters
    ----------
    hashes
        Mixed, of shape (rows, features).
    present
        Which of them are features; None for all.
    bits
        There are ``2 ** bits`` buckets.
    """
    buckets = (hashes >> np.uint32(32 - bits)).astype(np.int64)
    if present is not None:
        buckets *= present
    return buckets


def together(hashes: Hashes, size: int, known: Mask, bits: int) -> Buckets:
    """Return the buckets of a bias, and of each row's pairs (``size`` 2) or triples (3).

    Parameters
    ----------
    hashes
        Mixed, of shape (features, rows).
    size
        How many features go together.
    known
        Which features were learned before, of the same shape.
    bits
        There are ``2 ** bits`` buckets.

    Returns
    -------
    ndarray of shape (rows, 1 + combinations)
    """
    members = _combinations(len(hashes), size)
    total = hashes.take(members[0], axis=0)
    for member in members[1:]:
        total += hashes.take(member, axis=0)
    total >>= np.uint32(32 - bits)
    if not known.all():
        total *= np.logical_and.reduce([known.take(member, axis=0) for member in members])
    out = np.empty((total.shape[1], 1 + len(total)), dtype=np.int64)
    out[:, 0] = PADDING + size
    out[:, 1:] = total.T
    return out


@lru_cache(maxsize=64)
def _combinations(features: int, size: int) -> npt.NDArray[Any]:
    """Return the positions that go together, of shape (size, combinations)."""
    chosen = list(combinations(range(features), size))
    return np.array(chosen, dtype=np.intp).reshape(-1, size).T.copy()
