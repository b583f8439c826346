"""A local log whose topics are not what they were: their ids tell, and the records."""

from __future__ import annotations

import asyncio
import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from stream.broker.local.log import Log
from stream.config import ConfigError, Settings
from stream.worker.checks.renewal import Whence, renew
from stream.worker.checks.topics import verify
from stream.worker.engine import Engine
from tests.builders import a_click
from tests.topology.embedded import publication, running, settings_in, stored
from tests.waiting import eventually


async def clicked(engine: Engine, first: int, number: int) -> int:
    """Publish so many clicks of one customer; how many are known of then."""
    events = [a_click(n) for n in range(first, first + number)]
    await engine.publish([publication(event) for event in events])
    await engine.settle()
    return dict(engine.customers())["c1"].profile.views


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


async def forget(settings: Settings, kind: str = "clicks") -> None:
    """Delete a topic, as a shell does."""
    assert settings.embedded_log is not None
    topic = getattr(settings.topics, kind)
    await asyncio.to_thread(shutil.rmtree, settings.embedded_log / "topics" / topic)


async def unread(settings: Settings, first: int, number: int) -> None:
    """Put clicks into the log without a worker."""
    await asyncio.to_thread(verify, settings)
    assert settings.embedded_log is not None
    with Log(settings.embedded_log) as log:
        for n in range(first, first + number):
            _, key, value, _, time = publication(a_click(n))
            log.append(settings.topics.clicks, 0, [(key, value, time or 0, ())])


async def has_learned_all(engine: Engine) -> bool:
    """Whether the learner is at the end of its log, to which it adds a word of its own."""
    learned = engine.app.learning.progress.done
    return bool(learned == await engine.app.consumer.highwaters(*learned))


@pytest.mark.parametrize("again", [0, 5, 30])
@pytest.mark.parametrize(("whence", "counts"), [("start", True), ("end", False)])
async def test_a_topic_made_anew_is_refused_until_somebody_says_what_it_holds(
    settings: Settings, again: int, whence: Whence, counts: bool
) -> None:
    async with running(settings) as engine:
        assert await clicked(engine, 0, 20) == 20
    await forget(settings)
    await unread(settings, 1_000, again)
    with pytest.raises(ConfigError, match=r"topics renew shop\.clicks"):
        async with running(settings):
            pass
    assert len(await asyncio.to_thread(renew, settings, settings.topics.clicks, whence)) == 1
    async with running(settings) as engine:
        assert await clicked(engine, 2_000, 7) == 20 + again * counts + 7
        sources = [json.loads(offer.value or b"")["source"] for offer in stored(engine, "offers")]
        assert sources and all(source["offset"] < 100 for source in sources)
        await eventually("all that there is to learn", partial(has_learned_all, engine))
    async with running(settings) as engine:  # and it is known from now on
        assert engine.app.view.refused == 0
        assert await clicked(engine, 3_000, 1) == 20 + again * counts + 8
    assert await asyncio.to_thread(renew, settings, settings.topics.clicks, whence) == []


@pytest.mark.parametrize("more", [7, 90])
async def test_a_log_of_examples_made_anew_is_learned_from_its_start(
    settings: Settings, caplog: pytest.LogCaptureFixture, more: int
) -> None:
    async with running(settings, lockstep=True) as engine:
        await clicked(engine, 0, 60)
        learned = engine.app.view.world.models.learned_through
    await forget(settings, "examples")
    async with running(settings, lockstep=True) as engine:
        assert "it was made anew" in caplog.text
        assert engine.app.view.world.models.learned_through == learned > 0
        await clicked(engine, 60, more)
        assert engine.app.view.world.models.learned_through > learned
        assert engine.app.view.refused == 0
        done = engine.app.learning.progress.done
        assert done == await engine.app.consumer.highwaters(*done)


async def test_a_shorter_topic_cannot_hold_the_same_records(settings: Settings) -> None:
    async with running(settings) as engine:
        await clicked(engine, 0, 20)
    await forget(settings)
    await unread(settings, 0, 19)
    with pytest.raises(ConfigError, match=r"accounted for to offset 19.*ends before 19"):
        await asyncio.to_thread(renew, settings, settings.topics.clicks, "same")


async def test_a_faithful_copy_goes_on_as_what_it_was(settings: Settings) -> None:
    async with running(settings) as engine:
        await clicked(engine, 0, 20)
    await forget(settings)
    await unread(settings, 0, 23)
    await asyncio.to_thread(renew, settings, settings.topics.clicks, "same")
    async with running(settings) as engine:
        assert await clicked(engine, 2_000, 1) == 24


async def test_only_topics_of_events_are_renewed(settings: Settings) -> None:
    async with running(settings):
        pass
    with pytest.raises(ConfigError, match=r"topic catalog is none of events.*shop\.clicks"):
        await asyncio.to_thread(renew, settings, "catalog", "start")
