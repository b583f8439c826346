from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from stream.codec.examples import Lesson, Taught, encode_examples, encode_lesson
from stream.codec.models import SLOTS, Assembler, Published
from stream.codec.snapshot import fingerprint
from stream.config import LearningSettings, Secret
from stream.core.example import Basket, Example, Labelled, Portrait, Step
from stream.core.features import FEATURES, PORTRAIT, pack
from stream.runtime.learning.process import Apart, Here, TrainerEnded, Training
from stream.runtime.learning.trainer import Publication

SMALL = LearningSettings(propensity_bits=10, items=200, sessions=200, baskets=200, step=8)
KEY = "xyzzy-plugh-5521"


def examples(chance: random.Random, time: int) -> list[Example]:
    """One of each kind."""
    item, before, other = (f"i{chance.randrange(6)}" for _ in range(3))
    row = pack(tuple(chance.randrange(1 << 20) for _ in FEATURES))
    return [
        Step(time, chance.randrange(9), 0, item, (before,), "tea", None, 100),
        Labelled(time, chance.randrange(2), 0, row),
        Basket(time, 0, tuple({item, other})),
        Portrait(time, tuple(chance.random() for _ in PORTRAIT)),
    ]


def lessons(seed: int, count: int, first: int = 0) -> list[tuple[int, bytes | None]]:
    """Records of the log of examples, with a word of the learner's in between."""
    chance, found = random.Random(seed), list[tuple[int, bytes | None]]()
    for offset in range(first, first + count):
        taught = Taught(0, offset, encode_examples(examples(chance, offset)))
        settled = 4 * offset + 1 if offset % 7 == 6 else 0
        found.append((offset, encode_lesson(Lesson(0, (taught,), settled))))
    return found


@asynccontextmanager
async def apart(
    settings: LearningSettings = SMALL, published: Published | None = None
) -> AsyncIterator[Apart]:
    """A trainer in a process of its own, for as long as the block lasts."""
    training = await Apart.started()
    try:
        await training.begin(settings, 7, SLOTS[-1], published)
        yield training
    finally:
        await training.end()


async def here(published: Published | None = None) -> Here:
    """A trainer in this process."""
    training = Here()
    await training.begin(SMALL, 7, SLOTS[-1], published)
    return training


async def taught(training: Training, log: Sequence[tuple[int, bytes | None]]) -> list[Publication]:
    """Have a log learned in three pieces, with a publication after each."""
    found, third = list[Publication](), len(log) // 3
    for at in range(0, len(log), third):
        await training.learn(log[at : at + third])
        found.append(await training.publish())
    return found


def states(publications: Sequence[Publication]) -> Published:
    """What readers make of publications."""
    assembler = Assembler()
    for publication in publications:
        for key, value in publication.records:
            assembler.take(key, value)
    assert assembler.current is not None and assembler.refused == 0
    return assembler.current


async def test_a_process_learns_what_a_trainer_here_does_to_the_byte(seed: int) -> None:
    log, near = lessons(seed, 90), await here()
    expected = await taught(near, log)
    async with apart() as far:
        assert await taught(far, log) == expected
        assert await far.place() == await near.place()
        rules = await far.rules()
        assert rules == await near.rules() and rules.stand
        assert (await near.place()).learned == 360
        assert sum(each.new for each in expected) == 360
        assert expected[-1].evicted.keys() >= {"items", "orders"}


async def test_a_process_goes_on_from_what_was_published(seed: int) -> None:
    log = lessons(seed, 60)
    published = states(await taught(await here(), log[:30]))
    near = await here(published)
    expected = states(await taught(near, log[30:]))
    async with apart(published=published) as far:
        assert (await far.place()).position == 30
        found = states(await taught(far, log[30:]))
    assert found.learned == expected.learned == 240
    for kind, state in expected.states.items():
        assert fingerprint(found.states[kind]) == fingerprint(state), kind


async def test_the_full_snapshot_is_written_beside_what_follows(seed: int) -> None:
    async with apart() as far:
        await far.publish()
        for n in range(1_000):  # one is due after 240 changes
            await far.learn(lessons(seed, 1, n))
            publication = await far.publish()
            await far.write_full()
            if any(b"/full/" in key for key, _ in publication.records):
                break
        assert 239 < n < 999


async def test_an_answer_that_nobody_waits_for_any_more_is_not_the_next_ones(seed: int) -> None:
    async with apart() as far:
        await far.learn(lessons(seed, 30))
        asking = asyncio.create_task(far.publish())
        await asyncio.sleep(0)
        asking.cancel()
        assert await far.place() == (30, 120, True)


async def test_a_process_ends_with_the_input_of_its_worker() -> None:
    async with apart() as far:
        assert (await far.place()).position == 0
        far._requests.close()
        assert await asyncio.wait_for(far._process.wait(), 30) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_asks_the_worker_to_end_does_not_end_its_trainer(number: int) -> None:
    async with apart() as far:
        await far.place()
        far._process.send_signal(number)
        assert (await far.place()).position == 0


async def test_who_asks_a_process_that_was_killed_is_told(seed: int) -> None:
    async with apart() as far:
        await far.place()
        far._process.kill()
        with pytest.raises(TrainerEnded, match="-9"):
            await far.publish()
        with pytest.raises(TrainerEnded, match="-9"):
            for _ in range(100):
                await far.learn(lessons(seed, 30))


async def test_a_bug_in_a_process_ends_it_with_its_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with apart() as far:
        await far.learn([(0, b"no lesson")])
        with pytest.raises(TrainerEnded, match="with 1"):
            await far.publish()
    assert "ValidationError" in capfd.readouterr().err


async def test_the_key_that_signs_models_is_seen_by_nobody_else(seed: int) -> None:
    signed = replace(SMALL, snapshot_key=Secret(KEY))
    async with apart(signed) as far:
        publications = await taught(far, lessons(seed, 9))
        about = Path(f"/proc/{far._process.pid}")
        for page in ("cmdline", "environ"):
            with suppress(FileNotFoundError):  # not on every system
                assert KEY.encode() not in (about / page).read_bytes()
    assembler = Assembler(KEY.encode())
    assert any(assembler.take(k, v) for p in publications for k, v in p.records)
    assert assembler.refused == 0 and os.environ.get("OFFERSTREAM_LEARNING_SNAPSHOT_KEY") is None
