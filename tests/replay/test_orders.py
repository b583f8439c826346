"""The lines of an order become one event, wherever they stand, and none is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.replay.orders import MOST_LINES
from tests.replay.logs import log, replayed

CONSECUTIVE = """
columns = {time = "at", customer = "who", item = "sku", order = "order", quantity = "units"}
time = {format = "epoch_s"}
events = {type = "purchase"}
orders = {lines = "consecutive", refund_prefix = "C", refund_negative = true}
"""
ANYWHERE = CONSECUTIVE.replace("consecutive", "anywhere")
NAMES = "at,who,sku,order,units\n"


def baskets(tmp_path: Path, rows: str, mapping: str) -> list[tuple[str, str, int, str]]:
    """Order, trade, time in s, and items with units of every event."""
    return [
        (
            event["order_id"],
            event["event"],
            event["timestamp"] // 1_000,
            " ".join(f"{line['product_id']}{line['quantity']}" for line in event["products"]),
        )
        for event in replayed(log(tmp_path, NAMES + rows), mapping).events
    ]


def test_lines_that_stand_together_are_one_order_at_the_time_of_the_last(tmp_path: Path) -> None:
    rows = "1,ada,a,o1,1\n2,ada,b,o1,2\n3,bob,a,o2,1\n4,ada,c,o1,1\n"
    assert baskets(tmp_path, rows, CONSECUTIVE) == [
        ("o1", "purchase", 2, "a1 b2"),
        ("o2", "purchase", 3, "a1"),
        ("o1", "purchase", 4, "c1"),
    ]


def test_lines_that_stand_apart_are_one_order_at_the_place_of_the_last(tmp_path: Path) -> None:
    rows = "1,ada,a,o1,1\n2,ada,b,o1,2\n3,bob,a,o2,1\n4,ada,c,o1,1\n"
    assert baskets(tmp_path, rows, ANYWHERE) == [
        ("o2", "purchase", 3, "a1"),
        ("o1", "purchase", 4, "a1 b2 c1"),
    ]


def test_what_comes_back_is_a_refund_of_positive_quantities(tmp_path: Path) -> None:
    rows = "1,ada,a,C1,-2\n1,ada,b,C1,3\n2,ada,a,o2,1\n2,ada,b,o2,-1\n2,ada,c,o2,2\n"
    for mapping in (CONSECUTIVE, ANYWHERE):
        assert sorted(baskets(tmp_path, rows, mapping)) == [
            ("C1", "refund", 1, "a2 b3"),
            ("o2", "purchase", 2, "a1 c2"),
            ("o2", "refund", 2, "b1"),
        ]


def test_the_same_order_id_of_two_customers_is_two_orders(tmp_path: Path) -> None:
    rows = "1,ada,a,1,1\n1,bob,b,1,1\n1,ada,c,1,1\n"
    assert [items for *_, items in baskets(tmp_path, rows, ANYWHERE)] == ["b1", "a1 c1"]
    assert [items for *_, items in baskets(tmp_path, rows, CONSECUTIVE)] == ["a1", "b1", "c1"]


def test_refused_rows_do_not_end_an_order(tmp_path: Path) -> None:
    rows = "1,ada,a,o1,1\n1,,x,o1,1\n1,ada,b,o1,1\n"
    result = replayed(log(tmp_path, NAMES + rows), CONSECUTIVE)
    assert [len(event["products"]) for event in result.events] == [2]
    assert (result.account.rows, result.account.merged, result.account.refused.total()) == (3, 1, 1)


def test_a_line_without_an_order_id_is_an_order_of_its_own(tmp_path: Path) -> None:
    rows = "1,ada,a,,1\n1,ada,b,,1\n"
    result = replayed(log(tmp_path, NAMES + rows), CONSECUTIVE)
    assert result.column("order_id") == result.column("event_id")
    assert len(set(result.column("order_id"))) == 2


def test_an_order_of_too_many_lines_goes_on_in_another_event(tmp_path: Path) -> None:
    rows = "".join(f"1,ada,s{n},o1,1\n" for n in range(2 * MOST_LINES + 1))
    for mapping in (CONSECUTIVE, ANYWHERE):
        result = replayed(log(tmp_path, NAMES + rows), mapping)
        assert [len(event["products"]) for event in result.events] == [500, 500, 1]
        assert len(set(result.column("event_id"))) == 3
        assert result.column("order_id") == ["o1", "o1:2", "o1:3"]  # an order counts once by its id
        assert [record.row for record in result.records] == [500, 1000, 1001]


def test_parts_of_an_order_with_event_ids_of_its_own_stay_apart(tmp_path: Path) -> None:
    rows = "".join(f"1,ada,s{n},o1,1\n" for n in range(MOST_LINES + 1))
    mapping = CONSECUTIVE.replace('units"}', 'units", event = "order"}')
    result = replayed(log(tmp_path, NAMES + rows), mapping)
    assert result.column("event_id") == ["o1", "o1:2"]


ROWS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["ada", "bob", ""]),
        st.sampled_from(["1", "2", "C1", ""]),
        st.sampled_from(["1", "-1", "x"]),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(rows=ROWS, anywhere=st.booleans(), limit=st.none() | st.integers(0, 40))
def test_every_row_is_in_one_event_or_refused_and_rows_and_times_rise(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, str, str, str]],
    anywhere: bool,
    limit: int | None,
) -> None:
    lines = [f"{at},{who},s{n},{order},{units}\n" for n, (at, who, order, units) in enumerate(rows)]
    path = log(tmp_path_factory.mktemp("log"), NAMES + "".join(lines))
    result = replayed(path, ANYWHERE if anywhere else CONSECUTIVE, limit)
    expected = rows[:limit]
    published = Counter(line["product_id"] for event in result.events for line in event["products"])
    assert published == Counter(f"s{n}" for n, row in enumerate(expected) if row[1])
    assert len(result.refused) == sum(not row[1] for row in expected)
    placed = [record.row for record in result.records]
    assert placed == sorted(set(placed))
    assert len(set(result.column("event_id"))) == len(result.events)
    times = result.column("timestamp")
    assert times == sorted(times)
