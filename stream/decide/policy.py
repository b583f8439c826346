"""Policy: ordered rules, each of which allows or names its reason.

The rules for the customer come first and cheapest first, so that most decisions end before any
model is asked; the rules for an item come when candidates are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, cast

from stream.config import CoreSettings, PolicySettings
from stream.decide.rows.advance import is_too_soon
from stream.decide.rows.delivery import MOST_A_DAY
from stream.decide.rows.record import View
from stream.decide.rows.state import Permission
from stream.decide.world import World
from stream.domain.campaign import Incentive, Reward, is_within
from stream.domain.chance import unit
from stream.domain.event import Campaign, CatalogItem

DAY = 86_400_000
HOUR = 3_600_000
CONTROL, TREATED = "holdout", "offer"
OF_RULE: Final = "rule:"
RULE_FAILED: Final = "rule_failed:"


class Denial(StrEnum):
    """Why no offer was made: a business "no", and a bounded metric label.

    Beside these, ``rule:NAME`` is the word of a rule that `stream.extending` has let in, and
    ``rule_failed:NAME`` that of one that failed.

    >>> Denial("rule:no-alcohol") is Denial("rule:no-alcohol"), Denial("rule:no-alcohol").value
    (True, 'rule:no-alcohol')
    >>> Denial("no-alcohol")
    Traceback (most recent call last):
    ValueError: 'no-alcohol' is not a valid Denial
    """

    CONSENT = "consent"
    HOLDOUT = "holdout"
    FREQUENCY_CAP = "frequency_cap"
    OFFER_GAP = "offer_gap"
    DISMISSED = "dismissed"
    QUIET_HOURS = "quiet_hours"
    NO_CAMPAIGN = "no_campaign"
    CAMPAIGN_PAUSED = "campaign_paused"
    CAMPAIGN_NOT_RUNNING = "campaign_not_running"
    CAMPAIGN_QUIET_HOURS = "campaign_quiet_hours"
    AUDIENCE = "audience"
    CAMPAIGN_DISMISSED = "campaign_dismissed"
    CAMPAIGN_CAP = "campaign_cap"
    BUDGET = "budget"
    NOT_IN_STRATEGY = "not_in_strategy"
    NO_CANDIDATE = "no_candidate"
    ON_SCREEN = "on_screen"
    BOUGHT_ALREADY = "bought_already"
    ITEM_DISMISSED = "item_dismissed"
    OUT_OF_STOCK = "out_of_stock"
    NOT_IN_CAMPAIGN = "not_in_campaign"
    MARGIN_FLOOR = "margin_floor"
    TOO_ALIKE = "too_alike"
    LOW_PROPENSITY = "low_propensity"
    LOW_VALUE = "low_value"

    @classmethod
    def _missing_(cls, value: object) -> Denial | None:
        """The word of a rule of the shop's own: it is named in the settings, so they are few."""
        if not isinstance(value, str) or not value.startswith((OF_RULE, RULE_FAILED)):
            return None
        own = str.__new__(cls, value)
        own._name_, own._value_ = value, value
        # as `enum.Flag` does: the same word is the same member, and none that iterating finds
        return cast(Denial, cls._value2member_map_.setdefault(value, own))


def may_profile(permission: Permission, default: bool) -> bool:
    """Whether the customer may be profiled; silence is the default's to decide."""
    return default if permission.profiling is None else permission.profiling


def may_offer(permission: Permission, default: bool) -> bool:
    """Whether the customer may be made offers, which takes a profile."""
    allowed = default if permission.offers is None else permission.offers
    return allowed and may_profile(permission, default)


def arm_of(customer_id: str, seed: int, policy: PolicySettings) -> str:
    """The arm of the standing holdout: a hash of the customer, so it never moves."""
    held_out = unit(seed, "holdout", customer_id) < policy.holdout
    return CONTROL if held_out else TREATED


class PolicyContext(NamedTuple):
    """What a rule for the customer looks at; ``now`` is stream time in ms."""

    customer: View
    customer_id: str
    now: int
    world: World

    @property
    def policy(self) -> PolicySettings:
        """The settings of rules."""
        return self.world.settings.policy


def lacks_consent(asked: PolicyContext) -> bool:
    """Whether the customer has not allowed offers."""
    return not may_offer(asked.customer.permission, asked.policy.consent_default)


def had_one_just_now(asked: PolicyContext) -> bool:
    """Whether the last offer was made less than the gap ago."""
    return is_too_soon(asked.customer.last_offer, asked.now, asked.policy.offer_gap * 1000)


def dismissed_one(asked: PolicyContext) -> bool:
    """Whether the customer dismissed an offer, and rests."""
    return is_too_soon(asked.customer.last_dismissed, asked.now, asked.policy.rest_customer * 1000)


def had_enough(asked: PolicyContext) -> bool:
    """Whether as many offers of a day count as there may be; see :meth:`View.counted`."""
    cap = min(asked.policy.offers_per_day, MOST_A_DAY)
    customer = asked.customer
    return customer.offers_known >= cap and of_a_day(customer, asked.now, None) >= cap


def rests_by_the_hour(asked: PolicyContext) -> bool:
    """Whether these are quiet hours."""
    return is_quiet(asked.now, asked.policy)


