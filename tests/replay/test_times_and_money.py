"""Times, prices and quantities are read as logs write them; what is none is left to the decoder."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from stream.grammar.numbers import amount_reader
from stream.grammar.times import choice_of, reader_of, time_reader
from stream.replay.mapping import PriceFormat
from stream.replay.mapping_file import parse_mapping
from stream.replay.money import Terms, unreadable

NEW_YEAR = 1_577_836_800_000  # 2020-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("formats", "zone", "value", "time"),
    [
        (("iso",), "UTC", "2020-01-01T00:00:00Z", NEW_YEAR),
        (("iso",), "UTC", "2020-01-01 00:00:00 UTC", NEW_YEAR),
        (("iso",), "UTC", "2020-01-01 00:00:00 GMT", NEW_YEAR),
        (("iso",), "UTC", "2020-01-01 00:00:00", NEW_YEAR),
        (("iso",), "UTC", "2020-01-01", NEW_YEAR),
        (("iso",), "UTC", "20200101", NEW_YEAR),
        (("iso",), "UTC", "20200101T000000", NEW_YEAR),
        (("iso",), "UTC", "2020-01-01T00:00:00.250999Z", NEW_YEAR + 250),
        (("iso",), "UTC", "2020-01-01T02:30:00+02:30", NEW_YEAR),
        (("iso",), "Europe/Berlin", "2020-01-01T02:30:00+02:30", NEW_YEAR),
        (("iso",), "Europe/Berlin", "2020-01-01 01:00:00", NEW_YEAR),
        (("iso",), "America/New_York", "2019-12-31 19:00:00", NEW_YEAR),
        (("%d/%m/%Y %H:%M",), "Europe/London", "01/07/2020 01:00", 1_593_561_600_000),
        (("%d/%m/%Y %H:%M", "%d.%m.%y"), "UTC", "01.01.20", NEW_YEAR),
        (("%Y-%m-%d %H:%M:%S %z",), "UTC", "2020-01-01 05:30:00 +0530", NEW_YEAR),
        (("%Y%m%d",), "UTC", 20200101, NEW_YEAR),
        (("epoch_s",), "UTC", "1577836800", NEW_YEAR),
        (("epoch_s",), "UTC", "1577836800.25", NEW_YEAR + 250),
        (("epoch_s",), "UTC", 1577836800.25, NEW_YEAR + 250),
        (("epoch_s",), "UTC", "1.5778368e9", NEW_YEAR),
        (("epoch_ms",), "UTC", "1577836800000", NEW_YEAR),
        (("epoch_ms",), "UTC", 1577836800000, NEW_YEAR),
        (("iso", "epoch_s"), "UTC", "1577836800", NEW_YEAR),
        (("iso", "epoch_ms"), "UTC", "1511121612345", 1_511_121_612_345),
    ],
)
def test_a_time_is_read_in_its_format_and_zone(
    formats: tuple[str, ...], zone: str, value: object, time: int
) -> None:
    assert reader_of(choice_of(formats, ZoneInfo(zone)))(value) == time


def test_an_hour_that_a_clock_change_repeats_is_the_first_of_the_two() -> None:
    read = time_reader("iso", ZoneInfo("Europe/Berlin"))
    before, after = read("2020-10-25 01:59:59"), read("2020-10-25 03:00:00")
    repeated = read("2020-10-25 02:30:00")
    assert before is not None and after is not None and repeated is not None
    assert repeated - before == 1_801_000
    assert after - repeated == 5_400_000


@pytest.mark.parametrize("format", ["iso", "epoch_s", "epoch_ms", "%Y-%m-%d %H:%M:%S"])
@pytest.mark.parametrize(
    "value",
    ["", "yesterday", "2020-13-01", "nan", "inf", "1e400", "9" * 30, True, None, {}, [1], -1e300],
)
def test_what_is_no_time_is_none(format: str, value: object) -> None:
    assert time_reader(format)(value) is None


@pytest.mark.parametrize(
    ("format", "value", "price"),
    [
        (PriceFormat(), "12.34", "12.34"),
        (PriceFormat(), " £12.34 ", "12.34"),
        (PriceFormat(), "1e2", "1E+2"),
        (PriceFormat(thousands=","), "$1,234,567.89", "1234567.89"),
        (PriceFormat(decimal=","), "12,34", "12.34"),
        (PriceFormat(decimal=",", thousands="."), "1.234,5 €", "1234.5"),
        (PriceFormat(decimal=",", thousands="\u202f"), "1\u202f234,5", "1234.5"),
    ],
)
def test_a_price_is_read_as_its_country_writes_it(
    format: PriceFormat, value: str, price: str
) -> None:
    amount = amount_reader(format.numbers)(value)
    assert amount is not None and amount.value == Decimal(price)


def test_a_decimal_point_where_the_comma_is_decimal_is_no_guess() -> None:
    assert amount_reader(PriceFormat(decimal=",").numbers)("1.234") is None


def terms(settings: str, row: dict[str, Any]) -> dict[str, Any]:
    """What a row with ``price`` and ``quantity`` becomes under some lines of a mapping."""
    columns = 'columns = {time = "t", customer = "c", item = "i"}\nevents = {type = "purchase"}\n'
    mapping = parse_mapping(columns + settings, "test", "test.toml")
    product: dict[str, Any] = {}
    price, quantity, currency = (
        lambda row, n=n: row.get(n) for n in ("price", "quantity", "money")
    )
    Terms(mapping, price, quantity, currency).write(row, product)
    return product


@pytest.mark.parametrize(
    ("settings", "price", "quantity", "written", "units"),
    [
        ("", "2.50", "3", "2.50", 3),
        ("", 2.5, 3.0, "2.5", 3),
        ("", "1e2", None, "100", 1),
        ("", ".5", None, "0.5", 1),
        ("", "0.00", None, "0.00", 1),
        ("", None, None, None, 1),
        ("defaults = {quantity = 2}", None, None, None, 2),
        ('price = {zero = "unknown"}', "0.00", None, None, 1),
        ('price = {zero = "unknown"}', 0, None, None, 1),
        ('price = {zero = "unknown"}', "0.01", None, "0.01", 1),
        ('price = {of = "line"}', "10", "4", "2.5000", 4),
        ('price = {of = "line"}', "-10", "-4", "2.5000", -4),
        ('price = {of = "line"}', "10", "-4", "2.5000", -4),
        ('price = {of = "line"}', "1", "3", "0.3333", 3),
        ('quantity = {fraction = "one"}', "3.99", "0.456", "1.8194", 1),
        ('quantity = {fraction = "one"}\nprice = {of = "line"}', "1.82", "0.456", "1.8200", 1),
    ],
)
def test_price_and_quantity_become_those_of_a_product(
    settings: str, price: object, quantity: object, written: str | None, units: int
) -> None:
    product = terms(settings, {"price": price, "quantity": quantity})
    assert product == {"quantity": units} | ({} if written is None else {"price": written})


@pytest.mark.parametrize(
    ("of", "price", "quantity", "minor"),
    [("unit", "250", "1", 250), ("unit", 250.0, "1", 250), ("line", "100", "3", 33)],
)
def test_a_price_in_minor_units_stays_whole(
    of: str, price: object, quantity: str, minor: int
) -> None:
    settings = f'price = {{unit = "minor", of = "{of}"}}'
    assert terms(settings, {"price": price, "quantity": quantity})["price_minor"] == minor


@pytest.mark.parametrize(
    "row",
    [
        {"price": "a lot", "quantity": "many"},
        {"price": "nan", "quantity": "0.456"},
        {"price": {"amount": 3}, "quantity": [1]},
        {"price": "1e99", "quantity": "1e99"},
    ],
)
def test_what_is_no_price_or_quantity_is_published_as_unreadable(row: dict[str, Any]) -> None:
    written = terms("", row)
    assert written == {name: unreadable(value) for name, value in row.items()}


def test_a_number_that_is_no_price_or_quantity_is_left_to_the_decoder() -> None:
    assert terms("", {"price": "-3", "quantity": "0"}) == {"price": "-3", "quantity": 0}
