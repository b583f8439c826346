from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from stream.codec.examples import EncodedLessons, Lesson, encode_examples, encode_lesson
from stream.codec.snapshots.models import SLOTS, Published
from stream.config import LearningSettings
from stream.decide.example import Labelled
from stream.decide.rows.features import FEATURES, pack
from stream.domain.stamps import stamp
from stream.models.base.hashing import feature_hash
from stream.worker.learning.trainer import Trainer

SMALL = LearningSettings(propensity_bits=12, items=64, sessions=64, baskets=64)


def lessons(seed: int, turns: int, count: int) -> Iterator[tuple[int, bytes]]:
    """A label each; which brands are bought, turns over at once."""
    rng = random.Random(seed)
    for n in range(count):
        told = {name: rng.randrange(4) for name in FEATURES}
        label = int((told["brand"] < 2) == (n < turns))
        row = pack(tuple(feature_hash(name, value) for name, value in told.items()))
        taught = EncodedLessons(0, n, encode_examples([Labelled(n, label, None, row)]))
        yield n, encode_lesson(Lesson(0, (taught,), 0))


def test_a_publication_tells_what_is_new_since_the_one_before(seed: int) -> None:
    trainer, log = Trainer(SMALL, 7, SLOTS[-1], None), list(lessons(seed, 4_000, 6_000))
    trainer.learn(log[:4_000])
    first = trainer.publish()
    trainer.learn(log[4_000:])
    second = trainer.publish()
    learner = trainer.learner
    assert (first.new, second.new) == (4_000, 2_000)
    assert second.drifts >= 1 and first.drifts + second.drifts == learner.propensity.drifts
    after = Trainer(
        SMALL, 7, SLOTS[-1], Published(learner.states(), learner.through, learner.learned)
    )
    nothing = after.publish()
    assert (nothing.new, nothing.drifts, {*nothing.evicted.values()}) == (0, 0, {0})


def taught(at: int, time: int = 1) -> bytes:
    row = pack((0,) * len(FEATURES))
    return encode_lesson(
        Lesson(0, (EncodedLessons(0, at, encode_examples([Labelled(time, 1, None, row)])),), 0)
    )


def learned(*lessons: bytes) -> tuple[int, int]:
    """How many examples are learned of these lessons, and how many records are refused."""
    trainer = Trainer(SMALL, 7, SLOTS[-1], None, 4)
    trainer.learn(enumerate(lessons))
    return trainer.place().learned, trainer.publish().refused


def test_a_topic_that_is_renewed_is_learned_in_each_of_its_lives() -> None:
    lives = [taught(stamp(epoch, at)) for epoch in range(40) for at in (0, 1, 7)]
    assert learned(*lives) == (120, 0)


def test_lessons_of_an_earlier_life_are_known_and_told() -> None:
    first = [taught(at) for at in range(5)]
    assert learned(*first, taught(stamp(1, 0)), *first) == (6, 5)
    assert learned(*first, *first) == (5, 0)


DAY = 86_400_000


@pytest.mark.parametrize(
    ("times", "doubted"),
    [
        ([100, 101, 135, 90, 136], 0),
        ([100, 40_000, 101, 102], 1),  # one from another century
        ([100, 40_000, 101, 30_000, 102], 2),  # they do not agree
        ([100, 200, 201, 202], 1),  # a shop that was closed for long
        ([100, 200, 101, 201, 102, 202], 1),  # and has a backlog, besides
        ([100, 40_000, 200, 201, 202], 2),
    ],
)
def test_a_lesson_that_leaps_in_time_is_refused_until_another_agrees(
    times: list[int], doubted: int
) -> None:
    lessons = [taught(n, day * DAY) for n, day in enumerate(times)]
    assert learned(*lessons) == (len(times) - doubted, doubted)
    before, after = (Trainer(SMALL, 7, SLOTS[-1], None) for _ in range(2))
    for offset, value in enumerate(lessons):  # as well where each is learned after a restart
        before.learn([(offset, value)])
        learner = before.learner
        published = Published(learner.states(), learner.through, learner.learned)
        before = Trainer(SMALL, 7, SLOTS[-1], published)
    after.learn(enumerate(lessons))
    assert before.learner.learned == after.learner.learned == len(times) - doubted
    assert before.learner.clock.state() == after.learner.clock.state()
