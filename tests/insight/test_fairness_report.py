"""Groups that are treated worse are told, and those that are treated alike are not."""

from __future__ import annotations

import numpy as np
import pytest

from stream.cli.report import _fairness as in_words
from stream.insight.report.fairness import fairness


def drawn(rates: dict[str, float], size: int, seed: int) -> tuple[dict[str, str], list[str]]:
    """The group of each of some customers, and who was made an offer."""
    rng = np.random.default_rng(seed)
    groups = {f"{name}{n}": name for name in rates for n in range(size)}
    return groups, [who for who, name in groups.items() if rng.random() < rates[name]]


def test_a_group_that_is_treated_worse_is_told() -> None:
    offered = {"young": 2_000, "old": 1_000, "middle": 1_900}  # of 5,000 each
    groups = {f"{name}{n}": name for name in offered for n in range(5_000)}
    made = {f"{name}{n}" for name, times in offered.items() for n in range(times)}
    treated = {"offer": made, "incentive": set[str]()}
    (told,) = fairness({"age": groups}, list(groups), treated, 100)
    found = {one["value"]: one for one in told["values"]}
    old, middle = found["old"]["offer"], found["middle"]["offer"]
    assert old["highest"] == "young" and old["below_four_fifths"]
    low, high = old["ratio"]["interval"]
    assert low < 0.5 < high < 0.8
    low, high = old["parity"]["interval"]
    assert low < -0.2 < high < 0
    assert not middle["below_four_fifths"]
    low, high = middle["ratio"]["interval"]
    assert low < 0.95 < high
    assert found["old"]["incentive"]["ratio"] is None, "of no incentive nothing can be told"
    words = "\n".join(in_words({"fairness": [told]}))
    assert "below four fifths" in words and "young" in words


def test_groups_that_are_treated_alike_are_told_apart_in_few_of_many_looks(seed: int) -> None:
    wrong = 0
    for n in range(100):
        groups, offered = drawn(dict.fromkeys("abcd", 0.3), 400, seed + n)
        treated = {"offer": set(offered), "incentive": set(offered[::2])}
        (told,) = fairness({"g": groups}, list(groups), treated, 100)
        each = [one[what] for one in told["values"] for what in treated]
        wrong += any(rate["parity"] and rate["parity"]["interval"][1] < 0 for rate in each)
        assert not any(rate["below_four_fifths"] for rate in each)
    assert wrong <= 10


def test_few_are_not_shown_and_take_no_part(seed: int) -> None:
    groups, offered = drawn({"many": 0.2}, 500, seed)
    few = {f"few{n}": "few" for n in range(99)}
    treated = {"offer": {*offered, *few}, "incentive": set[str]()}
    (told,) = fairness({"g": groups | few}, [*groups, *few], treated, 100)
    assert [one["value"] for one in told["values"]] == ["many"]
    assert told["values"][0]["offer"]["highest"] == "many" and told["not_shown"] == 1
    assert "few" not in "".join(in_words({"fairness": [told]})).replace("too few", "")


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_all_are_treated_alike_there_is_no_harm(share: float) -> None:
    groups = {f"{name}{n}": name for name in "ab" for n in range(300)}
    everyone = set(groups) if share else set[str]()
    (told,) = fairness({"g": groups}, list(groups), {"offer": everyone}, 100)
    for one in told["values"]:
        assert one["offer"]["rate"] == share and not one["offer"]["below_four_fifths"]


def test_who_told_nothing_is_of_no_group() -> None:
    (told,) = fairness({"g": {}}, ["anna", "otto"], {"offer": {"anna"}}, 1)
    assert told["values"] == [] and told["not_shown"] == 0
