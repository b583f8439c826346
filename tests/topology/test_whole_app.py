"""The whole app, embedded: what is published comes out decided, whatever restarts in between."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import weakref
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.codec.examples import decode_examples, decode_lesson
from stream.codec.reference import encode_campaign, encode_item
from stream.codec.snapshots.models import Assembler
from stream.config import LearningSettings, PolicySettings
from stream.decide.example import Labelled
from stream.decide.policy import CONTROL, arm_of
from stream.domain.event import Campaign, CatalogItem, Event
from stream.worker.engine import Engine, Publication
from tests.builders import (
    HOUR,
    NEW_ITEMS,
    NOON,
    OPEN,
    SECOND,
    a_click,
    a_purchase,
    an_update,
    consent,
)
from tests.shops import happen, shop_of
from tests.topology.embedded import (
    in_other,
    look,
    publication,
    running,
    settings_in,
    stored,
    unstamped,
)

EAGER = replace(OPEN, offer_gap=60.0, offers_per_day=1000)


def a_history(chance: random.Random, size: int, first: int = 0) -> list[Event]:
    """Clicks and orders of some customers, twenty seconds apart."""
    events: list[Event] = []
    for n in range(first, first + size):
        customer, item = f"c{chance.randrange(40)}", f"i{chance.randrange(30)}"
        time = NOON + n * 20 * SECOND
        if chance.random() < 0.8:
            events.append(a_click(n, customer, item, time=time, category=f"k{n % 3}"))
        else:
            events.append(a_purchase(n, customer, item, f"i{chance.randrange(30)}", time=time))
    return events


def an_item(item_id: str, **fields: Any) -> Publication:
    """An entry of the catalog."""
    item = CatalogItem(item_id, **fields)
    return "catalog", item_id.encode(), encode_item(item), (), None


async def taken(engine: Engine, *entries: Publication) -> None:
    """Publish entries of the world, and wait until they are in use."""
    await engine.publish(entries)
    await engine.settle()


async def offers_to(engine: Engine, *events: Event) -> list[dict[str, Any]]:
    """Publish events and return the offers that answer them."""
    engine.drain_offers()
    await engine.publish([publication(event) for event in events])
    await engine.settle()
    return [orjson.loads(offer) for offer in engine.drain_offers()]


# ------------------------------------------------------------------------------------------ restart


@pytest.mark.parametrize("partitions", [1, 4])
async def test_restarts_change_no_customer_no_count_and_no_offer(
    tmp_path: Path, partitions: int, seed: int
) -> None:
    events = [publication(event) for event in a_history(random.Random(seed), 600)]
    calm = settings_in(tmp_path / "calm", partitions, EAGER)
    async with running(calm, lockstep=True) as engine:
        for at in range(0, 600, 150):
            await engine.publish(events[at : at + 150])
            undisturbed = await look(engine)
    restless = settings_in(tmp_path / "restless", partitions, EAGER)
    for at in range(0, 600, 150):
        async with running(restless, lockstep=True) as engine:
            await engine.publish(events[at : at + 150])
            restarted = await look(engine)
    assert restarted.counts == undisturbed.counts
    assert {k: unstamped(v) for k, v in restarted.customers.items()} == {
        k: unstamped(v) for k, v in undisturbed.customers.items()
    }
    assert [o.value for o in restarted.offers] == [o.value for o in undisturbed.offers]


async def test_an_engine_that_ends_in_the_middle_goes_on_where_it_was(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    events = [publication(event) for event in a_history(chance, 3_000)]
    settings = settings_in(tmp_path, 4, EAGER)
    for at in range(0, 3_000, 1_000):
        async with running(settings, lockstep=chance.random() < 0.5) as engine:
            await engine.publish(events[at : at + 1_000])
            for _ in range(chance.randrange(40)):  # turns of the loop: somewhere in the middle
                await asyncio.sleep(0)
    async with running(settings) as engine:
        seen = await look(engine)
    assert seen.counts["applied"] == 3_000
    assert sum(s.profile.views + s.profile.orders for s in seen.customers.values()) == 3_000
    ids = [orjson.loads(offer.value or b"")["offer_id"] for offer in seen.offers]
    assert len(set(ids)) == seen.counts["offers"]


# -------------------------------------------------------------------------------------------- world


def test_the_catalog_takes_effect_and_a_bad_entry_is_a_dead_letter() -> None:
    with shop_of() as shop:
        shop.stock([CatalogItem("cup", price=990, added=NOON), CatalogItem("out", stock=0)])
        happen(shop, a_click(0, "c1", "tea"))
        (offer,) = shop.offers()
        prices = {item.product_id: item.price_minor for item in offer.items}
        assert prices["cup"] == 990 and "tea" not in prices
        assert happen(shop, a_click(1, "c2", "out"), a_click(2, "c2", "cup"))["offers"]
        shop.publish("catalog", None, key="cup")
        shop.offers()
        happen(shop, a_click(3, "c3", "tea"))
        (offer,) = shop.offers()
        assert set(NEW_ITEMS) <= {*offer.products}
        bad = b'{"product_id":"pot","price":"cheap"}'
        shop.publish("catalog", bad, headers=[("by", b"me")])
        (told,) = shop.refusals()
        assert (told.topic, told.key, told.value) == ("catalog", b"pot", bad)
        assert told.headers == (("by", b"me"),)
        assert told.code == "value_range"
        assert shop._running.app.view.world.catalog.keys() == {"out", *NEW_ITEMS}
        rejected = 'offerstream_events_rejected_total{reason="value_range"}'
        assert shop.metrics()[rejected] == 1


def test_what_is_out_of_stock_is_not_offered() -> None:
    with shop_of(catalog=[CatalogItem(item, stock=0, added=NOON) for item in NEW_ITEMS]) as shop:
        assert happen(shop, a_click(0, "c1", "tea"))["denied:out_of_stock"] == 1
        assert shop.offers() == []
        shop.stock([CatalogItem(NEW_ITEMS[0], stock=3, added=NOON)])
        happen(shop, a_click(1, "c1", "tea"))
        (offer,) = shop.offers()
        assert offer.products == [NEW_ITEMS[0]]


def test_campaigns_take_effect_and_a_bad_one_is_a_dead_letter() -> None:
    low, high = Campaign("low", "Low"), Campaign("high", "High", priority=5, discount=10)
    with shop_of(campaigns=[low, high]) as shop:
        happen(shop, a_click(0, "c1"))
        (offer,) = shop.offers()
        assert (offer.campaign_id, offer.discount_percent) == ("high", 10)
        shop.publish("campaigns", None, key="high")
        happen(shop, a_click(1, "c2"))
        (offer,) = shop.offers()
        assert offer.campaign_id == "low"
        bad = encode_campaign(Campaign("low", "", discount=101))
        shop.publish("campaigns", bad)
        assert [told.value for told in shop.refusals()] == [bad]
        happen(shop, a_click(2, "c3"))
        (offer,) = shop.offers()
        assert offer.campaign_id == "low"  # what was good before stays
        shop.restart()
        happen(shop, a_click(3, "c4"))
        (offer,) = shop.offers()
        assert offer.campaign_id == "low"
        assert len(shop.read("dead_letters")) == 1  # a restart does not bury it again


def test_without_consent_there_is_no_offer_and_nothing_is_learned() -> None:
    with shop_of(replace(EAGER, consent_default=False)) as shop:
        happen(shop, a_click(0), a_purchase(1))
        assert shop.offers() == []
        assert shop.read("examples") == []
        assert happen(shop, an_update(2, consent=consent(True)), a_click(100))["offers"]
        assert shop.read("examples") != []
        shop.offers()
        happen(shop, an_update(200, consent=consent(False)), a_click(300))
        assert shop.offers() == []
        known = shop.customer("c1")
        assert known is not None
        assert known["views"] == 0
        assert known["consent"]["offers"] is False
        assert shop.counts()["denied:consent"] == 3


def test_an_erased_customer_is_gone_from_the_table() -> None:
    with shop_of() as shop:
        happen(shop, a_click(0, "c1"), a_click(1, "c2"))
        happen(shop, an_update(2, "c1", erase=True))
        for _ in range(2):
            assert shop.customers() == ["c2"]
            shop.restart()
        assert happen(shop, a_click(3, "c1"))["offers"]  # who comes back is new
        known = shop.customer("c1")
        assert known is not None
        assert known["views"] == 1


def test_a_customer_of_the_holdout_gets_no_offer_and_all_others_may() -> None:
    policy = replace(OPEN, holdout=0.5)
    with shop_of(policy, 4) as shop:
        events = [a_click(n, f"c{n}") for n in range(200)]
        names = {event.customer_id for event in events}
        became = happen(shop, *events)
        seed = shop.settings.core.seed
        held = {name for name in names if arm_of(name, seed, policy) == CONTROL}
        assert {offer.customer_id for offer in shop.offers()} == names - held
        assert became["denied:holdout"] == len(held) > 50


# ------------------------------------------------------------------------------------------- models


async def test_models_survive_a_restart_and_no_example_is_learned_twice(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    settings = settings_in(tmp_path, 4, EAGER)
    learned = 0
    for at in range(0, 900, 300):
        async with running(settings) as engine:
            assert engine.app.view.world.models.learned_through == learned
            events = [publication(event) for event in a_history(chance, 300, at)]
            await engine.publish(events)
            await engine.settle()
            status = engine.status()
            assert status.learned > learned
            learned = status.learned
            lessons = [decode_lesson(record.value or b"") for record in stored(engine, "examples")]
            models = Assembler()
            for record in stored(engine, "models"):
                models.take(record.key, record.value)
    taught = {
        (lesson.partition, source, offset): examples
        for lesson in lessons
        for source, offset, examples in lesson.taught
    }
    assert learned == sum(number_of(examples) for examples in taught.values())
    assert models.current is not None
    assert models.current.learned == learned
    last: dict[str, int] = {}
    for partition, source, offset in taught:
        name = f"{source}/{partition}"
        last[name] = max(last.get(name, -1), offset)
    assert last.items() <= models.current.through.items()


def number_of(examples: bytes) -> int:
    """How many examples there are in the bytes of one event's."""
    return len(decode_examples(examples))


