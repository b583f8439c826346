"""Finding an offer and what it was made from, on the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

import orjson

from stream.broker.protocol import Take
from stream.broker.records import Record, value_of
from stream.broker.whole import counted, read_topic
from stream.codec.evidence import decode_evidence
from stream.codec.offers import encode_offer
from stream.codec.partition import partition_for
from stream.config import ConfigError, Settings
from stream.decide.retelling import RetoldDecision, decided_again, told_again
from stream.decide.witness import Differs, Evidence
from stream.domain.offer import Offer


class Verdict(StrEnum):
    """What came of deciding again."""

    SAME = "same"
    DIFFERENT = "different"
    NO_EVIDENCE = "no_evidence"


class Explanation(NamedTuple):
    """An offer as it stands on the log, and as it is decided again.

    Attributes
    ----------
    value
        The offer's bytes on the topic ``offers``.
    recalled
        Why it was recalled, None if it was not.
    verdict
        Whether deciding again gives these very bytes.
    evidence, told
        What it was made from, and what led to it; None without evidence.
    why
        What is missing, or differs; empty if nothing.
    """

    value: bytes
    recalled: str | None
    verdict: Verdict
    evidence: Evidence | None = None
    told: RetoldDecision | None = None
    why: str = ""


def explain(
    settings: Settings,
    offer_id: str,
    customer_id: str | None = None,
    seen: Callable[[int], None] = lambda _: None,
) -> Explanation:
    """Find an offer on the log, and decide it again.

    Parameters
    ----------
    settings, offer_id
    customer_id
        Whose it is, if that is known: then one partition is read, and not all.
    seen
        Called with the number of records read so far, now and then.

    Raises
    ------
    ConfigError
        If the topics cannot be read, or hold no such offer.
    """
    reading = _Reading(settings, seen)
    only = None
    if customer_id is not None and settings.topics.partitioner == "murmur2":
        only = {partition_for(customer_id.encode(), settings.partitions)}
    place, key, value, recalled = _find(reading, offer_id, only)
    found = list(_evidence(reading, offer_id, key, place))
    if not found:
        why = (
            f"the topic {settings.topics.evidence} holds nothing of it: it was made with "
            "worker.evidence = false, or its retention is over"
        )
        return Explanation(value, recalled, Verdict.NO_EVIDENCE, why=why)
    told: tuple[Evidence, RetoldDecision] | None = None
    why = ""
    for evidence in found:  # a batch that was decided again left evidence each time
        try:
            offer = decided_again(evidence)
            if isinstance(offer, Offer) and encode_offer(offer) == value:
                return Explanation(value, recalled, Verdict.SAME, evidence, told_again(evidence))
            if isinstance(offer, Offer):
                told, why = (evidence, told_again(evidence)), _difference(offer, value)
        except Differs as error:
            why = str(error)
    if told is None:
        return Explanation(value, recalled, Verdict.DIFFERENT, found[-1], None, why)
    return Explanation(value, recalled, Verdict.DIFFERENT, *told, why)


class _Reading:
    """Reads topics of one app, and tells how much was read."""

    def __init__(self, settings: Settings, seen: Callable[[int], None]) -> None:
        self.settings, self._seen = settings, seen

    def read(self, topic: str, only: set[int] | None, take: Take) -> None:
        read_topic(self.settings, topic, self.settings.partitions, counted(take, self._seen), only)


def _find(
    reading: _Reading, offer_id: str, only: set[int] | None
) -> tuple[int, bytes, bytes, str | None]:
    """The partition, the key and the value of an offer, and why it was recalled."""
    named = orjson.dumps(offer_id)
    found: list[tuple[int, bytes, bytes]] = []
    recalls: list[str] = []

    def take(record: Record) -> None:
        value = value_of(record)
        if value is None or record.key is None or named not in value:
            return
        try:
            said = orjson.loads(value)
        except orjson.JSONDecodeError:
            return
        if not isinstance(said, dict) or said.get("offer_id") != offer_id:
            return
        if said.get("recalled"):
            recalls.append(str(said.get("reason")))
        elif not found:
            found.append((record.partition, record.key, value))

    topic = reading.settings.topics.offers
    reading.read(topic, only, take)
    if not found:
        where = "" if only is None else " of that customer's partition"
        raise ConfigError(
            f"the topic {topic} holds no offer {offer_id!r}{where}: see `offerstream offers tail`, "
            "or its retention is over"
        )
    return *found[0], recalls[0] if recalls else None


def _evidence(reading: _Reading, offer_id: str, key: bytes, place: int) -> Iterator[Evidence]:
    found: list[bytes] = []

    def take(record: Record) -> None:
        value = value_of(record)
        if record.key == key and value is not None:
            found.append(value)

    try:
        reading.read(reading.settings.topics.evidence, {place}, take)
    except ConfigError as error:
        if "is missing" not in str(error):
            raise
    for value in found:
        try:
            of, evidence = decode_evidence(value)
        except ValueError:
            continue  # not a worker's of this release
        if of == offer_id:
            yield evidence


def _difference(offer: Offer, value: bytes) -> str:
    """The fields that differ, by name."""
    again, before = orjson.loads(encode_offer(offer)), orjson.loads(value)
    names = [name for name in (before | again) if before.get(name) != again.get(name)]
    return f"decided again, it differs in {', '.join(names) or 'the order of its fields'}"
