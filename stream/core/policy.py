"""Policy: ordered rules, each of which allows or names its reason.

The rules for the customer come first and cheapest first, so that most decisions end before any
model is asked; the rules for an item come when candidates are known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from stream.config import PolicySettings
from stream.core.advance import is_too_soon
from stream.core.delivery import MOST_A_DAY, OF_CAMPAIGN
from stream.core.event import Campaign, CatalogItem
from stream.core.hashing import unit
from stream.core.layout import LARGEST
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
    DISMISSED = "dismissed"
    QUIET_HOURS = "quiet_hours"
    NO_CAMPAIGN = "no_campaign"
    CAMPAIGN_DISMISSED = "campaign_dismissed"
    NO_CANDIDATE = "no_candidate"
    ON_SCREEN = "on_screen"
    BOUGHT_ALREADY = "bought_already"
    ITEM_DISMISSED = "item_dismissed"
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


class Asked(NamedTuple):
    """What a rule for the customer looks at; ``now`` is stream time in ms."""

    customer: View
    customer_id: str
    now: int
    world: World

    @property
    def policy(self) -> PolicySettings:
        """The settings of rules."""
        return self.world.settings.policy


def lacks_consent(asked: Asked) -> bool:
    """Whether the customer has not allowed offers."""
    return not may_offer(asked.customer.permission, asked.policy.consent_default)


def had_one_just_now(asked: Asked) -> bool:
    """Whether the last offer was made less than the gap ago."""
    return is_too_soon(asked.customer.last_offer, asked.now, asked.policy.offer_gap * 1000)


def dismissed_one(asked: Asked) -> bool:
    """Whether the customer dismissed an offer, and rests."""
    return is_too_soon(asked.customer.last_dismissed, asked.now, asked.policy.rest_customer * 1000)


def had_enough(asked: Asked) -> bool:
    """Whether as many offers of a day count as there may be; see :meth:`View.counted`."""
    cap = min(asked.policy.offers_per_day, MOST_A_DAY)
    customer = asked.customer
    return customer.offers_known >= cap and _of_a_day(customer, asked.now, None) >= cap


def rests_by_the_hour(asked: Asked) -> bool:
    """Whether these are quiet hours."""
    return _is_quiet(asked.now, asked.policy)


def is_held_out(asked: Asked) -> bool:
    """Whether the customer is of the standing holdout."""
    policy, seed = asked.policy, asked.world.settings.seed
    return policy.holdout > 0 and arm_of(asked.customer_id, seed, policy) == CONTROL


CUSTOMER_RULES: tuple[tuple[Denial, Callable[[Asked], bool]], ...] = (
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
    asked = Asked(customer, customer_id, now, world)
    for denial, forbids in CUSTOMER_RULES:
        if forbids(asked):
            return denial
    return None


def resting(customer: View, kind: int, now: int, rest: float) -> Collection[str]:
    """The items, or the campaigns, that the customer dismissed less than ``rest`` seconds ago."""
    if not is_too_soon(customer.last_dismissed, now, rest * 1000):
        return ()
    return {name for name, of, time in customer.cooled if of == kind and now - time < rest * 1000}


def campaign_for(customer: View, now: int, world: World) -> Campaign | Denial:
    """The campaign of highest priority that this customer is eligible for."""
    if not world.campaigns:
        return DEFAULT_CAMPAIGN
    tired = resting(customer, OF_CAMPAIGN, now, world.settings.policy.rest_campaign)
    denial = Denial.NO_CAMPAIGN
    for campaign in world.campaigns:
        if not _is_eligible(campaign, customer, now):
            continue
        if campaign.campaign_id not in tired:
            return campaign
        denial = Denial.CAMPAIGN_DISMISSED
    return denial


def ends_of(campaigns: Sequence[Campaign]) -> Mapping[str, int]:
    """When each campaign that is active ends, in ms of stream time; one that is not has ended."""
    ends = {c.campaign_id: LARGEST if c.ends is None else c.ends for c in campaigns if c.active}
    return {**ends, DEFAULT_CAMPAIGN.campaign_id: LARGEST}


def item_denial(
    item_id: str,
    item: CatalogItem | None,
    campaign: Campaign,
    bought: Collection[str],
    tired: Collection[str] = (),
) -> Denial | None:
    """The first rule that forbids offering this item, if there is one."""
    if item_id in bought:
        return Denial.BOUGHT_ALREADY
    if item_id in tired:
        return Denial.ITEM_DISMISSED
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
    tired: Collection[str] = (),
) -> list[Denial | None]:
    """For each item, the first rule that forbids offering it, if there is one."""
    tracked = [item for item in items if item is not None and item.stock is not None]
    if not (bought or tired or campaign.categories or tracked):  # so no rule has anything to ask
        return [None] * len(items)
    return [
        item_denial(item_id, item, campaign, bought, tired)
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
    cap = min(campaign.daily_cap, MOST_A_DAY)
    return _of_a_day(customer, now, campaign.campaign_id) < cap


def _of_a_day(customer: View, now: int, campaign_id: str | None) -> int:
    """How many offers of the last 24 hours count in a cap: all, or those of one campaign."""
    return sum(
        [time > now - DAY and campaign_id in (None, name) for name, time in customer.counted(now)]
    )
