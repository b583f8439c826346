"""A rule of the shop's own: it forbids and never allows, fails closed, and is told of by name."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.codec.reference import encode_item
from stream.config import ExtensionSettings, Settings
from stream.domain.event import CatalogItem
from stream.insight.explaining import Verdict, explain
from stream.worker.engine import Engine
from tests.builders import DAY, NOON, OPEN, a_click, an_update
from tests.extending.installing import Site
from tests.topology.embedded import publication, running, settings_in, stored

GIN = CatalogItem("gin", name="Gin", category="drinks.spirits", added=NOON - DAY)
TEA = CatalogItem("tea", name="Tea", category="food.tea", added=NOON - DAY)


def shop_with(directory: Path, *rules: str, **core: Any) -> Settings:
    settings = settings_in(directory, policy=replace(OPEN, offer_gap=0.0), **core)
    return replace(settings, extensions=ExtensionSettings(rules=rules))


async def served(engine: Engine, *traits: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The offers to customers c0, c1 …, who have these traits, in a shop of tea and gin."""
    items = [("catalog", i.item_id.encode(), encode_item(i), (), None) for i in (GIN, TEA)]
    await engine.publish(items)
    await engine.settle()
    for number, told in enumerate(traits):
        name = f"c{number}"
        await engine.publish([publication(an_update(1, name, traits=tuple(told.items())))])
        await engine.publish([publication(a_click(2, name, item_id="cup"))])
    await engine.settle()
    offers = [orjson.loads(record.value or b"") for record in stored(engine, "offers")]
    names = [f"c{number}" for number in range(len(traits))]
    return {name: [one for one in offers if one["customer_id"] == name] for name in names}


def items_of(offers: list[dict[str, Any]]) -> list[str]:
    return sorted(item["product_id"] for offer in offers for item in offer["items"])


async def test_the_rule_of_the_page_keeps_drinks_from_minors(shop: Site, tmp_path: Path) -> None:
    settings = shop_with(tmp_path, "no-alcohol-for-minors")
    async with running(settings, lockstep=True, stocked=False) as engine:
        offers = await served(engine, {"age": 17}, {"age": 44}, {}, {"age": "44"})
    assert {name: items_of(made) for name, made in offers.items()} == {
        "c0": ["tea"],
        "c1": ["gin", "tea"],
        "c2": ["tea"],
        "c3": ["tea"],
    }
    offer_id = offers["c0"][0]["offer_id"]
    explained = await asyncio.to_thread(explain, settings, offer_id)
    assert explained.verdict is Verdict.SAME and explained.told is not None
    denied = {one.item_id: one.denial for one in explained.told.considered if one.denial}
    assert denied == {"gin": "rule:no-alcohol-for-minors"}


async def test_an_installed_rule_that_nobody_names_changes_nothing(
    shop: Site, tmp_path: Path
) -> None:
    async with running(shop_with(tmp_path), lockstep=True, stocked=False) as engine:
        offers = await served(engine, {"age": 17})
    assert items_of(offers["c0"]) == ["gin", "tea"]


RULES = """
def all(asked):
    return True

def fails(asked):
    raise ValueError(asked.customer.customer_id)

def fails_for_gin(asked):
    return asked.item_id == "gin" and 1 / 0

def forgets(asked):
    asked.item_id == "gin"

def seen(asked):
    customer = asked.customer
    assert dict(customer.traits) == {"age": 17}, "groups that are compared are not shown"
    assert customer.touched == customer.session == ("cup",) and customer.customer_id == "c0"
    for change in (lambda: customer.traits.update(age=18), lambda: setattr(customer, "segment", 1)):
        try:
            change()
        except AttributeError:
            continue
        raise AssertionError("a customer was changed")
    return asked.campaign.campaign_id != "default" or asked.now < 1e12 or asked.reward.size > 0
"""


@pytest.mark.parametrize(
    ("rule", "offered", "denied", "failures"),
    [
        ("all", [], {"rule:all": 1}, {}),
        ("fails", [], {"rule_failed:fails": 1}, {"fails": 2}),
        ("fails_for_gin", ["tea"], {}, {"fails_for_gin": 1}),
        ("forgets", [], {"rule_failed:forgets": 1}, {"forgets": 2}),
        ("seen", ["gin", "tea"], {}, {}),
    ],
)
async def test_what_a_rule_does_not_allow_by_false_is_not_offered(
    site: Site,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    rule: str,
    offered: list[str],
    denied: dict[str, int],
    failures: dict[str, int],
) -> None:
    site.install({"some_rules.py": RULES}, {"offerstream.rules": {rule: f"some_rules:{rule}"}})
    settings = shop_with(tmp_path, rule, fairness_groups=("sex",), decisions_share=1.0)
    async with running(settings, lockstep=True, stocked=False) as engine:
        offers = await served(engine, {"age": 17, "sex": "f"})
        counts = engine.status().counts
        told = [orjson.loads(record.value or b"") for record in stored(engine, "decisions")]
        text = engine.metrics.text().decode()
    assert items_of(offers["c0"]) == offered
    assert {
        n.removeprefix("denied:"): k
        for n, k in counts.items()
        if "rule" in n and n.startswith("denied:")
    } == denied
    assert [one["reason"] for one in told if "reason" in one] == list(denied)
    for reason in denied:
        assert f'offerstream_offers_suppressed_total{{reason="{reason}"}} 1.0' in text
    for name, number in failures.items():
        label = f'{{name="{name}",point="rules"}}'
        assert f"offerstream_extension_failures_total{label} {float(number)}" in text
    said = Counter(r.getMessage().split(";")[0] for r in caplog.records if rule in r.getMessage())
    assert len(said) == bool(failures) and set(said.values()) <= {1}, said
    assert "c0" not in caplog.text, "a message may hold a person's data"


async def test_rules_are_asked_in_the_order_of_the_settings(site: Site, tmp_path: Path) -> None:
    site.install(
        {"some_rules.py": RULES},
        {"offerstream.rules": {"b": "some_rules:all", "a": "some_rules:fails"}},
    )
    async with running(shop_with(tmp_path, "b", "a"), lockstep=True, stocked=False) as engine:
        await served(engine, {"age": 17})
        counts = engine.status().counts
    assert counts["denied:rule:b"] == 1 and "denied:rule_failed:a" not in counts
