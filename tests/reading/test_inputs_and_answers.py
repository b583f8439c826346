"""A table of inputs as people have them, and the answer to each: the right value, or one line."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.codec.events.decoding import Decoded, EventDecoder
from stream.codec.schema import load_schemas
from stream.config import ConfigError, CoreSettings
from stream.domain.event import Click, Purchase, Source
from stream.replay.mapping_file import parse_mapping
from stream.replay.outcome import PublishedRecord
from stream.replay.replay import Replay
from tests.reading.packing import ENCODINGS, MAPPING, PACKINGS, zipped
from tests.replay.logs import log

SOURCES = {"clicks": Source.CLICKS, "purchases": Source.PURCHASES}
HEAD = "ts,user,sku,price\n"
DAY = 1_704_067_200_000  # 2024-01-01
LATER = 4_102_444_800_000


@pytest.fixture(scope="module")
def decoder() -> EventDecoder:
    return EventDecoder(load_schemas(), CoreSettings())


def added(keys: str) -> str:
    """The mapping with keys more; a table that is given replaces the mapping's own."""
    kept = MAPPING
    for name in ("columns", "events", "defaults"):
        if f"[{name}]" in keys:
            start = kept.index(f"[{name}]")
            end = kept.find("\n[", start)
            kept = kept[:start] + (kept[end + 1 :] if end > 0 else "")
    return f"{kept}\n{keys}"


def answers(
    tmp_path: Path, decoder: EventDecoder, content: str | bytes, keys: str = ""
) -> list[Any]:
    """What becomes of each row: its event, the code of its dead letter, or why it is refused."""
    replay = Replay(log(tmp_path, content), parse_mapping(added(keys), "m", "m.toml"))
    found: list[Any] = []
    for outcome in replay.outcomes(replay.plan()):
        if isinstance(outcome, PublishedRecord):
            judged = decoder.decode(SOURCES[outcome.kind], outcome.key, outcome.value, (), LATER)
            found.append(judged.event if isinstance(judged, Decoded) else judged.code.value)
        else:
            found.append(outcome.reason)
    return found


def price_of(event: Any) -> Any:
    return (event.lines[0].price if isinstance(event, Purchase) else event.price) if isinstance(
        event, Click | Purchase
    ) else event  # fmt: skip


PURCHASE = '[events]\ntype = "purchase"\n'
GERMAN = '[price]\ndecimal = ","\nthousands = "."\n'
PRICES = [
    ("12.5 EUR", "", 1250),
    ("EUR 12.5", "", 1250),
    ("R$ 12", "", 1200),
    ("US$12.30", "", 1230),
    ("12,00 zł", '[price]\ndecimal = ","\n', 1200),
    ("-0.00", "", 0),
    ("1\u00a0234.50", "", 123450),
    ("1\u202f234,50", '[price]\ndecimal = ","\n', 123450),
    ("1'234.50", "[price]\nthousands = \"'\"\n", 123450),
    ("1.234", '[price]\ndecimal = ","\n' + PURCHASE, "schema"),
    ("1.234", GERMAN + PURCHASE, 123400),
    ("3.50", GERMAN, "schema"),
    ("1.23.456", GERMAN, "schema"),
    ("12.345.678,9", GERMAN, 1234567890),
    ("(12.50)", "", "value_range"),
    ("12.50-", "", "value_range"),
    ("\u221212.50", "", "value_range"),
    ("1e3", "", 100000),
    ("1_000", "", "schema"),
    ("cheap", "", "schema"),
    ("12.50 USD", '[columns]\ntime = "ts"\ncustomer = "user"\nitem = "sku"\nprice = "price"\n'
     'currency = "user"\n', "schema"),
    ("nan", "", None),
    ("N/A", "", None),
]  # fmt: skip


@pytest.mark.parametrize(("written", "keys", "minor"), PRICES)
def test_a_price_is_what_its_country_means_or_no_price(
    tmp_path: Path, decoder: EventDecoder, written: str, keys: str, minor: object
) -> None:
    (event,) = answers(tmp_path, decoder, f'{HEAD}2024-01-01,ada,a,"{written}"\n', keys)
    assert price_of(event) == minor


