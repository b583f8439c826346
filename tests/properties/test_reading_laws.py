"""Any text, encoded, packed and cut in any way that is read, is the same rows in every command."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.reading.format import FileFormat, delimiter_of
from stream.reading.inputs import sources
from stream.reading.table import Table, baskets
from stream.replay.mapping_file import parse_mapping
from stream.replay.outcome import Published
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


@st.composite
def written(draw: st.DrawFn) -> tuple[list[list[str]], bytes, str]:
    """Rows, a file of them, and the name of its delimiter."""
    titles = draw(st.lists(texts, max_size=8))
    rows = [[str(n), f"u{n}", f"s{n}", title, f"e{n}"] for n, title in enumerate(titles)]
    delimiter = draw(st.sampled_from(sorted(DELIMITERS)))
    end = draw(st.sampled_from(("\n", "\r\n", "\r")))
    text = table([NAMES, *rows], delimiter, quote_all=draw(st.booleans()), end=end)
    encode = ENCODINGS[draw(st.sampled_from(sorted(ENCODINGS)))]
    pack = PACKINGS[draw(st.sampled_from(sorted(PACKINGS)))]
    told = draw(st.sampled_from((DELIMITERS[delimiter], "auto") if delimiter != "^" else ("^",)))
    return rows, pack(encode(text)), told


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
    records = [o for o in replay.outcomes(replay.plan()) if isinstance(o, Published)]
    events = [orjson.loads(record.value) for record in records if record.rows]
    assert [(event["event_id"], event["product_id"]) for event in events] == [
        (row[4], row[2]) for row in rows
    ]
    named: list[dict[str, Any]] = [orjson.loads(r.value) for r in records if not r.rows]
    titles = [row[3].strip() for row in rows]
    assert [item.get("name") for item in named] == [title or None for title in titles]
    assert replay.account.refused.total() == 0
