"""Events of the topics as a worker reads them, for who looks at a whole log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stream.broker.records import Record
from stream.broker.schemas.inline import Inline
from stream.codec.events.decoding import Decoded, EventDecoder
from stream.codec.refused import Refused
from stream.codec.schema import load_schemas
from stream.config import Settings
from stream.domain.event import Event, Source
from stream.host.extensions import envelopes_in_force


class Events:
    """Decodes records, with what opens payloads of a registry's schemas."""

    def __init__(self, settings: Settings, inline: Inline) -> None:
        envelopes = envelopes_in_force(settings)
        self._decoder = EventDecoder(load_schemas(), settings.core, envelopes)
        self._inline = inline

    def of(self, source: Source, record: Record) -> Event | None:
        """The event in a record of a topic, None if there is none.

        Raises
        ------
        ConfigError
            If the Schema Registry does not give the schema that it is of.
        """
        try:
            told = self._inline.opened(record.value, record.headers)
        except Refused:
            return None
        found = self._decoder.decode(source, record.key, told.value, told.headers, record.timestamp)
        return found.event if isinstance(found, Decoded) else None


@contextmanager
def decoded_events(settings: Settings) -> Iterator[Events]:
    """Decode as a worker does; the Schema Registry that settings name is asked meanwhile."""
    with Inline(settings.kafka) as inline:
        yield Events(settings, inline)
