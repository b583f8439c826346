"""Offers: what a customer may be shown, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, cast

from stream.domain.campaign import NO_REWARD, Reward
from stream.domain.event import Source
from stream.domain.value import Value

OF_SOURCE: Final = "source:"


class Origin(StrEnum):
    """Where a candidate came from: the reason that an offer gives for it."""

    __hash__ = str.__hash__  # an enumeration's own is Python: candidates come by the dozen

    BASKET = "bought_together"
    SESSION = "viewed_together"
    NEIGHBOUR = "similar_sessions"
    OWN = "viewed_not_bought"
    SEGMENT = "segment_trending"
    TRENDING = "trending"
    NEW = "new"
    RULE = "rule"

    @classmethod
    def _missing_(cls, value: object) -> Origin | None:
        """A source of the shop's own: it is named in the settings, so they are few.

        >>> Origin("source:editors") is Origin("source:editors"), len(Origin)
        (True, 8)
        """
        if not isinstance(value, str) or not value.startswith(OF_SOURCE):
            return None
        own = str.__new__(cls, value)
        own._name_, own._value_ = value, value
        # as `enum.Flag` does: the same word is the same member, and none that iterating finds
        return cast(Origin, cls._value2member_map_.setdefault(value, own))


class Cause(Value, frozen=True):
    """The record that an event came in, and the stream time of its partition before it.

    ``stream_time`` is the highest event time seen, in ms; 0 before the first event.
    """

    source: Source
    partition: int
    offset: int
    stream_time: int = 0


class OfferItem(Value, frozen=True):
    """One item of a slate; ``propensity`` is P(purchase) in [0, 1].

    ``price`` is before any discount, in minor units of the offer's currency; ``name``, ``image``
    and ``link`` are the catalog's, and None where it has none.
    """

    item_id: str
    propensity: float
    origin: Origin
    because: str | None = None
    price: int | None = None
    name: str | None = None
    image: str | None = None
    link: str | None = None


class Reason(StrEnum):
    """Why an offer was recalled."""

    PURCHASE = "purchase"
    WITHDRAWAL = "withdrawal"
    CAMPAIGN_ENDED = "campaign_ended"


class Recall(Value, frozen=True):
    """An offer that is not to be shown any more, since ``time`` in ms."""

    offer_id: str
    customer_id: str
    time: int
    reason: Reason


class Assigned(Value, frozen=True):
    """The variant of a campaign that was chosen for a customer.

    ``probability`` is with which; ``begins`` is the code of a trial that begins with the offer
    (`stream.models.experiments.trials`), 0 for none; ``edition`` is of the campaign's variants;
    ``stopped`` are the variants that hurt.
    """

    name: str
    probability: float
    begins: int = 0
    edition: int = 0
    stopped: tuple[str, ...] = ()


class Offer(Value, frozen=True):
    """A slate for one customer, until ``expires``.

    ``assignment_probability`` is the chance with which this slate was drawn, given the policy;
    ``learned_through`` is the number of examples that the models in use had learned; ``set_aside``
    is what the offer takes from its campaign's budget, in the budget's unit. ``channel`` and
    ``placement`` say where it is meant to be shown, None where that is left open. ``due`` is when
    the moment came, in ms, that a timer began; 0 where an event did. ``variant`` is the campaign's
    that was chosen, None where it has one way alone.
    """

    offer_id: str
    customer_id: str
    campaign_id: str
    strategy: str
    ladder: str
    items: tuple[OfferItem, ...]
    discount: int
    currency: str
    arm: str
    assignment_probability: float
    explored: bool
    segment: int | None
    segment_name: str | None
    models: tuple[tuple[str, int], ...]
    learned_through: int
    issued: int
    expires: int
    cause: Cause
    reward: Reward = NO_REWARD
    channel: str | None = None
    placement: str | None = None
    set_aside: int = 0
    due: int = 0
    variant: Assigned | None = None
