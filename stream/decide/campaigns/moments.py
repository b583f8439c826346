"""Moments without an event: when a campaign's time for a customer comes, by what they did.

Rules: a moment follows from the record, the campaigns and the settings alone, so it may be looked
at too early, and never has to be remembered.

- A *reminder* is of what was touched and neither bought nor touched again: ``after`` the end of the
  visit in which it was touched last, so that what one visit left comes in one offer. Of a visit are
  touches that follow upon each other within the session's gap, and sooner than a reminder comes.
- A *win-back* is due when nothing was heard of a customer for ``idle``.
- Quiet hours, the shop's and the campaign's, put a moment off until they end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from stream.config import CoreSettings
from stream.decide.policy import HOUR, is_quiet
from stream.decide.rows.layout import LARGEST, NEVER
from stream.decide.rows.record import View
from stream.decide.rows.state import Touch
from stream.decide.world import World
from stream.domain.campaign import WIN_BACK
from stream.domain.event import Campaign, Moment

PUT_OFF: Final = 48  # times at most: one's quiet hours may end in another's


def is_timed(campaign: Campaign) -> bool:
    """Whether a campaign begins a moment of its own, and answers no event."""
    return campaign.wait > 0


class Waits(NamedTuple):
    """What a timer asks of all campaigns: the shortest wait in ms, and when the last of them ends.

    Nothing waits where no campaign that is active begins a moment: both are 0.
    """

    shortest: int = 0
    until: int = 0


def waits_for(campaigns: Iterable[Campaign]) -> Waits:
    """What timers are set by."""
    timed = [one for one in campaigns if one.active and is_timed(one)]
    ends = [LARGEST if one.ends is None else one.ends for one in timed]
    return Waits(min([one.wait for one in timed], default=0), max(ends, default=0))


def due_campaigns(customer: View, moment: Moment, now: int, world: World) -> Iterator[Campaign]:
    """The campaigns whose time came for a customer since a moment, in their order.

    Parameters
    ----------
    customer
    moment
        Its time, in ms, is the first that counts.
    now
        Stream time in ms: the last that counts.
    world
    """
    for campaign in world.campaigns:
        if is_timed(campaign) and any(
            moment.time <= due <= now for due in _dues(customer, campaign, world.settings)
        ):
            yield campaign


def due_touches(
    customer: View, campaign: Campaign, since: int, now: int, settings: CoreSettings
) -> list[Touch]:
    """What a reminder is of, that came due from ``since`` to ``now`` (ms), the newest first."""
    return [touch for touch, due in _reminders(customer, campaign, settings) if since <= due <= now]


def next_due(customer: View, now: int, world: World) -> int:
    """When the next moment of a customer comes, in ms, after ``now``; 0 if none does."""
    return min(
        [
            due
            for campaign in world.campaigns
            if campaign.active and is_timed(campaign)
            for due in _dues(customer, campaign, world.settings)
            if due > now and _is_within(campaign, due)
        ],
        default=0,
    )


def _is_within(campaign: Campaign, time: int) -> bool:
    begun = campaign.starts is None or time >= campaign.starts
    return begun and (campaign.ends is None or time < campaign.ends)


def _dues(customer: View, campaign: Campaign, settings: CoreSettings) -> Iterator[int]:
    if campaign.strategy == WIN_BACK:
        last_seen = int(customer.number("last_seen"))
        if last_seen:
            yield put_off(last_seen + campaign.wait, campaign, settings)
        return
    for _, due in _reminders(customer, campaign, settings):
        yield due


def _reminders(
    customer: View, campaign: Campaign, settings: CoreSettings
) -> Iterator[tuple[Touch, int]]:
    """Items that were touched and not bought, the newest first, each with when it is due."""
    recent, bought = customer.recent, customer.bought
    gap = min(round(settings.session_gap * 1000), campaign.wait)
    seen: set[str] = set()
    for touch, end in zip(reversed(recent), _ends(recent, gap), strict=True):
        if touch.item_id in seen:
            continue
        seen.add(touch.item_id)
        if touch.item_id not in bought:
            yield touch, put_off(end + campaign.wait, campaign, settings)


def _ends(recent: Sequence[Touch], gap: int) -> Iterator[int]:
    """Of each touch, the newest first, when its visit ended in ms."""
    end = later = NEVER
    for touch in reversed(recent):
        if end == NEVER or later - touch.time >= gap:
            end = touch.time
        later = touch.time
        yield end


def put_off(time: int, campaign: Campaign, settings: CoreSettings) -> int:
    """The first time in ms, from a time on, that is in no quiet hours.

    Where there is none within two days, the time itself: then the rules say no.
    """
    later = time
    for _ in range(PUT_OFF):
        if is_quiet(later, settings.policy):
            later += HOUR - (later + settings.policy.utc_offset * 60_000) % HOUR
        elif campaign.quiet is not None and later in campaign.quiet:
            later = campaign.quiet.end_of(later)
        else:
            return later
    return time
