"""What is sent twice counts once: for how long, and among how many, as docs/events.md states."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stream.config import CoreSettings
from stream.decide.rows.state import CustomerState
from stream.domain.event import Event, Trade
from tests.builders import DAY, NOON, OPEN, SECOND, a_click, a_purchase, an_impression, an_update
from tests.topology.embedded import Seen, arrived, judged, look, publication, running, settings_in

PACED = replace(OPEN, offer_gap=60.0, events_burst=10_000)
DEFAULTS = CoreSettings()
PAGE = Path(__file__).parents[2] / "docs" / "events.md"


async def after(tmp_path: Path, *batches: Sequence[Event]) -> tuple[CustomerState, Seen]:
    """What one customer's record and the account come to, with a restart between batches."""
    settings = settings_in(tmp_path, policy=PACED)
    for batch in batches:
        async with running(settings, lockstep=True) as engine:
            await engine.publish([publication(event) for event in batch])
            seen = await look(engine)
            assert judged(seen.counts) == arrived(engine)
    return seen.customers["c1"], seen


async def test_an_order_counts_once_whatever_comes_in_between(tmp_path: Path) -> None:
    order = a_purchase(0)
    clicks = [a_click(n, item=f"i{n}") for n in range(1, 400)]
    orders = [a_purchase(n) for n in range(500, 500 + DEFAULTS.seen_orders - 1)]
    state, seen = await after(tmp_path, [order, *clicks], [order], orders, [order])
    assert (state.profile.orders, seen.counts["duplicate"]) == (DEFAULTS.seen_orders, 2)


async def test_an_order_counts_once_for_thirty_days_by_its_own_id(tmp_path: Path) -> None:
    """Whoever sends it again under another event's id, at another time."""

    def again(days: float) -> Event:
        time = NOON + round(days * DAY)
        return a_purchase(round(days * 10), order_id="order-0", time=time)

    visits = [a_click(n, time=NOON + n * DAY) for n in range(1, 33)]
    state, seen = await after(
        tmp_path,
        [a_purchase(0), again(0.1), *visits[:29]],
        [again(30.0)],
        [*visits[29:], again(32.0)],
    )
    assert seen.counts["duplicate"] == 2
    assert state.profile.orders == 2  # it may count again after that


async def test_refunds_of_one_order_each_count_once(tmp_path: Path) -> None:
    part, other = (
        a_purchase(n, order_id="order-0", trade=Trade.REFUND, time=NOON + n * DAY) for n in (1, 2)
    )
    clicks = [a_click(n, time=NOON + 2 * DAY + n) for n in range(100)]
    state, seen = await after(tmp_path, [a_purchase(0), part, other, *clicks], [part, other])
    assert (state.profile.orders, state.profile.refunds) == (1, 2)
    assert seen.counts["duplicate"] == 2


async def test_each_kind_of_event_is_told_among_its_own(tmp_path: Path) -> None:
    kept = DEFAULTS.seen_ids
    firsts = [a_click(0), an_impression(0, "offer"), an_update(0)]
    clicks = [a_click(n) for n in range(1, kept)]
    responses = [an_impression(n, "offer") for n in range(1, kept)]
    updates = [an_update(n) for n in range(1, kept)]
    state, seen = await after(tmp_path, [*firsts, *clicks, *responses, *updates], firsts)
    assert seen.counts["duplicate"] == 3
    assert state.profile.views == kept


async def test_an_order_that_comes_again_later_than_the_grace_is_still_told(
    tmp_path: Path,
) -> None:
    order = a_purchase(0)
    state, seen = await after(tmp_path, [order, a_click(1, time=NOON + 20 * DAY)], [order])
    assert (state.profile.orders, seen.counts["duplicate"], seen.counts["late"]) == (1, 1, 0)


def test_the_page_states_these_windows() -> None:
    text = PAGE.read_text()
    (kept,) = re.findall(r"among the last (\d+) of its kind", text)
    days, orders = re.findall(r"for (\d+) days,\s+among the last (\d+)", text)[0]
    assert (int(kept), int(orders)) == (DEFAULTS.seen_ids, DEFAULTS.seen_orders)
    assert int(days) == DEFAULTS.order_window * SECOND / DAY