def test_a_code_beside_a_price_is_its_currency(tmp_path: Path, decoder: EventDecoder) -> None:
    (event,) = answers(tmp_path, decoder, HEAD + "2024-01-01,ada,a,12.50 USD\n")
    assert (event.price, event.currency) == (1250, "USD")


@pytest.mark.parametrize(
    ("written", "keys", "units", "minor"),
    [
        ("0,456", GERMAN + '[quantity]\nfraction = "one"\n', 1, 456),
        ("1.000", GERMAN, 1_000, 1_000),
        ("2,0", GERMAN, 2, 1_000),
        ("0,456", GERMAN, "schema", None),
        ("2.0", "", 2, 100_000),
        ("1,000", '[price]\nthousands = ","\n', 1_000, 100_000),
    ],
)
def test_a_quantity_is_written_as_prices_are(
    tmp_path: Path, decoder: EventDecoder, written: str, keys: str, units: object, minor: object
) -> None:
    price = "10,00" if "decimal" in keys else "1000"
    columns = (
        '[columns]\ntime = "ts"\ncustomer = "user"\nitem = "sku"\nprice = "price"\nquantity = "n"\n'
    )
    content = f'ts,user,sku,price,n\n2024-01-01,ada,a,"{price}","{written}"\n'
    (event,) = answers(tmp_path, decoder, content, columns + PURCHASE + keys)
    if isinstance(event, str):
        assert event == units
    else:
        assert (event.lines[0].quantity, event.lines[0].price) == (units, minor)


TIMES = [
    ("2024-01-01t00:00:00z", "iso", DAY),
    ("2023-12-31T23:59:60Z", "iso", DAY - 1_000),
    ("2024-01-01 02:00:00 +0200", "iso", DAY),
    ("2024-01-01 00:00:00 utc", "iso", DAY),
    ("1704067200000000", "epoch_us", DAY),
    ("1704067200000000999", "epoch_ns", DAY),
    ("1704067200.5", "epoch_s", DAY + 500),
    ("2024-01-01", "epoch_s", "schema"),
    ("yesterday", "iso", "schema"),
]


@pytest.mark.parametrize(("written", "form", "time"), TIMES)
def test_a_time_is_read_by_the_mappings_rules_alone(
    tmp_path: Path, decoder: EventDecoder, written: str, form: str, time: object
) -> None:
    content = f"{HEAD}{written},ada,a,1\n"
    (event,) = answers(tmp_path, decoder, content, f'[time]\nformat = "{form}"\n')
    assert (event.time if isinstance(event, Click) else event) == time


BOTH = '[time]\nformat = ["%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"]\n'


def test_formats_of_times_are_decided_once_for_a_file(
    tmp_path: Path, decoder: EventDecoder
) -> None:
    rows = "".join(f"{day}/2010 08:00,ada,a,1\n" for day in ("01/12", "13/12", "05/11", "13/11"))
    days = [
        datetime.fromtimestamp(event.time / 1_000, UTC).strftime("%d.%m.")
        for event in answers(tmp_path, decoder, HEAD + rows, BOTH)
    ]
    assert days == ["05.11.", "13.11.", "01.12.", "13.12."]


@pytest.mark.parametrize(
    ("days", "why"),
    [(("01/12", "05/11"), "no row decides"), (("13/12", "12/13", "1/2"), "contradict each other")],
)
def test_times_that_nothing_decides_are_refused_with_both_readings(
    tmp_path: Path, decoder: EventDecoder, days: tuple[str, ...], why: str
) -> None:
    rows = "".join(f"{day}/2010 08:00,ada,a,1\n" for day in days)
    with pytest.raises(ConfigError, match=why) as error:
        answers(tmp_path, decoder, HEAD + rows, BOTH)
    for words in ("January" if "01/12" in days else "February", "'%d/%m/%Y %H:%M'", "log.csv"):
        assert words in str(error.value)


def test_several_files_decide_for_each_other(tmp_path: Path) -> None:
    first = log(tmp_path, HEAD + "05/11/2010 08:00,ada,a,1\n", "a.csv")
    second = log(tmp_path, HEAD + "13/11/2010 08:00,ada,b,1\n", "b.csv")
    replay = Replay([second, first], parse_mapping(added(BOTH), "m", "m.toml"))
    plan = replay.plan()
    assert [orjson.loads(o.value)["product_id"] for o in replay.outcomes(plan)] == ["a", "b"]  # type: ignore[union-attr]


