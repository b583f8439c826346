from __future__ import annotations

import random

import numpy as np
import pytest

from stream.domain.stamps import EPOCH, stamp
from stream.learn.places import JUMPS, LEAP, NEAR, Places
from stream.models.base.state import StateError

NAME = "0/3"


def reached(marks: dict[str, int], places: Places, *records: list[int]) -> list[int]:
    """The stamps that were new, in their order."""
    new: list[int] = []
    for record in records:
        again = False
        for at in record:
            if places.reach(marks, NAME, at, again=again):
                new.append(at)
                again = True
    return new


def a_flow(chance: random.Random) -> list[list[int]]:
    """What a worker teaches: stamps that grow, with jumps of all widths, over two lives."""
    flow, at, epoch = list[list[int]](), 0, 0
    for n in range(chance.randrange(1, 40)):
        record = list[int]()
        for _ in range(chance.randrange(1, 6)):
            at += chance.choice((1, 1, 2, 9, 500, 3_000, 10**7))
            record.append(stamp(epoch, at))
        flow.append(record)
        if n == 20:
            epoch, at = 1, 0
    return flow


def test_what_comes_again_in_order_is_known_whatever_the_jumps_and_the_records(seed: int) -> None:
    for case in range(300):
        chance = random.Random(f"{seed} {case}")
        flow = a_flow(chance)
        stamps = [at for record in flow for at in record]
        marks, places = dict[str, int](), Places()
        said = 0
        while said < len(stamps):  # crashes: from some place on, said again in other records
            begin, told = max(0, said - chance.randrange(8)), said
            said = min(said + chance.randrange(1, 30), len(stamps))
            size = chance.randrange(1, 7)
            records = [stamps[at : min(at + size, said)] for at in range(begin, said, size)]
            assert reached(marks, places, *records) == stamps[told:said]
            places = Places.from_state(places.state())
        assert places.place(marks, NAME) == stamps[-1]


@pytest.mark.parametrize(
    "ahead", [2, 5, 500, NEAR, NEAR + 1, 10**6, LEAP, stamp(1, 0), stamp(9, 7)]
)
@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("records", [1, 2, 5])
def test_what_misleads_is_left_with_the_next_true_lesson(
    ahead: int, count: int, records: int, seed: int
) -> None:
    """Up to a whole topic of another shop's lessons that went on from one place."""
    marks, places = dict[str, int](), Places()
    reached(marks, places, list(range(100)), [100, 102])
    false = [[102 + ahead + n * count + k for k in range(count)] for n in range(records)]
    assert reached(marks, places, *false)
    assert marks[NAME] <= 102 + NEAR + count * records
    true = [[103, 104], [107], [3_000], [10**7, 10**7 + 1]]
    wanted = [at for record in true for at in record]
    assert reached(marks, places, *true) == wanted
    assert reached(marks, places, *true) == []


@pytest.mark.parametrize("jumps", [(500, 10**6), (10**6, 3 * 10**6), (2, 900, 10**6, 10**9)])
def test_a_record_cannot_hide_its_wide_jump_behind_others(jumps: tuple[int, ...]) -> None:
    marks, places = dict[str, int](), Places()
    reached(marks, places, [99, 100], [100 + jump for jump in jumps])
    assert marks[NAME] <= 100 + NEAR
    assert reached(marks, places, [1_101, 1_102]) == [1_101, 1_102]


def test_marks_say_how_far_it_is_while_jumps_are_narrow_and_no_more_otherwise() -> None:
    marks, places = dict[str, int](), Places()
    reached(marks, places, [5], [9], [9 + NEAR])
    assert marks == {NAME: 9 + NEAR}
    reached(marks, places, [10**6], [10**6 + 1])
    assert marks == {NAME: 9 + NEAR} and places.place(marks, NAME) == 10**6 + 1


def test_a_leap_is_counted_within_its_epoch() -> None:
    marks, places = dict[str, int](), Places()
    reached(marks, places, [41])
    leaps = [42 + LEAP, 10**12, stamp(1, LEAP + 1), stamp(16, 10**12)]
    steps = [0, 41 + LEAP, stamp(1, 0), stamp(1, LEAP), stamp(16, 7), stamp(2**17, 0)]
    assert all(places.is_leap(marks, NAME, at) for at in leaps)
    assert not any(places.is_leap(marks, NAME, at) for at in steps)
    assert not places.is_leap({}, "new", 10**6) and places.is_leap({}, "new", 10**12)


@pytest.mark.parametrize(
    "lines",
    [
        None,
        7,
        [7],
        [[]],
        [["0/0"]],
        [[5, 0]],
        [["0/0", -1]],
        [["0/0", 0.5]],
        [["0/0", True]],
        [["0/0", 0, 5]],
        [["0/0", 0, 5, 3]],
        [["0/0", 0, 5, 2**62]],
        [["0/0", 0, *range(2 * JUMPS + 2)]],
    ],
)
def test_what_are_no_places_is_refused(lines: object) -> None:
    with pytest.raises(StateError):
        Places.from_state({} if lines is None else {"places": lines})  # type: ignore[dict-item]


def test_a_record_as_a_whole_goes_where_its_stamps_go_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(300):
        one, many = Places(), Places()
        marks: tuple[dict[str, int], dict[str, int]] = ({}, {})
        at = 0
        for _ in range(8):
            stamps, reached, outlived = [], [], False
            for _ in range(rng.choice((0, 1, 2, 5, 40))):
                at = max(0, at + rng.choice((0, 1, 1, 1, 3, NEAR + 1, -4)))
                at += EPOCH if rng.random() < 0.01 else 0
                stamps.append(at)
                reached.append(one.reach(marks[0], NAME, at, again=any(reached)))
                earlier = one.is_of_earlier_epoch(marks[0], NAME, at)
                outlived |= not reached[-1] and earlier
            told, earlier = many.reach_all(marks[1], NAME, np.array(stamps, np.int64))
            assert (told.tolist(), earlier) == (reached, outlived)
            assert marks[0] == marks[1] and one.state() == many.state()
