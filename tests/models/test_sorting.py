from __future__ import annotations

import numpy as np
import pytest

from stream.models.recommend.sorting import sort


@pytest.mark.parametrize("most", [1, 2, 300, 2**40, 2**62])
@pytest.mark.parametrize("count", [0, 1, 2, 1_000])
def test_it_sorts_as_a_stable_sort_does(most: int, count: int, seed: int) -> None:
    keys = np.random.default_rng(seed).integers(0, most, count)
    room, places = np.zeros((2, count), np.int64), np.zeros((2, count), np.int64)
    room[0], places[0] = keys, np.arange(count)
    sort(room, places)
    order = np.argsort(keys, kind="stable")
    assert places[0].tolist() == order.tolist()
    assert room[0].tolist() == keys[order].tolist()