NOTHING = ["", " ", "null", "NULL", "None", "nil", "NaN", "n/a", "N/A", "#N/A", "<NA>", "\\N",
           "undefined", "(not set)", "(null)", "-"]  # fmt: skip


@pytest.mark.parametrize("word", NOTHING)
def test_no_word_for_no_value_is_a_customer(
    tmp_path: Path, decoder: EventDecoder, word: str
) -> None:
    row = orjson.dumps({"ts": "2024-01-01", "user": word, "sku": "a"})
    assert answers(tmp_path, decoder, f"{HEAD}2024-01-01,{word},a,1\n") == ["no_customer"]
    assert answers(tmp_path, decoder, row) == ["no_customer"]
    own = '[file]\nmissing = ["?"]\n'
    assert answers(tmp_path, decoder, f"{HEAD}2024-01-01,{word},a,1\n", own) == ["no_customer"]
    if word.strip():
        value = orjson.dumps(
            {"event_id": "e", "customer_id": word, "timestamp": DAY, "event": "view",
             "product_id": "a"}
        )  # fmt: skip
        outcome = decoder.clicks(word.encode(), value, (), LATER)
        assert not isinstance(outcome, Decoded), "live"


@pytest.mark.parametrize(
    ("word", "said"),
    [("granted", True), ("1.0", True), ("Y", True), ("on", True), ("denied", False), ("0", False),
     ("OFF", False), ("opt-out", False), ("N/A", True), ("perhaps", None)],
)  # fmt: skip
def test_consent_is_said_in_many_words(
    tmp_path: Path, decoder: EventDecoder, word: str, said: bool | None
) -> None:
    columns = '[columns]\ntime = "ts"\ncustomer = "user"\nitem = "sku"\nconsent = "price"\n'
    (event,) = answers(tmp_path, decoder, f"{HEAD}2024-01-01,ada,a,{word}\n", columns)
    if said is None:
        assert event == "schema"
    else:
        assert (event.consent.profiling, event.consent.offers) == (said, said)


def test_whole_numbers_stay_exact_and_become_texts(tmp_path: Path, decoder: EventDecoder) -> None:
    columns = (
        '[columns]\ntime = "ts"\ncustomer = "user"\nitem = "sku"\ncategory = "cat"\nbrand = "b"\n'
    )
    lines = "".join(
        f'{{"ts":"2024-01-01","user":123456789012345678{n},"sku":{n},"cat":2053013555631882655,'
        f'"b":7}}\n'
        for n in ("901", "902")
    )
    first, second = answers(tmp_path, decoder, lines, columns)
    assert first.customer_id == "123456789012345678901"
    assert second.customer_id == "123456789012345678902"
    assert (first.item_id, first.category, first.brand) == ("901", "2053013555631882655", "7")


@pytest.mark.parametrize("value", ["{}", "[]", '{"a":1}', "[[1]]", "true", "9" * 400, "1e999"])
@pytest.mark.parametrize("field", ["ts", "user", "sku", "price", "event", "session", "n"])
def test_whatever_stands_where_an_id_is_meant_is_refused_and_not_a_bug(
    tmp_path: Path, decoder: EventDecoder, field: str, value: str
) -> None:
    columns = (
        '[columns]\ntime = "ts"\ncustomer = "user"\nitem = "sku"\nprice = "price"\norder = "n"\n'
        'event = "event"\nsession = "session"\n'
    )
    orders = '[orders]\nlines = "anywhere"\n'
    row = {"ts": '"2024-01-01"', "user": '"ada"', "sku": '"a"', "price": "1", "n": '"o"'}
    text = ",".join(f'"{name}":{raw}' for name, raw in (row | {field: value}).items())
    found = answers(tmp_path, decoder, f"{{{text}}}\n", columns + PURCHASE + orders)
    assert len(found) == 1


