"""The best of many, without sorting them all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.models.base.kernel import kernel

Scores = NDArray[np.float64]


@kernel
def nth_largest(values: Scores, n: int, room: Scores) -> float:
    """The ``n``-th largest of ``values``, by quickselect.

    Parameters
    ----------
    values
        float64 ``[values]``, none of them NaN.
    n
        1 to the number of values.
    room
        float64 ``[at least values]``: scratch.

    References
    ----------
    Hoare: Algorithm 65: Find. Communications of the ACM 4 (7), 1961.

    Examples
    --------
    >>> nth_largest(np.array([3.0, 1.0, 2.0]), 2, np.empty(3))
    2.0
    """
    room[: len(values)] = values
    low, high, wanted = 0, len(values) - 1, len(values) - n
    while low < high:
        pivot = room[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while room[left] < pivot:
                left += 1
            while room[right] > pivot:
                right -= 1
            if left <= right:
                room[left], room[right] = room[right], room[left]
                left += 1
                right -= 1
        if wanted <= right:
            high = right
        elif wanted >= left:
            low = left
        else:
            break
    value: float = room[wanted]
    return value


@kernel
def best(scores: Scores, turns: NDArray[np.int64], chosen: NDArray[np.int64]) -> int:
    """The highest scores' places into ``chosen``, best first; how many they are.

    Parameters
    ----------
    scores
        float64 ``[values]``.
    turns
        int64 ``[values]``: of equal scores the lower turn is first; below 0 is not to be chosen.
    chosen
        int64 ``[at most so many]``.

    Examples
    --------
    >>> chosen = np.zeros(2, np.int64)
    >>> best(np.array([1.0, 3.0, 3.0]), np.array([0, 2, 1]), chosen), chosen.tolist()
    (2, [2, 1])
    """
    count = 0
    for at in range(len(scores)):
        score, turn = scores[at], turns[at]
        if turn < 0:
            continue
        place = count
        while place > 0:
            rival = chosen[place - 1]
            if scores[rival] > score or (scores[rival] == score and turns[rival] < turn):
                break
            if place < len(chosen):
                chosen[place] = rival
            place -= 1
        if place < len(chosen):
            chosen[place] = at
            count = min(count + 1, len(chosen))
    return count
