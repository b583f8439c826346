"""What one customer may be shown, read from the log once: one partition, and nothing stays open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from stream.broker.records import Record, value_of
from stream.broker.whole import counted, read_topic
from stream.client.book import OfferBook
from stream.client.offer import Offer, Recall, read_record
from stream.codec.partition import partition_for
from stream.config import ConfigError, Settings
from stream.domain.text import tidy


class Found(NamedTuple):
    """A customer's offers at a time.

    Attributes
    ----------
    at
        The time, in ms since 1970.
    open
        The offers that may be shown then, newest first, as JSON.
    made
        All that was said of the customer until then, oldest first, each once.
    newest
        The latest stream time of the partition, in ms; 0 if it holds no offer.
    """

    at: int
    open: list[bytes]
    made: list[Offer | Recall]
    newest: int


def partitions_of(settings: Settings, customer_id: str) -> tuple[int, ...] | None:
    """The partitions in which a customer may be; None: any, where producers place keys their way.

    >>> partitions_of(Settings(), "c-7")
    (1,)
    """
    if settings.topics.partitioner != "murmur2":
        return None
    return (partition_for(customer_id.encode(), settings.partitions),)


def find_offers(
    settings: Settings,
    customer_id: str,
    at: int | None,
    since: int | None = None,
    seen: Callable[[int], None] = lambda _: None,
) -> Found:
    """Read a customer's partition of the topic ``offers``.

    Parameters
    ----------
    settings, customer_id
    at
        The time in ms since 1970; None: stream time, which is that of the newest offer.
    since
        On Kafka, what was appended before this, in ms since 1970, is passed over.
    seen
        Told the number of records read, now and then.

    Raises
    ------
    ConfigError
        If the topic cannot be read.
    """
    name = tidy(customer_id)
    key, mine, newest = name.encode(), list[tuple[bytes, Offer | Recall]](), 0

    def take(record: Record) -> None:
        nonlocal newest
        value = value_of(record)
        said = read_record(record.key, value)
        if said is None:
            return
        newest = max(newest, _time(said))
        if record.key == key:
            mine.append((value or b"", said))

    only = partitions_of(settings, name)
    topic = settings.topics.offers
    read_topic(settings, topic, settings.partitions, counted(take, seen), only, since)
    now = newest if at is None else at
    book, made = OfferBook(), list[Offer | Recall]()
    known: set[tuple[bool, str]] = set()
    for value, said in mine:
        mark = (isinstance(said, Recall), said.offer_id)
        if _time(said) > now or mark in known:
            continue
        known.add(mark)
        made.append(said)
        book.take(key, value, now)
    return Found(now, book.open(name, now), made, newest)


def find_decisions(
    settings: Settings, customer_id: str, seen: Callable[[int], None] = lambda _: None
) -> list[dict[str, Any]]:
    """Read a customer's partition of the topic ``decisions``.

    Returns
    -------
    list
        What was decided of the customer, as ``schemas/decisions`` says, oldest first, each once;
        empty where nothing is told of the customer, or the log has no such topic.

    Raises
    ------
    ConfigError
        If the topic cannot be read.
    """
    name = tidy(customer_id)
    key, mine = name.encode(), dict[str, dict[str, Any]]()

    def take(record: Record) -> None:
        value = value_of(record)
        if record.key != key or value is None:
            return
        try:
            said = orjson.loads(value)
            mine.setdefault(said["decision_id"], said)
        except (orjson.JSONDecodeError, TypeError, KeyError):
            return  # not a worker's

    only, topic = partitions_of(settings, name), settings.topics.decisions
    try:
        read_topic(settings, topic, settings.partitions, counted(take, seen), only)
    except ConfigError as error:
        if "is missing" not in str(error):
            raise
    return list(mine.values())


def _time(said: Offer | Recall) -> int:
    return said.recalled_at if isinstance(said, Recall) else said.issued
