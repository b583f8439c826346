"""Sorting by whole numbers, by digit: several times faster than comparing where they have few."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from stream.models.base.kernel import kernel

Numbers = NDArray[np.int64]

BITS: Final = 8


@kernel
def sort(keys: Numbers, values: Numbers) -> None:
    """Sort by key; of equal keys the order stays.

    Parameters
    ----------
    keys
        int64 ``[2, numbers]``, 0 at least: what is sorted, and room.
    values
        Likewise: what goes with each key.

    References
    ----------
    Knuth: The art of computer programming, volume 3, 5.2.5: sorting by distribution. 1973.

    Examples
    --------
    >>> keys, values = np.array([[900, 7, 900], [0] * 3]), np.array([[1, 2, 3], [0] * 3])
    >>> sort(keys, values), keys[0].tolist(), values[0].tolist()
    (None, [7, 900, 900], [2, 1, 3])
    """
    digits, now = 1 << BITS, 0
    differs = np.int64(0)
    for at in range(1, keys.shape[1]):
        differs |= keys[0, at] ^ keys[0, 0]
    places = np.zeros(digits + 1, np.int64)
    for shift in range(0, 63, BITS):
        if differs >> shift & digits - 1 == 0:
            continue
        places[:] = 0
        for at in range(keys.shape[1]):
            places[(keys[now, at] >> shift & digits - 1) + 1] += 1
        for digit in range(digits):
            places[digit + 1] += places[digit]
        for at in range(keys.shape[1]):
            digit = keys[now, at] >> shift & digits - 1
            keys[1 - now, places[digit]] = keys[now, at]
            values[1 - now, places[digit]] = values[now, at]
            places[digit] += 1
        now = 1 - now
    if now == 1:
        keys[0], values[0] = keys[1], values[1]
