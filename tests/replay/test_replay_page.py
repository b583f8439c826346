"""docs/replay.md teaches what is true: its mappings parse, and it names every key and reason."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from stream.grammar.times import WORDS as TIME_WORDS
from stream.reading.format import NoRow
from stream.replay.mapping import TARGETS, Columns, RefusalReason
from stream.replay.mapping_file import parse_mapping, shipped_mappings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "replay.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_is_a_mapping(number: int) -> None:
    parse_mapping(EXAMPLES[number], "example", f"example {number + 1}")


def test_the_page_names_what_there_is() -> None:
    assert len(EXAMPLES) == 5
    words = [*TARGETS, *RefusalReason, *NoRow, *shipped_mappings(), *TIME_WORDS]
    words += [field.name for field in dataclasses.fields(Columns)]
    assert [word for word in words if not re.search(rf"\b{re.escape(word)}\b", PAGE)] == []
