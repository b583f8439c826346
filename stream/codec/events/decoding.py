"""Events: a record of an event topic becomes an event, or a reason why not.

Rules, in the order in which they are asked; the first that fails names the rejection:

1.  a value over 256 KiB, headers over 64 KiB, or, of what is refused, a key over 4 KiB:
    ``oversize``; no value: ``tombstone``; no key: ``null_key``
2.  envelopes of the shop's own (`stream.extending`), framing and envelopes off
    (`stream.codec.events.envelope`, `stream.codec.events.segment`, `stream.codec.events.ga4`);
    not JSON, or too deep: ``decode``
3.  a major version that is not known: ``schema_version``
4.  the topic's JSON Schema: ``oversize`` for over 500 lines, ``value_range`` for money, quantities
    and times out of their bounds, ``schema`` for all else
5.  what a schema can't say, of currencies, sums and calendars: ``value_range``
6.  the key is not the customer's id: ``key_mismatch``; it is a word for no value, such as ``null``
    (`stream.grammar.words`): ``schema``
7.  the event is ahead of its own record by more than `CoreSettings.future`: ``future_time``

An event that is ahead by less happened when its record says: a clock that is ahead moves no time.

Permission that such a record takes away is taken away all the same
(`stream.codec.events.withdrawal`); so is what an event takes away in a field that its topic does
not know (`stream.codec.events.permission`).

What keeps all of them for certain is decoded in one step (`stream.codec.events.quick`).

No bytes make a decoder raise, there is no clock in it, and a detail never holds a value.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, Final

import orjson
from msgspec.structs import replace

from stream.codec.events.envelope import Headers
from stream.codec.events.native import READERS, SPELLINGS, read, write
from stream.codec.events.opening import MAX_VALUE, Ignored, Opens, bounded, opened
from stream.codec.events.outcome import Decode, Decoded, Outcome
from stream.codec.events.permission import SPEAKING, taken
from stream.codec.events.quick import quickly
from stream.codec.events.typed import fields_of
from stream.codec.events.withdrawal import withdrawal
from stream.codec.refused import Refused
from stream.codec.schema import Schemas, TopicSchema
from stream.config import CoreSettings
from stream.domain.event import Event, Rejection, RejectionCode, Source, Word
from stream.extending import Packed
from stream.grammar.words import is_nobody

__all__ = ["Decode", "Decoded", "EventDecoder", "Headers", "Ignored", "Outcome", "encode"]

TOMBSTONE: Final = Rejection(RejectionCode.TOMBSTONE, "the record has no value")
NULL_KEY: Final = Rejection(RejectionCode.NULL_KEY, "the record has no key")
_NOBODY: Final = Rejection(
    RejectionCode.SCHEMA, "/customer_id is a word for no value: it would make one of many customers"
)
_KEY: Final = Rejection(RejectionCode.KEY_MISMATCH, "the key is not /customer_id in UTF-8 and NFC")


class EventDecoder:
    """Decoders of the four event topics, under one set of schemas and settings.

    Attributes
    ----------
    clicks, purchases, feedback, customers : Decode
        One for each topic: ``decoder.clicks(key, value, headers, record_time_ms)``.
    """

    def __init__(
        self, schemas: Schemas, settings: CoreSettings, envelopes: Sequence[Opens] = ()
    ) -> None:
        self.clicks, self.purchases, self.feedback, self.customers = self._by_source = tuple(
            quickly(schema, settings, carefully(schema, settings, envelopes))
            for schema in map(schemas.of, READERS)
        )
        self._envelopes = envelopes
        self._future = round(settings.future * 1000)

    def of(self, source: Source) -> Decode:
        """Return the decoder of one topic."""
        return self._by_source[source]

    def decode(
        self,
        source: Source,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        record_time_ms: int,
    ) -> Outcome:
        """Decode one record of the topic ``source``.

        Parameters
        ----------
        source
            Which topic it came from.
        key, value, headers
            As in Kafka.
        record_time_ms
            The record's own timestamp, in ms since the epoch; -1, Kafka's word for none, makes
            every event one from the future.

        Returns
        -------
        Decoded, Ignored or Rejection
            An event; a record that is valid and of no use; or the sender's fault.
        """
        return self._by_source[source](key, value, headers, record_time_ms)

    def withdrawal(
        self,
        source: Source,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        record_time_ms: int,
    ) -> Word | None:
        """Return what a record takes away that is no event; see the module ``withdrawal``."""
        if value is not None and len(value) <= MAX_VALUE:
            packed = Packed(source.name.lower(), value, tuple(headers))
            for envelope in self._envelopes:
                try:
                    inside = envelope.open(packed)
                except Refused:
                    break
                if inside is not None:
                    value, headers = inside, ()
                    break
        return withdrawal(key, value, headers, record_time_ms, self._future)


def encode(event: Event) -> bytes:
    """Return the canonical native JSON of an event: the same bytes for the same event.

    Examples
    --------
    >>> from stream.domain.event import Feedback, Response
    >>> encode(Feedback("e1", "c1", 1569888001000, Response.DISMISS, "o1"))[:46]
    b'{"schema_version":1,"event_id":"e1","customer_'
    """
    return orjson.dumps(write(event))


def carefully(
    schema: TopicSchema, settings: CoreSettings, envelopes: Sequence[Opens] = ()
) -> Decode:
    """Return a decoder that asks every rule in its order."""
    known = fields_of(schema.document, SPELLINGS)
    event_of = READERS[schema.topic]
    currency = settings.currency
    future = round(settings.future * 1000)

    def decode(
        key: bytes | None, value: bytes | None, headers: Headers, record_time_ms: int
    ) -> Outcome:
        if value is None:
            return bounded(TOMBSTONE, key, value, headers)
        if key is None:
            return bounded(NULL_KEY, key, value, headers)
        try:
            data = opened(schema, "customer_id", value, headers, record_time_ms, envelopes)
            if isinstance(data, Ignored):
                return data
            event, extra_fields, unknown = read(data, known, event_of, currency)
        except Refused as refused:
            return bounded(refused.rejection, key, value, headers)
        if event.customer_id.encode() != key:
            return bounded(_KEY, key, value, headers)
        if is_nobody(key):
            return bounded(_NOBODY, key, value, headers)
        ahead = event.time - record_time_ms
        if ahead > 0:
            if ahead > future:
                return _ahead(ahead)
            event = replace(event, time=record_time_ms)
        word = _word(event, data, unknown) if unknown else None
        return Decoded(event, extra_fields, word)

    return decode


def _word(event: Event, data: dict[str, Any], unknown: Set[str]) -> Word | None:
    """Hear what an event takes away in fields that its topic does not know."""
    if SPEAKING.isdisjoint(map(str.lower, unknown)):
        return None
    erase, refused = away = taken({name: data[name] for name in unknown})
    if not (erase or refused):
        return None
    return Word(event.customer_id, event.time, erase, away.consent)


def _ahead(milliseconds: int) -> Rejection:
    detail = f"/timestamp is {milliseconds // 1000} s ahead of the record's own"
    return Rejection(RejectionCode.FUTURE_TIME, detail)
