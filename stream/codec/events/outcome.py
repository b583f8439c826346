"""What becomes of a record of an event topic."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from stream.codec.events.envelope import Headers
from stream.codec.events.segment import Ignored
from stream.domain.event import Event, Rejection, Word


class Decoded(NamedTuple):
    """An event, how many of the record's fields nobody knew, and what those take away."""

    event: Event
    extra_fields: int
    word: Word | None = None


Outcome: TypeAlias = Decoded | Ignored | Rejection
Decode: TypeAlias = Callable[[bytes | None, bytes | None, Headers, int], Outcome]
"""From key, value, headers and the record's own timestamp (ms since the epoch)."""
