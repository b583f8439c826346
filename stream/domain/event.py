"""Events: validated facts about one customer.

Times are event times in integer milliseconds since the Unix epoch, money is in integer minor
units of the event's currency, and every text has been normalised (NFC, no control or
bidirectional characters, bounded length) by the decoder.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from stream.domain.campaign import (
    NO_REWARD,
    RECOMMEND,
    Audience,
    Budget,
    Choosing,
    Hours,
    Incentive,
    ItemRule,
    Reward,
    Variant,
)
from stream.domain.chance import digest
from stream.domain.value import Value


class Source(IntEnum):
    """The event topics, in the order in which their stamps stand in a customer's record."""

    CLICKS = 0
    PURCHASES = 1
    FEEDBACK = 2
    CUSTOMERS = 3


class Action(StrEnum):
    """What a customer did with an item, short of buying it."""

    VIEW = "view"
    CLICK = "click"
    ADD_TO_CART = "add_to_cart"
    REMOVE_FROM_CART = "remove_from_cart"


# Names of their own for what every click asks: in Python 3.11 an enumeration's are slow to find.
ADD_TO_CART, REMOVE_FROM_CART = Action.ADD_TO_CART, Action.REMOVE_FROM_CART


class Trade(StrEnum):
    """Whether money came in or went back."""

    PURCHASE = "purchase"
    REFUND = "refund"


class Response(StrEnum):
    """What became of an offer."""

    IMPRESSION = "impression"
    CLICK = "click"
    DISMISS = "dismiss"


class Consent(Value, frozen=True):
    """What a customer allows; ``None`` leaves what was known unchanged."""

    profiling: bool | None = None
    offers: bool | None = None


class Line(Value, frozen=True):
    """One line of a basket; ``price`` is per unit, in minor units, None if unknown."""

    item_id: str
    price: int | None = None
    quantity: int = 1
    category: str | None = None
    brand: str | None = None


class Click(Value, frozen=True):
    """A customer looked at an item, or put it into the cart."""

    event_id: str
    customer_id: str
    time: int
    action: Action
    item_id: str
    price: int | None = None
    currency: str | None = None
    category: str | None = None
    brand: str | None = None
    quantity: int = 1
    session_id: str | None = None
    consent: Consent | None = None


class Purchase(Value, frozen=True):
    """A customer bought, or brought back, the lines of one order."""

    event_id: str
    customer_id: str
    time: int
    trade: Trade
    order_id: str
    currency: str
    lines: tuple[Line, ...]
    session_id: str | None = None
    consent: Consent | None = None


class Feedback(Value, frozen=True):
    """An offer was shown, clicked or dismissed."""

    event_id: str
    customer_id: str
    time: int
    response: Response
    offer_id: str
    item_id: str | None = None
    consent: Consent | None = None


class CustomerUpdate(Value, frozen=True):
    """What the shop itself knows about a customer: consent, traits, or a wish to be forgotten."""

    event_id: str
    customer_id: str
    time: int
    traits: tuple[tuple[str, str | int | float | bool], ...] = ()
    erase: bool = False
    consent: Consent | None = None


Event: TypeAlias = Click | Purchase | Feedback | CustomerUpdate


class Moment(Value, frozen=True):
    """A time that came for a customer, in ms, with no event of theirs.

    ``event_id`` is what an event's is to chance: a name that no other moment of theirs has.
    """

    event_id: str
    customer_id: str
    time: int


class Word(Value, frozen=True):
    """What a record says of a customer's permission, whatever else becomes of the record.

    ``time`` is in ms, 0 if the record says none.
    """

    customer_id: str
    time: int
    erase: bool = False
    consent: Consent | None = None


class CatalogItem(NamedTuple):
    """An item that can be offered; ``stock`` None means that it is not tracked.

    ``image`` and ``link`` are addresses, whole or from the shop's root on.
    """

    item_id: str
    name: str | None = None
    category: str | None = None
    brand: str | None = None
    price: int | None = None
    currency: str | None = None
    margin: int | None = None
    stock: int | None = None
    added: int | None = None
    text: str | None = None
    image: str | None = None
    link: str | None = None


