"""The event loop goes on, and so do commits, whatever else is being worked on."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from stream.codec.reference import encode_item
from stream.config import WorkerSettings
from stream.domain.event import CatalogItem
from stream.worker.engine import Publication
from tests.builders import a_click
from tests.topology.embedded import look, publication, running, settings_in


def an_item(number: int, added: int = 1_767_225_600_000) -> Publication:
    """A catalog's record."""
    item = CatalogItem(f"p{number}", f"Iron tea pot {number}", price=995, added=added)
    return "catalog", item.item_id.encode(), encode_item(item), (), None


async def test_descriptions_are_read_beside_the_event_loop_and_offers_go_on_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stream.decide.choice.alike import Fresh

    look_at, may_end, loop_thread = Fresh.look, threading.Event(), threading.get_ident()
    seen: list[int] = []

    def slow(self: Fresh, catalog: Any) -> bool:
        seen.append(threading.get_ident())
        may_end.wait(60)
        return look_at(self, catalog)

    async with running(settings_in(tmp_path), stocked=False) as engine:
        monkeypatch.setattr(Fresh, "look", slow)
        await engine.publish([an_item(n) for n in range(3)])
        await engine.app.follower.progress.reach(await engine.app.follower.ends())
        for n in range(20):  # events are decided while the catalog is being read
            await engine.publish([publication(a_click(n))])
        await engine.app.pipeline.progress.reach({TP("shop.clicks", 0): 20})
        assert engine.app.view.world.catalog == {}
        await engine.publish([an_item(3)])  # and what comes meanwhile is not forgotten
        may_end.set()
        await engine.settle()
        assert engine.app.view.world.catalog.keys() == {"p0", "p1", "p2", "p3"}
        assert set(engine.app.view.world.newest) == {"p0", "p1", "p2", "p3"}
        assert loop_thread not in seen


async def test_commits_do_not_wait_until_nothing_is_being_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path)
    async with running(settings) as engine:
        may_end = asyncio.Event()
        monkeypatch.setattr(engine.app.producer, "flush", may_end.wait)  # a backlog: never empty
        await engine.publish([publication(a_click(n)) for n in range(50)])
        seen = await look(engine)
        assert seen.counts["applied"] == 50
        log, committed = engine.app.open_log(), asyncio.Event()
        commit = log.commit

        def seen_to(group: str, offsets: Any) -> None:
            commit(group, offsets)
            if offsets.get(("shop.clicks", 0)) == 51:
                committed.set()

        monkeypatch.setattr(log, "commit", seen_to)
        await engine.publish([publication(a_click(50))])
        await committed.wait()
        may_end.set()


async def test_all_partitions_together_cache_no_more_customers_than_the_setting_says(
    tmp_path: Path,
) -> None:
    settings = replace(settings_in(tmp_path, 4), worker=WorkerSettings(cached_customers=20))
    async with running(settings) as engine:
        await engine.publish([publication(a_click(n, f"c{n}")) for n in range(300)])
        await engine.settle()
        flows = engine.app.pipeline._flows.values()
        assert len(flows) == 4
        assert 0 < sum(len(flow.partition._cache) for flow in flows) <= 20
