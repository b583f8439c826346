"""The quick way to an event: what is certain to be one is decoded in one step.

Rules. Certain is a value in no envelope, of tidy texts, that keeps its contract to the letter
(`stream.codec.events.typed`), under its customer's key and not ahead of its record. All else is for
the careful decoder to judge, which gives the same event for what is certain.

Fields that nobody knows come again and again. The names of some are learned from what was decoded
carefully, but of none that may take permission away; records that have them are certain, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import UNSET, MsgspecError, json
from msgspec.structs import astuple

from stream.codec.events.envelope import Headers, is_tidy, parse
from stream.codec.events.native import READERS, SPELLINGS, is_usual_time
from stream.codec.events.opening import MAX_VALUE, are_bare
from stream.codec.events.outcome import Decode, Decoded, Outcome
from stream.codec.events.permission import SPEAKING
from stream.codec.events.typed import FieldTypes, fields_of
from stream.codec.refused import Refused
from stream.codec.schema import TopicSchema
from stream.config import CoreSettings
from stream.grammar.words import is_nobody

MOST: Final = 32
"""Names that are learned, and records from which they are."""
NAME_LENGTH: Final = 64
_NEVER: Final = SPEAKING | {"specversion"}  # in lower case: of permission, and of an envelope

_new: Final = tuple.__new__  # of a NamedTuple: half the cost of calling its class


def quickly(schema: TopicSchema, settings: CoreSettings, careful: Decode) -> Decode:
    """Return a decoder that takes what is certain, and leaves all else to a careful one.

    Parameters
    ----------
    schema
        Of the topic.
    settings
        Among them the shop's currency.
    careful
        The decoder whose word counts.
    """
    event_of, currency = READERS[schema.topic], settings.currency
    typed = _Typed(fields_of(schema.document, SPELLINGS))

    def decode(
        key: bytes | None, value: bytes | None, headers: Headers, record_time_ms: int
    ) -> Outcome:
        if (
            value
            and len(value) <= MAX_VALUE
            and (not headers or are_bare(headers))
            and is_tidy(value)
        ):
            try:
                fields = typed.decode(value)
                if type(time := fields.timestamp) is int or is_usual_time(time):
                    event = event_of(fields, currency)
                    if (
                        event.customer_id.encode() == key
                        and event.time <= record_time_ms
                        and (48 <= key[-1] < 58 or not is_nobody(key))  # mostly a digit is last
                    ):
                        strange = typed.strange_in(fields) if typed.names else 0
                        return _new(Decoded, (event, strange, None))
            except MsgspecError:
                outcome = careful(key, value, headers, record_time_ms)
                if typed.learns and type(outcome) is Decoded and outcome.extra_fields:
                    typed.learn(value)
                return outcome
            except Refused:
                pass  # what for, is the careful decoder's to say: it asks in order
        return careful(key, value, headers, record_time_ms)

    return decode


class _Typed:
    """Decodes objects of a contract, and those that have fields beside whose names it learned."""

    def __init__(self, fields: FieldTypes) -> None:
        self._fields = fields
        self.names: list[str] = []
        self.learns = MOST
        self.decode: Callable[[bytes], Any] = json.Decoder(fields.exact).decode

    def strange_in(self, found: Any) -> int:
        """How many fields an object has that nobody knew."""
        return len(self.names) - astuple(found).count(UNSET)

    def learn(self, value: bytes) -> None:
        """Learn the names that an event has beside those that are known."""
        self.learns -= 1
        try:
            data = parse(value)
        except Refused:  # it was in an envelope of the shop's own
            return
        if "customer_id" not in data:  # somebody else's call: its names are known elsewhere
            return
        self.names += sorted(filter(_is_harmless, data.keys() - self._fields.names))
        self.names = list(dict.fromkeys(self.names))[:MOST]
        self.decode = json.Decoder(self._fields.and_strange(self.names)).decode


def _is_harmless(name: str) -> bool:
    return len(name) <= NAME_LENGTH and name.lower() not in _NEVER