class Campaign(NamedTuple):
    """What a marketer wants offered, to whom, when, and with which incentive.

    Attributes
    ----------
    strategy
        How items are chosen (`stream.decide.campaigns.strategies`).
    starts, ends
        In ms: from the first on, and before the second.
    segments
        Numbers of the segments that it is for; empty means all.
    categories
        What it offers is of one of these or below one, at dots; empty means all.
    discount
        In percent of the price: the incentive, where ``ladder`` is empty.
    daily_cap
        Offers of this campaign for one customer in 24 h of stream time; over 24 counts as 24.
    ladder
        The incentives of which one is chosen (`stream.decide.offering`).
    hours, quiet
        When it offers, and when it does not.
    slate, lifetime
        Items at most, and ms until an offer expires; None leaves both to the policy.
    by_segment
        The strategy for some segments, by number or name; others take ``strategy``.
    wait
        Of a strategy that begins a moment of its own: after how many ms; 0 of any other.
    variants, choosing
        Ways of the campaign, the first of which the others are compared with, and how one of them
        is chosen for a customer; none where it has one way alone.
    """

    campaign_id: str
    name: str
    strategy: str = RECOMMEND
    priority: int = 0
    starts: int | None = None
    ends: int | None = None
    segments: tuple[int, ...] = ()
    categories: tuple[str, ...] = ()
    discount: int = 0
    daily_cap: int | None = None
    active: bool = True
    audience: Audience | None = None
    ladder: tuple[Reward, ...] = ()
    budget: Budget | None = None
    hours: Hours | None = None
    quiet: Hours | None = None
    slate: int | None = None
    lifetime: int | None = None
    channel: str | None = None
    placement: str | None = None
    rules: tuple[ItemRule, ...] = ()
    by_segment: tuple[tuple[int | str, str], ...] = ()
    wait: int = 0
    variants: tuple[Variant, ...] = ()
    choosing: Choosing = Choosing()

    @property
    def edition(self) -> int:
        """The variants and their version as a number of 23 bits: with another, learning begins."""
        return _edition(self.campaign_id, self.variants, self.choosing.version)

    def as_variant(self, number: int) -> Campaign:
        """The campaign as one of its variants has it."""
        _, strategy, reward = self.variants[number]
        campaign = self._replace(variants=())
        if strategy is not None:
            campaign = campaign._replace(strategy=strategy, by_segment=())
        if reward is not None:
            ladder = (reward,) if reward.size else ()
            campaign = campaign._replace(ladder=ladder, discount=0)
        return campaign

    @property
    def rewards(self) -> tuple[Reward, ...]:
        """The incentives of which one is chosen; at least one."""
        if self.ladder:
            return self.ladder
        return (Reward(Incentive.PERCENT, self.discount),) if self.discount else (NO_REWARD,)


@lru_cache(maxsize=256)
def _edition(campaign_id: str, variants: tuple[Variant, ...], version: int) -> int:
    parts: list[str | int] = [campaign_id, version]
    for name, strategy, reward in variants:
        parts += [name, strategy or "", "" if reward is None else f"{reward.kind} {reward.size}"]
    return int.from_bytes(digest(*parts, size=3), "big") >> 1


class RejectionCode(StrEnum):
    """Why a record is not an event: the sender's fault, and a bounded metric label."""

    DECODE = "decode"
    SCHEMA = "schema"
    OVERSIZE = "oversize"
    SCHEMA_VERSION = "schema_version"
    VALUE_RANGE = "value_range"
    FUTURE_TIME = "future_time"
    KEY_MISMATCH = "key_mismatch"
    PARTITION = "partition"
    NULL_KEY = "null_key"
    TOMBSTONE = "tombstone"
    UNREADABLE = "unreadable"
    UNKNOWN_SCHEMA = "unknown_schema"
    INTERNAL = "internal"


class Rejection(NamedTuple):
    """A record that becomes a dead letter; ``detail`` names the field, never a person's data."""

    code: RejectionCode
    detail: str
