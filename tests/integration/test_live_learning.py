"""What the live learner learns: what the evaluation learns; and the rules that it publishes."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from stream.broker.opening import open_cluster
from stream.broker.records import Record
from stream.broker.whole import read_topic
from stream.codec.rules import decode_rule, encode_key
from stream.codec.schema import load_schemas
from stream.codec.snapshots.snapshot import fingerprint
from stream.config import CoreSettings, LearningSettings, Settings, Topics
from stream.domain.event import Click
from stream.insight.evaluate import next_item
from stream.insight.evaluate.next_item import Sessions, prequential
from stream.learn.estimators import HALF_LIFE
from stream.learn.learner import STEPS
from stream.learn.rulebook import Said, standing
from stream.models.association import AssociationRules
from stream.models.recommend.recommender import Recommender
from stream.worker.checks.topics import apply, plan
from stream.worker.engine import Engine
from stream.worker.learning.verification import verify_models
from tests.builders import NOON, OPEN, SECOND, a_click, a_purchase
from tests.kafka.topics import admin_of
from tests.lessons import publications
from tests.topology.embedded import PatientEngine, publication
from tests.waiting import eventually

LEARNING = LearningSettings(
    propensity_bits=12,
    step=8,
    items=200,
    sessions=300,
    baskets=60,
    publish_interval=0.2,
    rules_interval=3_600.0,
    rules_support=0.1,
    rules_confidence=0.5,
)


@pytest.fixture(params=["kafka", "local"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, topic_prefix: str) -> Settings:
    """Settings on either broker."""
    kafka = request.param == "kafka"
    broker = f"kafka://{request.getfixturevalue('kafka')}" if kafka else f"local://{tmp_path}/log"
    return Settings(
        broker=broker,
        app_id=topic_prefix,
        topics=Topics(prefix=topic_prefix),
        partitions=1,
        data_dir=tmp_path / "state",
        core=CoreSettings(policy=OPEN),
        learning=LEARNING,
    )


@asynccontextmanager
async def running(settings: Settings, *, lockstep: bool = True) -> AsyncIterator[Engine]:
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
    async with PatientEngine(settings, lockstep=lockstep) as engine:
        yield engine


# ------------------------------------------------------------------------------ what is learned


def a_log(seed: int, size: int = 1_500) -> list[Click]:
    """Clicks with session ids and without, of people who stay and of people who come back."""
    chance = random.Random(seed)
    clicks, time = [], NOON
    named = {f"c{n}": n % 3 == 0 for n in range(25)}
    visit = dict.fromkeys(named, 0)
    place = dict.fromkeys(named, 0)
    for n in range(size):
        time += chance.randrange(1, 40 * SECOND)
        who = chance.choice(list(named))
        if chance.random() < 0.1:
            visit[who] += 1
        place[who] += chance.choice((1, 1, 1, 2, -1, 0, 7))
        session = f"visit{visit[who]}" if named[who] else None
        item = f"i{place[who] % 60}"
        clicks.append(a_click(n, who, item, time=time, session_id=session))
    return clicks


async def test_the_live_learner_learns_what_the_evaluation_learns(
    settings: Settings, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clicks = a_log(seed)
    async with running(settings) as engine:
        for start in range(0, len(clicks), 400):
            await engine.publish([publication(click) for click in clicks[start : start + 400]])
            await engine.settle()
        live = engine.app.view.world.models.recommender
    assert isinstance(live, Recommender)

    evaluated = Recommender(
        LEARNING.items,
        LEARNING.neighbours,
        LEARNING.sessions,
        HALF_LIFE,
        eager=LEARNING.eager,
        thin=LEARNING.thin,
    )
    monkeypatch.setattr(next_item, "BATCH", LEARNING.step * STEPS)
    sessions = Sessions(settings.core)
    steps = [sessions.step(c.customer_id, c.session_id, c.item_id, c.time) for c in clicks]
    whole = steps[: len(steps) // (LEARNING.step * STEPS) * LEARNING.step * STEPS]
    prequential(evaluated, whole, [], lambda done: None)
    for part in ("pairs", "index", "blend"):
        assert fingerprint(getattr(live, part).state()) == fingerprint(
            getattr(evaluated, part).state()
        ), part
    asked = [f"i{n}" for n in (3, 4)]
    ranked = live.recommend(asked, 20)
    assert len(ranked) == 20
    assert ranked == evaluated.recommend(asked, 20)


async def test_a_lone_visit_is_learned_though_it_fills_no_step(settings: Settings) -> None:
    async with running(settings, lockstep=False) as engine:
        events = [
            a_click(n, f"c{n // 2}", ("tea", "cup")[n % 2], time=NOON + n * SECOND)
            for n in range(6)
        ]
        await engine.publish([publication(event) for event in events])

        async def known() -> list[str]:
            models = engine.app.view.world.models
            return [one.item for one in models.recommender.recommend(["tea"], 5, (), -1, None, ())]

        await eventually("the cup, known", known, lambda items: "cup" in items)
    assert await asyncio.to_thread(lambda: verify_models(settings).holds)


async def test_models_that_were_lost_are_learned_again_from_the_log(settings: Settings) -> None:
    async with running(settings, lockstep=False) as engine:
        await engine.publish([publication(a_click(n)) for n in range(20)])
        await engine.settle()
    await lose_the_models(settings)
    async with running(settings, lockstep=False) as engine:
        assert engine.app.view.world.models.learned_through == 0
        await engine.publish([publication(a_click(20))])
        await engine.settle()
    published = await asyncio.to_thread(publications, settings)
    assert published[-1].learned == published[-1].taught > 20
    assert await asyncio.to_thread(lambda: verify_models(settings).holds)


async def lose_the_models(settings: Settings) -> None:
    if settings.embedded_log is not None:
        shutil.rmtree(settings.embedded_log / "topics" / settings.topics.models)
        return
    async with admin_of(settings.bootstrap_servers[0]) as client:
        await client.delete_topics([settings.topics.models])
        gone = settings.topics.models
        await eventually("the topic's end", client.list_topics, lambda topics: gone not in topics)


# ---------------------------------------------------------------------------------------- rules


def written(settings: Settings) -> list[Record]:
    found: list[Record] = []
    read_topic(settings, settings.topics.rules, 1, found.append)
    return found


def standing_in(records: Sequence[Record]) -> dict[bytes, Said]:
    last = {record.key: record.value for record in records}
    return {key: decode_rule(value) for key, value in last.items() if key and value is not None}


def expected(baskets: list[list[str]]) -> dict[bytes, Said]:
    window = AssociationRules(LEARNING.baskets, LEARNING.items)
    for basket in baskets:
        window.learn_basket(basket)
    return {encode_key(said.key): said for said in standing(window, LEARNING).values()}


async def buy(settings: Settings, baskets: list[list[str]], first: int = 0) -> None:
    async with running(settings) as engine:
        events = [
            publication(a_purchase(n, f"c{n}", *basket)) for n, basket in enumerate(baskets, first)
        ]
        await engine.publish(events)
        await engine.settle()


async def test_the_rules_topic_says_what_stands_and_what_stands_no_longer(
    settings: Settings,
) -> None:
    tea = [["milk", "tea"], ["milk", "sugar", "tea"], ["soap"], ["sugar", "tea"]] * 10
    await buy(settings, tea)
    first = await asyncio.to_thread(written, settings)
    stands, wanted = standing_in(first), expected(tea)
    assert stands.keys() == wanted.keys() != set()
    for key, said in wanted.items():
        assert stands[key].baskets == said.baskets == 40
        assert stands[key].rule[:2] == said.rule[:2]
        assert stands[key].rule[2:] == pytest.approx(said.rule[2:], abs=1e-6)
    schema = load_schemas().of("rules")
    assert all(schema.is_valid(_read(record)) for record in first)

    await buy(settings, [])  # somebody else learns now, and finds nothing to say
    assert len(await asyncio.to_thread(written, settings)) == len(first)

    soap = [["soap", "towel"]] * 60  # the window holds no other basket
    await buy(settings, soap, len(tea))
    all_of_it = await asyncio.to_thread(written, settings)
    assert standing_in(all_of_it).keys() == expected(soap).keys()
    gone = {record.key for record in all_of_it[len(first) :] if record.value is None}
    assert gone == stands.keys()


def _read(record: Record) -> object:
    return orjson.loads(record.value or b"")
