"""The best of many equal what sorting them all would give."""

from __future__ import annotations

import numpy as np

from stream.models.recommend.choosing import best, nth_largest


def test_the_nth_largest_is_the_one_that_sorting_gives(seed: int) -> None:
    draw = np.random.default_rng(seed)
    for _ in range(200):
        values = draw.integers(0, draw.integers(1, 50), draw.integers(1, 300)) / 7.0
        before = values.copy()
        n = int(draw.integers(1, len(values) + 1))
        assert nth_largest(values, n, np.empty(300)) == np.sort(values)[-n]
        assert np.array_equal(values, before)


def test_the_best_are_those_that_sorting_gives_and_equals_keep_their_turns(seed: int) -> None:
    draw = np.random.default_rng(seed)
    for _ in range(200):
        scores = draw.integers(0, 12, draw.integers(1, 60)) / 3.0
        turns = draw.permutation(len(scores))
        turns[draw.random(len(scores)) < 0.2] = -1
        chosen = np.zeros(int(draw.integers(0, 80)), np.int64)
        count = best(scores, turns, chosen)
        order = [at for at in np.lexsort((turns, -scores)).tolist() if turns[at] >= 0]
        assert chosen[:count].tolist() == order[: len(chosen)]
