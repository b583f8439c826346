from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from stream.codec.snapshots.delta import delta
from stream.models.base.changes import Changes
from stream.models.recommend.trending import Trending

HOUR = 3_600_000


def test_tops_equal_a_plain_decayed_count(seed: int) -> None:
    draw = random.Random(seed)
    model = Trending(half_life=3600.0, items=64, segments=3)
    overall: Counter[str] = Counter()
    by_segment: Counter[str] = Counter()
    last = 400 * HOUR // 100
    for n in range(400):
        item, segment, time = f"i{draw.randrange(20)}", draw.randrange(3), n * HOUR // 100
        model.learn(item, segment, time, 2.0)
        overall[item] += 2.0 * 0.5 ** ((399 * HOUR // 100 - time) / HOUR)
        if segment == 1:
            by_segment[item] += 2.0 * 0.5 ** ((399 * HOUR // 100 - time) / HOUR)
    assert last
    for segment, expected in ((None, overall), (1, by_segment)):
        top = model.top(segment, 5)
        assert [name for name, _ in top] == [name for name, _ in expected.most_common(5)]
        assert [weight for _, weight in top] == pytest.approx(
            [weight for _, weight in expected.most_common(5)], rel=1e-5
        )


def test_a_list_that_is_kept_is_as_one_that_is_made(seed: int) -> None:
    """Lists of all lengths are asked for in any order, between lessons and after a patch."""
    draw = random.Random(seed)
    model, follower = (Trending(3600.0, items=256, segments=3) for _ in range(2))
    for n in range(60):
        before = model.state()
        for _ in range(draw.randrange(40)):
            model.learn(f"i{draw.randrange(200)}", draw.randrange(3), n * HOUR, draw.random())
        follower.patch(Changes(delta(before, model.state())))
        fresh = Trending.from_state(model.state())
        for _ in range(draw.randrange(5)):
            segment, k = draw.choice([None, 0, 1, 2]), draw.choice([1, 20, 100, 300])
            expected = fresh._top(segment, k)
            assert model.top(segment, k) == expected
            assert follower.top(segment, k) == expected


def test_an_unknown_segment_counts_overall_only() -> None:
    model = Trending(half_life=60.0, items=8, segments=2)
    model.learn("tea", 7, 0)
    model.learn("milk", None, 0)
    assert model.top(7, 3) == model.top(0, 3) == []
    assert [name for name, _ in model.top(None, 3)] == ["milk", "tea"]


def test_bounds_hold_and_evicted_items_leave_no_trace_in_segments() -> None:
    model = Trending(half_life=60.0, items=16, segments=2)
    for n in range(5_000):
        model.learn(f"x{n}", n % 2, n * 1000)
        model.learn("evergreen", 0, n * 1000)
    assert len(model.vocabulary) <= 16
    assert model.evicted >= 4_900
    assert model.top(0, 1)[0][0] == "evergreen"
    assert all(int(name[1:]) % 2 == 1 for name, _ in model.top(1, 16))


def test_centuries_do_not_overflow() -> None:
    model = Trending(half_life=60.0, items=16, segments=2)
    for year in range(300):
        model.learn("tea", 0, year * 365 * 24 * HOUR)
    assert model.top(0, 1) == model.top(None, 1) == [("tea", pytest.approx(1.0))]


def test_state_goes_on_to_the_bit() -> None:
    straight = Trending(half_life=60.0, items=16, segments=2)
    for n in range(500):
        straight.learn(f"x{n % 40}", n % 3, n * 700)
    resumed = Trending.from_state(straight.state())
    for model in (straight, resumed):
        for n in range(500, 900):
            model.learn(f"x{n % 50}", n % 3, n * 900)
    a, b = straight.state(), resumed.state()
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[key], b[key]) for key in a)
