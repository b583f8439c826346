"""The learner: what is learned follows from the examples' order, however they come."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from stream.codec.examples import encode_examples, read_examples
from stream.codec.snapshots.snapshot import fingerprint
from stream.config import LearningSettings
from stream.decide.example import Example
from stream.learn.learner import Learner
from stream.models.base import names
from tests.examples import drawn
from tests.uncompiled import uncompiled

SMALL = LearningSettings(
    propensity_bits=10, items=48, sessions=32, baskets=64, neighbours=4, eager=200, thin=2
)
SEGMENTERS = pytest.mark.parametrize("segmenter", ["kmeans", "density"])


def prints(learner: Learner) -> dict[str, str]:
    return {kind: fingerprint(state) for kind, state in learner.states().items()}


def learned_in_parts(settings: LearningSettings, examples: Sequence[Example], seed: int) -> Learner:
    """By columns of a few examples or many, with a restart now and then."""
    rng, learner, at = random.Random(seed), Learner(settings, 7), 0
    while at < len(examples):
        size = rng.choice((1, 2, 9, 300))
        payloads = [encode_examples([example]) for example in examples[at : at + size]]
        learner.take(read_examples(payloads, learner.names))
        at += size
        if rng.random() < 0.1:
            states, through, learned = learner.states(), learner.through, learner.learned
            learner = Learner(settings, 7)
            learner.restore(states, through, learned)
    return learner


@SEGMENTERS
def test_how_examples_are_cut_into_lessons_changes_nothing(segmenter: Any, seed: int) -> None:
    settings = replace(SMALL, segmenter=segmenter)
    examples = list(islice(drawn(seed), 2_500))
    one_by_one = Learner(settings, 7)
    for at, example in enumerate(examples):
        assert one_by_one.learn("0/0", at, [example])
    in_parts = learned_in_parts(settings, examples, seed)
    apart = {"places": ""}  # which parts alone do not go on
    assert prints(one_by_one) | apart == prints(in_parts) | apart
    evicted = one_by_one.evicted()
    assert evicted == in_parts.evicted() and evicted["items"] and evicted["item_facts"]


def test_names_that_are_forgotten_change_nothing(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    examples = list(islice(drawn(seed), 1_500))
    expected = prints(learned_in_parts(SMALL, examples, seed))
    monkeypatch.setattr(names, "MOST", 20)
    assert prints(learned_in_parts(SMALL, examples, seed)) == expected


def fingerprint_of(seed: int) -> str:
    examples = list(islice(drawn(seed), 400))
    return " ".join(prints(learned_in_parts(SMALL, examples, seed)).values())


def test_uncompiled_it_learns_the_same_bytes(seed: int) -> None:
    program = f"from {__name__} import fingerprint_of; print(fingerprint_of({seed}))"
    assert uncompiled(program) == fingerprint_of(seed)
