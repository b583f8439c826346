"""What tests send: payloads of each topic with one thing changed, and the decoders they meet."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import orjson

from stream.codec.events.decoding import EventDecoder, Outcome
from stream.codec.reference import ReferenceDecoder
from stream.codec.schema import Schemas, load_schemas
from stream.config import CoreSettings
from stream.domain.event import Rejection, RejectionCode

TIME: Final = 1_714_555_800_250  # 2024-05-01T09:30:00.250Z
ABSENT: Final = object()

PAYLOADS: Final[dict[str, dict[str, Any]]] = {
    "clicks": {"event": "view", "product_id": "p1"},
    "purchases": {
        "event": "purchase",
        "order_id": "o1",
        "currency": "EUR",
        "products": [{"product_id": "p1", "price_minor": 990}],
    },
    "feedback": {"event": "impression", "offer_id": "of1"},
    "customers": {"consent": {"offers": True}},
}


@cache
def schemas() -> Schemas:
    """The contracts, compiled once."""
    return load_schemas()


@cache
def decoder() -> EventDecoder:
    """Decoders under the default settings: the shop's currency is the euro."""
    return EventDecoder(schemas(), CoreSettings())


@cache
def references() -> ReferenceDecoder:
    """Decoders of catalog and campaigns under the default settings."""
    return ReferenceDecoder(schemas(), CoreSettings())


def payload(topic: str, **changes: Any) -> dict[str, Any]:
    """A valid payload with ``changes``; ABSENT takes a field away."""
    whole = {"event_id": "e1", "customer_id": "c1", "timestamp": TIME} | PAYLOADS[topic] | changes
    return {name: value for name, value in whole.items() if value is not ABSENT}


def decode(
    topic: str,
    value: bytes | None,
    key: bytes | None = b"c1",
    headers: tuple[tuple[str, bytes | None], ...] = (),
    record_time: int = TIME,
) -> Outcome:
    """Decode a value as it stands."""
    outcome: Outcome = getattr(decoder(), topic)(key, value, headers, record_time)
    return outcome


def send(topic: str, key: bytes | None = b"c1", **changes: Any) -> Outcome:
    """Decode a valid payload with ``changes``."""
    return decode(topic, orjson.dumps(payload(topic, **changes)), key)


def code(outcome: object) -> RejectionCode:
    """Why a record was refused; fails if it was not."""
    assert isinstance(outcome, Rejection), f"not refused: {outcome!r}"
    return outcome.code
