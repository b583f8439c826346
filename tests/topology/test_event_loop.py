"""Nothing holds the event loop: heartbeats, commits, probes and decisions have their turn.

What is bounded is the CPU time of the loop's thread in one callback (`tests.holding`), far above
what there is on any machine and far below what it was when the work was done in the loop; and,
where work is done in turns, the number of records in one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stream.broker.turns import TURN
from stream.codec.events.decoding import EventDecoder
from stream.codec.reference import ReferenceDecoder, encode_campaign, encode_item
from stream.codec.snapshots.models import Publisher
from stream.config import LearningSettings
from stream.decide.example import Basket, Example, SessionStep
from stream.decide.policy import by_priority
from stream.decide.world import Models, World
from stream.domain.event import Campaign, CatalogItem
from stream.learn.estimators import Estimators, States
from stream.learn.learner import LOG, Learner
from stream.worker import worldview
from stream.worker.engine import Engine, Publication
from tests.builders import NOON, a_click
from tests.holding import Watchdog, slowness
from tests.topology.embedded import look, publication, running, settings_in
from tests.waiting import within

LIMIT = 20.0  # ms of CPU that a callback may take …
ROOM = 4.0  # … times what busy neighbours do to caches and clocks
ITEMS = 50_000
HELD = LearningSettings(
    enabled=False, propensity_bits=10, items=20_000, neighbours=8, sessions=10_000, baskets=4_096
)
"""What models hold; publications are made by the test."""
Records = list[tuple[bytes, bytes]]


@pytest.fixture
def watchdog() -> Watchdog:
    """A watchdog over the test's own event loop."""
    return Watchdog(least=5.0)


@contextmanager
def unheld(watchdog: Watchdog) -> Iterator[None]:
    """See that nothing holds the event loop within the block."""
    with watchdog.watching():
        yield
    assert watchdog.longest < LIMIT * ROOM * slowness(), f"the event loop was held:\n{watchdog}"


def an_item(number: int, draw: random.Random) -> Publication:
    """An entry of the catalog; one in a hundred is new."""
    words = " ".join(f"word{draw.randrange(3_000)}" for _ in range(12))
    added = None if number % 100 else NOON + number
    item = CatalogItem(f"i{number}", words, f"k{number % 40}", price=999, added=added)
    return "catalog", item.item_id.encode(), encode_item(item), (), None


async def rebalance(engine: Engine) -> None:
    """Have all partitions assigned anew, and wait until they are recovered."""
    consumer: Any = engine.app.consumer
    await consumer._rebalance(sorted({tp.topic for tp in consumer.assignment()}))
    await engine.app.recovered()
    await engine.settle()


def steps(first: int, last: int, items: int, draw: random.Random) -> list[Example]:
    """Walks of five, each from an item that comes for the first time, and their orders."""
    examples: list[Example] = []
    for n in range(first, last):
        walk = [f"i{n}", *(f"i{draw.randrange(min(n + 1, items))}" for _ in range(4))]
        examples += [
            SessionStep(NOON + n, n, 1, walk[at], tuple(walk[:at]), "tea", "acme", 999)
            for at in range(5)
        ]
        examples.append(Basket(NOON + n, 1, tuple(dict.fromkeys(walk))))
    return examples


def publications(draw: random.Random) -> Iterator[Records]:
    """All that is known of 12,000 items, then some changes, the last one by 8,000 new items."""
    learner, publisher = Learner(HELD, seed=0), Publisher()
    bounds = [0, 12_000, 12_100, 12_200, 20_000]
    for at, (first, last) in enumerate(pairwise(bounds)):
        learner.learn("0/0", at, steps(first, last, HELD.items, draw))
        yield publisher.publish(learner.states(), {LOG: at}, learner.learned)


async def in_use(engine: Engine, records: Records) -> World:
    """Publish models, and wait until they are in use."""
    await engine.app.send_batch(
        engine.settings.topics.models, 0, [(key, value, None, ()) for key, value in records]
    )
    await engine.app.follower.progress.reach(await engine.app.follower.ends())
    await within("the models in use", engine.app.view.known())
    return engine.app.view.world


def told(models: Models) -> list[object]:
    """What models say to some questions."""
    items = [f"i{n}" for n in range(0, 12_000, 997)]
    return [models.recommender.recommend([item], 9, (), 10**9, 1, ()) for item in items]


