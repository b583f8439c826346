"""Stable hashes of features: the same on every machine, in every process, in every release.

Rules
-----
- A feature is the text ``name=value``; its hash is CRC-32 (ISO-HDLC, as in zlib) of its UTF-8
  bytes. CRC-32 costs a tenth of a microsecond and is spread by `mix` before it picks a bucket.
- A number becomes a text by `log_bin`, so that a price of 10 and one of 10 million are told apart
  at the same relative precision and no outlier can move a weight by its size.
- Python's own ``hash`` is never used: it changes with PYTHONHASHSEED.
"""

from __future__ import annotations

import math
from zlib import crc32

import numpy as np
import numpy.typing as npt

UInt32Array = npt.NDArray[np.uint32]


def feature_hash(name: str, value: object) -> int:
    """Return the hash of one feature.

    Parameters
    ----------
    name
        Of the feature; it must not hold ``=``.
    value
        Anything whose `str` is stable: a text, an integer, a bin from `log_bin`.

    Returns
    -------
    int
        In 0 … 2**32 - 1.

    Examples
    --------
    >>> feature_hash("brand", "acme")
    3243349164
    """
    return crc32(f"{name}={value}".encode("utf-8", "surrogatepass"))


def log_bin(value: float, per_octave: int = 2) -> str:
    """Return the logarithmic bin of a number, as a short text.

    Zero, NaN and the infinities have bins of their own, so that no input can fail.

    Parameters
    ----------
    value
        Any number.
    per_octave
        Bins for each doubling of the magnitude; 2 means bins 41 % wide.

    Examples
    --------
    >>> log_bin(0.0), log_bin(1.0), log_bin(10.0), log_bin(-10.0), log_bin(math.nan)
    ('0', '+0', '+6', '-6', 'nan')
    """
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "nan" if value != value else ("+inf" if value > 0 else "-inf")
    sign = "+" if value > 0 else "-"
    return f"{sign}{math.floor(per_octave * math.log2(abs(value)))}"


def mix(hashes: UInt32Array) -> UInt32Array:
    """Spread hashes over all 32 bits, so that sums of linear hashes are as good as drawn.

    A multiplication (by 2**32 over the golden ratio) and a shift.

    Examples
    --------
    >>> mix(np.array([0, 1, 2], dtype=np.uint32)).tolist()
    [0, 2654356959, 1013877695]
    """
    mixed = hashes * np.uint32(0x9E3779B1)
    mixed ^= mixed >> np.uint32(15)
    return mixed


def draw(seed: int, index: int) -> float:
    """Return the index-th number in [0, 1) of a seed's sequence (SplitMix64 [1]_).

    References
    ----------
    .. [1] Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

    Examples
    --------
    >>> draw(7, 1) == draw(7, 1) != draw(7, 2)
    True
    """
    z = (seed * 0xD1342543DE82EF95 + (index + 1) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return ((z ^ (z >> 31)) >> 11) / 2.0**53


def draws(seed: int, first: int, count: int) -> npt.NDArray[np.float64]:
    """Return several numbers of a seed's sequence, as `draw` does each, from the ``first`` on.

    Examples
    --------
    >>> draws(7, 1, 2).tolist() == [draw(7, 1), draw(7, 2)]
    True
    """
    z = np.arange(first + 1, first + count + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(seed * 0xD1342543DE82EF95 & 0xFFFFFFFFFFFFFFFF)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    drawn: npt.NDArray[np.float64] = ((z ^ z >> np.uint64(31)) >> np.uint64(11)) / 2.0**53
    return drawn
