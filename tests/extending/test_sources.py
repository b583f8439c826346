"""A source of the shop's own: its items compete under the same policy; what fails is left out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.codec.reference import encode_item
from stream.codec.schema import load_schemas
from stream.config import ExtensionSettings, Settings
from stream.domain.event import CatalogItem
from stream.insight.explaining import Verdict, explain
from stream.worker.engine import Engine
from tests.builders import DAY, NOON, OPEN, a_click, a_purchase
from tests.extending.installing import Site
from tests.topology.embedded import publication, running, settings_in, stored

ITEMS = (
    CatalogItem("cup", category="kitchen.cups", price=900),
    CatalogItem("p-teapot", category="kitchen", price=3_000),
    CatalogItem("p-kettle", category="kitchen", price=2_500, stock=0),
    CatalogItem("new", category="shoes", price=100, added=NOON - DAY),
)


def shop_with(directory: Path, *sources: str, **policy: Any) -> Settings:
    settings = settings_in(directory, policy=replace(OPEN, offer_gap=0.0, **policy))
    return replace(settings, extensions=ExtensionSettings(sources=sources))


async def offered(engine: Engine, *events: Any) -> list[dict[str, Any]]:
    items = [("catalog", i.item_id.encode(), encode_item(i), (), None) for i in ITEMS]
    await engine.publish(items)
    await engine.settle()
    for event in events:
        await engine.publish([publication(event)])
    await engine.settle()
    return [orjson.loads(record.value or b"") for record in stored(engine, "offers")]


async def test_what_editors_picked_is_offered_and_told_again(shop: Site, tmp_path: Path) -> None:
    settings = shop_with(tmp_path, "picked-by-editors")
    async with running(settings, lockstep=True, stocked=False) as engine:
        (offer,) = await offered(engine, a_click(1, item_id="cup"))
        (kept,) = stored(engine, "offers")
    assert [item["product_id"] for item in offer["items"]] == ["p-teapot", "new"]
    first = offer["items"][0]
    assert (first["source"], offer["ladder"]) == ("source:picked-by-editors", "extension")
    assert first["reason"] == "chosen by the shop"
    assert load_schemas().of("offers").is_valid(orjson.loads(kept.value or b""))
    explained = await asyncio.to_thread(explain, settings, offer["offer_id"])
    assert explained.verdict is Verdict.SAME and explained.told is not None
    denied = {one.item_id: one.denial for one in explained.told.considered if one.denial}
    assert denied == {"p-kettle": "out_of_stock"}


async def test_an_offer_is_told_again_where_the_package_is_gone(site: Site, tmp_path: Path) -> None:
    counting = (
        "CALLS = []\ndef many(wanted):\n    CALLS.append(1)\n    return [('a', 1 / len(CALLS))]"
    )
    site.install({"impure.py": counting}, {"offerstream.sources": {"many": "impure:many"}})
    settings = shop_with(tmp_path, "many")
    async with running(settings, lockstep=True, stocked=False) as engine:
        made = await offered(engine, a_click(1), a_click(2), a_click(3))
    site.uninstall()
    assert len(made) == 3
    for offer in made:
        explained = await asyncio.to_thread(explain, settings, offer["offer_id"])
        assert explained.verdict is Verdict.SAME


async def test_what_was_bought_or_is_on_the_screen_is_not_offered(
    site: Site, tmp_path: Path
) -> None:
    picks = "def picks(wanted): return [('bought', 1.0), ('seen', 0.9), ('other', 0.8)]"
    site.install({"picks.py": picks}, {"offerstream.sources": {"picks": "picks:picks"}})
    bought = a_purchase(1, "c1", "bought")
    async with running(shop_with(tmp_path, "picks"), lockstep=True, stocked=False) as engine:
        made = await offered(engine, bought, a_click(2, item_id="seen"))
    (last,) = [offer for offer in made if offer["source"]["topic"] == "clicks"]
    assert [item["product_id"] for item in last["items"]] == ["other", "new"]


SOURCES = """
def raises(wanted): raise KeyError(wanted.customer.customer_id)
def late(wanted):
    yield "a", 0.5
    raise KeyError("late")
def none(wanted): return None
def zero(wanted): return [("a", 0.5), ("b", 0.0)]
def nan(wanted): return [("a", float("nan"))]
def above(wanted): return [("a", 1.01)]
def number(wanted): return [(7, 0.5)]
def empty(wanted): return [("", 0.5)]
def long(wanted): return [("x" * 129, 0.5)]
def surrogate(wanted): return [("\\ud800", 0.5)]
def text(wanted): return "ab"
def good(wanted): return iter([("good", 1)])
def endless(wanted):
    n = 0
    while True:
        n += 1
        yield f"e{n:03}", 1.0
"""
BAD = [
    "raises", "late", "none", "zero", "nan", "above", "number", "empty", "long", "surrogate", "text"
]  # fmt: skip


async def test_a_source_that_fails_is_left_out_and_the_others_are_asked(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = {name: f"some_sources:{name}" for name in [*BAD, "good"]}
    site.install({"some_sources.py": SOURCES}, {"offerstream.sources": entries})
    settings = shop_with(tmp_path, *BAD, "good")
    async with running(settings, lockstep=True, stocked=False) as engine:
        made = await offered(engine, a_click(1), a_click(2))
        text = engine.metrics.text().decode()
    assert [[i["product_id"] for i in offer["items"]] for offer in made] == [["good", "new"]] * 2
    for name in BAD:
        label = f'{{name="{name}",point="sources"}}'
        assert f"offerstream_extension_failures_total{label} 2.0" in text
        assert sum(f"sources: {name} raised" in r.getMessage() for r in caplog.records) == 1
    assert "c1" not in caplog.text


async def test_of_an_endless_source_24_are_taken(site: Site, tmp_path: Path) -> None:
    site.install(
        {"some_sources.py": SOURCES}, {"offerstream.sources": {"e": "some_sources:endless"}}
    )
    settings = shop_with(tmp_path, "e", slate=50)
    async with running(settings, lockstep=True, stocked=False) as engine:
        (offer,) = await offered(engine, a_click(1))
    found = [i["product_id"] for i in offer["items"] if i["source"] == "source:e"]
    assert sorted(found) == [f"e{n:03}" for n in range(1, 25)]
