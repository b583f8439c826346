"""A customer's record: one immutable value, at most a couple of kilobytes.

Every field is a plain scalar or a tuple, so that the codec can write it as one JSON array.
Times are in ms, money is in minor units.
"""

from __future__ import annotations

from typing import NamedTuple

from stream.core.event import Source

NEVER = -1


class Touch(NamedTuple):
    """A customer's contact with an item; ``weight`` 1 for a view, 2 for a cart."""

    item_id: str
    time: int
    weight: int


class Exposure(NamedTuple):
    """An item that was seen, waiting for its label with the features that it had then."""

    item_id: str
    time: int
    features: tuple[int, ...]


class PendingOffer(NamedTuple):
    """An offer that was sent, waiting for its impression."""

    offer_id: str
    time: int
    items: tuple[tuple[str, tuple[int, ...]], ...]


class Effect(NamedTuple):
    """Bytes to send that are not yet known to be durable; caused by (source, offset)."""

    source: int
    offset: int
    kind: int
    payload: bytes


class CustomerState(NamedTuple):
    """All that is kept of one customer.

    ``stamps`` holds the last offset applied of each :class:`Source`; ``spent`` the net minor
    units per currency; ``frequency`` and ``monetary`` (in the shop's currency) decay from
    ``decayed``; ``consent`` is (profiling, offers), each None until the customer said so.
    """

    stamps: tuple[int, ...] = (NEVER,) * len(Source)
    first_seen: int = 0
    last_seen: int = 0
    views: int = 0
    carts: int = 0
    orders: int = 0
    units: int = 0
    refunds: int = 0
    spent: tuple[tuple[str, int], ...] = ()
    last_order: int = 0
    decayed: int = 0
    frequency: float = 0.0
    monetary: float = 0.0
    tastes: tuple[tuple[str, float], ...] = ()
    log_price: float = 0.0
    recent: tuple[Touch, ...] = ()
    bought: tuple[tuple[str, int], ...] = ()
    session_start: int = 0
    session_clicks: int = 0
    exposures: tuple[Exposure, ...] = ()
    pending: tuple[PendingOffer, ...] = ()
    emitted: int = 0
    offers: int = 0
    impressions: tuple[int, ...] = ()
    consent: tuple[bool | None, bool | None] = (None, None)
    segment: int | None = None
    seen: tuple[int, ...] = ()
    tokens: float = NEVER
    effects: tuple[Effect, ...] = ()


NEW_CUSTOMER = CustomerState()
