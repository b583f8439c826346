"""Rows are read in the order of their times; memory is taken for it only where it is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.replay.mapping_file import parse_mapping
from stream.replay.replay import Replay
from tests.replay.logs import log, replayed

MAPPING = """
columns = {time = "at", customer = "who", item = "sku"}
time = {format = "epoch_s"}
events = {type = "view"}
"""
NAMES = "at,who,sku\n"


def replay(tmp_path: Path, rows: str, limit: int | None = None) -> Replay:
    return Replay(log(tmp_path, NAMES + rows), parse_mapping(MAPPING, "test", "test.toml"), limit)


def test_a_file_in_order_is_read_as_it_stands(tmp_path: Path) -> None:
    plan = replay(tmp_path, "1,ada,a\n1,ada,b\n2,ada,c\n").plan()
    assert plan.addresses is None
    assert (plan.rows, plan.first_ms, plan.last_ms) == (3, 1_000, 2_000)


def test_a_file_out_of_order_is_read_by_time_and_else_as_it_stands(tmp_path: Path) -> None:
    rows = "3,ada,a\n1,ada,b\n3,ada,c\n2,ada,d\n1,ada,e\n"
    found = replay(tmp_path, rows)
    assert found.plan().addresses is not None
    result = replayed(found.sources[0].path, MAPPING)
    assert result.column("product_id") == ["b", "e", "d", "a", "c"]
    assert [record.row for record in result.records] == [1, 2, 3, 4, 5]
    assert [event_id.split("-")[1] for event_id in result.column("event_id")] == list("25413")


def test_a_row_without_a_readable_time_keeps_the_place_after_its_neighbour(tmp_path: Path) -> None:
    rows = "x,ada,first\n3,ada,a\n?,ada,b\n1,ada,c\n,,d\n2,ada,e\n"
    result = replayed(log(tmp_path, NAMES + rows), MAPPING)
    assert result.column("product_id") == ["first", "c", "e", "a", "b"]
    assert result.column("timestamp") == [
        {"unreadable": "x"}, 1_000, 2_000, 3_000, {"unreadable": "?"},
    ]  # fmt: skip
    assert [record.time_ms for record in result.records] == [1_000, 1_000, 2_000, 3_000, 3_000]


def test_rows_without_any_time_are_read_as_they_stand(tmp_path: Path) -> None:
    result = replayed(log(tmp_path, NAMES + "x,ada,a\ny,ada,b\n"), MAPPING)
    assert result.column("product_id") == ["a", "b"]
    assert [record.time_ms for record in result.records] == [0, 0]


def test_a_limit_takes_the_first_rows_of_the_file(tmp_path: Path) -> None:
    rows = "3,ada,a\n2,ada,b\n1,ada,c\n"
    assert replayed(log(tmp_path, NAMES + rows), MAPPING, 2).column("product_id") == ["b", "a"]
    assert replay(tmp_path, rows, 1).plan().addresses is None


def test_progress_is_told_while_planning(tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []
    rows = "".join(f"{n},ada,a\n" for n in range(20_000))
    replay(tmp_path, rows).plan(lambda rows, share: told.append((rows, share)))
    assert [rows for rows, _ in told] == [0, 8_192, 16_384]
    assert all(0 <= share <= 1 for _, share in told)


def test_lines_of_an_order_that_stand_together_stay_together(tmp_path: Path) -> None:
    mapping = """
    columns = {time = "at", customer = "who", item = "sku", order = "order"}
    time = {format = "epoch_s"}
    events = {type = "purchase"}
    orders = {lines = "consecutive"}
    """
    rows = "at,who,sku,order\n9,ada,a,1\n3,ada,b,1\n1,bob,c,2\n5,eve,d,3\n2,eve,e,3\n"
    result = replayed(log(tmp_path, rows), mapping)
    assert [[line["product_id"] for line in event["products"]] for event in result.events] == [
        ["c"],
        ["d", "e"],
        ["a", "b"],
    ]
    assert result.column("timestamp") == [1_000, 2_000, 3_000]


@settings(max_examples=60)
@given(times=st.lists(st.none() | st.integers(0, 9), max_size=30), quoted=st.booleans())
def test_the_order_is_that_of_a_stable_sort(
    tmp_path_factory: pytest.TempPathFactory, times: list[int | None], quoted: bool
) -> None:
    skus = [f'"s{n}\n"' if quoted else f"s{n}" for n in range(len(times))]
    rows = [f"{'' if at is None else at},ada,{sku}\n" for at, sku in zip(times, skus, strict=True)]
    result = replayed(log(tmp_path_factory.mktemp("log"), NAMES + "".join(rows)), MAPPING)
    filled, last = [], -1
    for at in times:
        last = last if at is None else at
        filled.append(last)
    expected = sorted(range(len(times)), key=lambda n: filled[n])
    assert result.column("product_id") == [f"s{n}" for n in expected]
