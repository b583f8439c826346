"""Whoever holds models sees them as they were handed out, whatever is published meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from stream.codec.snapshots.delta import delta
from stream.codec.snapshots.snapshot import fingerprint
from stream.config import LearningSettings
from stream.decide.example import Basket, Example, Labelled, Portrait, SessionStep
from stream.decide.rows.features import FEATURES, PORTRAIT, pack
from stream.decide.world import Models
from stream.learn.editions import Editions
from stream.learn.estimators import Estimators, States
from stream.learn.learner import Learner
from stream.models.base.changes import Changes
from stream.models.base.state import StateError

SMALL = LearningSettings(
    propensity_bits=10, items=48, neighbours=4, sessions=32, baskets=32, step=4
)
Told = tuple[object, ...]


def lessons(draw: random.Random, time: int) -> list[Example]:
    """Some examples of every kind, on items that come and go."""

    def item() -> str:
        return f"i{time // 20_000 + draw.randrange(40)}"

    features = pack([draw.randrange(2**32) for _ in FEATURES])
    return [
        Labelled(time, draw.randrange(2), draw.randrange(4), features),
        SessionStep(
            time, time // 3_000, 1, item(), (item(), item()), "tea", draw.choice("ab"), 999
        ),
        SessionStep(time, time // 3_000, 1, item(), (item(),), None, None, None),
        Basket(time, 2, tuple(dict.fromkeys((item(), item(), item())))),
        Portrait(time, tuple(draw.random() for _ in PORTRAIT)),
    ]


def publications(draw: random.Random, count: int) -> Iterator[States]:
    """What a learner's estimators are, again and again."""
    learner, offset = Learner(SMALL, seed=1), 0
    for _ in range(count):
        for _ in range(draw.randrange(1, 12)):
            learner.learn("clicks/0", offset, lessons(draw, offset * 1_000))
            offset += 1
        yield learner.states()


def changed(old: States, new: States) -> dict[str, Changes]:
    return {kind: Changes(delta(old[kind], new[kind])) for kind in Estimators.KINDS}


def told(models: Models) -> Told:
    """What models say, to the bit, to some questions."""
    items = [f"i{n}" for n in range(0, 90, 3)]
    rows = [tuple(range(n, n + len(FEATURES))) for n in range(9)]
    return (
        [models.recommender.recommend([item], 8, (), 10**9, 1, ()) for item in items],
        [list(models.baskets.neighbours(item, 5)) for item in items],
        [models.items.get(item) for item in items],
        list(models.propensity.predict(rows)),
        models.segments.assign([0.5] * len(PORTRAIT)),
        models.versions,
    )


def states_of(editions: Editions) -> States:
    assert editions.current is not None
    return editions.current.states()


def same(a: States, b: States) -> bool:
    return all(fingerprint(a[kind]) == fingerprint(b[kind]) for kind in Estimators.KINDS)


def test_models_that_are_held_say_the_same_for_as_long_as_they_are(seed: int) -> None:
    draw, editions = random.Random(seed), Editions()
    held: list[tuple[Models, Told]] = []
    states: States = {}
    for n, new in enumerate(publications(draw, 60)):
        models = editions.advance(changed(states, new), {}, n) if n else editions.begin(new, {}, n)
        states = new
        assert same(states_of(editions), states)
        if draw.random() < 0.3:
            held.append((models, told(models)))
        del models
        if draw.random() < 0.3 and held:
            held.pop(draw.randrange(len(held)))
        assert all(told(models) == before for models, before in held)


def test_two_copies_take_turns_while_nobody_holds_the_one_before(seed: int) -> None:
    draw, editions = random.Random(seed), Editions()
    used = list[int]()
    first, *others = publications(draw, 12)
    models, states = editions.begin(first, {}, 0), first
    for n, new in enumerate(others):
        models = editions.advance(changed(states, new), {}, n)
        states = new
        used.append(id(editions.current))
    assert models.learned_through == len(others) - 1
    assert len(set(used)) == 2
    assert used[0::2] == used[:1] * len(used[0::2])


def test_an_edition_that_cannot_be_made_harms_none(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, editions = random.Random(seed), Editions()
    first, *others = publications(draw, 12)
    models, states = editions.begin(first, {}, 0), first
    for n, new in enumerate(others):
        said = told(models)
        with monkeypatch.context() as broken:
            broken.setattr("stream.models.association.AssociationRules.patch", failing)
            with pytest.raises(StateError):
                editions.advance(changed(states, new), {}, n)
        assert same(states_of(editions), states)
        assert told(models) == said
        models, states = editions.advance(changed(states, new), {}, n), new
        assert same(states_of(editions), states)


def failing(rules: object, changes: Changes) -> None:
    """Fail when other estimators are patched already."""
    raise StateError("it does not fit")
