"""Transactions of a producer on a real Kafka: what was aborted never was, what is open waits."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stream.broker.records import Record
from stream.broker.whole import read_topic
from stream.codec.events.decoding import encode
from tests.builders import a_click
from tests.chaos.lab import Lab
from tests.waiting import eventually

TAKEN = re.compile(r'^offerstream_events_consumed_total{.*topic="([^"]+)".*} (\S+)$', re.M)


@pytest.mark.timeout(600)
async def test_an_aborted_event_never_was_and_an_open_transaction_holds_back_its_topic_alone(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    lab = await asyncio.to_thread(Lab.on, kafka, topic_prefix, tmp_path, 1)
    topics, settings = lab.settings.topics, lab.settings
    sending = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{topic_prefix}shop")
    plain = AIOKafkaProducer(bootstrap_servers=kafka)

    async def click(n: int) -> None:
        await (await sending.send(topics.clicks, encode(a_click(n, "anna")), b"anna", 0))

    async def taken() -> Counter[str]:
        assert fleet.lives[0].code is None, fleet.words()
        page = await fleet.lives[0].page("/metrics")
        return Counter({topic: int(float(count)) for topic, count in TAKEN.findall(page)})

    fleet = lab.fleet(1)
    try:
        async with sending, plain:
            async with sending.transaction():
                await click(1)
            await sending.begin_transaction()
            await click(2)
            await sending.abort_transaction()
            await sending.begin_transaction()
            await click(3)
            await eventually("the first click", taken, lambda of: of[topics.clicks])
            await plain.send_and_wait(topics.purchases, b"{}", b"anna", 0)
            await eventually("another topic's", taken, lambda of: of[topics.purchases])
            assert (await taken())[topics.clicks] == 1
            await sending.commit_transaction()
            await eventually("what is committed", taken, lambda of: of[topics.clicks] == 2)
    finally:
        fleet.end()
    found: list[Record] = []
    await asyncio.to_thread(read_topic, settings, topics.clicks, 1, found.append)
    assert [one.value for one in found] == [encode(a_click(n, "anna")) for n in (1, 3)]
