"""Events as records: which key they get, when they arrive, and those that are quickly said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import Enum
from typing import Any, Final, TypeAlias

import orjson

from stream.codec.events.decoding import Decoded, EventDecoder
from stream.codec.events.envelope import Headers, parse
from stream.codec.events.opening import native_of
from stream.codec.events.plain import text
from stream.codec.refused import Refused
from stream.codec.schema import load_schemas
from stream.config import ConfigError, Settings, Topics
from stream.domain.event import Source
from stream.domain.text import tidy
from stream.worker.engine import Publication

IDENTITIES: Final = {
    **dict.fromkeys((source.name.lower() for source in Source), "customer_id"),
    "catalog": "product_id",
    "campaigns": "campaign_id",
}
"""The topics that a shop publishes to, and the field that is a record's key."""
TOPICS: Final = tuple(
    name for name, value in vars(Topics).items() if isinstance(value, property) and name != "events"
)
_LAST: Final = 4_102_444_799_000  # ms: before 2100 nothing is ahead of it

Event: TypeAlias = Mapping[str, Any] | bytes | None


class Unsaid(Enum):
    """That nobody said which key a record has."""

    EVENT_KEY = 0


EVENT_KEY: Final = Unsaid.EVENT_KEY
"""The key of who the event is of, as every good producer sets it."""
Key: TypeAlias = str | bytes | Unsaid | None


def topic_of(name: str, among: Sequence[str] = TOPICS) -> str:
    """A topic's name as the settings have it.

    Raises
    ------
    ConfigError
        If there is none; the nearest name is told.

    >>> topic_of("dead-letters")
    'dead_letters'
    """
    known = name.replace("-", "_")
    if known in among:
        return known
    if known in TOPICS:
        raise ConfigError(f"topic {name!r} is written by the worker; publish to {_listed(among)}")
    near = get_close_matches(known, among, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {_listed(among)}"
    raise ConfigError(f"there is no topic {name!r}; {hint}")


class Post:
    """Makes records of events, with the time at which they arrive.

    Attributes
    ----------
    now : int
        The time in ms: that of the newest event, if nobody moved it on.
    """

    def __init__(self, settings: Settings, now: int) -> None:
        self.now = now
        self._schemas = load_schemas()
        self._decoder = EventDecoder(self._schemas, settings.core)
        self._said = 0

    def named(self) -> dict[str, Any]:
        """Id and time of an event that is said now: a second after the one before it."""
        self._said += 1
        self.now += 1_000
        return {"event_id": f"said-{self._said}", "timestamp": self.now}

    def record(
        self, topic: str, event: Event, key: Key, headers: Headers, at: datetime | None
    ) -> Publication:
        """A record of an event, which arrives when it happens, if that is not past already.

        Raises
        ------
        ConfigError
            If nothing can be published so.
        """
        kind = topic_of(topic, tuple(IDENTITIES))
        value = event if event is None or isinstance(event, bytes) else _bytes(event)
        if key is EVENT_KEY:
            key = b"" if value is None else self._key(kind, value, headers)
        if isinstance(key, str):
            key = key.encode()
        if IDENTITIES[kind] != "customer_id":
            return kind, key, value, headers, None  # compaction goes by the clock, and so by these
        if at is None:
            self.now = max(self.now, self._time(kind, key, value, headers))
            return kind, key, value, headers, self.now
        return kind, key, value, headers, milliseconds(at)

    def _key(self, kind: str, value: bytes, headers: Headers) -> bytes:
        """The id of who or what a record is of, empty if it names nobody."""
        schema, field = self._schemas.of(kind), IDENTITIES[kind]
        try:
            native = native_of(schema, field, parse(value, headers), headers, self.now)
        except Refused:
            return b""
        name = text(native.get(field)) if isinstance(native, dict) else None
        return tidy(name).encode() if isinstance(name, str) else b""

    def _time(self, kind: str, key: bytes | None, value: bytes | None, headers: Headers) -> int:
        """When an event happened by its own word; 0 if it has none."""
        outcome = self._decoder.of(Source[kind.upper()])(key, value, headers, _LAST)
        time = outcome.event.time if isinstance(outcome, Decoded) else _LAST
        return time if time < _LAST else 0


def milliseconds(at: datetime) -> int:
    """A time in ms since 1970.

    Raises
    ------
    ConfigError
        If it has no time zone.
    """
    if at.tzinfo is None:
        raise ConfigError(f"the time {at} has no time zone: add tzinfo=datetime.UTC")
    return round(at.timestamp() * 1000)


def moment(time: int) -> datetime:
    """The same as a time in UTC.

    >>> moment(1_767_614_400_000)
    datetime.datetime(2026, 1, 5, 12, 0, tzinfo=datetime.timezone.utc)
    """
    return datetime.fromtimestamp(time / 1000, UTC)


def _bytes(event: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(event, option=orjson.OPT_UTC_Z)
    except TypeError as error:  # orjson.JSONEncodeError is one
        raise ConfigError(
            f"the event is no JSON: {error}; give bytes to send what is none"
        ) from None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
