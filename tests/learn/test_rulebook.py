"""Which rules stand, and which of them are said again."""

from __future__ import annotations

import pytest

from stream.codec.rules import decode_rule, encode_key, encode_rule
from stream.config import LearningSettings
from stream.learn import rulebook
from stream.learn.rulebook import Said, changed, standing
from stream.models.association import AssociationRules

SETTINGS = LearningSettings(rules_support=0.01, rules_confidence=0.5)


def a_window(*baskets: list[str], times: int = 10, size: int = 1_000) -> AssociationRules:
    window = AssociationRules(baskets=size, items=100)
    for basket in baskets * times:
        window.learn_basket(basket)
    return window


def test_nothing_stands_in_an_empty_window_or_on_anecdotes() -> None:
    assert standing(a_window(), SETTINGS) == {}
    assert standing(a_window(["tea", "milk"], times=4), SETTINGS) == {}
    assert len(standing(a_window(["tea", "milk"], times=5), SETTINGS)) == 2


def test_too_many_itemsets_raise_the_support_instead_of_failing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window = a_window([f"i{n}" for n in range(12)], times=5)
    for _ in range(50):
        window.learn_basket(["tea", "milk"])
    monkeypatch.setattr(rulebook, "ITEMSETS", 100)
    assert {said.key[1] for said in standing(window, SETTINGS).values()} == {"tea", "milk"}


def test_only_what_is_new_moved_or_fell_is_said() -> None:
    window = a_window(["tea", "milk"], ["tea"], ["soap", "towel"], ["soap"], times=100)
    said = standing(window, SETTINGS)
    assert set(said) == {(("milk",), "tea"), (("tea",), "milk"), (("towel",), "soap"),
                         (("soap",), "towel")}  # fmt: skip
    assert changed(said, said) == {}
    window.learn_basket(["milk"])
    assert changed(said, standing(window, SETTINGS)) == {}  # a two-hundredth of its share
    for _ in range(9):
        window.learn_basket(["soap"])
    now = standing(window, SETTINGS)
    news = changed(said, now)
    assert (("soap",), "towel") in news
    assert news[("soap",), "towel"] is None  # 100 of 209 are less than half
    assert news[("milk",), "tea"] == now[("milk",), "tea"]
    assert changed({**said, **{key: each for key, each in news.items() if each}}, now) == {
        (("soap",), "towel"): None
    }


def test_a_rule_survives_its_bytes_and_its_counts_are_whole() -> None:
    window = a_window(["tea", "milk"], ["tea", "cup"], ["tea"], ["soap"], times=7)
    for said in standing(window, SETTINGS).values():
        read = decode_rule(encode_rule(said, 9))
        assert read.baskets == 28
        assert read.rule[2:] == pytest.approx(said.rule[2:], abs=1e-6)
        assert changed({read.key: read}, {said.key: said}) == {}
    milk = Said(standing(window, SETTINGS)[("milk",), "tea"].rule, 28)
    assert b'"counts":{"both":7,"antecedent":7,"consequent":21}' in encode_rule(milk, 9)


def test_keys_of_different_rules_differ_whatever_their_ids_hold() -> None:
    keys = [(("a,b",), "c"), (("a", "b"), "c"), (('a"]→"b',), "c"), (("a",), 'b"]→"c')]
    assert len({encode_key(key) for key in keys}) == len(keys)


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b"3", b'{"antecedent": 3}'])
def test_what_is_no_rule_is_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_rule(value)
