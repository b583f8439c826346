from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from stream.codec.snapshots.models import Publisher
from stream.config import Secret, Settings
from stream.worker.engine import Engine
from stream.worker.learning.process import Here
from tests.builders import NOON, SECOND, a_click, a_purchase
from tests.topology.embedded import publication, running, settings_in, stored

KEY = "xyzzy-plugh-5521"


def signed_with(settings: Settings, key: str) -> Settings:
    return replace(settings, learning=replace(settings.learning, snapshot_key=Secret(key)))


async def shop(engine: Engine, chance: random.Random, first: int = 0) -> None:
    events = [
        (a_click if n % 4 else a_purchase)(
            n, f"c{chance.randrange(9)}", f"i{chance.randrange(9)}", time=NOON + n * SECOND
        )
        for n in range(first, first + 200)
    ]
    await engine.publish([publication(event) for event in events])
    await engine.settle()


async def forge(engine: Engine, key: bytes | None) -> None:
    """Publish the models again as if a thousand times as much had been learned."""
    training = engine.app.learning._training
    assert isinstance(training, Here)
    learner = training.trainer.learner
    more = 1_000 * learner.learned
    records = Publisher(key=key).publish(learner.states(), {"0/0": 10**6}, more)
    topic = engine.settings.topics.models
    await (await engine.app.send_batch(topic, 0, [(k, v, None, ()) for k, v in records]))


@pytest.mark.parametrize("forger", [None, b"another key"])
async def test_forged_models_are_refused_counted_and_the_last_good_ones_kept(
    tmp_path: Path, seed: int, forger: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(seed)
    async with running(signed_with(settings_in(tmp_path), KEY), lockstep=True) as engine:
        await shop(engine, chance)
        learned = engine.app.view.world.models.learned_through
        assert learned > 0 and engine.app.view.refused == 0
        await forge(engine, forger)
        await shop(engine, chance, 200)
        assert engine.app.view.refused == 1
        assert learned < engine.app.view.world.models.learned_through < 1_000 * learned
        assert "offerstream_models_refused_total 1.0" in engine.metrics.text().decode()
    assert "the last good ones stay in use" in caplog.text
    assert KEY not in caplog.text


async def test_models_signed_with_the_key_are_known_after_a_restart(
    tmp_path: Path, seed: int
) -> None:
    chance, settings = random.Random(seed), signed_with(settings_in(tmp_path), KEY)
    async with running(settings, lockstep=True) as engine:
        await shop(engine, chance)
        learned = engine.app.view.world.models.learned_through
        assert KEY.encode() not in b"".join(r.value or b"" for r in stored(engine, "models"))
    async with running(settings, lockstep=True) as engine:
        assert engine.app.view.world.models.learned_through == learned > 0
        assert engine.app.view.refused == 0


def test_the_key_is_never_shown() -> None:
    settings = signed_with(Settings(), "hunter2")
    assert settings.learning.key == b"hunter2" and Settings().learning.key is None
    assert "hunter2" not in repr(settings) and "hunter2" not in str(settings.learning)
