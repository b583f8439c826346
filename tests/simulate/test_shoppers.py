"""The shoppers as a whole: the same again for a seed, valid, plausible, moved by what they like."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from stream.codec.events.decoding import Decoded, EventDecoder
from stream.codec.schema import load_schemas
from stream.config import CoreSettings
from stream.domain.event import Source
from stream.simulate import Shoppers, TimedRecord
from stream.simulate.people import ARCHETYPES, traits

ROOT = Path(__file__).parents[2]
START = 1_760_000_000_000
DAY = 86_400
SOURCES = {
    "clicks": Source.CLICKS,
    "purchases": Source.PURCHASES,
    "feedback": Source.FEEDBACK,
    "customers": Source.CUSTOMERS,
}


def an_offer(customer: str, items: Iterable[str], number: int, discount: int = 0) -> dict[str, Any]:
    return {
        "offer_id": f"offer-{number}",
        "customer_id": customer,
        "items": [{"product_id": item} for item in items],
        "discount_percent": discount,
        "expires_at": "2099-01-01T00:00:00Z",
    }


@cache
def answered(
    seed: int, discount: int = 20, customers: int = 300
) -> tuple[Shoppers, tuple[TimedRecord, ...]]:
    """A day and a half of a shop that offers each visitor four items with a discount."""
    shoppers = Shoppers(seed, customers, 200, START, pace=4)
    ids = [record.key.decode() for record in shoppers.catalog_records()]
    records, offered, number = [], set(), 0
    for _ in range(36 * 20):
        step = shoppers.step(180)
        records += step
        for record in step:
            visit = orjson.loads(record.value).get("session_id")
            if record.topic == "clicks" and visit not in offered:
                offered.add(visit)
                number += 1
                slate = (ids[(number * 7 + k * 13) % len(ids)] for k in range(4))
                shoppers.receive(an_offer(record.key.decode(), slate, number, discount))
    return shoppers, tuple(records)


@cache
def a_week() -> tuple[Shoppers, list[TimedRecord]]:
    shoppers = Shoppers(11, 300, 400, START, pace=4)
    return shoppers, shoppers.step(7 * DAY)


@pytest.fixture(scope="module", autouse=True)
def _let_go() -> Iterator[None]:
    """What these tests share is 200 MB, which no other file needs."""
    yield
    answered.cache_clear()
    a_week.cache_clear()


def digest(records: Iterable[TimedRecord]) -> str:
    return sha256(repr([tuple(record) for record in records]).encode()).hexdigest()


def test_the_same_seed_and_offers_give_the_same_records_whatever_the_hash_seed() -> None:
    program = (
        "from tests_simulate_shoppers import answered, digest; "
        "print(digest(answered(5, 20, 60)[1]))"
    )
    loader = (
        "import importlib.util, sys; "
        f"spec = importlib.util.spec_from_file_location('tests_simulate_shoppers', {__file__!r}); "
        "module = importlib.util.module_from_spec(spec); "
        "sys.modules['tests_simulate_shoppers'] = module; spec.loader.exec_module(module); "
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", loader + program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_how_time_is_cut_into_steps_changes_nothing() -> None:
    whole, parts = Shoppers(5, 200, 200, START), Shoppers(5, 200, 200, START)
    cut = [record for _ in range(24 * 6) for record in parts.step(600)]
    assert whole.step(DAY) == cut


def test_another_seed_gives_another_shop() -> None:
    assert Shoppers(1, 50, 100, START).step(DAY) != Shoppers(2, 50, 100, START).step(DAY)


def test_an_offer_to_one_shopper_changes_nothing_for_another() -> None:
    alone, beside = Shoppers(8, 100, 200, START), Shoppers(8, 100, 200, START)
    moved, items = "customer-000003", [f"item-{i:05d}" for i in range(4)]
    beside.receive(an_offer(moved, items, 1, 50))
    key = moved.encode()

    def others(shoppers: Shoppers) -> list[TimedRecord]:
        return [record for record in shoppers.step(5 * DAY) if record.key != key]

    assert others(alone) == others(beside)


def test_every_record_is_valid_and_decodes() -> None:
    schemas = load_schemas()
    decoder = EventDecoder(schemas, CoreSettings())
    shoppers, records = answered(7)
    seen = Counter(record.topic for record in records)
    told = shoppers.customer_records() + shoppers.campaign_records() + shoppers.catalog_records()
    for record in (*told, *records):
        assert schemas.of(record.topic).validator.is_valid(orjson.loads(record.value)), record
        if record.topic in SOURCES:
            outcome = decoder.decode(
                SOURCES[record.topic], record.key, record.value, (), record.time
            )
            assert isinstance(outcome, Decoded), (record, outcome)
    assert set(seen) >= {"clicks", "purchases", "feedback"}


def test_records_come_in_time_order_with_unique_ids() -> None:
    _, records = answered(7)
    times = [record.time for record in records]
    ids = [orjson.loads(record.value)["event_id"] for record in records if record.topic in SOURCES]
    assert times == sorted(times)
    assert len(ids) == len(set(ids))


def test_marginal_rates_are_those_of_a_shop() -> None:
    books = a_week()[0].books
    visits = books.visits.sum()
    assert 4 <= books.views.sum() / visits <= 14
    assert 0.02 <= books.orders.sum() / visits <= 0.12
    assert 15_00 <= books.revenue.sum() / books.orders.sum() <= 120_00
    assert 0.15 <= books.margin.sum() / books.revenue.sum() <= 0.5
    assert 0 < books.refunds.sum() < 0.1 * books.revenue.sum()
    carts = Counter(
        orjson.loads(record.value)["event"] for record in a_week()[1] if record.topic == "clicks"
    )
    assert 0.3 <= books.orders.sum() / carts["add_to_cart"] <= 0.8


def test_a_few_items_draw_most_of_the_views() -> None:
    views = Counter(
        orjson.loads(record.value)["product_id"]
        for record in a_week()[1]
        if record.topic == "clicks"
    )
    counts = sorted(views.values(), reverse=True)
    assert 0.25 <= sum(counts[: len(counts) // 10]) / sum(counts) <= 0.8


def test_evenings_are_busier_than_nights() -> None:
    hours = Counter(record.time // 3_600_000 % 24 for record in a_week()[1])
    assert hours[20] > 4 * hours[3]


def test_pace_multiplies_the_visits() -> None:
    usual, hurried = Shoppers(2, 300, 200, START), Shoppers(2, 300, 200, START, pace=5)
    usual.step(2 * DAY)
    hurried.step(2 * DAY)
    assert 4 <= hurried.books.visits.sum() / usual.books.visits.sum() <= 6.5


def test_shoppers_buy_from_the_categories_that_they_look_at() -> None:
    """Taste shows in what is published: half the purchases are from a shopper's top category."""
    looked: dict[bytes, Counter[str]] = defaultdict(Counter)
    bought: dict[bytes, Counter[str]] = defaultdict(Counter)
    shoppers = Shoppers(13, 150, 400, START, pace=6)
    for record in shoppers.step(7 * DAY):
        value = orjson.loads(record.value)
        if record.topic == "clicks":
            looked[record.key][value["category"]] += 1
        elif record.topic == "purchases":
            bought[record.key].update(line["category"] for line in value["products"])
    total = sum(sum(counts.values()) for counts in bought.values())
    in_favourite = sum(counts[looked[who].most_common(1)[0][0]] for who, counts in bought.items())
    assert total > 150
    assert in_favourite / total > 0.35  # of 14 categories


