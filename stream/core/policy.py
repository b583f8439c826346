"""Policy: ordered rules, each of which allows or names its reason.

The rules for the customer come first and cheapest first, so that most decisions end before any
model is asked; the rules for an item come when candidates are known.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

from stream.config import PolicySettings
from stream.core.advance import MOST_A_DAY, is_too_soon
from stream.core.event import Campaign, CatalogItem
from stream.core.hashing import unit
from stream.core.record import View
from stream.core.state import Permission
from stream.core.world import World

DAY = 86_400_000
HOUR = 3_600_000
CONTROL, TREATED = "holdout", "offer"
DEFAULT_CAMPAIGN = Campaign("default", "Recommendations")


class Denial(StrEnum):
    """Why no offer was made: a business "no", and a bounded metric label."""

    CONSENT = "consent"
    HOLDOUT = "holdout"
    FREQUENCY_CAP = "frequency_cap"
    OFFER_GAP = "offer_gap"
    QUIET_HOURS = "quiet_hours"
    NO_CAMPAIGN = "no_campaign"
    NO_CANDIDATE = "no_candidate"
    ON_SCREEN = "on_screen"
    BOUGHT_ALREADY = "bought_already"
    OUT_OF_STOCK = "out_of_stock"
    NOT_IN_CAMPAIGN = "not_in_campaign"
    LOW_PROPENSITY = "low_propensity"


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


def campaign_for(customer: View, now: int, world: World) -> Campaign | Denial:
    """The campaign of highest priority that this customer is eligible for."""
    if not world.campaigns:
        return DEFAULT_CAMPAIGN
    for campaign in world.campaigns:
        if _is_eligible(campaign, customer, now):
            return campaign
    return Denial.NO_CAMPAIGN


def item_denial(
    item_id: str, item: CatalogItem | None, campaign: Campaign, bought: Collection[str]
) -> Denial | None:
    """The first rule that forbids offering this item, if there is one."""
    if item_id in bought:
        return Denial.BOUGHT_ALREADY
    if item is not None and item.stock is not None and item.stock <= 0:
        return Denial.OUT_OF_STOCK
    if campaign.categories and (item is None or item.category not in campaign.categories):
        return Denial.NOT_IN_CAMPAIGN
    return None


def item_denials(
    item_ids: Sequence[str],
    items: Sequence[CatalogItem | None],
    campaign: Campaign,
    bought: Collection[str],
) -> list[Denial | None]:
    """For each item, the first rule that forbids offering it, if there is one."""
    tracked = [item for item in items if item is not None and item.stock is not None]
    if not (bought or campaign.categories or tracked):  # so no rule has anything to ask
        return [None] * len(items)
    return [
        item_denial(item_id, item, campaign, bought)
        for item_id, item in zip(item_ids, items, strict=True)
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


def _is_eligible(campaign: Campaign, customer: View, now: int) -> bool:
    if not campaign.active:
        return False
    if campaign.starts is not None and now < campaign.starts:
        return False
    if campaign.ends is not None and now >= campaign.ends:
        return False
    if campaign.segments and customer.segment not in campaign.segments:
        return False
    if campaign.daily_cap is None:
        return True
    made = sum(c == campaign.campaign_id and t > now - DAY for c, t in customer.made)
    return made < min(campaign.daily_cap, MOST_A_DAY)
