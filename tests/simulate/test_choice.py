"""The utility: tastes, prices, discounts and what goes together move it as they should."""

from __future__ import annotations

import numpy as np
import pytest

from stream.simulate.assortment import KINDS
from stream.simulate.choice import browse, circumstance, liking, utilities, wants
from stream.simulate.draws import Draws
from stream.simulate.goods import GOES_WITH, Goods
from stream.simulate.people import Shopper, live_on, meet
from stream.simulate.rhythm import DAY_MS

NOW = 1_760_000_000_000
GOODS = Goods(4, 600)


def a_shopper(number: int = 1) -> Shopper:
    return meet(4, number, GOODS)


def kind_number(name: str) -> int:
    return next(i for i, kind in enumerate(KINDS) if kind.name == name)


def item_of(name: str) -> int:
    return GOODS.kind_of.index(kind_number(name))


@pytest.mark.parametrize("number", range(20))
def test_a_discount_raises_the_utility_of_everybody(number: int) -> None:
    shopper = a_shopper(number)
    at = [utilities(shopper, GOODS, [5], NOW, discount)[0] for discount in (0, 10, 20, 50)]
    assert at == sorted(at) and at[0] < at[-1]


def test_bargain_hunters_are_moved_most_by_a_discount() -> None:
    gain: dict[str, float] = {}
    for number in range(60):
        shopper = a_shopper(number)
        low, high = (utilities(shopper, GOODS, [5], NOW, discount)[0] for discount in (0, 20))
        gain[shopper.archetype.name] = high - low
    assert max(gain, key=lambda name: gain[name]) == "bargain hunter"
    assert min(gain, key=lambda name: gain[name]) == "premium buyer"


def test_a_discount_raises_the_share_that_buys() -> None:
    draws = Draws("share")
    bought = {0: 0, 20: 0}
    for number in range(400):
        shopper = a_shopper(number)
        items = list(range(number % 50, 600, 50))
        for discount in bought:
            worths = utilities(shopper, GOODS, items, NOW, discount)
            bought[discount] += sum(wants(worth, draws) for worth in worths)
    assert bought[20] > 1.2 * bought[0] > 0


def test_people_like_the_category_of_their_taste() -> None:
    shopper = a_shopper()
    shopper.tastes = shopper.archetype.taste * GOODS.centres[3]
    means = [liking(shopper, shelf).mean() for shelf in GOODS.categories]
    assert int(np.argmax(means)) == 3


def test_what_goes_with_the_basket_is_worth_more_and_the_same_again_less() -> None:
    shopper = a_shopper()
    tent, bag = item_of("Two-Person Tent"), item_of("Sleeping Bag")
    other_tent = GOODS.kind_of.index(kind_number("Two-Person Tent"), tent + 1)
    alone = [circumstance(shopper, GOODS, item, NOW, 0) for item in (bag, other_tent)]
    shopper.basket[tent] = 0
    with_tent = [circumstance(shopper, GOODS, item, NOW, 0) for item in (bag, other_tent)]
    assert alone == [0.0, 0.0]
    assert with_tent[0] > 0 > with_tent[1]


def test_one_who_has_one_wants_it_again_when_it_is_used_up() -> None:
    shopper, beans = a_shopper(), item_of("Coffee Beans")
    kind = kind_number("Coffee Beans")
    shopper.bought[kind] = NOW
    shopper.owned.add(beans)
    path = [circumstance(shopper, GOODS, beans, NOW + day * DAY_MS, 0) for day in (0, 7, 13, 15)]
    assert path == sorted(path)
    assert path[0] < 0 < path[-1]


def test_a_bargain_offers_no_more_than_it_is_worth() -> None:
    """P(buy) is the logistic function of the utility."""
    draws = Draws("logistic")
    for worth in (-4.0, -1.0, 0.0, 2.0):
        share = sum(wants(worth, draws) for _ in range(20_000)) / 20_000
        assert share == pytest.approx(1 / (1 + np.exp(-worth)), abs=0.015)


def test_browsing_shows_what_is_liked_and_what_is_popular_first() -> None:
    shopper, shelf, draws = a_shopper(), GOODS.categories[2], Draws("browse")
    first = [browse(shopper, shelf, draws, 1)[0][0] for _ in range(600)]
    liked = dict(zip(shelf.items.tolist(), liking(shopper, shelf).tolist(), strict=True))
    assert np.mean([liked[item] for item in first]) > np.mean(list(liked.values()))
    assert np.mean(GOODS.draw[first]) > np.mean(shelf.draw)


def test_a_visit_compares_items_of_a_kind() -> None:
    shopper, shelf, draws = a_shopper(), GOODS.categories[2], Draws("kinds")
    same = 0
    for _ in range(200):
        first, second = (item for item, _ in browse(shopper, shelf, draws, 2))
        same += GOODS.kind_of[first] == GOODS.kind_of[second]
    assert same / 200 > 2 / len(np.unique(shelf.kind))


def test_tastes_drift_and_keep_their_strength() -> None:
    shopper, draws = a_shopper(), Draws("drift")
    before = shopper.tastes.copy()
    angles = []
    for _ in range(60):
        live_on(shopper, draws, GOODS)
        norm = float(np.linalg.norm(shopper.tastes))
        assert norm == pytest.approx(shopper.archetype.taste)
        angles.append(float(before @ shopper.tastes) / norm**2)
    assert angles[0] > 0.97
    assert angles[-1] < 0.95


def test_what_goes_together_is_what_the_words_say() -> None:
    assert kind_number("Sleeping Bag") in GOES_WITH[kind_number("Two-Person Tent")]
    for kind, shelf in enumerate(GOODS.companions):
        assert set(shelf.kind.tolist()) <= GOES_WITH[kind]
        assert shelf.items.size