def test_the_ways_of_shopping_show_in_what_people_buy() -> None:
    shoppers = Shoppers(17, 300, 400, START, pace=6)
    shoppers.step(4 * DAY)
    books, kinds = shoppers.books, np.array(shoppers.archetypes())

    def of(kind: str, column: np.ndarray) -> float:
        return float(column[kinds == kind].sum())

    def conversion(kind: str) -> float:
        return of(kind, books.orders) / of(kind, books.visits)

    def order_value(kind: str) -> float:
        return of(kind, books.revenue) / of(kind, books.orders)

    assert set(kinds) == {archetype.name for archetype in ARCHETYPES}
    assert conversion("window shopper") < 0.5 * conversion("regular")
    assert order_value("premium buyer") > 1.5 * order_value("bargain hunter")


def test_refused_consent_is_published_and_those_never_asked_stay_silent() -> None:
    seed, customers = 19, 3000
    shoppers = Shoppers(seed, customers, 100, START)
    told = {
        record.key.decode(): orjson.loads(record.value)["consent"]
        for record in shoppers.customer_records()
    }
    refused = sum(not consent["offers"] for consent in told.values()) / len(told)
    assert 0.02 <= refused <= 0.1
    assert any(not consent["profiling"] for consent in told.values())
    silent = {f"customer-{i:06d}" for i in range(customers)} - set(told)
    later = [who for who in silent if traits(seed, int(who[9:])).arrival > 0]
    assert 0 < len(silent) - len(later) < 0.03 * customers


