"""Events as a worker will take them, before they are sent: the key, or all that is wrong with one.

Rules. What counts is the worker's own decoder: what it takes is valid, and what it refuses is not.
Beyond the reason that it gives, every fault of an event is looked for, each with a JSON pointer
into the native form, the rule that is broken, and the nearest form that keeps it, if one is near.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from stream.client.nearest import nearest_form, nearest_name
from stream.codec.events.decoding import Decoded, EventDecoder, Ignored
from stream.codec.events.envelope import Headers
from stream.codec.events.home import home_of
from stream.codec.events.opening import Opens, native_of, unpacked
from stream.codec.events.permission import ENVELOPE
from stream.codec.events.plain import text
from stream.codec.refused import Refused
from stream.codec.schema import Schemas, TopicSchema, load_schemas
from stream.config import CoreSettings
from stream.domain.event import Rejection, RejectionCode, Source
from stream.domain.text import tidy

TOPICS: Final = tuple(source.name.lower() for source in Source)
"""The topics of events: ``clicks``, ``purchases``, ``feedback``, ``customers``."""


class Fault(NamedTuple):
    """One thing that is wrong.

    Attributes
    ----------
    pointer
        To the field, in the native form; empty for the whole.
    code
        By which a worker would refuse the event; ``unknown_field`` for what it would pass over.
    message
        The rule that is broken, in words; it holds no value.
    nearest
        A form that keeps the rule, as JSON; None if none is near.
    """

    pointer: str
    code: str
    message: str
    nearest: str | None = None


class Checked(NamedTuple):
    """What an event comes to.

    Attributes
    ----------
    topic
        Where it belongs; one of `TOPICS`.
    key
        Of its record; None if it is refused.
    value
        Its bytes.
    faults
        Why it is refused, the decoder's own reason first; empty if it is not.
    warnings
        What of it is passed over.
    ignored
        Why it is of no use, though it is valid; None if it is.
    """

    topic: str
    key: bytes | None
    value: bytes
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    ignored: str | None = None


class Validator:
    """Checks events as a worker with some settings would.

    Parameters
    ----------
    settings
        Of the worker's core: currency, and how far ahead an event may be.
    schemas
        The contracts; those that came with this package where none are given.
    envelopes
        Of the shop's own, that the worker's settings name.
    """

    def __init__(
        self,
        settings: CoreSettings | None = None,
        schemas: Schemas | None = None,
        envelopes: Sequence[Opens] = (),
    ) -> None:
        self._schemas, self._envelopes = schemas or load_schemas(), envelopes
        self._decoder = EventDecoder(self._schemas, settings or CoreSettings(), envelopes)

    def check(
        self,
        topic: str,
        event: Mapping[str, Any] | bytes,
        now: int,
        headers: Headers = (),
    ) -> Checked:
        """Check an event for a topic.

        Parameters
        ----------
        topic
            One of `TOPICS`.
        event
            In any form that the topic takes, as a value or as its JSON.
        now
            The time at which it is sent, in ms since 1970.
        headers
            Of its record.
        """
        schema = self._schemas.of(topic)
        try:
            value = event if isinstance(event, bytes) else orjson.dumps(event)
        except TypeError as error:  # orjson.JSONEncodeError is one
            return _refused(topic, b"", [Fault("", "decode", f"it is no JSON: {error}")])
        native, fault = _native(schema, value, headers, now, self._envelopes)
        key = None if native is None else _key(native)
        decode = self._decoder.of(Source[topic.upper()])
        outcome = decode(key or b"\x00", value, headers, now)
        if isinstance(outcome, Ignored):
            return Checked(topic, key, value, ignored=outcome.reason)
        if isinstance(outcome, Decoded) and key is not None:
            return Checked(topic, key, value, warnings=_unknown(schema, native or {}))
        if isinstance(outcome, Rejection) and outcome.code is RejectionCode.OVERSIZE:
            return _refused(topic, value, [_fault_of(outcome)])
        faults = [] if native is None else _faults(schema, native)
        if isinstance(outcome, Rejection):
            faults = _led_by(_fault_of(outcome), faults)
        elif fault is not None:
            faults.insert(0, fault)
        return _refused(topic, value, faults, _unknown(schema, native or {}))

    def place(self, event: bytes, now: int, topics: Sequence[str] = TOPICS) -> Checked:
        """Check an event of which nobody says where it belongs.

        It belongs where it looks like, unless that topic refuses it and another one takes all of
        it: some topics take much and pass over what they do not know.
        """
        likely = _likely(event)
        found = self.check(likely, event, now)
        if not found.faults:
            return found
        others = [self.check(topic, event, now) for topic in topics if topic != likely]
        return next((one for one in others if not one.faults and not one.warnings), found)


def _refused(
    topic: str, value: bytes, faults: Sequence[Fault], warnings: tuple[Fault, ...] = ()
) -> Checked:
    return Checked(topic, None, value, tuple(faults), warnings)


def _native(
    schema: TopicSchema, value: bytes, headers: Headers, now: int, envelopes: Sequence[Opens]
) -> tuple[dict[str, Any] | None, Fault | None]:
    """The native object in a value, valid or not, as far as envelopes can be taken off."""
    try:
        parsed, left = unpacked(schema.topic, value, headers, envelopes)
        data = native_of(schema, "customer_id", parsed, left, now)
    except Refused as refused:
        return None, _fault_of(refused.rejection)
    if isinstance(data, Ignored):
        return None, None
    return {name: said for name, said in data.items() if name != ENVELOPE}, None


def _key(native: Mapping[str, Any]) -> bytes | None:
    customer_id = text(native.get("customer_id"))
    return tidy(customer_id).encode() or None if isinstance(customer_id, str) else None


def _fault_of(rejection: Rejection) -> Fault:
    pointer, _, rest = rejection.detail.partition(" ")
    if pointer.startswith("/"):
        return Fault(pointer, rejection.code.value, rest)
    return Fault("", rejection.code.value, rejection.detail)


def _led_by(first: Fault, faults: Sequence[Fault]) -> list[Fault]:
    """Faults with the decoder's own reason before all others; of one field it says it once."""
    same = [each for each in faults if each.pointer == first.pointer]
    nearest = next((each.nearest for each in same if each.nearest is not None), None)
    return [first._replace(nearest=nearest), *[each for each in faults if each not in same]]


