"""Renewal: the operator's word on what a topic holds that is not what it was.

Rules: only partitions that do not agree with their ledgers are touched, so saying it twice says it
once. The ledger gets a new epoch of stamps, so that what the topic holds now is applied, whatever
its offsets; or, where the records are the same, the topic's new id alone. It is written as an owner
writes: a worker that still runs is fenced off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal, NamedTuple, TypeAlias

from aiokafka.errors import KafkaError
from faust.types import TP

from stream.codec.state import StateError, decode_ledger, encode_ledger
from stream.config import ConfigError, Settings
from stream.core.ledger import Ledger
from stream.core.stamps import next_place, stamp
from stream.runtime.agreement import Found, print_of, topic_and_ledger
from stream.runtime.archive import read_topic
from stream.runtime.batching.fencing import FencedProducer, owner_name
from stream.runtime.batching.records import Record
from stream.runtime.connection import client_options, overheard
from stream.runtime.identity import moved
from stream.runtime.inquiry import Inquiry, KafkaInquiry, LocalInquiry
from stream.runtime.local.log import Log
from stream.runtime.partition import ledger_key

Whence: TypeAlias = Literal["start", "end", "same"]
"""From where a topic is read as new; or its records are the same, at the same offsets."""


class Renewed(NamedTuple):
    """What was done in a partition: reading goes on at ``at``."""

    partition: int
    at: int


def renew(settings: Settings, topic: str, whence: Whence) -> list[Renewed]:
    """Take an operator's word for what a topic holds; the partitions in which it was needed.

    Raises
    ------
    ConfigError
        If it is no topic of events, cannot hold the same records, or the broker does not answer.
    """
    if topic not in settings.topics.events:
        names = ", ".join(settings.topics.events)
        raise ConfigError(f"topic {topic} is none of events; name one of {names}")
    ledgers = _ledgers(settings)
    source = settings.topics.events.index(topic)
    if settings.embedded_log is None:
        try:
            with overheard() as heard:
                return asyncio.run(_renew_on_kafka(settings, topic, source, ledgers, whence))
        except (KafkaError, TimeoutError) as error:
            why = heard[-1] if heard else str(error) or "no answer in time"
            raise ConfigError(f"broker {settings.broker} does not answer: {why}") from error
    with Log(settings.embedded_log) as log:
        found = asyncio.run(_found(LocalInquiry(lambda: log), topic, source, ledgers))
        changed = _changed(topic, source, ledgers, found, whence)
        for number, ledger in changed.items():
            now = time.time_ns() // 1_000_000
            record = (ledger_key(number), encode_ledger(ledger), now, ())
            log.append(settings.customers_changelog, number, [record])
        return _told(source, changed)


async def _renew_on_kafka(
    settings: Settings, topic: str, source: int, ledgers: Mapping[int, Ledger], whence: Whence
) -> list[Renewed]:
    inquiry = KafkaInquiry(settings)
    try:
        found = await _found(inquiry, topic, source, ledgers)
    finally:
        await inquiry.close()
    changed = _changed(topic, source, ledgers, found, whence)
    for number, ledger in changed.items():
        tp = TP(settings.customers_changelog, number)
        owner = FencedProducer(owner_name(settings.app_id, tp), client_options(settings))
        async with asyncio.timeout(settings.kafka.request_timeout):
            await owner.start()
        try:
            batch = owner.producer.create_batch()
            batch.append(
                key=ledger_key(number), value=encode_ledger(ledger), timestamp=None, headers=[]
            )
            await (await owner.producer.send_batch(batch, tp.topic, partition=number))
        finally:
            await owner.stop()
    return _told(source, changed)


def _ledgers(settings: Settings) -> dict[int, Ledger]:
    found: dict[int, Ledger] = {}

    def take(record: Record) -> None:
        if record.key == ledger_key(record.partition) and record.value:
            with suppress(StateError):  # the one before it stands
                found[record.partition] = decode_ledger(record.value)

    read_topic(settings, settings.customers_changelog, settings.partitions, take)
    return found


async def _found(
    inquiry: Inquiry, topic: str, source: int, ledgers: Mapping[int, Ledger]
) -> dict[int, Found]:
    facts = (await inquiry.topics([topic]))[topic]
    there = {TP(topic, number): number for number in ledgers if number < facts.partitions}
    bounds = await inquiry.bounds(there)
    places = {tp: next_place(ledgers[n].stamps[source])[1] - 1 for tp, n in there.items()}
    within = {tp: at for tp, at in places.items() if bounds[tp].start <= at < bounds[tp].end}
    records = await inquiry.records(within) if within else {}
    return {
        number: Found(facts.topic_id, *bounds[tp], print_of(records[tp]) if tp in records else None)
        for tp, number in there.items()
    }


def _changed(
    topic: str,
    source: int,
    ledgers: Mapping[int, Ledger],
    found: Mapping[int, Found],
    whence: Whence,
) -> dict[int, Ledger]:
    """The ledgers of the partitions that do not agree, as they are to be."""
    return {
        number: _renewed(ledgers[number], source, here, whence)
        for number, here in found.items()
        if topic_and_ledger(
            f"{topic}-{number}",
            ledgers[number].stamps[source],
            ledgers[number].identities[source],
            here,
        )
    }


def _renewed(ledger: Ledger, source: int, found: Found, whence: Whence) -> Ledger:
    at = ledger.stamps[source]
    epoch, wanted = next_place(at)
    if whence == "same" and found.end < wanted:
        raise ConfigError(
            f"it cannot hold the same records: they are accounted for to offset {wanted - 1}, and "
            f"a partition ends before {found.end}; say --from start or --from end"
        )
    if whence != "same":
        at = stamp(epoch + 1, (found.start if whence == "start" else found.end) - 1)
    return moved(ledger, source, at, found.topic_id)


def _told(source: int, changed: Mapping[int, Ledger]) -> list[Renewed]:
    return [Renewed(n, next_place(led.stamps[source])[1]) for n, led in sorted(changed.items())]
