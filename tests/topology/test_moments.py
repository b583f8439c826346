"""A reminder through the whole app: made once, told why, and made again from the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.domain.event import Action, Campaign
from stream.insight.explaining import Verdict
from stream.testing import Driver
from tests.builders import HOUR, NOON, OPEN, SECOND, a_click, a_purchase
from tests.shops import happen, shop_of

REMINDER = Campaign("rem", "Still there", "reminder", wait=2 * HOUR, discount=5)


@pytest.fixture
def shop() -> Iterator[Driver]:
    """Anna leaves a basket, Bert buys his; then others come, and the worker is started anew."""
    cart = Action.ADD_TO_CART
    later = [a_click(100 + n, "carl", f"i{n}", time=NOON + 2 * HOUR + n * SECOND) for n in range(4)]
    with shop_of(replace(OPEN, offer_gap=60.0), campaigns=[REMINDER]) as shop:
        happen(
            shop,
            a_click(0, "anna", "cup"),
            a_click(1, "anna", "pot", action=cart),
            a_click(2, "bert", "pot", action=cart),
            a_purchase(3, "bert", "pot"),
        )
        for events in (later[:2], later[2:]):
            shop.restart()
            happen(shop, *events)
        yield shop


def test_a_basket_is_reminded_of_once_and_the_offer_is_explained(shop: Driver) -> None:
    (offer,) = [offer for offer in shop.offers() if offer.trigger]
    assert (offer.customer_id, offer.campaign_id) == ("anna", "rem")
    assert offer.products == ["pot", "cup"]
    assert offer.strategy == "reminder"
    assert offer.trigger == {"kind": "timer", "due_at": "2023-11-15T14:00:01.000Z"}
    assert offer.json["issued_at"] == "2023-11-15T14:00:01.000Z"
    found = shop.explain(offer)
    assert found.verdict is Verdict.SAME, found.why
    with shop.copy() as settings:
        options = [f"--broker={settings.broker}", "--set=topics.prefix=shop.", "--set=partitions=1"]
        words = CliRunner().invoke(main, ["explain", offer.offer_id, *options])
    assert words.exit_code == 0, words.output
    assert "its time came at 2023-11-15T14:00:01.000Z, and passed with record" in words.output
    assert "the same, byte for byte" in words.output
