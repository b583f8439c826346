"""A mapping file is read strictly: each mistake is one line that says where and what instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stream.config import ConfigError
from stream.replay.mapping import Column, Target
from stream.replay.mapping_file import load_mapping, parse_mapping, shipped_mappings

GOOD = """
[columns]
time = "ts"
customer = "user"
item = "sku"
type = "what"

[events.types]
seen = "view"
"""

CONSTANT = """
events = {type = "purchase"}
columns = {time = "ts", customer = "user", item = "sku"}
"""


def fault(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        parse_mapping(text, "shop", "shop.toml")
    message = str(error.value)
    assert message.startswith("shop.toml: ")
    assert "\n" not in message
    return message


def test_what_the_project_ships_can_be_read_and_says_what_it_is_for() -> None:
    names = list(shipped_mappings())
    assert names == [
        *("online-retail", "rees46", "retailrocket", "sent-events", "yoochoose-clicks"),
    ]
    for name in names:
        mapping = load_mapping(name)
        assert mapping.name == name
        assert mapping.description
        assert mapping.defaults.consent is (None if mapping.types.sent else True)


def test_a_mapping_of_ones_own_is_named_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "my-shop.toml"
    path.write_text(GOOD)
    mapping = load_mapping(str(path))
    assert mapping.name == "my-shop"
    assert mapping.types.words == (("seen", Target("clicks", "view")),)
    assert mapping.defaults.consent is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rees64", "--mapping 'rees64': no such mapping; did you mean rees46? (known: online-"),
        ("nothing", "--mapping 'nothing': no such mapping; known: online-retail, rees46, retail"),
        ("gone.toml", "--mapping gone.toml: cannot be read: No such file or directory"),
    ],
)
def test_a_mapping_that_is_not_there_is_one_line_with_those_that_are(
    name: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as error:
        load_mapping(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("customer =", "custmer =", "columns.custmer is not a setting; did you mean customer?"),
        ("[columns]", "[colums]", "colums is not a setting; did you mean columns?"),
        ('"view"', '"veiw"', "events.types.seen is 'veiw'; did you mean view? (known: add_to_"),
        ('time = "ts"', "", "columns.time is missing; a log without times needs time.start"),
        ('item = "sku"', "", "columns.item is missing: which column names the item?"),
        ('customer = "user"', "", "columns.customer is missing: name its column, or make"),
        ('type = "what"', "", "columns.type is missing, and events.types gives words"),
        ('seen = "view"', "", 'events is missing: type = "purchase" for all rows, or'),
        ('"view"', '"impression"', "columns.offer is missing, and an event type is feedback"),
        ('item = "sku"', "item = 7", "columns.item is 7; it must be a text or a list of texts"),
        ('item = "sku"', "item = []", "columns.item names no column"),
        ('"sku"', '{join = ["a"], by = "-"}', "columns.item.by is not a setting; known: join, w"),
        ("[columns]", "[columns", "is not TOML: Expected ']' at the end of a table"),
    ],
)
def test_a_mistake_names_its_key_and_the_way_out(old: str, new: str, message: str) -> None:
    parse_mapping(GOOD, "shop", "shop.toml")
    assert message in fault(GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ('file = {format = "xml"}', "file.format is 'xml'; known: auto, csv, jsonl"),
        ('file = {delimiter = "commas"}', "file.delimiter is 'commas', which cannot be a delim"),
        ('file = {delimiter = ""}', "file.delimiter is '', which cannot be a delimiter: give a"),
        ('file = {delimiter = "\\""}', "file.delimiter is '\"', which cannot be a delimiter"),
        ('file = {quote = "<<"}', "file.quote is '<<'; it must be one ASCII sign"),
        ('file = {escape = "^"}', "file.escape is '^'; known:"),
        ('file = {encoding = "utf-88"}', "file.encoding is 'utf-88', which is unknown"),
        ('file = {encoding = "utf-16"}', "file.encoding is 'utf-16', in which lines cannot be"),
        ('file = {format = "csv", explode = "items"}', "file.explode is for JSON lines"),
        ("file = {skip = -1}", "file.skip is -1; it must be at least 0"),
        ("file = {whole_ids = 1}", "file.whole_ids is 1; it must be true or false"),
        ('time = {format = "epoch"}', "time.format is 'epoch'; did you mean epoch_"),
        ('time = {format = "%Q"}', "time.format is '%Q', which strptime does not know: 'Q' is a"),
        ('time = {format = "%H:%M"}', "which strptime does not know: it has no year (%Y)"),
        ('price = {thousands = "ab"}', "price.thousands is 'ab'; it must be one sign"),
        ('time = {zone = "Mars/Base"}', "time.zone is 'Mars/Base', which is no time zone"),
        ('time = {zone = "../etc"}', "time.zone is '../etc', which is no time zone"),
        ("time = {start = 5}", "time.start is 5; it must be a date and time"),
        ('price = {decimal = ","  , thousands = ","}', "price.thousands is ',', and so is"),
        ('price = {unit = "cents"}', "price.unit is 'cents'; known: major, minor"),
        ('orders = {lines = "consecutive"}', "orders.lines is 'consecutive', and columns.order"),
        ('defaults = {currency = "Euro"}', "defaults.currency is 'Euro'; it must be an ISO 4217"),
        ('defaults = {customer = "guest"}', "defaults.customer is 'guest'; it must hold {session}"),
        ('defaults = {customer = "{session}"}', "and columns.session is missing"),
        ("defaults = {quantity = 0}", "defaults.quantity is 0; it must be at least 1"),
        ('refuse = [{reason = "Not A Product"}]', "refuse[1].reason is 'Not A Product'"),
        ('refuse = [{reason = "no_customer"}]', "refuse[1].reason is 'no_customer', which has"),
        ('refuse = [{reason = "test"}]', "refuse[1].column is missing"),
        ('refuse = [{reason = "test", column = "a"}]', "refuse[1].matches is missing"),
        ('refuse = [{reason = "test", column = "a", matches = "("}]', "is no regular expression"),
        ("refuse = 3", "refuse must be an array of tables: [[refuse]]"),
        ("price = 3", "price is 3; it must be a table: [price]"),
    ],
)
def test_a_value_that_cannot_be_is_refused(added: str, message: str) -> None:
    parse_mapping(CONSTANT, "shop", "shop.toml")
    assert message in fault(CONSTANT + added)


def test_one_type_for_all_rows_excludes_a_type_column() -> None:
    assert "events.type makes all rows the same" in fault(
        CONSTANT.replace("item =", 'type = "what", item =')
    )
    assert "events.type is 'ignore', and all rows would be ignored" in fault(
        CONSTANT.replace('"purchase"', '"ignore"')
    )


def test_a_column_is_a_name_or_the_first_of_several_or_several_joined() -> None:
    text = CONSTANT.replace('"user"', '{join = ["shop", "user"], with = "/"}')
    columns = parse_mapping(text.replace('"sku"', '["sku", "ean"]'), "shop", "shop.toml").columns
    assert columns.customer == Column(("shop", "user"), "/")
    assert columns.item == Column(("sku", "ean"))
    assert columns.time == Column(("ts",))
