"""A customer's record: one immutable value, at most a couple of kilobytes.

Every field is a plain scalar or a tuple, so that the codec can write it as one JSON array.
Times are in ms, money is in minor units.
"""

from __future__ import annotations

from stream.core.event import Source
from stream.core.value import Value

NEVER = -1


class Touch(Value, frozen=True):
    """A customer's contact with an item; ``weight`` 1 for a view, 2 for a cart."""

    item_id: str
    time: int
    weight: int


class Exposure(Value, frozen=True):
    """An item that was seen, waiting for its label with the (packed) features that it had then."""

    item_id: str
    time: int
    features: bytes


class PendingOffer(Value, frozen=True):
    """An offer that was sent, waiting for its impression."""

    offer_id: str
    time: int
    items: tuple[tuple[str, bytes], ...]


class Effect(Value, frozen=True):
    """Bytes to send that are not yet known to be durable; caused by (source, offset)."""

    source: int
    offset: int
    kind: int
    payload: bytes


class Admission(Value, frozen=True):
    """What tells a duplicate or a flood: ids seen lately, and a token bucket."""

    seen: tuple[int, ...] = ()
    tokens: float = 0.0
    filled: int = 0


class Profile(Value, frozen=True):
    """Who the customer is by what was done: counts, money, decayed tastes.

    ``spent`` holds net minor units per currency; ``frequency`` (orders) and ``monetary`` (minor
    units of the shop's currency) decay from ``decayed``; ``tastes`` are category weights, the
    strongest first, on the same clock; ``log_price`` is the running mean of ln(1 + price seen).
    """

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
    segment: int | None = None


class History(Value, frozen=True):
    """The last items touched and bought, oldest first, and the session that is open."""

    recent: tuple[Touch, ...] = ()
    bought: tuple[tuple[str, int], ...] = ()
    session: int = 0
    session_start: int = 0
    session_last: int = 0
    session_clicks: int = 0


class Waiting(Value, frozen=True):
    """What waits for a label: exposures, and offers that may still be shown.

    ``due`` is the time of the customer's live entry in the partition's queue
    (:mod:`stream.core.due`), 0 for none.
    """

    exposures: tuple[Exposure, ...] = ()
    offers: tuple[PendingOffer, ...] = ()
    due: int = 0


class Delivery(Value, frozen=True):
    """What was offered and shown: the ground of caps; ``made`` is (campaign, time), a day long."""

    offers: int = 0
    last_offer: int = 0
    made: tuple[tuple[str, int], ...] = ()
    impressions: tuple[int, ...] = ()
    dismissed: int = 0


class Permission(Value, frozen=True):
    """Consent as the customer gave it; None until the customer said so."""

    profiling: bool | None = None
    offers: bool | None = None


class CustomerState(Value, frozen=True):
    """All that is kept of one customer; each part belongs to one stage.

    ``stamps`` holds the last offset applied of each :class:`Source`, -1 for none.
    """

    stamps: tuple[int, ...] = (NEVER,) * len(Source)
    admission: Admission = Admission()
    permission: Permission = Permission()
    profile: Profile = Profile()
    history: History = History()
    waiting: Waiting = Waiting()
    delivery: Delivery = Delivery()
    effects: tuple[Effect, ...] = ()


NEW_CUSTOMER = CustomerState()
