"""The goods: names that read well and differ, prices and popularity of the right form."""

from __future__ import annotations

import numpy as np

from stream.simulate.assortment import BRANDS, CATEGORIES, KINDS
from stream.simulate.goods import Goods


def test_names_differ_and_tell_brand_and_kind() -> None:
    goods = Goods(1, 2000)
    names = [good.name for good in goods.all]
    assert len(set(names)) == len(names)
    for good in goods.all:
        assert good.name.startswith(good.brand)
        assert KINDS[good.kind].name in good.name
        assert KINDS[good.kind].category == good.category


def test_every_kind_goes_with_kinds_that_exist() -> None:
    names = {kind.name for kind in KINDS}
    assert len(names) == len(KINDS)
    assert all(set(kind.goes_with) <= names - {kind.name} for kind in KINDS)


def test_prices_are_log_normal_around_the_usual_price() -> None:
    goods = Goods(1, 3000)
    tier = {brand.name: brand.tier for brand in BRANDS}
    rest = np.array(
        [np.log(g.price / KINDS[g.kind].price / tier[g.brand]) for g in goods.all if g.price > 2000]
    )
    assert abs(rest.mean()) < 0.05
    assert 0.15 < rest.std() < 0.3
    assert all(good.price >= 99 and 0 < good.margin < good.price for good in goods.all)


def test_popularity_follows_zipf() -> None:
    weights = np.sort(np.exp(Goods(1, 2000).draw[:2000]))[::-1]
    ranks = np.arange(1, 2001)
    slope = np.polyfit(np.log(ranks[50:1500]), np.log(weights[50:1500]), 1)[0]
    assert -1.1 < slope < -0.85


def test_attributes_are_unit_vectors_near_their_category() -> None:
    goods = Goods(1, 1000)
    category = goods.kind_category[goods.kind]
    cosines = goods.attributes @ goods.centres.T
    assert np.allclose(np.linalg.norm(goods.attributes, axis=1), 1)
    assert np.mean(cosines.argmax(axis=1) == category) > 0.8


def test_a_launch_puts_one_more_item_on_the_shelves() -> None:
    goods = Goods(1, 500)
    before = sum(shelf.items.size for shelf in goods.categories)
    item = goods.launch()
    assert sum(shelf.items.size for shelf in goods.categories) == before + 1 == 501
    assert item in goods.categories[CATEGORIES.index(goods.all[item].category)].items


def test_a_small_shop_has_every_shelf_that_it_can() -> None:
    goods = Goods(1, len(KINDS))
    assert all(shelf.items.size for shelf in goods.categories)
    assert all(shelf.items.size for shelf in goods.companions)