async def test_what_is_looked_at_is_told_once_whatever_restarts(
    tmp_path: Path,
) -> None:
    settings = settings_in(tmp_path, 2)
    gone = [a_click(n, f"gone-{n}", f"i{n % 7}") for n in range(300)]
    others = [a_click(n, f"c{n % 9}", "i1", time=NOON + n * HOUR // 10) for n in range(500, 1100)]
    for events in (gone[:100], gone[100:] + others[:100], others[100:350], others[350:], others):
        async with running(settings) as engine:
            await engine.publish([publication(event) for event in events])
            await engine.settle()
            lessons = stored(engine, "examples")
    labels = [
        example
        for record in lessons
        for _, _, taught in decode_lesson(record.value or b"").taught
        for example in decode_examples(taught)
        if isinstance(example, Labelled)
    ]
    first = Counter(label.time for label in labels if label.time < others[0].time)
    assert first == Counter(click.time for click in gone)
    assert {label.label for label in labels} == {0}


def test_a_restarted_app_decides_with_what_was_learned() -> None:
    with shop_of(EAGER) as shop:
        happen(shop, *[a_click(n, f"c{n // 2}", ("tea", "cup")[n % 2]) for n in range(60)])
        shop.restart()
        shop.offers()
        happen(shop, a_click(100, "new", "tea"))
        (offer,) = shop.offers()
        assert {item.product_id: item.because for item in offer.items}["cup"] == "tea"


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
async def test_what_is_taught_learned_kept_and_evicted_is_counted(
    tmp_path: Path, store: str
) -> None:
    settings = replace(settings_in(tmp_path), store=store)
    settings = replace(settings, learning=replace(settings.learning, items=20))
    for first, gone in ((0, True), (200, False)):
        async with running(settings) as engine:
            events = [
                a_click(n, f"c{n % 40}", f"i{n if gone else 1}") for n in range(first, first + 200)
            ]
            await engine.publish([publication(event) for event in events])
            metrics = (await look(engine)).metrics
            assert metrics["examples_emitted_total"] == metrics["examples_learned_total"] > 100
            evicted = metrics['evictions_total{table="item_facts"}']
            assert (evicted > 100) == gone, evicted  # what was before a restart was told then
            # RocksDB estimates: what was written again and not yet compacted counts again.
            assert 40 <= engine.app.table.keys_held() <= 40 * 4


# --------------------------------------------------------------- two apps, lockstep, order


async def test_two_apps_in_one_process_share_nothing(tmp_path: Path) -> None:
    one = settings_in(tmp_path / "one")
    two = in_other(one, tmp_path / "two", "other.")
    async with running(one, stocked=False) as first, running(two, stocked=False) as second:
        await asyncio.gather(
            first.publish([publication(a_click(n, f"c{n}")) for n in range(50)]),
            second.publish([publication(a_purchase(n, f"d{n}")) for n in range(70)]),
        )
        await first.publish([("clicks", b"c1", b"{", (), NOON)])
        ours, theirs = await look(first), await look(second)
        assert (ours.counts["applied"], theirs.counts["applied"]) == (50, 70)
        assert ours.customers.keys().isdisjoint(theirs.customers.keys())
        assert (len(ours.letters), len(theirs.letters)) == (1, 0)
        assert ours.metrics["events_applied_total"] == 50
        assert theirs.metrics["events_applied_total"] == 70


@pytest.mark.parametrize("partitions", [1, 4])
async def test_lockstep_gives_the_same_bytes_again(
    tmp_path: Path, partitions: int, seed: int
) -> None:
    events = [publication(event) for event in a_history(random.Random(seed), 1_200)]
    outcomes = []
    for name in ("first", "second"):
        settings = settings_in(tmp_path / name, partitions, replace(EAGER, exploration=0.3))
        async with running(settings, lockstep=True) as engine:
            for at in range(0, len(events), 400):
                await engine.publish(events[at : at + 400])
                await engine.settle()
            offers = [(o.partition, o.offset, o.key, o.value) for o in stored(engine, "offers")]
            outcomes.append((offers, engine.status().counts, dict(engine.customers())))
    assert len(outcomes[0][0]) > 300
    assert outcomes[0] == outcomes[1]


async def test_an_order_counts_after_the_click_before_it_whichever_was_published_first(
    tmp_path: Path,
) -> None:
    """Across topics, a partition's events are decided by their time."""
    clicked = [a_click(n, f"c{n}", "tea", time=NOON + n * SECOND) for n in range(50)]
    bought = [a_purchase(n, f"c{n}", "tea", time=NOON + n * SECOND + 1) for n in range(50)]
    for name, events in {
        "clicks first": [*clicked, *bought],
        "orders first": [*bought, *clicked],
    }.items():
        async with running(settings_in(tmp_path / name, 2, EAGER), lockstep=True) as engine:
            offers = await offers_to(engine, *events)
            assert {offer["source"]["topic"] for offer in offers} == {"clicks"}
            assert engine.status().counts["offers"] == 50
            labels = engine.status().quality
            assert labels is not None
            for state in dict(engine.customers()).values():
                assert state.waiting.exposures == ()  # the click waited when the order came


async def test_stream_time_is_not_moved_by_what_is_refused(tmp_path: Path) -> None:
    async with running(settings_in(tmp_path), lockstep=True) as engine:
        ahead = a_click(1, "c1", time=NOON + 30 * 24 * HOUR)
        await engine.publish([publication(a_click(0, "c1")), publication(ahead, arrives=NOON)])
        await engine.publish([publication(a_click(2, "c1"))])
        seen = await look(engine)
        assert seen.stream_times == [NOON + 2 * SECOND]
        assert seen.counts["rejected:future_time"] == 1
        assert seen.counts["applied"] == 2


async def test_a_publication_that_was_torn_leaves_the_last_good_models(tmp_path: Path) -> None:
    settings = replace(settings_in(tmp_path), learning=LearningSettings(propensity_bits=12))
    async with running(settings) as engine:
        await offers_to(engine, *(a_click(n, f"c{n}") for n in range(40)))
        good = engine.app.view.world.models.learned_through
        torn = [("models", b"a/full/0", b"garbage", None), ("models", b"a/1/0", None, None)]
        for _, key, value, time in torn:
            await (await engine.app.send_batch("shop.models", 0, [(key, value, time, ())]))
        await engine.settle()
        assert engine.app.view.world.models.learned_through == good
        assert await offers_to(engine, a_click(100, "new"))
    async with running(settings) as engine:
        await engine.settle()
        assert engine.app.view.world.models.learned_through >= good


async def test_without_learning_there_are_offers_and_no_lessons(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings = replace(settings, learning=replace(settings.learning, enabled=False))
    async with running(settings) as engine:
        await engine.publish([publication(a_click(n, item=f"i{n}")) for n in range(20)])
        await engine.settle()
        assert engine.status().counts["applied"] == 20
        assert stored(engine, "offers")
        assert stored(engine, "examples") == []
        assert [record for record in stored(engine, "models") if record.value] == []


def test_an_app_that_has_ended_leaves_nothing_in_memory(tmp_path: Path) -> None:
    async def life() -> weakref.ref[Any]:
        async with running(settings_in(tmp_path)) as engine:
            await engine.publish([publication(a_click(0))])
            await engine.settle()
            return weakref.ref(engine.app.view.world.models.recommender)

    models = asyncio.run(life())
    gc.collect()
    assert models() is None


async def test_a_worker_that_makes_no_offer_says_why(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_in(tmp_path, policy=PolicySettings(quiet_from=0, quiet_until=0))
    chance = random.Random(seed)
    items = [an_item(f"i{n}", price=990, stock=50, added=NOON) for n in range(20)]
    orders = [
        a_purchase(n, f"c{n}", f"i{chance.randrange(20)}", time=NOON + n * SECOND)
        for n in range(2_000)
    ]
    with caplog.at_level(logging.WARNING):
        async with running(settings) as engine:
            await taken(engine, *items)
            await engine.publish([publication(order) for order in orders])
            seen = await look(engine)
    assert seen.counts["denied:consent"] == 2_000
    (line,) = [r.getMessage() for r in caplog.records if "no offer in" in r.getMessage()]
    assert "for 'consent'" in line
    assert "core.policy.consent_default" in line


async def test_orders_of_what_is_in_stock_get_offers(tmp_path: Path, seed: int) -> None:
    settings = settings_in(tmp_path, policy=PolicySettings(quiet_from=0, quiet_until=0))
    chance = random.Random(seed)
    items = [an_item(f"i{n}", price=990, stock=50, added=NOON) for n in range(200)]
    orders = [
        a_purchase(
            n, f"c{n}", f"i{chance.randrange(200)}", time=NOON + n * SECOND, consent=consent(True)
        )
        for n in range(2_000)
    ]
    async with running(settings) as engine:
        await taken(engine, *items)
        await engine.publish([publication(order) for order in orders])
        seen = await look(engine)
    held_out = seen.counts["denied:holdout"]
    assert seen.counts["offers"] == 2_000 - held_out
    assert held_out < 200
