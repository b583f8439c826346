from __future__ import annotations

import random
from collections.abc import Iterator

from stream.codec.examples import Lesson, Taught, encode_examples, encode_lesson
from stream.codec.models import SLOTS, Published
from stream.config import LearningSettings
from stream.core.example import Labelled
from stream.core.features import FEATURES, pack
from stream.models.hashing import feature_hash
from stream.runtime.learning.trainer import Trainer

SMALL = LearningSettings(propensity_bits=12, items=64, sessions=64, baskets=64)


def lessons(seed: int, turns: int, count: int) -> Iterator[tuple[int, bytes]]:
    """A label each; which brands are bought, turns over at once."""
    rng = random.Random(seed)
    for n in range(count):
        told = {name: rng.randrange(4) for name in FEATURES}
        label = int((told["brand"] < 2) == (n < turns))
        row = pack(tuple(feature_hash(name, value) for name, value in told.items()))
        taught = Taught(0, n, encode_examples([Labelled(n, label, None, row)]))
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
