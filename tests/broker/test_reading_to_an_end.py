"""Reading a topic from outside: it ends, whatever the broker does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP as Place  # noqa: N811

from stream.broker.kafka import broker, spans
from stream.config import ConfigError, Settings

TP = TopicPartition("t", 0)
PLACE = Place("t", 0)


class Silent:
    """A consumer whose broker goes away behind some records."""

    def __init__(self, records: int) -> None:
        self.records, self.at, self.asked = records, 0, 0

    def assign(self, tps: object) -> None:
        """Take note of nothing."""

    def seek(self, tp: TopicPartition, at: int) -> None:
        self.at = at

    async def beginning_offsets(self, tps: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(tps, 0)

    async def position(self, tp: TopicPartition) -> int:
        return self.at

    async def getmany(self, tp: TopicPartition, timeout_ms: int) -> Mapping[TopicPartition, Any]:
        self.asked += 1
        if self.at == self.records:
            return {}
        self.at += 1
        return {tp: [SimpleNamespace(offset=self.at - 1)]}

    async def start(self) -> None:
        """Be there."""

    async def stop(self) -> None:
        raise asyncio.CancelledError  # as aiokafka does while a fetch waits for its broker


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes a second further each time that one looks."""
    ticks = iter(range(10_000))
    monkeypatch.setattr(spans, "monotonic", lambda: float(next(ticks)))


async def read(consumer: Silent, end: int, patience: float) -> int:
    found = spans.read_spans(cast(Any, consumer), {TP: (0, end)}, patience)
    return sum([len(got) async for _, got in found])


@pytest.mark.parametrize("before", [0, 1, 100])
async def test_a_broker_that_goes_away_while_one_reads_is_not_waited_for(
    before: int, hurried: None
) -> None:
    consumer = Silent(before)
    with pytest.raises(KafkaTimeoutError):
        await read(consumer, 200, patience=30.0)
    assert consumer.asked > before


async def test_reading_that_gets_on_may_take_as_long_as_it_does(hurried: None) -> None:
    assert await read(Silent(500), 500, patience=2.0) == 500


async def test_it_is_told_in_a_line_what_went_away(
    hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker.KafkaBroker, "_made", lambda *_: Silent(3))
    monkeypatch.setattr(broker, "read_carefully", lambda _: None)
    settings = Settings(broker="kafka://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"failed: .*nothing came for 30 s; try again$"):
        async with broker.connected(settings) as connected:
            async for _ in connected.read({PLACE: (0, 9)}, 30.0):
                pass
