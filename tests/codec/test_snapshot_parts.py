from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codec.snapshots.parts import PartError, join, split

WHOLE = bytes(range(256)) * 10


@given(st.binary(max_size=2_000), st.integers(41, 600), st.randoms(use_true_random=False))
def test_parts_in_any_order_make_the_whole(data: bytes, size: int, random: st.Random) -> None:
    parts = split(data, size)
    assert all(len(part) <= size for part in parts)
    random.shuffle(parts)
    assert join(parts) == data


def test_a_part_that_came_twice_does_no_harm() -> None:
    parts = split(WHOLE, 500)
    assert join([*parts, parts[1]]) == WHOLE


def test_a_missing_part_is_refused() -> None:
    parts = split(WHOLE, 500)
    for missing in range(len(parts)):
        with pytest.raises(PartError, match="missing"):
            join(parts[:missing] + parts[missing + 1 :])
    with pytest.raises(PartError, match="no parts"):
        join([])


def test_parts_of_two_snapshots_are_refused() -> None:
    one, other = split(WHOLE, 500), split(WHOLE[:-1] + b"x", 500)
    with pytest.raises(PartError, match="different"):
        join([one[0], *other[1:]])


def test_every_flipped_bit_of_a_part_is_refused() -> None:
    first, second = split(b"some bytes to be sent", 52)
    for bit in range(8 * len(first)):
        damaged = bytearray(first)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PartError):
            join([bytes(damaged), second])


@given(st.binary(max_size=100))
def test_hostile_bytes_raise_nothing_else(data: bytes) -> None:
    with pytest.raises(PartError):
        join([data])


def test_a_part_needs_room_for_its_header() -> None:
    with pytest.raises(ValueError, match="part_bytes"):
        split(WHOLE, 40)
