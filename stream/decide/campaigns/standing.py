"""Standing in line: which campaigns an offer may be made for, in their order, and why not others.

Rules: the first campaign that is allowed, is for the customer and finds an item makes the offer;
each that does not leaves its own reason and the moment to the next. Here is what can be told before
any item is known; cheap rules come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, filterfalse

from stream.decide.campaigns.audience import is_in
from stream.decide.campaigns.moments import due_campaigns, is_timed
from stream.decide.policy import Denial, of_a_day, resting
from stream.decide.rows.delivery import MOST_A_DAY, OF_CAMPAIGN
from stream.decide.rows.layout import LARGEST
from stream.decide.rows.record import View
from stream.decide.world import World
from stream.domain.event import Campaign, Moment

DEFAULT_CAMPAIGN = Campaign("default", "Recommendations")


def standing(
    customer: View, customer_id: str, now: int, world: World, moment: Moment | None = None
) -> Iterator[tuple[Campaign, Denial | None]]:
    """The campaigns in line, each with why it makes no offer, None if it may.

    Those that begin moments of their own stand in line for such a ``moment`` alone, and then they
    do if it is theirs; where there are no others, an event is answered as if there were none.
    """
    campaigns: Iterator[Campaign] = filterfalse(is_timed, world.campaigns)
    if moment is not None:
        campaigns = due_campaigns(customer, moment, now, world)
    first = next(campaigns, None)
    if first is None:
        if moment is None:
            yield DEFAULT_CAMPAIGN, None
        return
    tired = resting(customer, OF_CAMPAIGN, now, world.settings.policy.rest_campaign)
    for campaign in chain((first,), campaigns):
        denial = campaign_denial(campaign, customer, customer_id, now, world)
        if denial is None and campaign.campaign_id in tired:
            denial = Denial.CAMPAIGN_DISMISSED
        yield campaign, denial


def ends_of(campaigns: Sequence[Campaign]) -> Mapping[str, int]:
    """When each campaign that is active ends, in ms of stream time; one that is not has ended."""
    ends = {c.campaign_id: LARGEST if c.ends is None else c.ends for c in campaigns if c.active}
    return {**ends, DEFAULT_CAMPAIGN.campaign_id: LARGEST}


def campaign_denial(
    campaign: Campaign, customer: View, customer_id: str, now: int, world: World
) -> Denial | None:
    """The first rule that forbids this campaign to this customer now, if there is one."""
    if not campaign.active:
        return Denial.CAMPAIGN_PAUSED
    if not is_running(campaign, now):
        return Denial.CAMPAIGN_NOT_RUNNING
    if campaign.quiet is not None and now in campaign.quiet:
        return Denial.CAMPAIGN_QUIET_HOURS
    if campaign.segments and customer.segment not in campaign.segments:
        return Denial.AUDIENCE
    if campaign.audience is not None and not is_in(
        campaign.audience, customer, customer_id, now, world
    ):
        return Denial.AUDIENCE
    if campaign.daily_cap is not None and _is_capped(campaign, customer, now):
        return Denial.CAMPAIGN_CAP
    if campaign.budget is not None and world.left.get(campaign.campaign_id, 0) <= 0:
        return Denial.BUDGET
    return None


def is_running(campaign: Campaign, now: int) -> bool:
    """Whether a time in ms is within a campaign's dates and hours."""
    if campaign.starts is not None and now < campaign.starts:
        return False
    if campaign.ends is not None and now >= campaign.ends:
        return False
    return campaign.hours is None or now in campaign.hours


def _is_capped(campaign: Campaign, customer: View, now: int) -> bool:
    assert campaign.daily_cap is not None
    cap = min(campaign.daily_cap, MOST_A_DAY)
    return of_a_day(customer, now, campaign.campaign_id) >= cap