def test_new_customers_and_new_items_keep_coming() -> None:
    _, records = a_week()
    new = [record for record in records if record.topic == "catalog"]
    assert sum(record.topic == "customers" for record in records) > 10
    assert any(orjson.loads(record.value)["added_at"] > START for record in new)


def test_a_dismissed_customer_may_withdraw_consent_and_unwanted_offers_are_counted() -> None:
    shoppers = Shoppers(23, 100, 100, START, pace=20)
    shoppers.customer_records()
    refusing = next(
        number
        for number in range(100)
        if (consent := traits(23, number).consent) is not None and not consent.offers
    )
    shoppers.receive(an_offer(f"customer-{refusing:06d}", ["item-00001"], 1))
    assert shoppers.books.unwanted.sum() == 1


def test_offers_are_seen_clicked_ignored_and_dismissed() -> None:
    shoppers, records = answered(7)
    told = Counter(
        orjson.loads(record.value)["event"] for record in records if record.topic == "feedback"
    )
    books = shoppers.books
    assert told["impression"] == books.impressions.sum() > 100
    assert told["dismiss"] == books.dismissals.sum() > 0
    assert 0 < told["click"] == books.offer_clicks.sum() < 0.3 * told["impression"]
    assert books.impressions.sum() < books.offers.sum()


def test_a_discounted_item_is_sold_at_the_discounted_price() -> None:
    shoppers, records = answered(7, discount=50)
    full = {
        r.key.decode(): orjson.loads(r.value)["price_minor"] for r in shoppers.catalog_records()
    }
    paid = [
        (line["price_minor"], full[line["product_id"]])
        for record in records
        if record.topic == "purchases"
        for line in orjson.loads(record.value)["products"]
    ]
    assert shoppers.books.offer_orders.sum() > 0
    assert {price / usual < 0.51 for price, usual in paid} == {True, False}
    assert all(price == usual or price == round(usual / 2) for price, usual in paid)


def test_an_offer_for_a_stranger_or_of_unknown_items_does_no_harm() -> None:
    shoppers = Shoppers(1, 10, 100, START)
    shoppers.receive(an_offer("nobody", ["item-00001"], 1))
    shoppers.receive(orjson.dumps(an_offer("customer-000001", ["no-such-item"], 2)))
    shoppers.step(DAY)
    assert shoppers.books.offers.sum() == 1


def test_books_of_a_moment_do_not_change_later() -> None:
    shoppers = Shoppers(1, 50, 100, START)
    before = shoppers.books.copy()
    shoppers.step(DAY)
    assert before.visits.sum() == 0 < shoppers.books.visits.sum()


def test_offers_from_one_who_knows_the_tastes_sell_more_than_random_ones() -> None:
    """What a recommender can gain: the same people and the same luck, other offers."""
    random, oracle = offering("random", discount=20), offering("oracle", discount=20)
    assert oracle.offers.sum() == random.offers.sum() > 2_000
    assert oracle.offer_clicks.sum() > 3 * random.offer_clicks.sum()
    assert oracle.offer_orders.sum() > 3 * random.offer_orders.sum()
    assert oracle.orders.sum() > 1.03 * random.orders.sum()


def offering(policy: str, discount: int) -> Any:
    """Offer four items once in six hours to whoever is in the shop; what the books then say."""
    shoppers = Shoppers(3, 900, 300, START, pace=4)
    rng = np.random.default_rng(3)
    ids = [record.key.decode() for record in shoppers.catalog_records()]
    last: dict[str, int] = {}
    for number in range(2 * DAY // 120):
        for record in shoppers.step(120):
            who = record.key.decode()
            if record.topic != "clicks" or record.time - last.get(who, 0) < 6 * 3_600_000:
                continue
            last[who] = record.time
            worth = (
                shoppers.utilities(who, ids, discount)
                if policy == "oracle"
                else rng.uniform(size=len(ids))
            )
            best = [ids[i] for i in np.argsort(worth)[-4:][::-1]]
            shoppers.receive(an_offer(who, best, number * 10_000 + len(last), discount))
    return shoppers.books


def test_a_shop_without_an_item_of_each_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="items must be at least"):
        Shoppers(1, 10, 20, START)
