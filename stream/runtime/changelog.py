"""Reading the customers' changelog from outside a worker: every record as of now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream.codec.state import decode_ledger, decode_state
from stream.config import ConfigError, Settings
from stream.core.ledger import Ledger
from stream.core.state import CustomerState
from stream.runtime.batching.records import Record
from stream.runtime.connection import client_options
from stream.runtime.local.log import Log
from stream.runtime.partition import ledger_key

Records: TypeAlias = dict[bytes, bytes]


class Customers:
    """Customers' records and partitions' ledgers, as the changelog has them."""

    def __init__(self, records: Records, partitions: int) -> None:
        self.states: dict[str, CustomerState] = {}
        self.ledgers: list[Ledger] = []
        for number in range(partitions):
            stored = records.pop(ledger_key(number), None)
            self.ledgers.append(Ledger() if stored is None else decode_ledger(stored))
        for key in sorted(key for key in records if not key.startswith(b"\0")):
            self.states[key.decode()] = decode_state(records[key])


def read_customers(settings: Settings) -> Customers:
    """Read the whole changelog, to where it ends now.

    Raises
    ------
    ConfigError
        If the broker does not answer, or the local log is open elsewhere.
    """
    records: Records = {}
    if settings.embedded_log is not None:
        _read_local(settings, records)
    else:
        asyncio.run(_read_kafka(settings, records))
    return Customers(records, settings.partitions)


def _apply(records: Records, found: Iterable[Record]) -> None:
    for record in found:
        if record.key is None:
            continue
        if record.value is None:
            records.pop(record.key, None)
        else:
            records[record.key] = record.value


def _read_local(settings: Settings, records: Records) -> None:
    topic = settings.customers_changelog
    directory = settings.embedded_log
    assert directory is not None, "only a local log is read as one"
    with Log(directory) as log:
        for number in range(log.partitions(topic) or 0):
            at = log.earliest(topic, number)
            while found := log.read(topic, number, at):
                _apply(records, found)
                at = found[-1].offset + 1


async def _read_kafka(settings: Settings, records: Records) -> None:
    topic = settings.customers_changelog
    consumer = AIOKafkaConsumer(**client_options(settings), enable_auto_commit=False)
    try:
        await consumer.start()
    except KafkaError as error:
        raise ConfigError(f"broker {settings.broker} does not answer: {error}") from error
    try:
        partitions = [TopicPartition(topic, number) for number in range(settings.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for found in (await consumer.getmany(timeout_ms=500)).values():
                _apply(records, found)
    finally:
        await consumer.stop()
