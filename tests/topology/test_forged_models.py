"""Models that nobody can have learned are refused, with a key or without one."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from stream.codec.snapshots.models import Publisher
from stream.learn.learner import LOG
from stream.worker.engine import Engine
from stream.worker.learning.process import Here
from tests.builders import NOON, SECOND, a_click, a_purchase
from tests.topology.embedded import publication, running, settings_in


async def shop(engine: Engine, chance: random.Random, first: int = 0) -> None:
    events = [
        (a_click if n % 4 else a_purchase)(
            n, f"c{chance.randrange(9)}", f"i{chance.randrange(9)}", time=NOON + n * SECOND
        )
        for n in range(first, first + 200)
    ]
    await engine.publish([publication(event) for event in events])
    await engine.settle()


def learned(engine: Engine) -> int:
    return engine.app.view.world.models.learned_through


async def forge(engine: Engine, through: Mapping[str, int], damaged: bool = False) -> None:
    """Publish the models again as if they had learned through this."""
    training = engine.app.learning._training
    assert isinstance(training, Here)
    learner = training.trainer.learner
    now = learner.through | through
    records = Publisher().publish(learner.states(), now, learner.learned)
    if damaged:
        records = [(key, value[:-9] + bytes(9)) for key, value in records]
    topic = engine.settings.topics.models
    await (await engine.app.send_batch(topic, 0, [(k, v, None, ()) for k, v in records]))


@pytest.mark.parametrize(
    ("through", "damaged"),
    [
        ({"0/0": 10**12}, False),
        ({"0/0": 10**12, "1/0": 10**12, LOG: 10**12}, False),
        ({"0/7": 5}, False),
        ({"9/0": 5}, False),
        ({"nonsense": 5}, False),
        ({"0/0": -5}, False),
        ({}, True),
    ],
)
async def test_what_cannot_have_been_learned_is_refused_and_learning_goes_on(
    tmp_path: Path, seed: int, through: Mapping[str, int], damaged: bool
) -> None:
    chance, settings = random.Random(seed), settings_in(tmp_path)
    async with running(settings, lockstep=True) as engine:
        await shop(engine, chance)
        await forge(engine, through, damaged)
        before = learned(engine)
    async with running(settings, lockstep=True) as engine:
        assert engine.app.view.refused == 1
        assert "offerstream_models_refused_total 1.0" in engine.metrics.text().decode()
        await shop(engine, chance, 200)
        assert learned(engine) > before > 0
        assert engine.status().counts["applied"] == 400
        examples = engine.app.learning.progress.done
        assert examples == await engine.app.consumer.highwaters(*examples)


async def test_a_place_beyond_the_end_of_the_examples_is_set_to_the_end(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    chance, settings = random.Random(seed), settings_in(tmp_path)
    async with running(settings, lockstep=True) as engine:
        await shop(engine, chance)
        await forge(engine, {LOG: 10**12})
        before = learned(engine)
    async with running(settings, lockstep=True) as engine:
        assert "it was made anew, or they are forged" in caplog.text
        assert engine.app.view.refused == 0
        await shop(engine, chance, 200)
        assert learned(engine) > before > 0
        training = engine.app.learning._training
        assert isinstance(training, Here)
        (end,) = (await engine.app.consumer.highwaters(*engine.app.learning.progress.done)).values()
        assert training.trainer.learner.position == end


async def test_what_was_forged_while_a_worker_runs_is_refused_and_deltas_go_on(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    async with running(settings_in(tmp_path), lockstep=True) as engine:
        await shop(engine, chance)
        before = learned(engine)
        await forge(engine, {"0/0": 10**12})
        await shop(engine, chance, 200)
        assert engine.app.view.refused == 1
        assert learned(engine) > before
