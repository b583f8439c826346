from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream.models.propensity.shadow import CHAMPION, FULL, Shadow


def examples(seed: int, count: int) -> list[tuple[dict[str, Any], int]]:
    rng = np.random.default_rng(seed)
    brands, labels = rng.integers(0, 4, count), rng.random(count)
    return [
        ({"brand": f"b{b}", "hour": "9"}, int(u < (0.05, 0.2, 0.5, 0.8)[b]))
        for b, u in zip(brands.tolist(), labels.tolist(), strict=True)
    ]


def followed(shadow: Shadow, given: list[tuple[dict[str, Any], int]]) -> Shadow:
    for number, (x, label) in enumerate(given):
        shadow.learn(number, x, label, 0.3)
    return shadow


def test_every_challenger_learns_what_the_brands_say(seed: int) -> None:
    told = {s.name: s.quality for s in followed(Shadow(1.0), examples(seed, 1_200)).standings()}
    assert next(iter(told)) == CHAMPION
    assert set(told) == {
        CHAMPION,
        "logistic",
        "passive_aggressive",
        "linear_svm",
        "hoeffding_tree",
        "adaptive_forest",
    }
    assert told[CHAMPION].auc == 0.5
    for name, quality in told.items():
        assert quality.events == 1_200
        if name != CHAMPION:
            assert quality.auc is not None and quality.auc > 0.65, name
            assert quality.recall is not None and quality.f1 is not None


def test_the_share_is_bounded_and_the_same_in_every_replay(seed: int) -> None:
    given = examples(seed, 2_000)
    one, other = followed(Shadow(0.05, seed), given), followed(Shadow(0.05, seed), given)
    assert 50 < one.standings()[0].quality.events < 170
    assert one.standings() == other.standings()


def test_once_there_is_enough_to_compare_a_tenth_of_the_share_is_left(seed: int) -> None:
    shadow = Shadow(0.05, seed)
    first, later = (sum(map(shadow.sees, range(at, at + FULL))) for at in (0, 5 * FULL))
    assert 0.8 < first / (0.05 * FULL) < 1.2
    assert 0.6 < later / (0.005 * FULL) < 1.4


@pytest.mark.parametrize("share", [0.0, 1e-12])
def test_without_a_sample_there_is_nothing_to_say(share: float) -> None:
    shadow = followed(Shadow(share), examples(1, 50))
    assert shadow.standings() == () and not any(map(shadow.sees, range(1_000)))
