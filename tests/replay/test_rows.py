"""Rows become what the schemas ask for; only what cannot be a record at all is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.codec.events.decoding import Decoded, EventDecoder, Outcome
from stream.codec.schema import load_schemas
from stream.config import CoreSettings
from stream.domain.event import (
    Action,
    Click,
    Consent,
    Feedback,
    Line,
    Purchase,
    Rejection,
    RejectionCode,
    Response,
    Source,
    Trade,
)
from stream.replay.mapping_file import load_mapping
from stream.replay.outcome import PublishedRecord
from tests.replay.logs import log, replayed

SOURCES = {"clicks": Source.CLICKS, "purchases": Source.PURCHASES, "feedback": Source.FEEDBACK}
FULL = """
[columns]
time = "at"
customer = "who"
item = "sku"
type = "what"
session = "visit"
price = "price"
quantity = "units"
order = "order"
category = "category"
brand = "brand"
currency = "money"
offer = "offer"
consent = "agreed"
event = "id"

[events.types]
seen = "view"
"Basket +" = "add_to_cart"
bought = "purchase"
returned = "refund"
shown = "impression"
search = "ignore"

[defaults]
currency = "EUR"
"""
NAMES = "id,at,who,what,sku,visit,price,units,order,category,brand,money,offer,agreed\n"


@pytest.fixture(scope="module")
def decoder() -> EventDecoder:
    return EventDecoder(load_schemas(), CoreSettings())


def decoded(decoder: EventDecoder, record: PublishedRecord) -> Outcome:
    return decoder.decode(SOURCES[record.kind], record.key, record.value, (), record.time_ms)


def events(tmp_path: Path, decoder: EventDecoder, rows: str, mapping: str = FULL) -> list[Any]:
    """What the pipeline makes of rows under the header of all columns."""
    found = []
    for record in replayed(log(tmp_path, NAMES + rows), mapping).records:
        outcome = decoded(decoder, record)
        found.append(outcome.event if isinstance(outcome, Decoded) else outcome)
    return found


def test_every_column_reaches_its_field(tmp_path: Path, decoder: EventDecoder) -> None:
    rows = (
        "e1,2020-01-01T00:00:00Z,ada,seen,a,v1,9.99,,,shoes,acme,usd,,yes\n"
        "e2,2020-01-01T00:00:01Z,ada,bought,a,v1,9.99,2,o1,shoes,acme,,,\n"
        "e3,2020-01-01T00:00:02Z,ada,returned,a,,9.99,1,o1,,,,,no\n"
        "e4,2020-01-01T00:00:03Z,ada,shown,a,,,,,,,,f1,\n"
    )
    assert events(tmp_path, decoder, rows) == [
        Click(
            "e1", "ada", 1577836800000, Action.VIEW, "a", 999, "USD", "shoes", "acme", 1, "v1",
            Consent(True, True),
        ),
        Purchase(
            "e2", "ada", 1577836801000, Trade.PURCHASE, "o1", "EUR",
            (Line("a", 999, 2, "shoes", "acme"),), "v1",
        ),
        Purchase(
            "e3", "ada", 1577836802000, Trade.REFUND, "o1", "EUR", (Line("a", 999),), None,
            Consent(False, False),
        ),
        Feedback("e4", "ada", 1577836803000, Response.IMPRESSION, "f1", "a"),
    ]  # fmt: skip


def test_event_types_are_compared_without_regard_to_case_and_space(
    tmp_path: Path, decoder: EventDecoder
) -> None:
    rows = ",2020-01-01,ada, SEEN ,a,,,,,,,,,\n,2020-01-01,ada,basket +,a,,,,,,,,,\n"
    assert [event.action for event in events(tmp_path, decoder, rows)] == [
        Action.VIEW,
        Action.ADD_TO_CART,
    ]


def test_only_what_cannot_be_a_record_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    mapping = FULL + '[[refuse]]\nreason = "test_item"\ncolumn = "sku"\nmatches = "test-.*"\n'
    rows = (
        ",2020-01-01,,search,test-1,,,,,,,,,\n"
        ",2020-01-01,ada,search,test-1,,,,,,,,,\n"
        ",2020-01-01,ada,search,a,,,,,,,,,\n"
        ",2020-01-01,ada,wept,a,,,,,,,,,\n"
        ",2020-01-01,ada,,a,,,,,,,,,\n"
        ",2020-01-01,\u202e,seen,a,,,,,,,,,\n"
        ",2020-01-01,ada,seen,no-test-1,,,,,,,,,\n"
    )
    result = replayed(log(tmp_path, NAMES + rows), mapping)
    assert [row.reason for row in result.refused] == [
        "no_customer",
        "test_item",
        "ignored_type",
        "unmapped_type",
        "unmapped_type",
        "no_customer",
    ]
    assert result.column("product_id") == ["no-test-1"]
    assert result.account.rows == 7


def test_the_word_for_all_others_maps_what_has_no_word_of_its_own(tmp_path: Path) -> None:
    mapping = FULL.replace("search =", '"*" = "view"\nsearch =')
    rows = ",2020-01-01,ada,wept,a,,,,,,,,,\n,2020-01-01,ada,search,a,,,,,,,,,\n"
    result = replayed(log(tmp_path, NAMES + rows), mapping)
    assert result.column("event") == ["view"]
    assert [row.reason for row in result.refused] == ["ignored_type"]


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        (",garbage,ada,seen,a,,,,,,,,,", RejectionCode.SCHEMA, "timestamp"),
        (",,ada,seen,a,,,,,,,,,", RejectionCode.SCHEMA, "timestamp"),
        (",2020-01-01,ada,seen,,,,,,,,,,", RejectionCode.SCHEMA, "product_id"),
        (",2020-01-01,ada,seen,a,,-5.00,,,,,,,", RejectionCode.VALUE_RANGE, "price"),
        (",2020-01-01,ada,seen,a,,cheap,,,,,,,", None, "price"),
        (",2020-01-01,ada,bought,a,,1,0,o,,,,,", RejectionCode.VALUE_RANGE, "quantity"),
        (",2020-01-01,ada,bought,a,,1,some,o,,,,,", RejectionCode.SCHEMA, "quantity"),
        (",2020-01-01,ada,bought,a,,1,1,o,,,galleons,,", RejectionCode.VALUE_RANGE, "currency"),
        (",2020-01-01,ada,shown,a,,,,,,,,,", RejectionCode.SCHEMA, "offer_id"),
        (",2020-01-01,ada,seen,a,,,,,,,,,perhaps", RejectionCode.SCHEMA, "consent"),
        (",1970-01-01,ada,seen,a,,,,,,,,,", RejectionCode.VALUE_RANGE, "timestamp"),
    ],
)
def test_all_else_is_published_and_the_pipeline_says_what_is_wrong(
    tmp_path: Path, decoder: EventDecoder, row: str, code: RejectionCode | None, field: str
) -> None:
    (rejection,) = events(tmp_path, decoder, row + "\n")
    assert isinstance(rejection, Rejection)
    assert code in (None, rejection.code)
    assert field in rejection.detail


def test_a_customer_is_made_from_the_session_where_the_row_names_none(tmp_path: Path) -> None:
    mapping = FULL + 'customer = "visit-{session}"\n'
    visits = [("", "7"), ("ada", "7"), ("", "")]
    rows = "".join(f",2020-01-01,{who},seen,a,{visit},,,,,,,,\n" for who, visit in visits)
    result = replayed(log(tmp_path, NAMES + rows), mapping)
    assert result.column("customer_id") == ["visit-7", "ada"]
    assert [row.reason for row in result.refused] == ["no_customer"]


def test_the_key_is_the_customer_as_the_pipeline_will_know_it(
    tmp_path: Path, decoder: EventDecoder
) -> None:
    rows = ",2020-01-01,cafe\u0301\u202e,seen,a,,,,,,,,,\n"
    (record,) = replayed(log(tmp_path, NAMES + rows), FULL).records
    assert record.key == "caf\u00e9".encode()
    assert isinstance(decoded(decoder, record), Decoded)


def test_whole_ids_lose_the_fraction_that_a_spreadsheet_gave_them(tmp_path: Path) -> None:
    mapping = "file = {whole_ids = true}\n" + FULL
    rows = ",2020-01-01,17850.0,seen,a.0,1.5,,,,,,,,\n,2020-01-01,x.0,seen,22.0,2.0,,,,,,,,\n"
    result = replayed(log(tmp_path, NAMES + rows), mapping)
    assert result.column("customer_id") == ["17850", "x.0"]
    assert result.column("product_id") == ["a.0", "22"]
    assert result.column("session_id") == ["1.5", "2"]


def test_event_ids_tell_file_and_row_and_are_the_same_each_time(tmp_path: Path) -> None:
    rows = ",2020-01-01,ada,seen,a,,,,,,,,,\nmine,2020-01-01,ada,seen,a,,,,,,,,,\n"
    first = replayed(log(tmp_path, NAMES + rows), FULL).column("event_id")
    again = replayed(log(tmp_path, NAMES + rows, "other-name.csv"), FULL).column("event_id")
    other = replayed(log(tmp_path, NAMES + rows + "\n"), FULL).column("event_id")
    assert first == again
    assert first[1] == other[1] == "mine"
    assert first[0] != other[0]
    assert first[0].endswith("-1")


def test_time_may_be_two_columns_or_a_date_and_an_offset_into_the_session(tmp_path: Path) -> None:
    head = """
    events = {type = "view"}
    [columns]
    customer = "who"
    item = "sku"
    """
    joined = head + 'time = {join = ["day", "hour"], with = " "}\n[time]\nformat = "%Y-%m-%d %H:%M"'
    path = log(tmp_path, "day,hour,who,sku\n2020-01-01,00:01,ada,a\n")
    assert replayed(path, joined).column("timestamp") == [1577836860000]
    offset = head + 'time = "eventdate"\n[time]\nplus = "timeframe"'
    path = log(tmp_path, "who;sku;timeframe;eventdate\nada;a;1500;2020-01-01\nada;b;;2020-01-01\n")
    assert sorted(replayed(path, offset).column("timestamp")) == [1577836800000, 1577836801500]


def test_a_log_without_times_is_given_some(tmp_path: Path) -> None:
    mapping = """
    columns = {customer = "who", item = "sku"}
    events = {type = "purchase"}
    time = {start = 2020-01-01T00:00:00Z, step = 60_000}
    """
    result = replayed(log(tmp_path, "who,sku\nada,a\n,b\nada,c\n"), mapping)
    assert result.column("timestamp") == [1577836800000, 1577836920000]


def test_items_are_published_to_the_catalog_when_first_seen(tmp_path: Path) -> None:
    mapping = """
    catalog = true
    columns = {time = "at", customer = "who", item = "sku", name = "title", price = "price"}
    events = {type = "view"}
    defaults = {currency = "GBP"}
    """
    rows = "at,who,sku,title,price\n2020-01-01,,b,B,1\n2020-01-01,ada,a,A,2\n2020-01-02,ada,a,Z,3\n"
    result = replayed(log(tmp_path, rows), mapping)
    catalog = [record for record in result.records if record.kind == "catalog"]
    assert [(record.key, orjson.loads(record.value)) for record in catalog] == [
        (b"a", {"product_id": "a", "price": "2", "name": "A", "currency": "GBP"})
    ]
    assert result.records.index(catalog[0]) == 0
    assert result.account.catalog == 1
    assert result.account.rows == 3


def test_what_a_shipped_mapping_publishes_is_what_the_pipeline_accepts(
    tmp_path: Path, decoder: EventDecoder
) -> None:
    samples = {
        "rees46": "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,"
        "user_session\n2019-10-01 00:00:00 UTC,cart,4,21,,aqua,33.20,55,9333\n",
        "retailrocket": "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,transaction,355908,4000\n",
        "online-retail": "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,"
        "CustomerID,Country\nC536379,22556,PLASTERS,-12,12/1/2010 9:41,1.65,14527,United Kingdom\n"
        "C536380,22556,PLASTERS,-12,12/31/2010 9:41,1.65,14527,United Kingdom\n",
        "yoochoose-clicks": "1,2014-04-07T10:51:09.277Z,214536502,0\n",
    }
    for name, sample in samples.items():
        for record in replayed(log(tmp_path, sample), load_mapping(name)).records:
            if record.kind != "catalog":
                outcome = decoded(decoder, record)
                assert isinstance(outcome, Decoded), (name, outcome)
                assert outcome.extra_fields == 0, name
                assert outcome.event.consent == Consent(True, True), name
