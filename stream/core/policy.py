"""Policy: ordered rules, each of which allows or names its reason.

The rules for the customer come first and cheapest first, so that most decisions end before any
model is asked; the rules for an item come when candidates are known.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from enum import StrEnum

from stream.config import CoreSettings, PolicySettings
from stream.core.advance import MOST_A_DAY, is_too_soon
from stream.core.campaign import Incentive, Reward, is_within
from stream.core.event import Campaign, CatalogItem
from stream.core.hashing import unit
from stream.core.record import View
from stream.core.state import Permission
from stream.core.world import World

DAY = 86_400_000
HOUR = 3_600_000
CONTROL, TREATED = "holdout", "offer"


class Denial(StrEnum):
    """Why no offer was made: a business "no", and a bounded metric label."""

    CONSENT = "consent"
    HOLDOUT = "holdout"
    FREQUENCY_CAP = "frequency_cap"
    OFFER_GAP = "offer_gap"
    QUIET_HOURS = "quiet_hours"
    NO_CAMPAIGN = "no_campaign"
    CAMPAIGN_PAUSED = "campaign_paused"
    CAMPAIGN_NOT_RUNNING = "campaign_not_running"
    CAMPAIGN_QUIET_HOURS = "campaign_quiet_hours"
    AUDIENCE = "audience"
    CAMPAIGN_CAP = "campaign_cap"
    BUDGET = "budget"
    NOT_IN_STRATEGY = "not_in_strategy"
    NO_CANDIDATE = "no_candidate"
    ON_SCREEN = "on_screen"
    BOUGHT_ALREADY = "bought_already"
    OUT_OF_STOCK = "out_of_stock"
    NOT_IN_CAMPAIGN = "not_in_campaign"
    MARGIN_FLOOR = "margin_floor"
    LOW_PROPENSITY = "low_propensity"
    LOW_VALUE = "low_value"


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


def customer_denial(customer: View, customer_id: str, now: int, world: World) -> Denial | None:
    """The first rule that forbids any offer to this customer now, if there is one."""
    policy = world.settings.policy
    if not may_offer(customer.permission, policy.consent_default):
        return Denial.CONSENT
    if is_too_soon(customer.last_offer, now, policy.offer_gap * 1000):
        return Denial.OFFER_GAP
    cap = min(policy.offers_per_day, MOST_A_DAY)
    shown = customer.impressions
    if len(shown) >= cap and sum([time > now - DAY for time in shown]) >= cap:
        return Denial.FREQUENCY_CAP
    if _is_quiet(now, policy):
        return Denial.QUIET_HOURS
    if policy.holdout and arm_of(customer_id, world.settings.seed, policy) == CONTROL:
        return Denial.HOLDOUT
    return None


def item_denial(
    item_id: str, item: CatalogItem | None, campaign: Campaign, bought: Collection[str]
) -> Denial | None:
    """The first rule that forbids offering this item, whatever the incentive, if there is one."""
    if item_id in bought:
        return Denial.BOUGHT_ALREADY
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
    settings: CoreSettings,
) -> list[Denial | None]:
    """For each item, the first rule that forbids offering it, if there is one."""
    tracked = [item for item in items if item is not None and item.stock is not None]
    denied: list[Denial | None]
    if bought or campaign.categories or tracked:
        denied = [
            item_denial(item_id, item, campaign, bought)
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


def _is_quiet(now: int, policy: PolicySettings) -> bool:
    start, end = policy.quiet_from, policy.quiet_until
    if start == end:
        return False
    hour = (now + policy.utc_offset * 60_000) // HOUR % 24
    return start <= hour < end if start < end else hour >= start or hour < end
