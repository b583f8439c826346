"""Taste: what comes after the same items is near, whoever came together with whom."""

from __future__ import annotations

import random

import numpy as np

from stream.models.base.vocabulary import Vocabulary
from stream.models.recommend.factors import Factors


def walked(seed: int, capacity: int = 64) -> tuple[Vocabulary, Factors]:
    """Two shops in one: visits stay among tea or among soap, each with items of its own."""
    draw = random.Random(seed)
    vocabulary = Vocabulary(capacity)
    factors = Factors(vocabulary, lately=512)
    for _ in range(400):
        moves, came = [], []
        for _ in range(16):
            kind = draw.choice(["tea", "soap"])
            numbers = [vocabulary.admit(f"{kind}{n}", 1.0) for n in draw.sample(range(12), 3)]
            moves.append((numbers[:2], numbers[2]))
            came.append(numbers[2])
        factors.learn_many(moves, came)
    return vocabulary, factors


def test_what_is_of_one_kind_is_to_the_taste_even_if_never_seen_together(seed: int) -> None:
    vocabulary, factors = walked(seed)
    mask = vocabulary.mask
    teas, soaps = (
        np.array([vocabulary.find(f"{kind}{n}") & mask for n in range(12)])
        for kind in ("tea", "soap")
    )
    for n in range(12):
        session = [vocabulary.find(f"tea{n}"), vocabulary.find(f"tea{(n + 5) % 12}")]
        assert factors.scores(session, teas).min() > factors.scores(session, soaps).max()


def test_an_item_in_a_used_slot_begins_anew(seed: int) -> None:
    vocabulary, factors = walked(seed, capacity=24)
    slot = vocabulary.find("tea3") & vocabulary.mask
    strangers = [vocabulary.admit(f"x{n}", 1e6) for n in range(24)]
    assert vocabulary.find("tea3") == 0
    factors.learn_many([], strangers)
    assert np.abs(factors.next[slot]).max() <= 0.1
    assert factors.bias[slot] == 0.0


def test_what_came_is_drawn_as_often_as_it_came_and_the_same_each_time() -> None:
    vocabulary = Vocabulary(8)
    often, seldom = vocabulary.admit("often", 1.0), vocabulary.admit("seldom", 1.0)
    drawn = []
    for _ in range(2):
        factors = Factors(vocabulary, lately=100)
        factors.learn_many([], [often, often, often, seldom] * 25)
        drawn.append(factors._drawn(2_000))
    assert 0.7 < (drawn[0] == often).mean() < 0.8
    assert (drawn[0] == drawn[1]).all()
