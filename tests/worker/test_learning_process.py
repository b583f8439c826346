from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stream.codec.examples import EncodedLessons, Lesson, encode_examples, encode_lesson
from stream.codec.snapshots.models import SLOTS, Assembler, Published
from stream.codec.snapshots.snapshot import fingerprint
from stream.config import LearningSettings, Secret
from stream.decide.example import Basket, Example, Labelled, Portrait, SessionStep
from stream.decide.rows.features import FEATURES, PORTRAIT, pack
from stream.worker.learning.process import PIECE, Apart, Begin, Here, TrainerEnded, Training
from stream.worker.learning.trainer import Publication
from tests.waiting import within

SMALL = LearningSettings(propensity_bits=10, items=200, sessions=200, baskets=200, step=8)
KEY = "xyzzy-plugh-5521"


def examples(chance: random.Random, time: int) -> list[Example]:
    """One of each kind."""
    item, before, other = (f"i{chance.randrange(6)}" for _ in range(3))
    row = pack(tuple(chance.randrange(1 << 20) for _ in FEATURES))
    return [
        SessionStep(time, chance.randrange(9), 0, item, (before,), "tea", None, 100),
        Labelled(time, chance.randrange(2), 0, row),
        Basket(time, 0, tuple({item, other})),
        Portrait(time, tuple(chance.random() for _ in PORTRAIT)),
    ]


def lessons(seed: int, count: int, first: int = 0) -> list[tuple[int, bytes | None]]:
    """Records of the log of examples, with a word of the learner's in between."""
    chance, found = random.Random(seed), list[tuple[int, bytes | None]]()
    for offset in range(first, first + count):
        taught = EncodedLessons(0, offset, encode_examples(examples(chance, offset)))
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


def told(publications: Sequence[Publication]) -> list[str]:
    """All that is in them, in a form in which NaN is equal to NaN."""
    return [repr(publication) for publication in publications]


async def test_a_process_learns_what_a_trainer_here_does_to_the_byte(seed: int) -> None:
    log, near = lessons(seed, 90), await here()
    expected = await taught(near, log)
    async with apart() as far:
        assert told(await taught(far, log)) == told(expected)
        assert await far.place() == await near.place()
        rules = await far.rules()
        assert rules == await near.rules() and rules.stand
        assert (await near.place()).learned == 360
        assert sum(each.new for each in expected) == 360
        assert expected[-1].evicted.keys() >= {"items", "orders"}


async def test_what_is_no_lesson_ends_no_process_and_is_counted_by_both_alike(seed: int) -> None:
    log = [(2 * offset, value) for offset, value in lessons(seed, 60)]
    garbage: list[bytes | None] = [b"", b"no lesson", None, bytes(50), b"\x93\x00\x90\xff"]
    log += [(2 * n + 1, garbage[n % 5]) for n in range(30)]
    log.sort(key=lambda record: record[0])
    expected = await taught(await here(), log)
    assert sum(each.refused for each in expected) == 30
    assert sum(each.new for each in expected) == 240
    async with apart() as far:
        assert told(await taught(far, log)) == told(expected)
    clean = await taught(await here(), lessons(seed, 60))
    assert states(expected).states.keys() == states(clean).states.keys()


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
        assert await within("the trainer's end", far._process.wait()) == 0


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
        await far._send(Begin(SMALL, 7, "a", None))  # which it is told once
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


async def test_a_trainer_that_falls_silent_is_noticed_and_killed() -> None:
    async with apart() as training:
        await training.place()
        training._patience = 1.5
        assert training.waited == 0.0
        os.kill(training.pid, signal.SIGSTOP)
        asked = asyncio.create_task(training.place())
        for _ in range(3):
            await asyncio.sleep(0)
        assert training.waited > 0.0
        with pytest.raises(TrainerEnded, match=r"has not answered for 1\.5 s, and is killed"):
            await asked
        assert training.waited == 0.0
        with pytest.raises(TrainerEnded, match="ended with -9"):
            await training.place()


async def test_a_trainer_that_takes_nothing_more_is_noticed_and_killed() -> None:
    async with apart() as training:
        await training.place()
        training._patience = 1.5
        os.kill(training.pid, signal.SIGSTOP)
        with pytest.raises(TrainerEnded, match="has not answered"):
            while True:  # until the pipe is full
                await training.learn([(0, bytes(100_000))])


async def test_ctrl_c_in_its_workers_terminal_is_not_for_it() -> None:
    async with apart() as training:
        assert os.getsid(training.pid) != os.getsid(0)


async def test_large_models_are_handed_over_in_pieces_and_whole_though_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = "import sys; [sys.stdin.buffer.read(1 << 16) for _ in range(1 << 20)]"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", reader), stdin=PIPE, stdout=PIPE
    )
    training, sizes, begun = Apart(process), list[int](), asyncio.Event()
    assert process.stdin is not None
    write = process.stdin.write

    def writing(data: bytes) -> None:
        sizes.append(len(data))
        begun.set()
        write(data)

    monkeypatch.setattr(process.stdin, "write", writing)
    models = Published({"model": {"w": np.zeros(1 << 21)}}, {}, 0)
    beginning = asyncio.create_task(training.begin(SMALL, 7, SLOTS[-1], models))
    await within("the first piece", begun.wait())
    beginning.cancel()
    await training._write(b"what is written next")
    assert max(sizes) == PIECE
    assert sum(sizes) > 8 << 21
    await training.end()
