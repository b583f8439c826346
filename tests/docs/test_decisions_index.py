"""Every decision stands once in the index, under its own title."""

from __future__ import annotations

import re
from pathlib import Path

DECISIONS = Path(__file__).resolve().parents[2] / "docs" / "adr"
ROW = re.compile(r"^\| (\d+) \| \[(.+?)\]\((\d{4}-[a-z0-9-]+\.md)\) \|", re.MULTILINE)


def test_each_decision_is_in_the_index_once_by_its_title() -> None:
    index = (DECISIONS / "README.md").read_text()
    told = [f"{name}: # {number}. {title}" for number, title, name in ROW.findall(index)]
    files = sorted(DECISIONS.glob("[0-9]*.md"))
    assert sorted(told) == [f"{file.name}: {file.read_text().splitlines()[0]}" for file in files]


def test_numbers_are_those_of_the_files_and_are_given_once() -> None:
    numbers = [int(file.name[:4]) for file in DECISIONS.glob("[0-9]*.md")]
    assert len(set(numbers)) == len(numbers)
    for file in DECISIONS.glob("[0-9]*.md"):
        assert file.read_text().startswith(f"# {int(file.name[:4])}. "), file.name
