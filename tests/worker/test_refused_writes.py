"""Writes that Kafka refuses: each is one line that names the topic, and no trace."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    ProducerFenced,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from faust.types import TP

from stream.config import ConfigError, Settings
from stream.worker.faust.kafka import KafkaProducer, NotOwned, NotWritten
from stream.worker.learning.process import TrainerEnded
from stream.worker.mendable import is_mendable


class Refusing:
    """A producer that refuses, when it is handed something or when that is to be durable."""

    def __init__(self, error: BaseException, late: bool) -> None:
        self.error, self.late = error, late

    async def send(self, *_: Any, **__: Any) -> asyncio.Future[Any]:
        if not self.late:
            raise self.error
        refused = asyncio.get_running_loop().create_future()
        refused.set_exception(self.error)
        return refused


class Producer(KafkaProducer):
    """Hands everything over to one that refuses it."""

    app = SimpleNamespace(settings=Settings())

    def __init__(self, refusing: Refusing) -> None:
        self.refusing = refusing
        self._fenced = set()

    def _producer_of(self, tp: TP) -> Refusing:
        return self.refusing


async def sent(error: BaseException, late: bool, topic: str) -> None:
    producer = Producer(Refusing(error, late))
    await (await producer.send_batch(topic, 0, [(b"k", b"v" * 300, None, ())]))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ProducerFenced(), NotOwned, "partition 0, is another worker's by now"),
        (ProducerFenced(), NotOwned, "two share a kafka.group_instance_id"),
        (MessageSizeTooLargeError(), ConfigError, "max.message.bytes must be at least 1048588"),
        (UnknownTopicOrPartitionError(), NotWritten, "the topic was deleted"),
        (NotLeaderForPartitionError(), NotWritten, "it has no leader"),
        (KafkaTimeoutError(), NotWritten, "no broker answers"),
    ],
)
@pytest.mark.parametrize("topic", ["offers", "late", "examples", "rules"])
async def test_a_refused_write_is_a_line_that_names_the_topic(
    topic: str, error: BaseException, kind: type[Exception], words: str, late: bool
) -> None:
    with pytest.raises(kind, match=topic) as told:
        await sent(error, late, topic)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    assert kind.__name__ not in str(told.value)
    assert is_mendable(told.value)


async def test_a_record_larger_than_its_topic_should_take_is_told_with_its_size() -> None:
    producer = Producer(Refusing(MessageSizeTooLargeError(), late=True))
    with pytest.raises(ConfigError, match=r"dead-letters refuses 3000001 bytes.*least 3000001"):
        await (await producer.send_batch("dead-letters", 0, [(b"k", b"v" * 3_000_000, None, ())]))


async def test_what_the_login_may_not_write_is_left_to_whoever_knows_of_access() -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        await sent(TopicAuthorizationFailedError(), True, "offers")


def test_a_learner_that_was_killed_is_a_line() -> None:
    assert is_mendable(TrainerEnded("the trainer's process ended with -9"))