CSV = [
    ("sep=;", 'sep=;\nts;user;sku;price\n2024-01-01;ada;a;1\n', ["a"]),
    ("leading blank lines", f"\n  \n{HEAD}2024-01-01,ada,a,1\n", ["a"]),
    ("CR only", f"{HEAD}2024-01-01,ada,a,1\n2024-01-01,ada,b,1\n".replace("\n", "\r"), ["a", "b"]),
    ("CR only, quoted", f'{HEAD}2024-01-01,ada,"a,b",1\n2024-01-01,ada,b,1\n'.replace("\n", "\r"),
     ["a,b", "b"]),
    ("a line break in the header", 'ts,user,sku,"price"\r\n2024-01-01,ada,a,1\r\n', ["a"]),
    ("a broken name", 'ts,user,"un\nused",sku,price\n2024-01-01,ada,x,a,1\n', ["a"]),
    ("backslashes", 'ts,user,sku,price,t\n2024-01-01,ada,a,1,"5\\" x"\n'
     '2024-01-01,ada,b,1,"y\\\\"\n', ["a", "b"]),
    ("no value of MySQL", 'ts,user,sku,price,t\n2024-01-01,ada,a,\\N,"5\\", x"\n', ["a"]),
    ("paths of Windows", 'ts,user,sku,price,t\n2024-01-01,ada,a,1,"C:\\"\n'
     '2024-01-01,ada,b,1,"D:\\x"\n', ["a", "b"]),
    ("a wide field", f'{HEAD[:-1]},t\n2024-01-01,ada,a,1,"{"x" * 200_000}"\n', ["a"]),
    ("a ragged row", f"{HEAD}2024-01-01,ada,a,1,5\n2024-01-01,ada,b,1\n", ["ragged", "b"]),
    ("a short row", f"{HEAD}2024-01-01,ada,a\n2024-01-01,ada,b,\n", ["ragged", "b"]),
    ("a wide ragged field", f'{HEAD}2024-01-01,ada,a,1,"{"x" * 200_000}"\n', ["ragged"]),
    ("tabs and nothing", "ts\tuser\tsku\tprice\n\t\t\t\n2024-01-01\tada\ta\t\n",
     ["no_customer", "a"]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "items"), [case[1:] for case in CSV], ids=[c[0] for c in CSV])
def test_csv_is_read_as_people_write_it(
    tmp_path: Path, decoder: EventDecoder, content: str, items: list[str]
) -> None:
    found = answers(tmp_path, decoder, content)
    assert [event.item_id if isinstance(event, Click) else event for event in found] == items


@pytest.mark.parametrize("name", ["tab", "\\\\t", "\\t"])
def test_a_tab_has_names(tmp_path: Path, decoder: EventDecoder, name: str) -> None:
    content = HEAD.replace(",", "\t") + "2024-01-01\tada\ta\t1\n"
    (event,) = answers(tmp_path, decoder, content, f'[file]\ndelimiter = "{name}"\n')
    assert event.item_id == "a"


def test_two_columns_of_one_name_matter_where_one_is_used(
    tmp_path: Path, decoder: EventDecoder
) -> None:
    (event,) = answers(tmp_path, decoder, "ts,user,sku,price,x,x\n2024-01-01,ada,a,1,2,3\n")
    assert event.item_id == "a"
    with pytest.raises(ConfigError, match=r"columns.item is 'sku', and log.csv has 2 columns of"):
        answers(tmp_path, decoder, "ts,user,sku,price,sku\n2024-01-01,ada,a,1,2\n")


ONE, TWO = (f'{{"ts":"2024-01-01","user":"{user}","sku":"{sku}"}}' for user, sku in ("xa", "yb"))
JSON = [
    ("an array", f"[{ONE},{TWO}]"),
    ("an array over lines", '[\n  {\n "ts": "2024-01-01",' + ONE[19:] + f"\n,\n {TWO}\n]\n"),
    ("lines", f"{ONE}\n{TWO}"),
    ("pretty objects", ONE.replace("{", "{\n ") + "\n" + TWO.replace(",", ",\n ") + "\n"),
    ("arrays", f"[{ONE}]\n[{TWO}]"),
]


@pytest.mark.parametrize("content", [case[1] for case in JSON], ids=[case[0] for case in JSON])
@pytest.mark.parametrize("packing", PACKINGS)
def test_json_is_read_in_all_its_forms(
    tmp_path: Path, decoder: EventDecoder, content: str, packing: str
) -> None:
    for encode in ENCODINGS.values():
        found = answers(tmp_path, decoder, PACKINGS[packing](encode(content)))
        assert [event.item_id for event in found] == ["a", "b"]


