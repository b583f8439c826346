"""Rows of feature hashes as buckets: of the features themselves, of their pairs and triples.

Rules
-----
- A row is a sequence of 32-bit hashes. Rows of a batch may differ in length: what a short one
  lacks is bucket 0, whose weight stays zero. Buckets 2 and 3 are the biases of pairs, triples.
- The hash of a pair or triple is the sum of mixed hashes: it does not depend on the order in it.
- A pair or triple is a feature only if all in it were learned before: what was never seen says
  nothing together with anything else. So identifiers that never come back cannot fill the table.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from stream.models.base.kernel import kernel
from stream.models.propensity.cells import SQUARE, Cells

Rows: TypeAlias = Sequence[Sequence[int]] | npt.NDArray[np.uint32]
Hashes: TypeAlias = npt.NDArray[np.uint32]
Numbers: TypeAlias = npt.NDArray[np.int64]
Buckets: TypeAlias = npt.NDArray[np.int32]

PADDING = 0
PAIR, TRIPLE = 2, 3
_ALL = np.uint64(0xFFFFFFFF)
_GOLDEN = np.uint64(0x9E3779B1)
_BIAS = 0x9E3779B9


class Sparse(NamedTuple):
    """Rows of hashes, one after the other (CSR).

    Row ``i`` is ``hashes[starts[i]:starts[i + 1]]``; the longest has ``longest`` hashes.
    """

    hashes: Hashes
    starts: Numbers
    longest: int


def sparse(rows: Rows) -> Sparse:
    """Return rows one after the other.

    Examples
    --------
    >>> rows = sparse([[7, 8], [9]])
    >>> len(rows.hashes), rows.starts.tolist(), rows.longest
    (3, [0, 2, 3], 2)
    """
    if isinstance(rows, np.ndarray):
        hashes = rows.astype(np.uint32, copy=False).reshape(-1)
        return Sparse(hashes, _even(*rows.shape), rows.shape[1])
    if not len(rows):
        return _NONE
    lengths = list(map(len, rows))
    starts = np.array(list(accumulate(lengths, initial=0)), dtype=np.int64)
    return Sparse(flat_numbers(rows), starts, max(lengths))


@lru_cache(maxsize=256)
def _even(count: int, width: int) -> Numbers:
    """Return the starts of rows of one length."""
    return np.arange(count + 1) * width


_NONE = Sparse(np.zeros(0, dtype=np.uint32), _even(0, 0), 0)


def flat_numbers(rows: Iterable[Iterable[int]]) -> Hashes:
    """Return all numbers of some rows, one row after the other.

    By a list and an array of Python's: numpy takes twice as long for small lists of integers.
    """
    flat: list[int] = []
    for row in rows:
        flat += row
    return np.asarray(array("I", flat), np.uint32)


@kernel
def mixed(number: int) -> np.uint64:
    """Return a hash, below 2**32, as `stream.models.base.hashing.mix` spreads it."""
    spread = np.uint64(number) * _GOLDEN & _ALL
    return spread ^ (spread >> np.uint64(15))


@kernel
def singles(hashes: Hashes, starts: Numbers, bits: int, first: int, buckets: Buckets) -> None:
    """Write the buckets of each row's features, and that of the bias into column 0.

    Parameters
    ----------
    hashes, starts
        Of the features, as `Sparse` has them.
    bits
        There are ``2 ** bits`` buckets.
    first
        Column of the first feature.
    buckets
        Of shape (rows, columns), zero where they are written to.
    """
    shift = np.uint64(32 - bits)
    for row in range(len(buckets)):
        buckets[row, 0] = mixed(_BIAS) >> shift
        for at in range(starts[row], starts[row + 1]):
            buckets[row, first + at - starts[row]] = mixed(hashes[at]) >> shift


@kernel
def together(
    size: int,
    hashes: Hashes,
    starts: Numbers,
    positions: Numbers,
    cells: Cells,
    bits: int,
    first: int,
    buckets: Buckets,
) -> None:
    """Write the buckets of a bias, and of each row's pairs or triples.

    Parameters
    ----------
    size
        How many features go together: 2 or 3.
    hashes, starts
        Of the features, as `Sparse` has them.
    positions
        Which of a row's features go together, in their order.
    cells
        Of all buckets, of shape (buckets, 8).
    bits
        There are ``2 ** bits`` buckets.
    first
        Column of the bias; the pairs or triples follow.
    buckets
        Of shape (rows, columns), zero where they are written to; those of the features are
        written from column 1 on.
    """
    shift = np.uint64(32 - bits)
    known = np.empty(len(positions), np.uint64)
    for row in range(len(buckets)):
        count = 0
        for position in positions:
            if cells[buckets[row, 1 + position], SQUARE] > 0.0:
                known[count] = mixed(hashes[starts[row] + position])
                count += 1
        buckets[row, first] = PADDING + size
        column = first + 1
        for i in range(count):
            for j in range(i + 1, count):
                pair = known[i] + known[j]
                if size == PAIR:
                    buckets[row, column] = (pair & _ALL) >> shift
                    column += 1
                    continue
                for k in range(j + 1, count):
                    buckets[row, column] = ((pair + known[k]) & _ALL) >> shift
                    column += 1