async def test_a_catalog_of_fifty_thousand_items_never_holds_the_loop(
    tmp_path: Path, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    decode = watchdog.counted("decoded", ReferenceDecoder.decode_catalog)
    monkeypatch.setattr(ReferenceDecoder, "decode_catalog", decode)
    settings, draw = settings_in(tmp_path), random.Random(seed)
    catalog = [an_item(n, draw) for n in range(ITEMS)]
    with unheld(watchdog):
        async with running(settings, stocked=False) as engine:
            for at in range(0, ITEMS, 1_000):
                await engine.publish(catalog[at : at + 1_000])
            await engine.settle()
            await engine.publish([an_item(0, draw)])
            await engine.settle()
        async with running(settings, stocked=False) as engine:  # reads it from the beginning
            assert len(engine.app.view.world.catalog) == ITEMS
            await rebalance(engine)
            assert len(engine.app.view.world.newest) == 64
    assert 0 < watchdog.most["decoded"] <= TURN


async def test_publications_of_models_never_hold_the_loop_nor_change_what_is_decided_with(
    tmp_path: Path, watchdog: Watchdog, seed: int
) -> None:
    settings = replace(settings_in(tmp_path), learning=HELD)
    topic = list(publications(random.Random(seed)))
    with unheld(watchdog):
        async with running(settings) as engine:
            examples = [(None, b"", None, ())] * len(topic)
            await (await engine.app.send_batch(settings.topics.examples, 0, examples))
            held = []
            for records in topic:
                world = await in_use(engine, records)
                held.append((world, told(world.models)))
                assert all(told(world.models) == before for world, before in held)
            assert [world.models.learned_through for world, _ in held] == sorted(
                {world.models.learned_through for world, _ in held}
            )
        async with running(settings) as engine:  # reads the full snapshot, and what followed
            assert told(engine.app.view.world.models) == held[-1][1]
            assert engine.app.view.refused == 0
            await rebalance(engine)


async def test_nobody_keeps_models_so_that_two_copies_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, from_states = list[int](), Estimators.from_states

    def building(states: States, through: Mapping[str, int], learned: int) -> Estimators:
        built.append(learned)
        return from_states(states, through, learned)

    monkeypatch.setattr(Estimators, "from_states", staticmethod(building))
    async with running(settings_in(tmp_path), lockstep=True) as engine:
        for first in range(0, 80, 10):
            clicks = [a_click(n, f"c{n % 3}", f"i{n % 7}") for n in range(first, first + 10)]
            await engine.publish([publication(click) for click in clicks])
            await engine.settle()
        learned = engine.status().learned
    assert len(built) == 2
    assert built[0] == built[1] < learned


async def test_a_thousand_campaigns_are_sorted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sorts = list[int]()

    def sorting(campaigns: tuple[Campaign, ...]) -> tuple[Campaign, ...]:
        sorts.append(len(campaigns))
        return by_priority(campaigns)

    monkeypatch.setattr(worldview, "by_priority", sorting)
    async with running(settings_in(tmp_path)) as engine:
        all_of_them = [Campaign(f"c{n}", f"Campaign {n}", priority=n % 7) for n in range(1_000)]
        await engine.publish(
            [
                ("campaigns", c.campaign_id.encode(), encode_campaign(c), (), None)
                for c in all_of_them
            ]
        )
        await engine.settle()
        for _ in range(2):
            assert engine.app.view.world.campaigns == by_priority(tuple(all_of_them))
    assert sorts == [1_000]


async def test_records_that_are_all_refused_are_read_in_turns(
    tmp_path: Path, watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = watchdog.counted("catalog", ReferenceDecoder.decode_catalog)
    monkeypatch.setattr(ReferenceDecoder, "decode_catalog", reads)
    of = EventDecoder.of
    monkeypatch.setattr(
        EventDecoder, "of", lambda self, source: watchdog.counted("events", of(self, source))
    )
    bad = b'{"schema_version":1,"event_id":4,"product_id":[1,2],"customer_id":{}}'
    with unheld(watchdog):
        async with running(settings_in(tmp_path)) as engine:
            for kind in ("clicks", "catalog"):
                await engine.publish([(kind, b"c%d" % n, bad, (), NOON) for n in range(1_000)])
            seen = await look(engine)
    assert len(seen.letters) == 2_000
    assert 0 < watchdog.most["events"] <= TURN
    assert 0 < watchdog.most["catalog"] <= TURN
