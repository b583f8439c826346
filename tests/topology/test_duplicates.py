"""What is sent twice counts once: for how long, and among how many, as docs/events.md states."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stream.config import CoreSettings
from stream.domain.event import Event, Trade
from tests.builders import DAY, NOON, OPEN, SECOND, a_click, a_purchase, an_impression, an_update
from tests.shops import happen, shop_of
from tests.topology.embedded import judged

PACED = replace(OPEN, offer_gap=60.0, events_burst=10_000)
DEFAULTS = CoreSettings()
PAGE = Path(__file__).parents[2] / "docs" / "events.md"


def after(*batches: Sequence[Event]) -> tuple[dict[str, Any], Counter[str]]:
    """What is known of one customer, and the account, with a restart between batches."""
    with shop_of(PACED, catalog=()) as shop:
        for n, batch in enumerate(batches):
            if n:
                shop.restart()
            happen(shop, *batch)
        known, counts = shop.customer("c1"), shop.counts()
    assert known is not None
    assert judged(counts) == sum(map(len, batches))
    return known, counts


def test_an_order_counts_once_whatever_comes_in_between() -> None:
    order = a_purchase(0)
    clicks = [a_click(n, item=f"i{n}") for n in range(1, 400)]
    orders = [a_purchase(n) for n in range(500, 500 + DEFAULTS.seen_orders - 1)]
    known, counts = after([order, *clicks], [order], orders, [order])
    assert (known["orders"], counts["duplicate"]) == (DEFAULTS.seen_orders, 2)


def test_an_order_counts_once_for_thirty_days_by_its_own_id() -> None:
    """Whoever sends it again under another event's id, at another time."""

    def again(days: float) -> Event:
        time = NOON + round(days * DAY)
        return a_purchase(round(days * 10), order_id="order-0", time=time)

    visits = [a_click(n, time=NOON + n * DAY) for n in range(1, 33)]
    known, counts = after(
        [a_purchase(0), again(0.1), *visits[:29]],
        [again(30.0)],
        [*visits[29:], again(32.0)],
    )
    assert counts["duplicate"] == 2
    assert known["orders"] == 2  # it may count again after that


def test_refunds_of_one_order_each_count_once() -> None:
    part, other = (
        a_purchase(n, order_id="order-0", trade=Trade.REFUND, time=NOON + n * DAY) for n in (1, 2)
    )
    clicks = [a_click(n, time=NOON + 2 * DAY + n) for n in range(100)]
    known, counts = after([a_purchase(0), part, other, *clicks], [part, other])
    assert (known["orders"], known["refunds"]) == (1, 2)
    assert counts["duplicate"] == 2


def test_each_kind_of_event_is_told_among_its_own() -> None:
    kept = DEFAULTS.seen_ids
    firsts = [a_click(0), an_impression(0, "offer"), an_update(0)]
    clicks = [a_click(n) for n in range(1, kept)]
    responses = [an_impression(n, "offer") for n in range(1, kept)]
    updates = [an_update(n) for n in range(1, kept)]
    known, counts = after([*firsts, *clicks, *responses, *updates], firsts)
    assert counts["duplicate"] == 3
    assert known["views"] == kept


def test_an_order_that_comes_again_later_than_the_grace_is_still_told() -> None:
    order = a_purchase(0)
    known, counts = after([order, a_click(1, time=NOON + 20 * DAY)], [order])
    assert (known["orders"], counts["duplicate"], counts["late"]) == (1, 1, 0)


def test_the_page_states_these_windows() -> None:
    text = PAGE.read_text()
    (kept,) = re.findall(r"among the last (\d+) of its kind", text)
    days, orders = re.findall(r"for (\d+) days,\s+among the last (\d+)", text)[0]
    assert (int(kept), int(orders)) == (DEFAULTS.seen_ids, DEFAULTS.seen_orders)
    assert int(days) == DEFAULTS.order_window * SECOND / DAY
