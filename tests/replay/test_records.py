"""Lines of a file become rows, whatever they look like; none is lost, nor takes others along."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from stream.config import ConfigError
from stream.replay.mapping_file import load_mapping
from tests.replay.logs import log, replayed

MAPPING = """
events = {type = "view"}
columns = {time = "ts", customer = "user", item = "sku", name = "title"}
time = {format = "epoch_s"}
"""
HEAD = "ts,user,sku,title\n"


def skus(tmp_path: Path, content: str | bytes, mapping: str = MAPPING) -> list[object]:
    return replayed(log(tmp_path, content), mapping).column("product_id")


def test_bom_and_windows_line_ends_and_blank_lines_are_no_part_of_values(tmp_path: Path) -> None:
    content = "\ufeffts,user,sku,title\r\n1,ada,a,x\r\n\r\n2,ada,b,y\r\n   \r\n3,ada,c,z"
    result = replayed(log(tmp_path, content), "catalog = true" + MAPPING)
    assert result.column("product_id") == ["a", "b", "c"]
    assert [orjson.loads(record.value)["name"] for record in result.records if not record.rows] == [
        "x",
        "y",
        "z",
    ]
    assert result.account.rows == 3


def test_a_bom_before_a_file_without_header_is_no_part_of_the_first_value(tmp_path: Path) -> None:
    mapping = 'file = {names = ["user", "ts", "sku", "title"]}' + MAPPING
    path = log(tmp_path, "\ufeffada,1,a,x\nbob,2,b,y\n")
    assert replayed(path, mapping).column("customer_id") == ["ada", "bob"]


def test_quoted_values_may_hold_delimiters_quotes_and_line_ends(tmp_path: Path) -> None:
    content = HEAD + '1,ada,"a,1","two\nlines"\n2,"a ""b""",b,"x\r\ny\r\nz"\n3,bob,c,"5"" screw"\n'
    result = replayed(log(tmp_path, content), MAPPING)
    assert result.column("product_id") == ["a,1", "b", "c"]
    assert result.column("customer_id") == ["ada", 'a "b"', "bob"]


def test_a_quote_within_a_value_means_nothing(tmp_path: Path) -> None:
    assert skus(tmp_path, HEAD + '1,ada,5" screw,x\n2,ada,b,y\n') == ['5" screw', "b"]


def test_a_quote_that_is_never_closed_costs_its_own_line_only(tmp_path: Path) -> None:
    rows = [f"{n},ada,s{n},x\n" for n in range(300)]
    rows[100] = '100,ada,"s100,x\n'
    result = replayed(log(tmp_path, HEAD + "".join(rows)), MAPPING)
    assert result.column("product_id") == [f"s{n}" for n in range(300) if n != 100]
    assert [(row.row, row.reason, row.raw) for row in result.refused] == [
        (101, "unparsable", b'100,ada,"s100,x\n')
    ]


def test_two_stray_quotes_do_not_swallow_the_rows_between_them(tmp_path: Path) -> None:
    rows = [f"{n},ada,s{n},x\n" for n in range(20)]
    rows[5], rows[9] = '5,ada,"s5,x\n', '9,ada,"s9,x\n'
    result = replayed(log(tmp_path, HEAD + "".join(rows)), MAPPING)
    assert result.column("product_id") == [f"s{n}" for n in range(20) if n not in (5, 9)]
    assert [row.row for row in result.refused] == [6, 10]


def test_without_a_quote_character_quotes_are_text(tmp_path: Path) -> None:
    mapping = 'file = {quote = ""}' + MAPPING
    assert skus(tmp_path, HEAD + '1,ada,"a,x\n2,ada,"b",y\n', mapping) == ['"a', '"b"']


def test_rows_with_more_or_fewer_values_than_names_are_refused(tmp_path: Path) -> None:
    content = HEAD + "1,ada,a,x,y\n2,ada,b\n3,ada\n4\n5,ada,c,x,,\n6,ada,d,\n"
    result = replayed(log(tmp_path, content), MAPPING)
    assert result.column("product_id") == ["c", "d"]
    assert [(row.row, row.reason) for row in result.refused] == [
        (number, "ragged") for number in (1, 2, 3, 4)
    ]


