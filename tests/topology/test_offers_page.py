"""The ad servers' page: its examples are what the product makes, and its code runs.

To write the page's examples anew, run this file's tests with ``OFFERSTREAM_TEST_WRITE=1``.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.client import OfferReader
from stream.client.offer import Offer, Recall, read_record
from stream.client.openrtb import user_data
from stream.codec.reference import encode_campaign, encode_item
from stream.codec.schema import load_schemas
from stream.domain.event import Action, Campaign, CatalogItem
from tests.builders import a_click, a_purchase
from tests.topology.embedded import publication, running, settings_in
from tests.waiting import run

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "offers.md"
BLOCK = r"(?<=<!-- {} -->\n```{}\n).*?(?=```)"


def block(name: str, kind: str) -> str:
    found = re.search(BLOCK.format(name, kind), PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[0]


def item(item_id: str, name: str, price: int) -> tuple[str, bytes, bytes, tuple[()], None]:
    fields = {"image": f"https://shop.example/i/{item_id}.jpg", "link": f"/p/{item_id}"}
    known = CatalogItem(item_id, name, "kitchen.tea", price=price, currency="EUR", **fields)
    return "catalog", item_id.encode(), encode_item(known), (), None


@pytest.fixture
async def made(tmp_path: Path) -> Offer:
    """What a customer is offered who puts a pot into the cart that others bought with a cup."""
    campaign = Campaign("tea-week", "Tea week", discount=10)
    log = tmp_path / "page"
    async with running(settings_in(log), lockstep=True, stocked=False) as engine:
        goods = item("p-42", "Iron tea pot", 3900), item("p-11", "Tea cup, two", 1990)
        told = "campaigns", b"tea-week", encode_campaign(campaign), (), None
        await engine.publish([*goods, told])
        orders = [a_purchase(n, f"c-{100 + n}", "p-42", "p-11") for n in range(40)]
        await engine.publish([publication(order) for order in orders])
        await engine.settle()
        cart = a_click(100, "c-7", "p-42", action=Action.ADD_TO_CART, price=3900)
        await engine.publish([publication(cart)])
        await engine.settle()
        async with OfferReader(engine.settings, opened=engine.app.broker, clock="stream") as offers:
            (value,) = offers.documents("c-7")
            (offer,) = offers.for_customer("c-7")
    page = PAGE.read_text(encoding="utf-8")
    explained = await asyncio.to_thread(in_words, log, offer.offer_id)
    shown = {"offer": pretty(orjson.loads(value)), "openrtb": pretty(user_data([offer]))}
    if os.environ.get("OFFERSTREAM_TEST_WRITE"):
        for name, text in [*shown.items(), ("explain", explained)]:
            kind = "text" if name == "explain" else "json"
            page = re.sub(BLOCK.format(name, kind), lambda _, t=text: t, page, flags=re.DOTALL)
        PAGE.write_text(page, encoding="utf-8")
    assert load_schemas().of("offers").is_valid(orjson.loads(value))
    assert {name: block(name, "json") for name in shown} == shown
    assert block("explain", "text") == explained
    return offer


def in_words(log: Path, offer_id: str) -> str:
    """An offer, explained by the command."""
    options = [f"--broker=local://{log / 'log'}", "--set=partitions=1", "--set=topics.prefix=shop."]
    done = CliRunner().invoke(main, ["explain", offer_id, *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def pretty(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


async def test_the_offer_on_the_page_is_the_one_that_is_made(made: Offer) -> None:
    named = [each for each in made.items if each.product_id == "p-11"]
    assert [(each.name, each.price_minor, each.final_price_minor) for each in named] == [
        ("Tea cup, two", 1990, 1791)
    ]
    assert named[0].link == "/p/p-11"
    assert named[0].image == "https://shop.example/i/p-11.jpg"


def test_the_recall_on_the_page_is_one() -> None:
    value = block("recall", "json").encode()
    assert load_schemas().of("offers").is_valid(json.loads(value))
    assert isinstance(read_record(b"c-1001", value), Recall)


async def test_the_code_on_the_page_runs(tmp_path: Path, made: Offer) -> None:
    code = block("code", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    broker = f"local://{tmp_path / 'page' / 'log'}"
    code = code.replace("kafka://127.0.0.1:9092", broker)
    # its topics have a prefix, and its offers are old
    settings = f"Settings(broker={broker!r}, topics=Topics(prefix='shop.'))"
    code = code.replace(f'"{broker}"', f'{settings}, clock="stream"')
    code = "from stream.config import Settings, Topics\n" + code
    done = await asyncio.to_thread(run, [sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "p-11 Tea cup, two 1791 EUR" in done.stdout
