"""Reach: whom campaigns would have been for, of the customers of the last days.

Rules: asked are the customers' records as they stand, each at the last time that the customer was
seen, by the rules that decide. What only a moment tells is left out: caps, budgets, and whether an
item is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import orjson

from stream.broker.records import Record, Unreadable
from stream.broker.whole import read_topic
from stream.config import Settings
from stream.decide.campaigns.audience import is_in
from stream.decide.campaigns.moments import is_timed
from stream.decide.campaigns.standing import is_running
from stream.decide.policy import CONTROL, arm_of, by_priority, may_offer
from stream.decide.rows.record import View, record_of
from stream.decide.rows.state import CustomerState
from stream.decide.world import Models, World
from stream.domain.event import Campaign
from stream.insight.changelog import read_customers

DAY: Final = 86_400_000


class Reach(NamedTuple):
    """Of some days: how many customers, and by campaign how many of them it would have been for.

    Attributes
    ----------
    until
        The last time that anybody was seen, in ms; 0 if nobody was.
    seen
        Customers who were seen.
    open
        … and may be made offers: by consent, and not held out.
    audience, first
        Of these, by campaign: those of its audience, and those for whom it stands first in line.
    offers
        Offers that were made in these days, by campaign.
    unreadable
        Records of customers that cannot be read.
    """

    until: int
    seen: int
    open: int
    audience: Counter[str]
    first: Counter[str]
    offers: Counter[str]
    unreadable: int = 0


class Past(NamedTuple):
    """What the log tells: customers, the names of segments, and when offers were made."""

    customers: dict[str, CustomerState]
    segment_names: tuple[str, ...]
    offers: list[tuple[str, int]]
    unreadable: int


def read_past(settings: Settings) -> Past:
    """Read the customers' records, and the offers; ConfigError as `read_topic`."""
    found = read_customers(settings)
    names: dict[int, str] = {}
    offers: list[tuple[str, int]] = []

    def take(record: Record) -> None:
        if isinstance(record, Unreadable) or record.value is None:
            return
        try:
            offer = orjson.loads(record.value)
            segment = offer.get("segment")
            if segment and segment["name"]:
                names[segment["id"]] = segment["name"]
            offers.append((offer["campaign_id"], record.timestamp))
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # none of ours

    read_topic(settings, settings.topics.offers, settings.partitions, take)
    width = max(names, default=-1) + 1
    named = tuple(names.get(number, "") for number in range(width))
    return Past(found.states, named, offers, len(found.unreadable))


def reach(
    past: Past,
    campaigns: Sequence[Campaign],
    settings: Settings,
    days: float,
    show: Callable[[int], None] = lambda done: None,
) -> Reach:
    """Whom campaigns would have been for in the days before the last that anybody was seen.

    Parameters
    ----------
    past
        What the log tells.
    campaigns
        Those that would stand in line.
    settings
        Policy and seed.
    days
        How many.
    show
        Told how many customers were asked about.
    """
    core = settings.core
    world = World(settings=core, models=Models(segment_names=past.segment_names))
    until = max([state.profile.last_seen for state in past.customers.values()], default=0)
    since = until - days * DAY
    in_line = [one for one in by_priority(tuple(campaigns)) if one.active]
    audience, first = Counter[str](), Counter[str]()
    seen = allowed = 0
    for done, (name, state) in enumerate(past.customers.items()):
        if done % 1024 == 0:
            show(done)
        time = state.profile.last_seen
        if not time or time < since:
            continue
        seen += 1
        if not may_offer(state.permission, core.policy.consent_default):
            continue
        if core.policy.holdout and arm_of(name, core.seed, core.policy) == CONTROL:
            continue
        allowed += 1
        met = list(_meeting(in_line, state, name, time, world))
        audience.update([one.campaign_id for one in met])
        first.update([one.campaign_id for one in _firsts(met)])
    stamps = [made for _, made in past.offers]
    newest = max(stamps, default=0)
    made = Counter(name for name, at in past.offers if at >= newest - days * DAY)
    return Reach(until, seen, allowed, audience, first, made, past.unreadable)


def _firsts(met: Sequence[Campaign]) -> Iterable[Campaign]:
    """The first in line, and those that begin moments of their own, where the line is another."""
    for at, one in enumerate(met):
        if is_timed(one) or all(map(is_timed, met[:at])):
            yield one


def _meeting(
    campaigns: Iterable[Campaign], state: CustomerState, name: str, time: int, world: World
) -> Iterable[Campaign]:
    view = View(record_of(state))
    for one in campaigns:
        if not is_running(one, time) or (one.segments and view.segment not in one.segments):
            continue
        if one.audience is None or is_in(one.audience, view, name, time, world):
            yield one
