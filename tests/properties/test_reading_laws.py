"""Any text, encoded, packed and cut in any way that is read, is the same rows in every command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.cli.event_lines import EventLines
from stream.insight.evaluate.periods import read_series
from stream.insight.evaluate.propensity import Examples, LabelReader, typed
from stream.insight.evaluate.ratings import read_ratings
from stream.insight.evaluate.value import read_sales
from stream.reading.format import FileFormat, delimiter_of
from stream.reading.inputs import sources
from stream.reading.table import Table, baskets
from stream.replay.mapping_file import parse_mapping
from stream.replay.outcome import PublishedRecord
from stream.replay.replay import Replay
from tests.reading.packing import ENCODINGS, PACKINGS, table

MAPPING = """
file = {{delimiter = "{delimiter}", escape = "none", missing = [""]}}
columns = {{time = "ts", customer = "user", item = "sku", name = "title", event = "id"}}
time = {{format = "epoch_s"}}
events = {{type = "view"}}
catalog = true
"""
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", "^": "^"}
NAMES = ("ts", "user", "sku", "title", "id")

# NUL is no text, and nothing can be told of lone surrogates: they are in no encoding.
texts = st.text(
    st.one_of(
        st.sampled_from("\"'\\,;\t|^ \r\n\u2028\x85\x1c\ufeffé€日😀"),
        st.characters(exclude_characters="\0", exclude_categories=("Cs",)),
    ),
    max_size=12,
)


Pack = Callable[[str], bytes]


@st.composite
def packs(draw: st.DrawFn) -> Pack:
    """A way to encode and pack a text."""
    encode = ENCODINGS[draw(st.sampled_from(sorted(ENCODINGS)))]
    pack = PACKINGS[draw(st.sampled_from(sorted(PACKINGS)))]
    return lambda text: pack(encode(text))


@st.composite
def written(draw: st.DrawFn, header: bool = True) -> tuple[list[list[str]], bytes, str]:
    """Rows, a file of them, and the name of its delimiter."""
    titles = draw(st.lists(texts, min_size=0 if header else 1, max_size=8))
    rows = [[str(n), f"u{n}", f"s{n}", title, f"e{n}"] for n, title in enumerate(titles)]
    delimiter = draw(st.sampled_from(sorted(DELIMITERS)))
    end = draw(st.sampled_from(("\n", "\r\n", "\r")))
    head = [NAMES] if header else []
    text = table([*head, *rows], delimiter, quote_all=draw(st.booleans()), end=end)
    names = DELIMITERS[delimiter], "auto"
    told = draw(st.sampled_from(names if header and delimiter != "^" else names[:1]))
    return rows, draw(packs())(text), told


def blank(text: str) -> bool:
    return not text.strip()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=written())
def test_every_command_reads_the_rows_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[list[list[str]], bytes, str]
) -> None:
    rows, content, told = case
    path: Path = tmp_path_factory.mktemp("laws") / "log"
    path.write_bytes(content)
    plain = FileFormat(delimiter=delimiter_of(told), escape="")

    table_ = Table(sources([path]), plain, NAMES)
    assert [list(row.values()) for row in table_] == rows
    assert not table_.left_out

    left_out: Counter[str] = Counter()
    found = list(baskets(sources([path]), plain, left_out))
    expected = [list(NAMES), *([cell.strip() for cell in row if not blank(cell)] for row in rows)]
    if told != "auto":
        assert found == expected
        assert not left_out

    mapping = parse_mapping(MAPPING.format(delimiter=told), "laws", "laws.toml")
    replay = Replay(path, mapping)
    records = [o for o in replay.outcomes(replay.plan()) if isinstance(o, PublishedRecord)]
    events = [orjson.loads(record.value) for record in records if record.rows]
    assert [(event["event_id"], event["product_id"]) for event in events] == [
        (row[4], row[2]) for row in rows
    ]
    named: list[dict[str, Any]] = [orjson.loads(r.value) for r in records if not r.rows]
    titles = [row[3].strip() for row in rows]
    assert [item.get("name") for item in named] == [title or None for title in titles]
    assert replay.account.refused.total() == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=written())
def test_every_evaluation_reads_the_rows_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[list[list[str]], bytes, str]
) -> None:
    rows, content, told = case
    path: Path = tmp_path_factory.mktemp("laws") / "log"
    path.write_bytes(content)
    plain = FileFormat(delimiter=delimiter_of(told), escape="")
    found = sources([path])

    examples = list(Examples(found, LabelReader("id", "e0"), ("ts",), plain))
    assert [each.label for each in examples] == [int(row[4] == "e0") for row in rows]
    # By how they are written: a cell may read nan, which is not even itself.
    assert [[*map(repr, each.x.values())] for each in examples] == [
        [repr(typed(cell)) for cell in row[1:4]] for row in rows
    ]
    if len(rows) < 2:
        return
    table_ = Table(found, plain, NAMES)
    sums: Counter[str] = Counter()
    for row in rows:
        sums[row[3].strip()] += int(row[0])
    series = read_series(table_, "ts", "ts", "title").series
    assert {one.name: one.values[one.values > 0].sum() for one in series} == sums
    sales = read_sales(table_, "user", "ts", "ts*ts").sales
    assert sales == [(float(row[0]), row[1], float(row[0]) ** 2) for row in rows]
    ratings = read_ratings(table_, ("user", "sku", "ts", "ts")).ratings
    assert ratings == [(float(row[0]), row[1], row[2], float(row[0])) for row in rows]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=written(header=False))
def test_a_table_without_a_header_has_the_rows_that_were_written_by_number(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[list[list[str]], bytes, str]
) -> None:
    rows, content, told = case
    path: Path = tmp_path_factory.mktemp("laws") / "log"
    path.write_bytes(content)
    plain = FileFormat(delimiter=delimiter_of(told), escape="", header=False)
    table_ = Table(sources([path]), plain, ("1", "5"))
    assert list(table_) == [dict(zip("12345", row, strict=True)) for row in rows]
    assert not table_.left_out


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(titles=st.lists(texts, max_size=8), pack=packs(), form=st.sampled_from(("lines", "array")))
def test_every_event_of_a_file_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, titles: list[str], pack: Pack, form: str
) -> None:
    events = [{"event_id": f"e{n}", "name": title} for n, title in enumerate(titles)]
    path: Path = tmp_path_factory.mktemp("laws") / "log"
    lines = [orjson.dumps(event).decode() for event in events]
    text = "\n".join(lines) if form == "lines" else f"[{','.join(lines)}]"
    path.write_bytes(pack(text))
    found = list(EventLines([path]))
    assert [orjson.loads(line.value) for line in found] == events
    assert [line.number for line in found] == list(range(1, len(events) + 1))
