"""Reading records as they arrive: the event time by which topics are merged, and the content."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from stream.codec.events import Decoded, EventDecoder
from stream.config import Topics
from stream.core.event import Event, Rejection, Source
from stream.core.ledger import Entry
from stream.runtime.batching.records import Record
from stream.runtime.deadletters import bug_met

Content: TypeAlias = Event | Rejection | None


def as_it_is(record: Record) -> tuple[int | None, None]:
    """Leave a record unread: its agent does that."""
    return None, None


class EventReader:
    """Reads the event topics' records into entries, each decoded once.

    Attributes
    ----------
    unknown : Counter[str]
        Fields that nobody knew, by topic, since somebody last cleared it.
    """

    def __init__(self, decoder: EventDecoder, topics: Topics) -> None:
        self._of = {
            topic: (source, decoder.of(source))
            for topic, source in zip(topics.events, Source, strict=True)
        }
        self.unknown: Counter[str] = Counter()

    def read(self, record: Record) -> tuple[int | None, Entry]:
        """The event time, None of what is no event, and the entry."""
        source, decode = self._of[record.topic]
        try:
            outcome = decode(record.key, record.value, record.headers, record.timestamp)
        except Exception as error:  # one record must not hold up all behind it
            return None, Entry(source, record.offset, bug_met(record, "decode", error))
        if isinstance(outcome, Decoded):
            event = outcome.event
            if outcome.extra_fields:
                self.unknown[record.topic] += outcome.extra_fields
            return event.time, Entry(source, record.offset, event)
        content = outcome if isinstance(outcome, Rejection) else None
        return None, Entry(source, record.offset, content)
