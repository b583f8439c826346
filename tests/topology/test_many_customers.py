"""What a worker holds in memory is bounded by its settings, and not by how many customers came."""

from __future__ import annotations

import gc
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from stream.config import LearningSettings, WorkerSettings
from stream.worker.engine import Engine
from stream.worker.faust.store import _compact
from stream.worker.telemetry.observing import WAITS
from tests.builders import NOON, a_click
from tests.topology.embedded import publication, running, settings_in

FEW = WorkerSettings(cached_customers=20)
SOME = 1_000  # customers at once


async def blocks_after(engine: Engine, times: range) -> int:
    """The blocks that Python holds once so many thousands have come, each with one click."""
    for at in times:
        some = range(at * SOME, (at + 1) * SOME)
        for new in (some, range(-at, 1 - at)):  # of the last batch the worker holds all records
            await engine.publish([publication(a_click(n, f"new-{n}", time=NOON)) for n in new])
            await engine.settle()
    engine.drain_offers()
    gc.collect()
    return sys.getallocatedblocks()


async def test_what_python_holds_does_not_grow_with_customers(tmp_path: Path) -> None:
    settings = replace(
        settings_in(tmp_path, 2),
        store="rocksdb",
        worker=FEW,
        learning=LearningSettings(enabled=False),
    )
    async with running(settings) as engine:
        engine.app.observing.waits.extend(map(float, range(WAITS)))  # it is full, sooner or later
        before = await blocks_after(engine, range(1, 3))
        grown = await blocks_after(engine, range(3, 6)) - before
        assert engine.status().counts["applied"] == 5 * (SOME + 1)
        assert grown < SOME  # of three thousand customers


async def test_what_the_stores_files_take_does_not_grow_with_customers(tmp_path: Path) -> None:
    settings = replace(settings_in(tmp_path), store="rocksdb")
    async with running(settings) as engine:
        store: Any = engine.app.table.data
        held = []
        for at in range(1, 5):
            new = range((at - 1) * 10_000, at * 10_000)
            store.write(0, [(b"new-%d" % n, bytes(600)) for n in new], at)
            _compact(store._dbs[0])  # into one file
            held.append(store._dbs[0].property_int_value("rocksdb.estimate-table-readers-mem"))
        assert held[-1] - held[0] < 30_000  # a byte a customer
