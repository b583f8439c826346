"""Text: composed, without what misleads, and stable."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.domain.text import tidy


@given(st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Mn", "Lu"])))
def test_tidying_twice_changes_nothing_more(text: str) -> None:
    once = tidy(text)
    assert tidy(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in once)
    assert not any(unicodedata.bidirectional(character) in BIDI for character in once)
    once.encode()


BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_is_left_alone(text: str) -> None:
    assert tidy(text) is text


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0301", "\u0316\u0301\u0327"])
def test_a_tower_of_marks_is_bounded_or_in_order(marks: str) -> None:
    tower = tidy("a" + marks * 50_000)
    assert len(tower) <= 31 or tower == "\u00e1" + "\u0301" * 49_999
    assert tidy(tower) == tower


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("e\u0301", "é"),
        ("e\u0000\u0301", "é"),
        ("a\u202eb\u2066c\u200f", "abc"),
        ("a\r\nb\tc", "a  b c"),
        ("\ufeffx\u0085", "x "),
        ("👩\u200d👧 \u0646\u200c\u0645", "👩\u200d👧 \u0646\u200c\u0645"),
        ("\ud800x", "x"),
    ],
)
def test_what_is_taken_out_and_what_stays(text: str, expected: str) -> None:
    assert tidy(text) == expected
