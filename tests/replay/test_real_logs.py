"""Real shops' logs: exact counts, and money against a recomputation that shares no code."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from stream.replay.mapping_file import load_mapping
from stream.replay.replay import Replay
from tests.memory import garbage
from tests.replay.logs import log, replayed

Find = Callable[[str], Path]
RETAILROCKET = """timestamp,visitorid,event,itemid,transactionid
1433221332117,257597,view,355908,
1433224214164,992329,view,248676,
1433221999827,111016,view,318965,
1433221955914,483717,addtocart,253185,
1433222531378,257597,transaction,355908,4000
1433222531378,257597,transaction,15335,4000
1433222276276,599528,transaction,356475,4000
1433222531300,257597,view,15335,
"""


def rows(path: Path, delimiter: str = ",") -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter=delimiter)


def test_rees46_has_17055_views_165_carts_and_214_purchases(shared_data: Find) -> None:
    path = shared_data("rees46-2019-oct-01.csv.gz")
    replay = Replay(path, load_mapping("rees46"))
    plan = replay.plan()
    result = replayed(path, replay.mapping)
    assert plan.rows == 17_435
    assert plan.addresses is None
    assert [(row.row, row.reason) for row in result.refused] == [(17_435, "ragged")]  # cut off
    assert Counter(result.column("event")) == {"view": 17_055, "add_to_cart": 165, "purchase": 214}
    raw = list(rows(path))[:-1]
    assert result.column("customer_id") == [row["user_id"] for row in raw]
    paid = sum(Decimal(e["products"][0].get("price", 0)) for e in result.events if "products" in e)
    assert paid == sum(Decimal(r["price"]) for r in raw if r["event_type"] == "purchase")
    assert sum("price" not in e for e in result.events if "products" not in e) == sum(
        Decimal(row["price"]) == 0 for row in raw
    )


def test_online_retail_is_accounted_for_to_the_last_line_and_penny(shared_data: Find) -> None:
    path = shared_data("online-retail.csv.gz")
    mapping = load_mapping("online-retail")
    replay = Replay(path, mapping)
    found: dict[tuple[str, str, str], list[Any]] = defaultdict(lambda: [0, 0, Decimal(0)])
    events: Counter[str] = Counter()
    for outcome in replay.outcomes(replay.plan()):
        if getattr(outcome, "kind", "") == "purchases":
            event = orjson.loads(outcome.value)  # type: ignore[union-attr]
            order_id = event["order_id"].partition(":")[0]  # a part of more than 500 lines
            order = found[event["customer_id"], order_id, event["event"]]
            events[event["event"]] += 1
            for line in event["products"]:
                order[0] += 1
                order[1] += line["quantity"]
                order[2] += line["quantity"] * Decimal(line["price"])

    services = {"POST", "DOT", "C2", "M", "D", "CRUK", "PADS", "BANK CHARGES"}
    expected: dict[tuple[str, str, str], list[Any]] = defaultdict(lambda: [0, 0, Decimal(0)])
    refused: Counter[str] = Counter()
    for row in rows(path):
        quantity = int(row["Quantity"])
        if not row["CustomerID"]:
            refused["no_customer"] += 1
        elif row["StockCode"] in services:
            refused["not_a_product"] += 1
        else:
            trade = "refund" if row["InvoiceNo"][0] == "C" or quantity < 0 else "purchase"
            order = expected[row["CustomerID"].split(".")[0], row["InvoiceNo"], trade]
            order[0] += 1
            order[1] += abs(quantity)
            order[2] += abs(quantity) * Decimal(row["UnitPrice"])

    assert refused == {"no_customer": 135_080, "not_a_product": 1_920}
    assert dict(found) == dict(expected)
    account = replay.account
    assert account.rows == 541_909
    assert account.refused == refused
    longer = sum(lines > 500 for lines, *_ in expected.values())
    assert account.published == {"purchases": len(expected) + longer}
    assert account.merged + events.total() == 541_909 - refused.total()
    assert (events, longer) == ({"purchase": 18_408, "refund": 3_383}, 3)
    assert len({customer for customer, *_ in found}) == 4_363
    assert account.catalog == 3_676


def test_yoochoose_sessions_keep_their_clicks_in_time_order(shared_data: Find) -> None:
    for name, count, sessions in (
        ("yoochoose-100k-train.tsv.gz", 70_278, 17_794),
        ("yoochoose-100k-test.tsv.gz", 13_568, 3_416),
    ):
        garbage.collect()
        path = shared_data(name)
        events = replayed(path, load_mapping("yoochoose-clicks")).events
        raw = [(float(r["Time"]), r["SessionId"], r["ItemId"]) for r in rows(path, "\t")]
        assert len(events) == len(raw) == count
        clicked: dict[str, list[str]] = defaultdict(list)
        for event in events:
            clicked[event["customer_id"]].append(event["product_id"])
        expected: dict[str, list[str]] = defaultdict(list)
        for _, session, item in sorted(raw, key=itemgetter(0)):
            expected[session].append(item)
        assert clicked == expected
        assert len(clicked) == sessions
        times = [event["timestamp"] for event in events]
        assert times == sorted(times)
        assert set(times) == {round(time * 1_000) for time, *_ in raw}
        del events, raw, clicked, expected, times


def test_retailrocket_rows_come_in_time_order_and_transactions_as_orders(tmp_path: Path) -> None:
    result = replayed(log(tmp_path, RETAILROCKET), load_mapping("retailrocket"))
    assert [(e["timestamp"], e["customer_id"], e["event"]) for e in result.events] == [
        (1433221332117, "257597", "view"),
        (1433221955914, "483717", "add_to_cart"),
        (1433221999827, "111016", "view"),
        (1433222276276, "599528", "purchase"),
        (1433222531300, "257597", "view"),
        (1433222531378, "257597", "purchase"),
        (1433224214164, "992329", "view"),
    ]
    orders = [e for e in result.events if "products" in e]
    assert [[line["product_id"] for line in e["products"]] for e in orders] == [
        ["356475"],
        ["355908", "15335"],
    ]
    assert {e["order_id"] for e in orders} == {"4000"}
    assert result.account.merged == 1
    assert result.account.refused.total() == 0


def test_online_retail_may_come_as_a_spreadsheet_program_writes_it(tmp_path: Path) -> None:
    head = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\r\n"
    body = (
        '536365,85123A,"HOLDER, ""WHITE"" £",6,7/13/2010 8:26,2.55,17850,United Kingdom\r\n'
        "C536379,22556,PLASTERS,-12,1.12.2010 9:41,1.65,14527,United Kingdom\r\n"
        "C536379,D,Discount,-1,1.12.2010 9:41,27.5,14527,United Kingdom\r\n"
        "536380,22961,JAM,1,7/13/10 8:26,0,,United Kingdom\r\n"
    )
    path = log(tmp_path, (head + body).encode("latin-1"))
    result = replayed(path, load_mapping("online-retail"))
    assert sorted(result.column("timestamp")) == [1279005960000, 1291196460000]
    assert [event["products"] for event in result.events] == [
        [{"product_id": "85123A", "quantity": 6, "price": "2.55"}],
        [{"product_id": "22556", "quantity": 12, "price": "1.65"}],
    ]
    assert sorted(row.reason for row in result.refused) == ["no_customer", "not_a_product"]
    names = [orjson.loads(record.value)["name"] for record in result.records if not record.rows]
    assert names == ['HOLDER, "WHITE" £', "PLASTERS"]
