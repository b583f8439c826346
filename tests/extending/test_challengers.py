"""A challenger of the shop's own: it is compared, decides nothing, and is set aside if it fails."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stream.codec.snapshots.models import SLOTS
from stream.config import ExtensionSettings
from stream.domain.event import Event
from stream.host.extensions import challengers_in_force
from stream.models.propensity.shadow import Shadow
from stream.worker.learning.process import Apart, TrainerEnded
from stream.worker.learning.verification import verify_models
from tests.builders import DAY, SECOND, a_click, a_purchase
from tests.extending.installing import Site
from tests.extending.test_loading import asked
from tests.topology.embedded import publication, running, settings_in, stored
from tests.waiting import within


def examples(seed: int, count: int) -> list[tuple[dict[str, str], int]]:
    """What is bought depends on the brand alone."""
    numbers = [(seed + n * 7919) % 10 for n in range(count)]
    return [({"brand": f"b{n}", "noise": str(at % 3)}, int(n < 3)) for at, n in enumerate(numbers)]


def test_the_one_of_the_page_learns_beside_the_champion(shop: Site, seed: int) -> None:
    shadow = Shadow(1.0, window=256, own=challengers_in_force(["ftrl"], 7))
    for number, (x, label) in enumerate(examples(seed % 1_000, 600)):
        shadow.learn(number, x, label, 0.3)
    told = {standing.name: standing.quality for standing in shadow.standings()}
    auc = told["challenger:ftrl"].auc
    assert auc is not None and auc > 0.95
    assert {"champion", "logistic"} < told.keys() and not shadow.set_aside


MODELS = """
class Model:
    def __init__(self, seed): self.seed, self.learned = seed, 0
    def predict_proba_one(self, x):
        x.clear()
        return {True: 0.25}
    def learn_one(self, x, y):
        assert x and type(y) is bool
        self.learned += 1

class Panic(BaseException): ...

class Late(Model):
    def learn_one(self, x, y):
        super().learn_one(x, y)
        if self.learned == 3:
            raise Panic("".join(["se", "cret"]))

class Nan(Model):
    def predict_proba_one(self, x): return {True: float("nan")}

class Above(Model):
    def predict_proba_one(self, x): return {True: 1.5}

class Text(Model):
    def predict_proba_one(self, x): return "0.5"

class Half:
    def __init__(self, seed): ...
    def learn_one(self, x, y): ...

def raises(seed): raise OSError("no such\\n table")
def without(): return Model(1)
"""
NAMES = "Model", "Late", "Nan", "Above", "Text", "Half", "raises", "without"


@pytest.fixture
def models(site: Site) -> Site:
    entries = {name: f"some_models:{name}" for name in NAMES}
    site.install({"some_models.py": MODELS}, {"offerstream.challengers": entries})
    return site


def test_one_that_fails_is_set_aside_and_the_others_go_on(
    models: Site, caplog: pytest.LogCaptureFixture
) -> None:
    bad = ["Late", "Nan", "Above", "Text"]
    shadow = Shadow(1.0, own=challengers_in_force([*bad, "Model"], 7))
    alone = Shadow(1.0)
    for number, (x, label) in enumerate(examples(1, 100)):
        shadow.learn(number, x, label, 0.3)
        alone.learn(number, x, label, 0.3)
    assert sorted(shadow.set_aside) == sorted(f"challenger:{name}" for name in bad)
    told = shadow.standings()
    assert [one for one in told if one.name != "challenger:Model"] == [*alone.standings()]
    assert told[-1].name == "challenger:Model" and told[-1].quality.events == 100
    for name in bad:
        assert sum(f"challengers: {name} raised" in r.getMessage() for r in caplog.records) == 1
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Half", "makes a Half without predict_proba_one"),
        ("raises", "makes no model: OSError: no such table"),
        ("without", "(some_models:without) must be a function of seed, and takes ()"),
        ("Model", ""),
    ],
)
def test_one_that_makes_no_model_is_named(models: Site, name: str, says: str) -> None:
    told = asked("--set", f"extensions.challengers={name}")
    assert told.exit_code == (2 if says else 0), told.output
    assert says in told.output.splitlines()[-1]


def bought_and_not() -> list[Event]:
    """Looks of ten customers, half of whom buy; two days on, all of it is known."""
    events: list[Event] = []
    for n in range(10):
        events.append(a_click(n, f"c{n}", item_id=f"i{n % 3}"))
        if n % 2:
            events.append(a_purchase(20 + n, f"c{n}", f"i{n % 3}"))
    day = 2 * DAY // SECOND
    events += [a_click(day + n, f"c{n}", item_id=f"i{n % 3}") for n in range(10)]
    return events


async def learned(directory: Path, names: Sequence[str]) -> tuple[list[bytes | None], ...]:
    settings = settings_in(directory)
    settings = replace(settings, extensions=ExtensionSettings(challengers=tuple(names)))
    async with running(settings, lockstep=True) as engine:
        for event in bought_and_not():
            await engine.publish([publication(event)])
        await engine.settle()
        quality, text = engine.status().quality, engine.metrics.text().decode()
        kept = [[r.value for r in stored(engine, kind)] for kind in ("offers", "models")]
    assert quality is not None
    standing = {one.name for one in quality.standings}
    assert standing.isdisjoint({"challenger:Late"})
    assert ("challenger:Model" in standing) == ("Model" in names)
    assert ('model="challenger:Model"' in text) == ("Model" in names)
    assert 'model="challenger:Late"' not in text
    failures = 'offerstream_extension_failures_total{name="Late",point="challengers"} 1.0'
    assert (failures in text) == ("Late" in names)
    return tuple(kept)


async def test_challengers_are_compared_and_change_nothing_that_is_published(
    models: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.learn.learner.SHADOW_SHARE", 1.0)
    own = await learned(tmp_path / "own", ["Late", "Model"])
    assert own == await learned(tmp_path / "none", [])
    models.uninstall()
    verdict = await asyncio.to_thread(verify_models, settings_in(tmp_path / "own"))
    assert verdict.holds and verdict.learned


MADE = """
import os
from pathlib import Path

def made(seed):
    Path(os.environ["MADE"]).write_text(f"{os.getpid()} {seed}")
    from river import linear_model
    return linear_model.LogisticRegression()
"""


async def test_the_learners_process_makes_its_own(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.install({"some_made.py": MADE}, {"offerstream.challengers": {"made": "some_made:made"}})
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site.path), str(Path.cwd())]))
    monkeypatch.setenv("MADE", str(tmp_path / "made"))
    settings = settings_in(tmp_path).learning
    training = await Apart.started()
    try:
        await training.begin(settings, 7, SLOTS[-1], None, 4, ["made"])
        await within("the trainer's place", training.place())
        assert (tmp_path / "made").read_text() == f"{training.pid} 7"
    finally:
        await training.end()
    training = await Apart.started()
    try:
        await training.begin(settings, 7, SLOTS[-1], None, 4, ["gone"])
        with pytest.raises(TrainerEnded):
            await within("the end of the process", training.place())
    finally:
        await training.end()
