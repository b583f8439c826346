"""What the demo shows, in numbers: offers in words, groups compared, JSON for machines."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from stream.simulate.scene import (
    Answers,
    Scene,
    Suggestion,
    answers,
    as_json,
    effect,
    segments,
    shown,
)
from stream.simulate.shop import Books

OFFER = {
    "offer_id": "o1",
    "customer_id": "customer-000001",
    "campaign_id": "for-you",
    "discount_percent": 10,
    "segment": {"id": 2, "name": "high spend"},
    "items": [
        {
            "product_id": "item-1",
            "score": 0.1,
            "source": "bought_together",
            "reason": "often bought together with item-2",
            "because": "item-2",
            "price_minor": 999,
        },
        {"product_id": "item-9", "score": 0.01, "source": "new", "reason": "new in the shop"},
    ],
}


def books(visits: list[int], orders: list[int]) -> Books:
    empty = Books.empty(len(visits))
    return empty._replace(visits=np.array(visits), orders=np.array(orders))


def test_an_offer_is_told_with_the_names_of_its_items() -> None:
    told = shown(OFFER, {"item-1": "Lamp", "item-2": "Chair"})
    assert told.items == (
        Suggestion("Lamp", "often bought together with Chair", 0.1, 999),
        Suggestion("item-9", "new in the shop", 0.01, 0),
    )
    assert (told.customer, told.segment, told.discount) == ("customer-000001", "segment 3", 10)


def test_an_offer_without_a_segment_is_told_too() -> None:
    assert shown({**OFFER, "segment": None}, {}).segment == ""


def test_segments_are_numbered_from_one_and_one_that_there_is_not_is_left_out() -> None:
    first, second = segments(["high spend", "", "low spend"])
    assert (first.number, first.words) == (1, "high spend")
    assert (second.number, second.words) == (3, "low spend")


def test_the_effect_counts_only_what_came_after_the_beginning() -> None:
    before, after = books([10, 10], [5, 5]), books([20, 30], [7, 9])
    found = effect(before, after, np.array([0]), np.array([1]))
    assert (found.offered.visits, found.offered.orders) == (10, 2)
    assert (found.held_out.visits, found.held_out.orders) == (20, 4)
    assert found.difference == pytest.approx(0.2 - 0.2)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Visits of a customer are alike, which a naive interval would overlook."""
    rng, covered, runs, customers = np.random.default_rng(5), 0, 400, 300
    for _ in range(runs):
        habit = rng.beta(1, 9, size=customers)
        visits = rng.poisson(12, size=customers)
        after = books(visits.tolist(), rng.binomial(visits, habit).tolist())
        groups = np.arange(150), np.arange(150, 300)
        found = effect(Books.empty(customers), after, *groups)
        covered += found.low <= 0 <= found.high
    assert 0.91 < covered / runs < 0.985


def test_nobody_to_compare_gives_no_effect() -> None:
    none = np.array([], dtype=np.int64)
    found = effect(Books.empty(3), Books.empty(3), none, none)
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_answers_are_sums_of_the_books() -> None:
    told = Books.empty(2)._replace(
        impressions=np.array([1, 2]), offer_clicks=np.array([0, 1]), unwanted=np.array([1, 0])
    )
    assert answers(told) == Answers(seen=3, clicked=1, unwanted=1)


def test_a_scene_is_json_for_machines() -> None:
    scene = Scene(
        latest=(shown(OFFER, {}),),
        segments=segments(["high spend"]),
        counts={"applied": 3},
        event_rates=(1.0, 2.26),
        p50=0.03,
    )
    told = orjson.loads(orjson.dumps(as_json(scene)))
    assert told["events_per_second"] == 2.3
    assert told["latest_offers"][0]["items"][0]["reason"] == "often bought together with item-2"
    assert told["event_to_offer_seconds"] == {"p50": 0.03, "p99": None}
    assert told["learning"]["auc"] is None
