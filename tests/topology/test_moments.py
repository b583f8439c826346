"""A reminder through the whole app: made once, told why, and made again from the log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from stream.broker.local.log import Log
from stream.cli import main
from stream.codec.offers import is_recall
from stream.codec.reference import encode_campaign
from stream.config import Settings
from stream.domain.event import Action, Campaign
from stream.insight.explaining import Verdict, explain
from tests.builders import HOUR, NOON, OPEN, SECOND, a_click, a_purchase
from tests.topology.embedded import publication, running, settings_in

REMINDER = Campaign("rem", "Still there", "reminder", wait=2 * HOUR, discount=5)


def offers_of(settings: Settings) -> list[dict[str, Any]]:
    assert settings.embedded_log is not None
    with Log(settings.embedded_log) as log:
        found = [record.value or b"" for record in log.read("shop.offers", 0, 0, 10_000, 1 << 30)]
    return [orjson.loads(value) for value in found if not is_recall(value)]


@pytest.fixture
async def shop(tmp_path: Path) -> Settings:
    """Anna leaves a basket, Bert buys his; then others come, and the worker is started anew."""
    settings = settings_in(tmp_path, 1, replace(OPEN, offer_gap=60.0))
    cart = Action.ADD_TO_CART
    visits = [
        a_click(0, "anna", "cup"),
        a_click(1, "anna", "pot", action=cart),
        a_click(2, "bert", "pot", action=cart),
        a_purchase(3, "bert", "pot"),
    ]
    later = [a_click(100 + n, "carl", f"i{n}", time=NOON + 2 * HOUR + n * SECOND) for n in range(4)]
    async with running(settings, lockstep=True) as engine:
        campaign = ("campaigns", b"rem", encode_campaign(REMINDER), (), None)
        await engine.publish([campaign])
        await engine.settle()
        await engine.publish([publication(event) for event in visits])
        await engine.settle()
    async with running(settings, lockstep=True) as engine:
        await engine.publish([publication(event) for event in later[:2]])
        await engine.settle()
    async with running(settings, lockstep=True) as engine:
        await engine.publish([publication(event) for event in later[2:]])
        await engine.settle()
    return settings


def test_a_basket_is_reminded_of_once_and_the_offer_is_explained(shop: Settings) -> None:
    timed = [offer for offer in offers_of(shop) if "trigger" in offer]
    (offer,) = timed
    assert (offer["customer_id"], offer["campaign_id"]) == ("anna", "rem")
    assert [item["product_id"] for item in offer["items"]] == ["pot", "cup"]
    assert offer["strategy"] == "reminder"
    assert offer["trigger"] == {"kind": "timer", "due_at": "2023-11-15T14:00:01.000Z"}
    assert offer["issued_at"] == "2023-11-15T14:00:01.000Z"
    found = explain(shop, offer["offer_id"], "anna")
    assert found.verdict is Verdict.SAME, found.why
    words = CliRunner().invoke(
        main,
        [
            *("explain", offer["offer_id"], f"--broker={shop.broker}", "--set=topics.prefix=shop."),
            *(f"--set=data_dir={shop.data_dir}", "--set=partitions=1"),
        ],
    )
    assert words.exit_code == 0, words.output
    assert "its time came at 2023-11-15T14:00:01.000Z, and passed with record" in words.output
    assert "the same, byte for byte" in words.output