def test_an_array_with_odd_elements_is_accounted_for(tmp_path: Path, decoder: EventDecoder) -> None:
    content = '[{"ts":"2024-01-01","user":"a]da","sku":"}\\"{"},3,,"x",[{}],{"user":null}]'
    found = answers(tmp_path, decoder, content)
    assert found[0].item_id == '}"{'
    assert found[1:] == ["unparsable"] * 4 + ["no_customer"]


def _xlsx() -> bytes:
    return zipped({"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"})


def _encrypted() -> bytes:
    raw = bytearray(zipped({"log.csv": b"ts,user\n"}))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = raw.index(signature) + place
        raw[at] |= 1
    return bytes(raw)


def _deflate64() -> bytes:
    raw = bytearray(zipped({"log.csv": b"ts,user\n"}))
    for signature, place in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        at = raw.index(signature) + place
        raw[at : at + 2] = struct.pack("<H", 9)
    return bytes(raw)


ROWS = (HEAD + "2024-01-01,ada,a,1\n" * 200).encode()
REFUSED = [
    ("workbook", _xlsx(), "is a workbook (.xlsx): save the sheet as CSV"),
    ("old workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, "is a workbook (.xls)"),
    ("OpenDocument", zipped({"mimetype": b"x", "content.xml": b"x"}), "OpenDocument"),
    ("Avro", b"Obj\x01\x04", "is Avro: write it as JSON lines"),
    ("UTF-32", b"\xff\xfe\0\0" + HEAD.encode("utf-32-le"), "is UTF-32: convert it: iconv"),
    ("UTF-32 without a mark", ROWS.decode().encode("utf-32-be"), "is UTF-32 without a mark"),
    ("UTF-16 without a mark", ROWS.decode().encode("utf-16-le"), "is UTF-16LE without a mark"),
    ("encrypted", _encrypted(), "is an encrypted zip archive: unpack it with its password"),
    ("Deflate64", _deflate64(), "packed by Deflate64, which cannot be read here: unpack it"),
    ("7z", b"7z\xbc\xaf\x27\x1c" + b"x" * 50, "is a 7z archive: unpack it"),
    ("tar", b"log.csv".ljust(257, b"\0") + b"ustar\0" + b"\0" * 250, "is a tar archive"),
    ("a page", b"\n<!DOCTYPE html><html>", "is an HTML page: download the data itself"),
    ("binary", b"ts,user\0\1\2" + bytes(range(256)), "is no text (byte 7 is zero)"),
    ("cut gzip", gzip.compress(ROWS)[:-9], "is damaged or cut off"),
    ("cut zip", zipped({"log.csv": ROWS})[:-30], "is damaged or cut off"),
    ("damaged gzip", gzip.compress(ROWS)[:30] + b"\xff" * 40, "is damaged or cut off"),
    ("rubbish behind gzip", gzip.compress(ROWS) + b"rubbish", "is damaged or cut off"),
    ("cut UTF-16", b"\xff\xfe" + ROWS.decode().encode("utf-16-le")[:-1], "is damaged or cut off"),
    ("cut array", b'[{"ts":"2024-01-01","user":"ada","sku":"a"},{"ts"', "ends before it is closed"),
    ("empty", b"", "is empty: there is nothing to read"),
    ("empty gzip", gzip.compress(b""), "is empty: there is nothing to read"),
    ("empty zip", zipped({}), "is a zip archive without files"),
    ("latin-1 header", "ts,user,sku,prix,é\n".encode("latin-1"), "its header is not in utf-8"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_cannot_be_read_is_named_with_the_way_out(
    tmp_path: Path, decoder: EventDecoder, content: bytes, words: str
) -> None:
    with pytest.raises(ConfigError) as error:
        answers(tmp_path, decoder, content)
    assert words in str(error.value)
    assert str(tmp_path / "log.csv") in str(error.value)
    assert "\n" not in str(error.value)


def test_several_files_are_one_log_in_the_order_of_time(tmp_path: Path) -> None:
    days = [f"2024-01-0{day}" for day in range(1, 7)]
    folder = tmp_path / "days"
    folder.mkdir()
    (folder / "day-10.csv").write_text(HEAD + f"{days[4]},ada,e,1\n{days[5]},ada,f,1\n")
    (folder / "day-2.csv.gz").write_bytes(gzip.compress((HEAD + f"{days[1]},ada,b,1\n").encode()))
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / ".hidden").write_text("x")
    (folder / "empty.csv").write_bytes(b"")
    (tmp_path / "two.zip").write_bytes(
        zipped(
            {
                "a/x.csv": f"sku,user,ts,price\na,ada,{days[0]},1\nd,ada,{days[3]},1\n".encode(),
                "a/y.csv": (HEAD + f"{days[2]},ada,c,1\n").encode(),
                "__MACOSX/a/._x.csv": b"\0",
            }
        )
    )
    replay = Replay(
        [tmp_path / "tw*.zip", folder, folder / "day-10.csv"], parse_mapping(MAPPING, "m", "m")
    )
    assert len(replay.sources) == 6, "a file that is named twice is opened, and told by its path"
    plan = replay.plan()
    items = [orjson.loads(o.value)["product_id"] for o in replay.outcomes(plan)]  # type: ignore[union-attr]
    assert items == ["a", "b", "c", "d", "e", "e", "f", "f"]
    file, row = replay.row_of(plan, 4)
    assert (file, row) == (f"{tmp_path / 'two.zip'}:a/x.csv", 2)


def test_files_after_each_other_need_no_index(tmp_path: Path) -> None:
    late = log(tmp_path, HEAD + "2024-01-03,ada,c,1\n", "a.csv")
    early = log(tmp_path, HEAD + "2024-01-01,ada,a,1\n2024-01-02,ada,b,1\n", "b.csv")
    replay = Replay([late, early], parse_mapping(MAPPING, "m", "m"))
    plan = replay.plan()
    assert plan.addresses is None
    assert [orjson.loads(o.value)["product_id"] for o in replay.outcomes(plan)] == ["a", "b", "c"]  # type: ignore[union-attr]
    assert replay.row_of(plan, 3) == (str(late), 1)


def test_parquet_says_how_to_read_it_or_is_read(tmp_path: Path, decoder: EventDecoder) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        with pytest.raises(ConfigError, match=r"is Parquet: pip install 'offerstream\[parquet\]'"):
            answers(tmp_path, decoder, b"PAR1" + b"\0" * 99)
        return
    day = datetime(2024, 1, 1, tzinfo=UTC)
    made = io.BytesIO()
    columns = {
        "ts": pa.array([day, day], pa.timestamp("ns", "UTC")),
        "user": pa.array([2**63 - 1, 2**64 - 1], pa.uint64()),
        "sku": ["a", None],
        "price": pa.array(["12.30", "4.56"]).cast(pa.decimal128(10, 2)),
    }
    parquet.write_table(pa.table(columns), made)
    for pack in PACKINGS.values():
        first, second = answers(tmp_path, decoder, pack(made.getvalue()))
        assert (first.customer_id, first.time, first.price) == (str(2**63 - 1), DAY, 1230)
        assert second == "schema"
    with pytest.raises(ConfigError, match="is damaged or cut off"):
        answers(tmp_path, decoder, made.getvalue()[:-40])


def test_a_mapping_may_be_written_by_windows(tmp_path: Path) -> None:
    from stream.replay.mapping_file import load_mapping

    for name, text in (("a", MAPPING), ("b", MAPPING.replace("\n", "\r\n"))):
        for number, encode in enumerate(ENCODINGS.values()):
            path = tmp_path / f"{name}{number}.toml"
            path.write_bytes(encode(text))
            assert load_mapping(str(path)).columns.item is not None
    (tmp_path / "l.toml").write_bytes('description = "é"'.encode("latin-1"))
    with pytest.raises(ConfigError, match="cannot be read: it is not UTF-8"):
        load_mapping(str(tmp_path / "l.toml"))


def test_zip_reads_what_zipfile_made(tmp_path: Path, decoder: EventDecoder) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", method) as archive:
            archive.writestr("x", ROWS)
        assert len(answers(tmp_path, decoder, made.getvalue())) == 200
