"""Cells: what is kept of each bucket, side by side, so that one look brings all of it.

Rules
-----
- A cell has 32 bytes: of the slow and of the fast learner the weight, the sum of squared gradients,
  and the gradient of the step under way, which is zero between steps; two numbers are spare.
- Cells begin where lines of the CPU's cache do. A bucket is at a random place: what lies in two
  lines, or in arrays of their own, costs as many trips to memory.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Pairs: TypeAlias = npt.NDArray[np.uint64]
Cells: TypeAlias = npt.NDArray[np.float32]

WEIGHT: Final = 0
SQUARE: Final = 2
GRADIENT: Final = 4
_SIZE: Final = 8
_LINE: Final = 64  # bytes


def empty_cells(count: int) -> Cells:
    """Return cells of zeros, of shape (count, 8).

    Examples
    --------
    >>> cells = empty_cells(4)
    >>> cells.shape, cells.ctypes.data % 64
    ((4, 8), 0)
    """
    room = np.zeros(count * _SIZE + _LINE // 4, dtype=np.float32)
    first = -room.ctypes.data % _LINE // 4
    return room[first : first + count * _SIZE].reshape(count, _SIZE)


def both(cells: Cells, what: int) -> Pairs:
    """Return what slow and fast learner have in each cell, as the 8 bytes that the two take.

    A view: numpy copies numbers of 8 bytes, one a cell, four times as fast as twice as many of 4.
    """
    pairs: Pairs = cells.view(np.uint64)[:, what // 2]
    return pairs
