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

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, combinations
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
    lengths = {rows.shape[1]} if isinstance(rows, np.ndarray) else set(map(len, rows))
    width = max(lengths, default=0)
    out = np.zeros((len(rows), 1 + width), dtype=np.uint32)
    out[:, 0] = _BIAS
    if isinstance(rows, np.ndarray):
        out[:, 1:] = rows
        return mix(out), None
    if len(lengths) <= 1:
        flat = np.fromiter(chain.from_iterable(rows), np.uint32, len(rows) * width)
        out[:, 1:] = flat.reshape(len(rows), width)
        return mix(out), None
    present = np.zeros(out.shape, dtype=np.bool_)
    for i, row in enumerate(rows):
        out[i, 1 : 1 + len(row)] = row
        present[i, : 1 + len(row)] = True
    return mix(out), present


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
        Mixed, of shape (rows, features).
    size
        How many features go together.
    known
        Which features were learned before.
    bits
        There are ``2 ** bits`` buckets.

    Returns
    -------
    ndarray of shape (rows, 1 + combinations)
    """
    members = _combinations(hashes.shape[1], size)
    total = hashes.take(members[0], axis=1)
    for member in members[1:]:
        total += hashes.take(member, axis=1)
    out = np.empty((len(total), 1 + total.shape[1]), dtype=np.int64)
    out[:, 0] = PADDING + size
    np.right_shift(total, np.uint32(32 - bits), out=out[:, 1:])
    if not known.all():
        out[:, 1:] *= np.logical_and.reduce([known.take(member, axis=1) for member in members])
    return out


@lru_cache(maxsize=64)
def _combinations(features: int, size: int) -> npt.NDArray[Any]:
    """Return the positions that go together, of shape (size, combinations)."""
    chosen = list(combinations(range(features), size))
    return np.array(chosen, dtype=np.intp).reshape(-1, size).T.copy()
