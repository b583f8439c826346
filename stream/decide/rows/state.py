"""A customer's record as a value, for people to look at.

It is kept as bytes (:mod:`stream.decide.rows.layout`). Times are in ms, money is in minor units.
"""

from __future__ import annotations

from typing import Final

from stream.decide.rows.layout import NEVER
from stream.domain.event import Source
from stream.domain.value import Value


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
    """What tells a duplicate or a flood: marks of what was seen, and a token bucket.

    The marks of each kind of event are packed end to end, the oldest first (see
    :mod:`stream.decide.rows.admission`). ``filled`` is the time of the customer's newest event that
    the bucket knows of, 0 for none.
    """

    clicks: bytes = b""
    orders: bytes = b""
    responses: bytes = b""
    updates: bytes = b""
    tokens: float = 0.0
    filled: int = 0


class Profile(Value, frozen=True):
    """Who the customer is by what was done: counts, money, decayed tastes.

    ``spent`` holds net minor units per currency; ``frequency`` (orders) and ``monetary`` (minor
    units of the shop's currency) decay from ``decayed``; ``tastes`` are category weights, the
    strongest first, on the same clock; ``log_price`` is the running mean of ln(1 + price seen).
    ``traits`` are what the shop told, by name, each with the time of the word in ms.
    """

    first_seen: int = 0
    last_seen: int = 0
    views: int = 0
    carts: int = 0  # more may be taken out than were put in
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
    traits: tuple[tuple[str, str | int | float | bool, int], ...] = ()


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
    (:mod:`stream.decide.rows.due`), 0 for none; ``page`` is where the newest entry was put, live or
    taken.
    """

    exposures: tuple[Exposure, ...] = ()
    offers: tuple[PendingOffer, ...] = ()
    due: int = 0
    page: int = NEVER


TRIAL: Final = 32
"""The place of the first bit of a trial's code."""


class Made(Value, frozen=True):
    """An offer that was made; ``shown`` is when it was first seen, 0 if nobody said so.

    ``items`` are known while it is open; ``state`` has the bits of
    :mod:`stream.decide.rows.delivery`, and from `TRIAL` on the code of a trial that began with it.
    """

    offer_id: str
    campaign_id: str
    time: int
    expires: int
    items: tuple[str, ...] = ()
    shown: int = 0
    state: int = 0

    @property
    def trial(self) -> int:
        """The code of the trial that began with it; 0 if none did."""
        return self.state >> TRIAL


class Delivery(Value, frozen=True):
    """What was offered, and what became of it: the ground of caps, rests and recalls.

    ``made`` are the newest offers; ``cooled`` are (text, kind, time) of what was dismissed;
    ``open_until`` is when the last open offer expires, and ``campaign_until`` the last of a
    campaign's; 0 if there is none.
    """

    offers: int = 0
    last_offer: int = 0
    made: tuple[Made, ...] = ()
    cooled: tuple[tuple[str, int, int], ...] = ()
    offers_shown: int = 0
    offers_clicked: int = 0
    dismissed: int = 0
    last_dismissed: int = 0
    open_until: int = 0
    campaign_until: int = 0


class Permission(Value, frozen=True):
    """When the customer last said yes, and last said no, to each purpose; in ms, 0 for never.

    The newer word counts, and of two of the same time the no. So the order in which words arrive
    makes no difference (a last-writer-wins register with a bias to removal). ``profiling_since`` is
    the first yes since the last no or erasure, or a later one where that is known no more; 0 while
    the last word is not a yes.

    References
    ----------
    M. Shapiro, N. Preguiça, C. Baquero, M. Zawirski: A comprehensive study of Convergent and
    Commutative Replicated Data Types. INRIA RR-7506, 2011, 3.3.3.

    >>> Permission().profiling, Permission(profiling_yes=5, profiling_no=5).profiling
    (None, False)
    """

    profiling_yes: int = 0
    profiling_no: int = 0
    offers_yes: int = 0
    offers_no: int = 0
    profiling_since: int = 0

    @property
    def profiling(self) -> bool | None:
        """Whether the customer may be profiled; None until the customer said so."""
        yes, no = self.profiling_yes, self.profiling_no
        return yes > no if yes or no else None

    @property
    def offers(self) -> bool | None:
        """Whether the customer may be made offers; None until the customer said so."""
        yes, no = self.offers_yes, self.offers_no
        return yes > no if yes or no else None


class CustomerState(Value, frozen=True):
    """All that is kept of one customer; each part belongs to one stage.

    ``stamps`` holds the last offset applied of each :class:`Source`, -1 for none; ``erased`` is the
    time in ms of the last erasure: nothing from at or before it counts any more, 0 for none.
    """

    stamps: tuple[int, ...] = (NEVER,) * len(Source)
    admission: Admission = Admission()
    permission: Permission = Permission()
    profile: Profile = Profile()
    history: History = History()
    waiting: Waiting = Waiting()
    delivery: Delivery = Delivery()
    effects: tuple[Effect, ...] = ()
    erased: int = 0


NEW_CUSTOMER = CustomerState()