def is_held_out(asked: PolicyContext) -> bool:
    """Whether the customer is of the standing holdout."""
    policy, seed = asked.policy, asked.world.settings.seed
    return policy.holdout > 0 and arm_of(asked.customer_id, seed, policy) == CONTROL


CUSTOMER_RULES: tuple[tuple[Denial, Callable[[PolicyContext], bool]], ...] = (
    (Denial.CONSENT, lacks_consent),
    (Denial.OFFER_GAP, had_one_just_now),
    (Denial.DISMISSED, dismissed_one),
    (Denial.FREQUENCY_CAP, had_enough),
    (Denial.QUIET_HOURS, rests_by_the_hour),
    (Denial.HOLDOUT, is_held_out),
)
"""The rules for a customer, in the order in which they are asked."""


def customer_denial(customer: View, customer_id: str, now: int, world: World) -> Denial | None:
    """The first rule that forbids any offer to this customer now, if there is one."""
    asked = PolicyContext(customer, customer_id, now, world)
    for denial, forbids in CUSTOMER_RULES:
        if forbids(asked):
            return denial
    return None


def resting(customer: View, kind: int, now: int, rest: float) -> Collection[str]:
    """The items, or the campaigns, that the customer dismissed less than ``rest`` seconds ago."""
    if not is_too_soon(customer.last_dismissed, now, rest * 1000):
        return ()
    return {name for name, of, time in customer.cooled if of == kind and now - time < rest * 1000}


def item_denial(
    item_id: str,
    item: CatalogItem | None,
    campaign: Campaign,
    bought: Collection[str],
    tired: Collection[str] = (),
) -> Denial | None:
    """The first rule that forbids offering this item, whatever the incentive, if there is one."""
    if item_id in bought:
        return Denial.BOUGHT_ALREADY
    if item_id in tired:
        return Denial.ITEM_DISMISSED
    if item is not None and item.stock is not None and item.stock <= 0:
        return Denial.OUT_OF_STOCK
    if campaign.categories and not is_within(item and item.category, campaign.categories):
        return Denial.NOT_IN_CAMPAIGN
    return None


def is_below_floor(item: CatalogItem | None, reward: Reward, settings: CoreSettings) -> bool:
    """Whether a sale with an incentive would leave less than the margin floor.

    The floor is a share of the price. Where the catalog tells no margin, one is assumed; money of
    another currency, or off a price that is not known, is not compared but refused.
    """
    policy = settings.policy
    price, margin = (None, None) if item is None else (item.price, item.margin)
    if price is None or price <= 0:
        if margin is not None:
            return margin < 0 or reward.size > 0
        if reward.kind is Incentive.PERCENT or not reward.size:
            return policy.assumed_margin - reward.size / 100 < policy.margin_floor
        return True
    if reward.size and reward.kind is not Incentive.PERCENT:
        assert item is not None
        if item.currency not in (None, settings.currency):
            return True
    if margin is None:
        margin = math.floor(policy.assumed_margin * price)
    return margin - reward.cost(price) < policy.margin_floor * price


def item_denials(
    item_ids: Sequence[str],
    items: Sequence[CatalogItem | None],
    campaign: Campaign,
    reward: Reward,
    bought: Collection[str],
    tired: Collection[str],
    settings: CoreSettings,
) -> list[Denial | None]:
    """For each item, the first rule that forbids offering it, if there is one."""
    tracked = [item for item in items if item is not None and item.stock is not None]
    denied: list[Denial | None]
    if bought or tired or campaign.categories or tracked:
        denied = [
            item_denial(item_id, item, campaign, bought, tired)
            for item_id, item in zip(item_ids, items, strict=True)
        ]
    else:  # so no rule has anything to ask
        denied = [None] * len(items)
    for place in _below_floor(items, reward, settings):
        denied[place] = denied[place] or Denial.MARGIN_FLOOR
    return denied


def _below_floor(
    items: Sequence[CatalogItem | None], reward: Reward, settings: CoreSettings
) -> list[int]:
    """The places of the items that are below the margin floor with an incentive."""
    floor = settings.policy.margin_floor
    if reward.size or settings.policy.assumed_margin < floor:
        return [n for n, item in enumerate(items) if is_below_floor(item, reward, settings)]
    return [  # as it is most of the time: quickly
        n
        for n, item in enumerate(items)
        if item is not None and item.margin is not None and item.margin < floor * (item.price or 0)
    ]


def by_priority(campaigns: tuple[Campaign, ...]) -> tuple[Campaign, ...]:
    """Campaigns in the order in which they are tried: highest priority first, then by id."""
    return tuple(sorted(campaigns, key=lambda c: (-c.priority, c.campaign_id)))


def is_quiet(now: int, policy: PolicySettings) -> bool:
    """Whether a time in ms is in the shop's quiet hours."""
    start, end = policy.quiet_from, policy.quiet_until
    if start == end:
        return False
    hour = (now + policy.utc_offset * 60_000) // HOUR % 24
    return start <= hour < end if start < end else hour >= start or hour < end


def of_a_day(customer: View, now: int, campaign_id: str | None) -> int:
    """How many offers of the last 24 hours count in a cap: all, or those of one campaign."""
    return sum(
        [time > now - DAY and campaign_id in (None, name) for name, time in customer.counted(now)]
    )
