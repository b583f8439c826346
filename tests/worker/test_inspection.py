from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import pytest
from faust.types import TP

from stream.broker.facts import FORBIDDEN, MISSING, TopicFacts
from stream.broker.protocol import OffsetRange
from stream.broker.records import Record
from stream.config import ConfigError, Settings
from stream.decide.ledger import Identity, Ledger
from stream.domain.stamps import stamp
from stream.worker.checks.inspection import Inspection, Kept
from stream.worker.checks.topics import topic_specs

SETTINGS = Settings(broker="kafka://127.0.0.1:1", partitions=2)
CLICKS = SETTINGS.topics.clicks


class ABroker:
    """What a broker would answer; every partition is empty."""

    def __init__(self) -> None:
        self.facts = {
            spec.name: TopicFacts(f"first {spec.name}", spec.partitions)
            for spec in topic_specs(SETTINGS)
        }

    async def topics(self, names: Iterable[str]) -> Mapping[str, TopicFacts]:
        return {name: self.facts[name] for name in names}

    async def bounds(self, tps: Iterable[TP]) -> Mapping[TP, OffsetRange]:
        return {tp: OffsetRange(0, 0) for tp in tps}

    async def records(self, places: Mapping[TP, int]) -> Mapping[TP, Record]:
        return {}

    async def close(self) -> None: ...


class ATable:
    def read(self, partition: int, key: bytes) -> None: ...


def inspection(broker: ABroker) -> Inspection:
    table = cast(Any, ATable())
    return Inspection(SETTINGS, broker, table, lambda: [TP(CLICKS, 0)], {}, lambda *_: None)


async def test_a_topic_that_a_rebalance_sees_gone_and_back_is_not_taken_for_the_first() -> None:
    broker = ABroker()
    looks = inspection(broker)
    await looks.places({TP(CLICKS, 0): None})
    broker.facts[CLICKS] = TopicFacts("", 0, MISSING)
    await looks.places({TP("purchases", 0): None})
    broker.facts[CLICKS] = TopicFacts("second", 2)
    with pytest.raises(ConfigError, match="topic clicks was deleted and made anew while"):
        await looks.places({TP(CLICKS, 0): None})
    with pytest.raises(ConfigError, match="topic clicks was deleted and made anew while"):
        await looks.look(prints=False)


async def test_a_topic_is_missing_when_it_is_so_twice() -> None:
    broker = ABroker()
    looks = inspection(broker)
    first = broker.facts[CLICKS]
    for fact in (TopicFacts("", 0, MISSING), first, TopicFacts("", 0, MISSING)):
        broker.facts[CLICKS] = fact
        await looks.look(prints=True)
    with pytest.raises(ConfigError, match="topic clicks is missing"):
        await looks.look(prints=True)


@pytest.mark.parametrize("topic", [spec.name for spec in topic_specs(SETTINGS)])
async def test_added_partitions_and_lost_rights_are_named_at_the_first_look(topic: str) -> None:
    broker = ABroker()
    looks = inspection(broker)
    await looks.look(prints=False)
    fact = broker.facts[topic]
    broker.facts[topic] = fact._replace(partitions=fact.partitions + 1)
    with pytest.raises(ConfigError, match=rf"topic {topic} has {fact.partitions + 1} partition"):
        await looks.look(prints=False)
    broker.facts[topic] = TopicFacts("", 0, FORBIDDEN)
    with pytest.raises(ConfigError, match=f"may not describe topic {topic}"):
        await looks.look(prints=False)


def test_a_commit_of_a_topics_former_life_is_not_trusted() -> None:
    """It says nothing of what is safe now: the ledger does."""
    renewed = Identity("second", safe=stamp(1, 2))
    ledger = Ledger(stamps=(stamp(1, 6), 6, -1, -1), identities=(renewed, *[Identity()] * 3))
    now, ever = Kept("clicks-0", ledger, 0), Kept("purchases-0", ledger, 1)
    for commit in (None, 1, 5, 400):
        assert now.trusted(commit) == 3
        assert ever.trusted(commit) == commit
    unsafe = ledger._replace(identities=(Identity("second", safe=40), *[Identity()] * 3))
    assert Kept("clicks-0", unsafe, 0).trusted(5) == 0
