from __future__ import annotations

import random

import numpy as np
import pytest

from stream.codec.snapshots.snapshot import fingerprint
from stream.models.recommend.content import Content
from tests.uncompiled import uncompiled


def shop() -> Content:
    content = Content(items=64)
    content.learn("green", "Green tea, loose leaves from Japan")
    content.learn("black", "Black tea leaves in bags")
    content.learn("pot", "Tea pot of cast iron from Japan")
    content.learn("soap", "Soap with olive oil")
    return content


def test_alike_descriptions_come_first_and_strangers_not_at_all() -> None:
    similar = dict(shop().similar("green", 10))
    assert set(similar) == {"black", "pot"}
    assert all(0.0 < score <= 1.0 for score in similar.values())


def test_a_new_item_without_any_click_is_found_at_once() -> None:
    content = shop()
    content.learn("liquid", "Liquid soap, olive")
    assert content.similar("soap", 1)[0][0] == "liquid"
    assert content.similar("liquid", 1)[0][0] == "soap"


def test_the_same_words_are_worth_a_cosine_of_one() -> None:
    content = shop()
    content.learn("refill", "Soap with olive oil")
    name, score = content.similar("soap", 1)[0]
    assert name == "refill"
    assert score > 0.999


def test_learning_an_item_again_replaces_its_description() -> None:
    content = shop()
    content.learn("pot", "Soap dish")
    assert "pot" not in dict(content.similar("green", 10))
    assert "pot" in dict(content.similar("soap", 10))


def test_what_has_no_words_and_what_is_unknown_has_no_neighbours() -> None:
    content = shop()
    content.learn("blank", " … ")
    assert content.similar("blank", 5) == content.similar("never", 5) == []


def test_bounds_hold_and_state_goes_on_to_the_bit() -> None:
    content = Content(items=64, buckets=256, words=4, postings=8)
    for n in range(1_000):
        content.learn(f"i{n}", f"word{n % 37} common thing{n % 11} only{n}")
    resumed = Content.from_state(content.state())
    for model in (content, resumed):
        for n in range(1_000, 1_400):
            model.learn(f"i{n}", f"word{n % 37} common thing{n % 11}")
    a, b = content.state(), resumed.state()
    assert all(np.array_equal(a[key], b[key]) for key in a)
    assert content.evicted >= 1_300
    assert content.similar("i1399", 5) == resumed.similar("i1399", 5) != []


def test_what_was_said_before_does_not_count_any_more(seed: int) -> None:
    draw = random.Random(seed)
    wandered, straight = Content(items=64), Content(items=64)
    texts = {}
    for _ in range(400):
        name = f"i{draw.randrange(20)}"
        texts[name] = " ".join(f"w{draw.randrange(30)}" for _ in range(5))
        wandered.learn(name, texts[name])
    for name, text in texts.items():
        straight.learn(name, text)
    for name in texts:
        assert dict(wandered.similar(name, 50)) == pytest.approx(dict(straight.similar(name, 50)))


def learned(seed: int) -> str:
    """The bytes of what was described and described anew, in few buckets of few places."""
    draw, content = random.Random(seed), Content(items=64, buckets=32, words=4, postings=3)
    for _ in range(400):
        words = [f"w{draw.randrange(60)}" for _ in range(draw.randrange(7))]
        content.learn(f"i{draw.randrange(90)}", " ".join(words))
    return fingerprint(content.state())


def test_uncompiled_it_learns_the_same_bytes(seed: int) -> None:
    program = f"from tests.models.test_content import learned; print(learned({seed}))"
    assert uncompiled(program) == learned(seed)