def test_a_line_that_is_not_in_the_first_encoding_is_read_in_the_next(tmp_path: Path) -> None:
    content = HEAD.encode() + "1,ada,café,x\n".encode("latin-1") + "2,ada,thé,x\n".encode()
    assert skus(tmp_path, content, 'file = {encoding = ["utf-8", "latin-1"]}' + MAPPING) == [
        "café",
        "thé",
    ]
    strict = replayed(log(tmp_path, content), MAPPING)
    assert strict.column("product_id") == ["thé"]
    assert [(row.row, row.reason) for row in strict.refused] == [(1, "unparsable")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_from_the_header(tmp_path: Path, delimiter: str) -> None:
    content = (HEAD + "1,ada,a,x\n").replace(",", delimiter)
    assert skus(tmp_path, content) == ["a"]


def test_a_delimiter_may_have_two_characters_or_be_any_white_space(tmp_path: Path) -> None:
    names = 'names = ["user", "ts", "sku", "title"]'
    double = f'file = {{delimiter = "::", {names}}}' + MAPPING
    assert skus(tmp_path, "ada::1::a::x\nada::2::b::y\n", double) == ["a", "b"]
    spaces = f'file = {{delimiter = "space", {names}}}' + MAPPING
    assert skus(tmp_path, "  ada  1 a   x\n  ada 22 b  y\n", spaces) == ["a", "b"]


def test_lines_before_the_header_are_passed_over(tmp_path: Path) -> None:
    content = "Export of shop 7\n(c) the shop\n" + HEAD + "1,ada,a,x\n"
    assert skus(tmp_path, content, "file = {skip = 2}" + MAPPING) == ["a"]


def test_a_line_without_end_is_not_taken_into_memory_whole(tmp_path: Path) -> None:
    path = log(tmp_path, HEAD.encode() + b"1,ada,a,x\n2,ada," + b"y" * 3_000_000 + b"\n3,ada,c,z\n")
    result = replayed(path, MAPPING)
    assert result.column("product_id")[0] == "a"
    assert result.column("product_id")[-1] == "c"
    assert max(len(record.value) for record in result.records) < 2**20 + 200


def _zip(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("log.csv", content)


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [
        (".gz", lambda path, content: path.write_bytes(gzip.compress(content))),
        (".bz2", lambda path, content: path.write_bytes(bz2.compress(content))),
        (".xz", lambda path, content: path.write_bytes(lzma.compress(content))),
        (".zip", _zip),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_compressed_logs_are_read_in_or_out_of_order(
    tmp_path: Path, suffix: str, pack: Callable[[Path, bytes], object], order: int
) -> None:
    path = tmp_path / f"log.csv{suffix}"
    rows = [f"{n},ada,s{n},x\n" for n in range(1_000)][::order]
    pack(path, (HEAD + "".join(rows)).encode())
    assert replayed(path, MAPPING).column("product_id") == [f"s{n}" for n in range(1_000)]


def test_a_log_that_is_cut_off_says_so(tmp_path: Path) -> None:
    content = gzip.compress((HEAD + "".join(f"{n},ada,s{n},x\n" for n in range(999))).encode())
    path = log(tmp_path, content[:-20], "log.csv.gz")
    with pytest.raises(ConfigError, match=r"log\.csv\.gz: is damaged or cut off"):
        replayed(path, MAPPING)
    with pytest.raises(ConfigError, match=r"log\.csv\.gz has no such column"):
        replayed(log(tmp_path, "no gzip", "log.csv.gz"), MAPPING)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.csv: cannot be read: No such file"):
        replayed(tmp_path / "gone.csv", MAPPING)
    with pytest.raises(ConfigError, match="is a directory without files to read"):
        replayed(tmp_path, MAPPING)
    with pytest.raises(ConfigError, match=r"log\.csv: is empty"):
        replayed(log(tmp_path, ""), MAPPING)


def test_a_column_that_the_file_lacks_is_named_with_those_that_it_has(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        replayed(log(tmp_path, "ts,user,product,title\n1,ada,a,x\n"), MAPPING)
    assert str(error.value) == (
        "mapping test: columns.item is 'sku', and log.csv has no such column; "
        "it has: ts, user, product, title"
    )


def test_a_header_alone_is_no_rows(tmp_path: Path) -> None:
    assert replayed(log(tmp_path, HEAD), MAPPING).account.rows == 0


NESTED = """
file = {format = "jsonl"}
events = {type = "view"}
columns = {time = "at", customer = "user.id", item = "products.0.sku"}
time = {format = "epoch_ms"}
"""


def test_json_lines_are_read_by_dotted_paths(tmp_path: Path) -> None:
    lines = [
        '{"at": 1000, "user": {"id": 7}, "products": [{"sku": "a"}]}',
        '{"at": 2000, "user": {"id": "ada"}, "products": [{"sku": 12}], "price": NaN}',
        '{"at": 3000, "user": null, "products": []}',
        '{"at": 4000, "user": {"id": "bob"}, "products": {"sku": "x"}}',
    ]
    result = replayed(log(tmp_path, "\n".join(lines)), NESTED)
    assert result.column("customer_id") == ["7", "ada", "bob"]
    assert result.column("product_id") == ["a", "12", None]
    assert [row.reason for row in result.refused] == ["no_customer"]


def test_what_is_no_json_object_is_refused(tmp_path: Path) -> None:
    lines = ["[1]", "{", '"text"', '{"user": "\\ud800"}', "[" * 100_000, "\\xff", "null"]
    result = replayed(log(tmp_path, "\n".join(lines)), NESTED)
    assert [row.reason for row in result.refused] == ["unparsable"] * len(lines)
    assert [row.raw.strip().decode() for row in result.refused] == lines


def test_every_element_of_an_array_is_a_row_where_the_mapping_says_so(tmp_path: Path) -> None:
    mapping = """
    file = {format = "jsonl", explode = "events"}
    columns = {time = "events.ts", customer = "session", item = "events.aid", type = "events.type"}
    time = {format = "epoch_ms"}
    events.types = {clicks = "view", carts = "add_to_cart", orders = "purchase"}
    """
    lines = [
        '{"session": 1, "events": [{"aid": 5, "ts": 10, "type": "clicks"},'
        ' {"aid": 6, "ts": 40, "type": "orders"}]}',
        '{"session": 2, "events": [{"aid": 7, "ts": 20, "type": "carts"}]}',
        '{"session": 3, "events": []}',
        '{"session": 4}',
    ]
    result = replayed(log(tmp_path, "\n".join(lines)), mapping)
    assert [(e["timestamp"], e["customer_id"], e["event"]) for e in result.events] == [
        (10, "1", "view"),
        (20, "2", "add_to_cart"),
        (40, "1", "purchase"),
    ]
    assert [(row.row, row.reason) for row in result.refused] == [(4, "empty"), (5, "empty")]
    assert len(set(result.column("event_id"))) == 3


def test_both_forms_of_the_yoochoose_clicks_mean_the_same(tmp_path: Path) -> None:
    mapping = load_mapping("yoochoose-clicks")
    original = log(
        tmp_path,
        "1,2014-04-07T10:51:09.277Z,214536502,0\n1,2014-04-07T10:54:09.868Z,214536500,0\n",
        "yoochoose-clicks.dat",
    )
    benchmark = log(
        tmp_path,
        "SessionId\tItemId\tTime\n1\t214536502\t1396867869.277\n1\t214536500\t1396868049.868\n",
        "train.txt",
    )
    first, second = replayed(original, mapping), replayed(benchmark, mapping)
    for field in ("customer_id", "session_id", "timestamp", "product_id", "event", "consent"):
        assert first.column(field) == second.column(field), field
    assert first.column("timestamp") == [1396867869277, 1396868049868]
