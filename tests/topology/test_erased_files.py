"""Erasure, as the files' bytes show it: what is erased leaves every one of them."""

from __future__ import annotations

import asyncio
import operator
import random
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from stream.config import Settings
from stream.domain.event import Event
from stream.worker.engine import Engine
from tests.builders import NOON, SECOND, a_click, a_purchase, an_update
from tests.topology.embedded import publication, running, settings_in
from tests.waiting import eventually

CUSTOMERS = [f"someone-{n:04}" for n in range(400)]
#: The first and the last key of each partition stand in RocksDB's lists of files, in clear.
ERASED = sorted({*CUSTOMERS[:20], *CUSTOMERS[-20:], *CUSTOMERS[200:220]})


def settings_for(directory: Path, store: Literal["memory", "rocksdb"]) -> Settings:
    """Small stores, so that there are files, lists of files, and compactions."""
    return replace(settings_in(directory, partitions=2, decisions_share=1.0), store=store)


def history(chance: random.Random, first: int, names: Iterable[str]) -> list[Event]:
    """A few events of each customer."""
    made: list[Event] = []
    for name in names:
        for _ in range(3):
            n = first + len(made)
            time, item = NOON + n * 5 * SECOND, f"i{chance.randrange(30)}"
            bought = chance.random() < 0.2
            made.append((a_purchase if bought else a_click)(n, name, item, time=time))
    return made


async def decide(engine: Engine, events: Iterable[Event]) -> None:
    """Let the engine decide events."""
    await engine.publish([publication(event) for event in events])
    await engine.settle()


def holding(directory: Path, *parts: str) -> dict[str, list[str]]:
    """The files below a directory that hold an erased customer's id, plain or as hex; all read."""
    found: dict[str, list[str]] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and (not parts or any(part in str(path) for part in parts)):
            content = path.read_bytes()
            names = [
                name
                for name in ERASED
                if name.encode() in content
                or name.encode().hex().encode() in content
                or name.encode().hex().upper().encode() in content
            ]
            if names:
                found[path.name] = names
    return found


async def gone_from(directory: Path) -> None:
    """Wait until no file holds an erased id: RocksDB removes files in a thread of its own."""
    await eventually("files without erased ids", partial(seen_in, directory), operator.not_)


async def seen_in(directory: Path) -> str:
    """What files of a directory hold of erased ids."""
    found = holding(directory)
    return str(found) if found else ""


async def compacted(engine: Engine) -> None:
    """Compact the changelog's partitions."""
    log, topic = engine.app.open_log(), engine.settings.customers_changelog
    for number in range(engine.settings.partitions):
        await asyncio.to_thread(lambda n=number: list(log.compact(topic, n)))


async def test_the_erased_leave_every_file_of_the_store_while_others_come_and_go(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    settings = settings_for(tmp_path, "rocksdb")
    settings = replace(settings, worker=replace(settings.worker, store_buffers=1 << 18))
    for round_ in range(3):
        async with running(settings) as engine:
            await decide(engine, history(chance, round_ * 2_000, CUSTOMERS))
    before = holding(settings.data_dir)
    assert any("MANIFEST" in name for name in before), before
    assert any(name.endswith(".sst") for name in before), before

    time = NOON + 40_000 * SECOND
    erasures = [an_update(9_000 + n, name, erase=True, time=time) for n, name in enumerate(ERASED)]
    others = [name for name in CUSTOMERS if name not in ERASED]
    async with running(settings) as engine:
        await decide(engine, erasures)
        load = asyncio.create_task(decide(engine, history(chance, 12_000, others)))
        await engine.app.table.purge()
        await load
        assert not {name for name, _ in engine.customers()} & set(ERASED)
        await gone_from(settings.data_dir)
        written = settings.data_dir / "v1" / "tables" / "customers-0.db"
        assert any(path.suffix == ".sst" for path in written.iterdir())
    assert holding(settings.data_dir) == {}


async def test_a_purge_that_a_restart_cut_off_is_made_up_for(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    settings = settings_for(tmp_path, "rocksdb")
    async with running(settings) as engine:
        await decide(engine, history(chance, 0, CUSTOMERS))
    async with running(settings) as engine:
        await decide(engine, [an_update(9_000, ERASED[0], erase=True, time=NOON + 40_000 * SECOND)])
    assert ERASED[0] in str(holding(settings.data_dir))
    async with running(settings) as engine:
        look = partial(seen_in, settings.data_dir)
        await eventually("files without the id", look, lambda seen: ERASED[0] not in seen)
        assert ERASED[0] not in dict(engine.customers())


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
async def test_the_erased_leave_the_changelogs_files_with_two_compactions(
    store: Literal["memory", "rocksdb"],
    tmp_path: Path,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream.worker.checks.topics.DAY", 0)  # deletions may go at once
    chance = random.Random(seed)
    settings = settings_for(tmp_path, store)
    changelog = settings.customers_changelog
    async with running(settings) as engine:
        await decide(engine, history(chance, 0, CUSTOMERS))
        assert holding(tmp_path / "log", changelog)
        time = NOON + 40_000 * SECOND
        await decide(
            engine,
            [an_update(9_000 + n, name, erase=True, time=time) for n, name in enumerate(ERASED)],
        )
        others = [name for name in CUSTOMERS if name not in ERASED]
        await decide(engine, history(chance, 12_000, others))
        await compacted(engine)
        await compacted(engine)
        assert holding(tmp_path / "log", changelog) == {}
    async with running(settings) as engine:
        assert len(dict(engine.customers())) == len(CUSTOMERS) - len(ERASED)


async def test_the_erased_leave_a_store_whose_files_the_purge_itself_writes(
    tmp_path: Path, seed: int
) -> None:
    settings = settings_for(tmp_path, "rocksdb")
    async with running(settings) as engine:
        await decide(engine, history(random.Random(seed), 0, CUSTOMERS))
        time = NOON + 40_000 * SECOND
        gone = [an_update(9_000 + n, name, erase=True, time=time) for n, name in enumerate(ERASED)]
        await decide(engine, gone)
        await engine.app.table.purge()
        await gone_from(settings.data_dir)
