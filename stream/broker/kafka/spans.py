"""Reading partitions of Kafka from one offset to another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from stream.broker.records import Record


async def read_spans(
    consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, tuple[int, int]], patience: float
) -> AsyncIterator[tuple[TopicPartition, list[Record]]]:
    """The records within ``spans``, partition by partition; an empty list ends a partition.

    Raises
    ------
    KafkaTimeoutError
        If nothing came for ``patience`` seconds.
    """
    consumer.assign(list(spans))
    first = await consumer.beginning_offsets(list(spans))
    for tp, (start, _) in spans.items():
        consumer.seek(tp, max(start, first[tp]))
    for tp, (_, end) in list(spans.items()):
        at, since = -1, monotonic()
        while (position := await consumer.position(tp)) < end:
            if position > at:
                at, since = position, monotonic()
            elif monotonic() - since > patience:
                raise KafkaTimeoutError(f"nothing came for {patience:g} s")
            for found in (await consumer.getmany(tp, timeout_ms=500)).values():
                if records := [record for record in found if record.offset < end]:
                    yield tp, records
        yield tp, []
