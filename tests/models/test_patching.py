"""An estimator that is patched with what changed is, to the bit, the one that learned it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stream.codec.snapshots.delta import delta
from stream.codec.snapshots.snapshot import fingerprint
from stream.models.association import AssociationRules
from stream.models.base.changes import Changes, fitting, patched, shapes
from stream.models.base.state import StateError
from stream.models.recommend.cooccurrence import CoOccurrence
from stream.models.recommend.itemfacts import ItemFacts
from stream.models.recommend.recommender import Recommender, TimedStep
from stream.models.recommend.trending import Trending

Learn = Callable[[Any, random.Random, int], None]


def steps(model: Recommender, draw: random.Random, time: int) -> None:
    """Sessions that are open side by side, some of them long, on items that come and go."""
    batch = []
    for _ in range(draw.randrange(1, 40)):
        session = time // 40_000 * 8 + draw.randrange(8)
        first = time // 20_000
        items = [f"i{first + draw.randrange(30)}" for _ in range(draw.randrange(6))]
        item = f"i{first + draw.randrange(30)}"
        batch.append(TimedStep(session, items, item, time + draw.randrange(999), draw.randrange(4)))
    model.learn_many(batch)


def baskets(model: CoOccurrence, draw: random.Random, time: int) -> None:
    for _ in range(draw.randrange(1, 9)):
        model.learn_basket([f"i{draw.randrange(time // 10_000 + 9)}" for _ in range(4)], time)


def orders(model: AssociationRules, draw: random.Random, time: int) -> None:
    for _ in range(draw.randrange(1, 9)):
        model.learn_basket([f"i{draw.randrange(time // 10_000 + 9)}" for _ in range(4)])


def trends(model: Trending, draw: random.Random, time: int) -> None:
    for _ in range(draw.randrange(1, 20)):
        model.learn(f"i{draw.randrange(time // 10_000 + 9)}", draw.randrange(3), time)


def facts(model: ItemFacts, draw: random.Random, time: int) -> None:
    for _ in range(draw.randrange(1, 20)):
        told = [draw.choice([None, "a", "b"]), draw.choice([None, "c"]), draw.choice([None, 3, 9])]
        model.learn(f"i{draw.randrange(time // 10_000 + 9)}", *told)  # type: ignore[arg-type]


CASES: list[tuple[Callable[[], Any], Learn]] = [
    (lambda: Recommender(40, 4, 24, half_life=30.0, trend_half_life=7.0, eager=300), steps),
    (lambda: CoOccurrence(32, 4, half_life=60.0, basket=3), baskets),
    (lambda: AssociationRules(50, 24, 3), orders),
    (lambda: Trending(5.0, 24, 3), trends),
    (lambda: ItemFacts(24), facts),
]


@pytest.mark.parametrize(("build", "learn"), CASES)
def test_a_patched_estimator_is_the_one_that_learned(
    build: Callable[[], Any], learn: Learn, seed: int
) -> None:
    draw = random.Random(seed)
    learner = build()
    known = learner.state()
    mirror = type(learner).from_state(known)
    for turn in range(150):
        learn(learner, draw, turn * 2_500)
        if draw.random() < 0.6:
            continue
        new = learner.state()
        changes = delta(known, new)
        fitting(shapes(known), changes)
        mirror.patch(Changes(changes))
        known = new
        assert fingerprint(mirror.state()) == fingerprint(new)
    evicted = learner.evicted
    assert all(evicted.values()) if isinstance(evicted, dict) else evicted
    restored = type(learner).from_state(mirror.state())
    for model in (mirror, restored):
        draw.seed(seed)
        for turn in range(150, 170):
            learn(model, draw, turn * 2_500)
    assert fingerprint(mirror.state()) == fingerprint(restored.state())


def test_what_a_second_changes_costs_what_it_changed_and_not_what_there_is(seed: int) -> None:
    model = Recommender(4_096, 16, 2_048, eager=0)
    draw = random.Random(seed)
    for n in range(600):
        walk = [f"i{draw.randrange(3_000)}" for _ in range(5)]
        model.learn_many([TimedStep(n, walk[:place], walk[place], n * 1000) for place in range(5)])
    known = model.state()
    model.learn_many(
        [TimedStep(9_999, ["i1"], "i2", 600_000), TimedStep(9_998, [], "never", 600_000)]
    )
    changes = delta(known, model.state())
    changed = sum(v.nbytes for v in changes.values() if isinstance(v, np.ndarray))
    assert changed < 10_000


@pytest.mark.parametrize(
    "changes",
    [
        {"+w": np.zeros((2, 3))},
        {"+w": np.zeros((2, 2), np.float32)},
        {"+w": [1]},
        {"<w": 5},
        {"<w": -1},
        {"~w": [[0, 1]]},
        {"<w": 1, "@w": np.array([2], np.uint32), "#w": np.zeros(1)},
        {"~names": [[2, "x"]]},
        {"~names": [["x"]]},
        {"+names": "x"},
        {"@names": np.array([0], np.uint32), "#names": np.zeros(1)},
        {"+n": [1]},
        {"+new": [1]},
    ],
)
def test_changes_that_do_not_fit_are_refused_before_anything_is_touched(changes: Any) -> None:
    state = {"w": np.zeros((4, 2)), "names": ["a", "b"], "n": 1}
    with pytest.raises(StateError):
        patched(state, changes)
    with pytest.raises(StateError):
        fitting(shapes(state), changes)