def _faults(schema: TopicSchema, native: Mapping[str, Any]) -> list[Fault]:
    """Every fault against the contract; those of deep nesting are the decoder's to tell."""
    known = {name: value for name, value in native.items() if name in schema.fields}
    try:
        errors = list(schema.errors(known))
    except ValueError:
        return []
    return [_fault(schema, native, error) for error in errors[:100]]


def _fault(schema: TopicSchema, native: Mapping[str, Any], error: Any) -> Fault:
    rejection = schema._rejection(error)
    pointer, _, message = rejection.detail.partition(" ")
    path = list(error.instance_path)
    if error.kind.name == "required":
        name = error.kind.property
        inside = _at(native, path)
        near = nearest_name(name, [str(other) for other in inside if other not in schema.names])
        nearest = None if near is None else orjson.dumps({name: inside[near]}).decode()
    else:
        nearest = nearest_form(error.kind, path, error.instance)
    return Fault(pointer if pointer.startswith("/") else "", rejection.code.value, message, nearest)


def _at(native: Mapping[str, Any], path: Sequence[str | int]) -> Mapping[str, Any]:
    found: Any = native
    for step in path:
        found = found[step]
    return found if isinstance(found, Mapping) else {}


def _unknown(schema: TopicSchema, native: Mapping[str, Any]) -> tuple[Fault, ...]:
    """Fields that nobody knows, which a worker passes over and counts."""
    unknown = [name for name in native if name not in schema.fields]
    free = [name for name in schema.fields if name not in native]
    return tuple(
        Fault(
            f"/{name}",
            "unknown_field",
            "is passed over: nobody knows it",
            None if (near := nearest_name(name, free)) is None else f'"{near}"',
        )
        for name in unknown[:100]
    )


def _likely(event: bytes) -> str:
    """Where an event belongs by the look of it."""
    try:
        data = orjson.loads(event)
    except orjson.JSONDecodeError:
        return "clicks"
    return home_of(data) if isinstance(data, dict) else "clicks"
