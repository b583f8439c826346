"""The floor: consume and decode, and nothing else; it sends what it measured as its one output."""

from __future__ import annotations

import asyncio
from time import perf_counter

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.figures import Sample, window
from bench.run import Run
from stream.codec.schema import load_schemas
from stream.worker.reading import EventReader

POLL_RECORDS = 2_000


async def _read(run: Run) -> None:
    settings = run.settings()
    reader = EventReader.of(settings, load_schemas())
    consumer = AIOKafkaConsumer(bootstrap_servers=run.broker, group_id=None)
    producer = AIOKafkaProducer(bootstrap_servers=run.broker)
    await consumer.start()
    await producer.start()
    clicks = [TopicPartition(settings.topics.clicks, number) for number in range(run.partitions)]
    consumer.assign(clicks)
    await consumer.seek_to_beginning(*clicks)
    total = sum((await consumer.end_offsets(clicks)).values())
    samples = [Sample(perf_counter(), 0)]
    while samples[-1].outputs < total:
        found = await consumer.getmany(timeout_ms=500, max_records=POLL_RECORDS)
        for records in found.values():
            for record in records:
                reader.read(record)
        count = sum(map(len, found.values()))
        samples.append(Sample(perf_counter(), samples[-1].outputs + count))
    result = orjson.dumps({"rate": window(samples).rate})
    await producer.send_and_wait(settings.topics.offers, result, partition=0)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_read(Run.told()))
