"""What is gone before it was read counts once; what is no record neither waits nor counts."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from faust.types import TP

from stream.codec.partition import partition_for
from stream.config import ConfigError
from stream.domain.event import Click
from tests.builders import a_click
from tests.integration.shops import PARTITIONS, Shop, lost
from tests.topology.embedded import PatientEngine, publication
from tests.waiting import eventually, within

pytestmark = pytest.mark.kafka
OLD, UNREAD = 12, 10


def clicks(first: int, count: int) -> list[Click]:
    return [a_click(n, f"c{n % 5}") for n in range(first, first + count)]


async def test_what_was_gone_before_the_first_start_never_counts_as_lost(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    shop = await Shop.opened(kafka, topic_prefix, tmp_path)
    await shop.publish(clicks(0, OLD))
    await shop.cut_head(await shop.ends(shop.clicks))
    for start in range(3):
        async with PatientEngine(shop.settings) as engine:
            assert lost(engine) == {}, start
            await shop.publish([a_click(100 + start)])
            await engine.settle()


async def test_what_was_lost_counts_once_however_often_a_worker_starts(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    shop = await Shop.opened(kafka, topic_prefix, tmp_path)
    await shop.publish(clicks(0, OLD))
    async with PatientEngine(shop.settings) as engine:
        await engine.settle()
    await shop.publish(clicks(OLD, UNREAD))
    await shop.cut_head(await shop.ends(shop.clicks))
    counted = []
    for _ in range(3):
        async with PatientEngine(shop.settings) as engine:
            counted.append(lost(engine).get(shop.clicks, 0))
    assert counted == [UNREAD, 0, 0]
    async with PatientEngine(shop.settings) as engine:
        await shop.publish(clicks(OLD + UNREAD, 4))
        await engine.settle()
        assert lost(engine) == {}
        assert sum(state.profile.views for _, state in engine.customers()) == OLD + 4


async def test_a_transactions_marker_at_the_end_does_not_wait(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    shop = await Shop.opened(kafka, topic_prefix, tmp_path)
    _, key, value, *_ = publication(a_click(0))
    tp = TP(shop.clicks, partition_for(key, PARTITIONS))
    async with PatientEngine(shop.settings) as engine:
        producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=topic_prefix)
        async with producer, producer.transaction():
            await producer.send_and_wait(tp.topic, value, key=key, partition=tp.partition)

        async def end() -> int:  # a commit is told before its marker can be read
            return (await shop.ends(tp.topic))[tp]

        await eventually("the marker", end, lambda at: at == 2)
        consumer = engine.app.consumer

        async def reached() -> int:
            return consumer.reached(tp, engine.app.pipeline.progress.done.get(tp, 0))

        assert await eventually("the end", reached, lambda at: at == 2) == 2


async def test_a_group_with_a_member_that_is_no_worker_is_refused_in_one_line(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    shop = await Shop.opened(kafka, topic_prefix, tmp_path)
    other = AIOKafkaConsumer(shop.clicks, bootstrap_servers=kafka, group_id=shop.settings.app_id)
    await other.start()
    try:
        with pytest.raises(ConfigError, match="has a member that is no worker"):
            await within("the refusal", PatientEngine(shop.settings).__aenter__())
    finally:
        await other.stop()
