"""Renewal: the operator's word on what a topic holds that is not what it was.

Rules: only partitions that do not agree with their ledgers are touched, so saying it twice says it
once. The ledger gets a new epoch of stamps, so that what the topic holds now is applied, whatever
its offsets; or, where the records are the same, the topic's new id alone. It is written as an owner
writes: a worker that still runs is fenced off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal, NamedTuple, TypeAlias

from faust.types import TP

from stream.broker.kafka.fencing import owner_name
from stream.broker.opening import open_broker
from stream.broker.protocol import Broker
from stream.broker.records import Record
from stream.broker.whole import read_topic
from stream.codec.customers import StoredRecordError, decode_ledger, encode_ledger
from stream.config import ConfigError, Settings
from stream.decide.ledger import Ledger
from stream.domain.stamps import next_place, stamp
from stream.worker.checks.agreement import FoundPartition, print_of, topic_and_ledger
from stream.worker.checks.identity import moved
from stream.worker.partition import ledger_key

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
    ledgers, source = _ledgers(settings), settings.topics.events.index(topic)
    return asyncio.run(_renew(settings, topic, source, ledgers, whence))


async def _renew(
    settings: Settings, topic: str, source: int, ledgers: Mapping[int, Ledger], whence: Whence
) -> list[Renewed]:
    async with open_broker(settings) as broker:
        found = await _found(broker, topic, source, ledgers)
        changed = _changed(topic, source, ledgers, found, whence)
        for number, ledger in changed.items():
            tp = TP(settings.customers_changelog, number)
            record = ledger_key(number), encode_ledger(ledger), None, ()
            await broker.overrule(owner_name(settings.app_id, tp), tp, record)
    return _told(source, changed)


def _ledgers(settings: Settings) -> dict[int, Ledger]:
    found: dict[int, Ledger] = {}

    def take(record: Record) -> None:
        if record.key == ledger_key(record.partition) and record.value:
            with suppress(StoredRecordError):  # the one before it stands
                found[record.partition] = decode_ledger(record.value)

    read_topic(settings, settings.customers_changelog, settings.partitions, take)
    return found


async def _found(
    broker: Broker, topic: str, source: int, ledgers: Mapping[int, Ledger]
) -> dict[int, FoundPartition]:
    facts = (await broker.topics([topic]))[topic]
    there = {TP(topic, number): number for number in ledgers if number < facts.partitions}
    bounds = await broker.bounds(there)
    places = {tp: next_place(ledgers[n].stamps[source])[1] - 1 for tp, n in there.items()}
    within = {tp: at for tp, at in places.items() if bounds[tp].start <= at < bounds[tp].end}
    records = await broker.records(within) if within else {}
    return {
        number: FoundPartition(
            facts.topic_id, *bounds[tp], print_of(records[tp]) if tp in records else None
        )
        for tp, number in there.items()
    }


def _changed(
    topic: str,
    source: int,
    ledgers: Mapping[int, Ledger],
    found: Mapping[int, FoundPartition],
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


def _renewed(ledger: Ledger, source: int, found: FoundPartition, whence: Whence) -> Ledger:
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
