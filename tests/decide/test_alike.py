"""What is new in the catalog is found by what it is described like."""

from __future__ import annotations

import random

import pytest

from stream.decide.choice import alike
from stream.decide.choice.alike import Fresh
from stream.decide.choice.candidates import gather
from stream.decide.decide import decide
from stream.decide.rows.record import NEW, View
from stream.decide.world import World
from stream.domain.event import CatalogItem
from stream.domain.offer import Origin
from tests.builders import a_cause, a_click, a_world

CATALOG = {
    item.item_id: item
    for item in (
        CatalogItem("pot", "Iron tea pot", "tea", text="cast iron from Japan"),
        CatalogItem("soap", "Olive soap", "bath"),
        CatalogItem("cup", "Porcelain cup", "tea"),
        CatalogItem("jug", "Iron tea jug", "tea", text="cast iron from Japan", added=2),
        CatalogItem("sponge", "Bath sponge", "bath", added=1),
    )
}


def fresh_of(catalog: dict[str, CatalogItem]) -> Fresh:
    fresh = Fresh(items=100)
    for item in catalog.values():
        fresh.note(item.item_id, None, item)
    fresh.look(catalog)
    return fresh


def test_a_new_item_is_led_to_by_what_is_described_like_it() -> None:
    fresh = fresh_of(CATALOG)
    assert fresh.newest == ("jug", "sponge")
    leads = {item: [new for new, _ in led] for item, led in fresh.alike.items()}
    assert leads["pot"] == ["jug"]
    assert leads["soap"] == ["sponge"]


def test_prices_and_stock_are_no_reason_to_look_again() -> None:
    fresh, item = fresh_of(CATALOG), CATALOG["pot"]
    fresh.note("pot", item, item._replace(price=3, stock=0))
    assert not fresh.look(CATALOG)
    fresh.note("pot", item, item._replace(text="of glass"))
    assert fresh.look({**CATALOG, "pot": item._replace(text="of glass")})


def test_what_is_taken_out_of_the_catalog_is_no_longer_new() -> None:
    fresh = fresh_of(CATALOG)
    left = {name: item for name, item in CATALOG.items() if name != "jug"}
    fresh.note("jug", CATALOG["jug"], None)
    assert fresh.look(left)
    assert fresh.newest == ("sponge",)
    assert "pot" not in fresh.alike


def test_what_was_described_before_leaves_no_trace(seed: int) -> None:
    chance = random.Random(seed)
    words = [f"word{n}" for n in range(40)]
    straight: dict[str, CatalogItem] = {}
    winding = Fresh(items=100)
    for n in range(300):
        name = f"i{chance.randrange(30)}"
        text = " ".join(chance.choices(words, k=6))
        item = CatalogItem(name, text=text, added=chance.choice([None, n]))
        winding.note(name, straight.pop(name, None), item)
        straight[name] = item
        if chance.random() < 0.3:
            winding.look(straight)
    winding.look(straight)
    assert winding.newest == fresh_of(straight).newest
    assert winding.alike == fresh_of(straight).alike
    assert winding.alike


def test_a_candidate_that_is_new_says_what_led_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = fresh_of(CATALOG)
    world = World(catalog=CATALOG, newest=fresh.newest, alike=fresh.alike)
    customer = View(decide(NEW, a_click(item="pot"), a_cause(0), a_world()).record or NEW)
    found = {candidate.item_id: candidate for candidate in gather(customer, world)}
    assert (found["jug"].origin, found["jug"].because) == (Origin.NEW, "pot")
    assert (found["sponge"].origin, found["sponge"].because) == (Origin.NEW, None)
    assert found["jug"].relevance > found["sponge"].relevance
    monkeypatch.setattr(alike, "LEAST", 1.1)
    assert fresh_of(CATALOG).alike == {}
