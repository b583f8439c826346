from __future__ import annotations

import random
from typing import Any

import pytest

from stream.codec.snapshots.snapshot import fingerprint
from stream.config import LearningSettings
from stream.decide.example import Example, Labelled
from stream.decide.rows.features import FEATURES, pack
from stream.learn import learner as module
from stream.learn.learner import Learner
from stream.models.base.hashing import feature_hash

SMALL = LearningSettings(propensity_bits=12, items=64, sessions=64, baskets=64)


def labels(seed: int, count: int) -> list[Example]:
    """Exposures that become orders by brand, one in three on the whole."""
    rng, examples = random.Random(seed), []
    for n in range(count):
        told = {name: rng.randrange(4) for name in FEATURES}
        row = tuple(feature_hash(name, value) for name, value in told.items())
        label = int(rng.random() < 0.05 + 0.2 * told["brand"])
        examples.append(Labelled(n, label, told["segment"], pack(row)))
    return examples


def learned(examples: list[Example], batch: int = 50) -> Learner:
    learner = Learner(SMALL, seed=7)
    for at in range(0, len(examples), batch):
        learner.learn("clicks/0", at, examples[at : at + batch])
    return learner


def test_challengers_stand_beside_the_champion(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(module, "SHADOW_SHARE", 0.3)
    quality = learned(labels(seed, 3_000)).quality()
    told = {standing.name: standing.quality for standing in quality.standings}
    assert next(iter(told)) == "champion" and len(told) == 6
    assert len({each.events for each in told.values()}) == 1
    assert 700 < told["champion"].events < 1_100
    for name in ("champion", "logistic"):  # trees need more examples for a first split
        assert (told[name].auc or 0.0) > 0.6, name
    assert all(each.auc and each.log_loss and each.accuracy for each in told.values())


def test_nothing_that_is_published_depends_on_them(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    examples, prints = labels(seed, 600), []
    for share in (0.0, 0.5):
        monkeypatch.setattr(module, "SHADOW_SHARE", share)
        states: Any = learned(examples).states()
        prints.append({kind: fingerprint(state) for kind, state in states.items()})
    assert prints[0] == prints[1]


def test_after_a_restart_they_begin_anew_and_the_champion_goes_on(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(module, "SHADOW_SHARE", 0.5)
    before = learned(labels(seed, 640))
    after = Learner(SMALL, seed=7)
    after.restore(before.states(), before.through, before.learned)
    assert after.quality().standings == ()
    more = labels(seed + 1, 640)
    for learner in (before, after):
        learner.learn("clicks/0", 10_000, more)
    assert fingerprint(before.propensity.state()) == fingerprint(after.propensity.state())
    assert 0 < after.quality().standings[0].quality.events < 640
