"""A local log that was damaged: told in a line with the way out, or mended, and never silent."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stream.broker.local.log import CorruptLogError, Log
from stream.config import ConfigError, Settings
from tests import waiting
from tests.topology.embedded import look, publication, running, settings_in
from tests.topology.test_damaged_store import events, known, run, run_on

ROOT = Path(__file__).resolve().parents[2]


def segments(settings: Settings, topic: str) -> list[Path]:
    """The files of a topic's first partition."""
    assert settings.embedded_log is not None
    return sorted((settings.embedded_log / "topics" / topic / "0").glob("*.log"))


def cut(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(20, len(content))])


def flip_last_frame(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[-chance.randrange(1, 200)] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def remove(path: Path, chance: random.Random) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [cut, flip_last_frame, remove])
async def test_an_event_topic_that_lost_its_end_swallows_nothing_that_comes_after(
    damage: Callable[[Path, random.Random], None],
    tmp_path: Path,
    seed: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = events(random.Random(seed), 0, 600)
    sound, settings = (settings_in(tmp_path / name, partitions=1) for name in ("sound", "cut"))
    await run(sound, made)
    async with running(sound) as engine:
        expected = known(await look(engine))
    await run(settings, made[:300])
    for topic in (settings.topics.clicks, settings.topics.purchases):
        damage(segments(settings, topic)[-1], random.Random(seed))
    with caplog.at_level(logging.ERROR):
        seen = await run_on(settings, made[300:])
    assert (seen.counts["applied"], seen.letters) == (600, [])
    assert known(seen) == expected
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split("-0 lost its records")[0] for line in lines] == [
        settings.topics.clicks,
        settings.topics.purchases,
    ]
    seen = await run_on(settings, [])
    assert seen.counts["applied"] == 600


@pytest.mark.parametrize("of", ["clicks", "catalog", "customers-changelog"])
async def test_what_a_topic_is_has_a_checksum(of: str, tmp_path: Path, seed: int) -> None:
    settings = settings_in(tmp_path, partitions=1)
    await run(settings, [])
    (path,) = (tmp_path / "log" / "topics").glob(f"*{of}/topic.json")
    sound = path.read_bytes()
    for at in range(len(sound)):
        damaged = bytearray(sound)
        damaged[at] ^= 1 << random.Random(seed + at).randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match=r"topic\.json is corrupt .* backup") as told:
            async with running(settings):
                pass
        assert "\n" not in str(told.value)


async def test_a_closed_file_that_is_damaged_is_told_when_it_is_read(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_in(tmp_path, partitions=1)
    settings = replace(settings, embedded=replace(settings.embedded, segment_bytes=2_000))
    async with running(settings) as engine:
        for event in events(random.Random(seed), 0, 30):
            await engine.publish([publication(event)])
            await engine.settle()
    path = segments(settings, settings.customers_changelog)[1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1 << random.Random(seed).randrange(8)
    path.write_bytes(content)
    with caplog.at_level(logging.ERROR), pytest.raises(CorruptLogError, match="backup") as told:
        async with running(settings):
            pass
    assert str(path) in str(told.value)
    assert not any(record.exc_info for record in caplog.records)


async def test_a_full_disk_ends_a_worker_with_a_line_and_no_event_pays_for_it(
    tmp_path: Path, seed: int
) -> None:
    settings = settings_in(tmp_path, partitions=1)
    await run(settings, [])
    with Log(settings.embedded_log or "") as log:
        for event in events(random.Random(seed), 0, 300):
            kind, key, value, _, time = publication(event)
            log.append(getattr(settings.topics, kind), 0, [(key, value, time or 0, ())])
    variables = {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",  # or it would leave half of what it compiles
        "PATH": os.environ["PATH"],
        "OFFERSTREAM_BROKER": settings.broker,
        "OFFERSTREAM_DATA_DIR": str(settings.data_dir),
        "OFFERSTREAM_PARTITIONS": "1",
        "OFFERSTREAM_TOPICS__PREFIX": settings.topics.prefix,
        "OFFERSTREAM_METRICS__PORT": "0",
    }
    command = ("bash", "-c", f"ulimit -f 4; exec {sys.executable} -m stream worker")
    worker = await asyncio.to_thread(waiting.run, command, env=variables)
    told = [line for line in worker.stderr.splitlines() if " ERROR " in line]
    assert worker.returncode == 1, worker.stderr
    assert "Traceback" not in worker.stderr
    assert len(told) == 1
    assert "File too large; nothing of the batch was kept" in told[0]
    seen = await run_on(settings, [])
    assert (seen.counts["applied"], seen.letters) == (300, [])
