"""Reading records as they arrive: the event time by which topics are merged, and the content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Self, TypeAlias

from mode import get_logger

from stream.broker.records import Record, Unreadable
from stream.broker.schemas.book import OpenedValue, SchemaBook
from stream.codec.events.decoding import Decoded, EventDecoder
from stream.codec.events.opening import Opens, bounded
from stream.codec.partition import partition_for
from stream.codec.refused import Refused
from stream.codec.schema import Schemas
from stream.config import Settings, Topics
from stream.decide.ledger import Entry
from stream.domain.event import Event, Rejection, RejectionCode, Source, Word
from stream.worker.deadletters import bug_met

logger = get_logger(__name__)
Content: TypeAlias = Event | Rejection | None
ASTRAY: Final = Rejection(
    RejectionCode.PARTITION,
    "the key belongs to another partition: publish with Kafka's default partitioner (in librdkafka "
    "partitioner=murmur2_random), or, if all your producers use another one, set "
    "topics.partitioner to any",
)


AHEAD: Final = 100  # records whose schemas are fetched while one is waited for


def as_it_is(record: Record) -> tuple[int | None, None]:
    """Leave a record unread: its agent does that."""
    return None, None


class EventReader:
    """Reads the event topics' records into entries, each decoded once.

    A customer is in one partition of all topics. A record in another one would make a second
    customer of them, whose word the first never hears; so it is refused, if ``partitions`` says
    how many there are. Where its producer puts all keys elsewhere, the setting says so. Where the
    last ``cached`` customers belong is remembered: they come back, and a hash costs ten look-ups.

    Attributes
    ----------
    unknown : Counter[str]
        Fields that nobody knew, by topic, since somebody last cleared it.
    first_stamps : dict[tuple[str, int], int]
        The stamp of offset 0, of each topic and partition that was made anew.
    schemas : SchemaBook or None
        Where the schemas of Avro and Protobuf are from, if the settings name a registry.
    """

    def __init__(
        self, decoder: EventDecoder, topics: Topics, partitions: int, cached: int = 0
    ) -> None:
        self._of = {
            topic: (source, decoder.of(source))
            for topic, source in zip(topics.events, Source, strict=True)
        }
        self._withdrawal = decoder.withdrawal
        self._partitions = partitions if topics.partitioner == "murmur2" else 0
        self._partition_for = lru_cache(cached)(partition_for)
        self._told: set[str] = set()
        self.unknown: Counter[str] = Counter()
        self.first_stamps: dict[tuple[str, int], int] = {}
        self.schemas: SchemaBook | None = None

    @classmethod
    def of(cls, settings: Settings, schemas: Schemas, envelopes: Sequence[Opens] = ()) -> Self:
        """A reader as the settings have it, with the envelopes that they name."""
        decoder = EventDecoder(schemas, settings.core, envelopes)
        cached = settings.worker.cached_customers
        return cls(decoder, settings.topics, settings.partitions, cached)

    def ahead_of(self, records: Sequence[Record]) -> None:
        """Have the schemas fetched of what stands behind a record that waits for its own."""
        if self.schemas is not None:
            for record in records[:AHEAD]:
                if record.value is not None and not isinstance(record, Unreadable):
                    self.schemas.want(record.value, record.headers)

    def read(self, record: Record) -> tuple[int | None, Entry] | None:
        """The event time, None of what is no event, and the entry; None: its schema is to come."""
        source, decode = self._of[record.topic]
        at = record.offset
        if self.first_stamps:
            at += self.first_stamps.get((record.topic, record.partition), 0)
        if isinstance(record, Unreadable):
            word = None if record.aside.cut else self._word(record)
            return None, Entry(source, at, record.aside.rejection, word)
        try:
            told = self._told_by(record)
            if told is None:
                return None
            outcome = decode(record.key, told.value, told.headers, record.timestamp)
        except Refused as refused:
            rejection = bounded(refused.rejection, record.key, record.value, record.headers)
            return None, Entry(source, at, rejection, self._word(record))
        except Exception as error:  # one record must not hold up all behind it
            bug = bug_met(record, "decode", error)
            return None, Entry(source, at, bug, self._word(record))
        if isinstance(outcome, Decoded):
            if self._partitions and self._is_astray(record):
                return None, Entry(source, at, ASTRAY, self._word(record, told))
            event, extra_fields, word = outcome
            if extra_fields:
                self.unknown[record.topic] += extra_fields
            return event.time, Entry(source, at, event, word)
        content = outcome if isinstance(outcome, Rejection) else None
        return None, Entry(source, at, content, self._word(record, told))

    def _told_by(self, record: Record) -> Record | OpenedValue | None:
        """What is to be read of a record: itself, or the JSON that its payload means."""
        if self.schemas is None or record.key is None or record.value is None:
            return record
        return self.schemas.opened(record.value, record.headers)

    def _is_astray(self, record: Record) -> bool:
        partition = self._partition_for(record.key or b"", self._partitions)
        is_astray = partition != record.partition
        if is_astray and record.topic not in self._told:
            self._told.add(record.topic)
            logger.error("%s-%d: %s", record.topic, record.partition, ASTRAY.detail)
        return is_astray

    def _word(self, record: Record, told: Record | OpenedValue | None = None) -> Word | None:
        """What a record takes away, though it is no event; ``told`` is what it means in JSON."""
        said = told or record
        try:
            source, _ = self._of[record.topic]
            return self._withdrawal(source, record.key, said.value, said.headers, record.timestamp)
        except Exception as error:
            bug_met(record, "decode", error)
            return None
