"""Variants: which way of a campaign a customer is tried with.

Rules: a customer keeps a variant for the attribution window, which is one trial. Else one is
drawn by a hash of customer, campaign and window, with the probabilities in force, among
those that find an item. A trial begins only where all find one: so what is compared is alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from stream.decide.rows.delivery import EDITION
from stream.decide.rows.record import View
from stream.decide.rows.state import TRIAL, Made
from stream.decide.world import World
from stream.domain.campaign import By, Goal
from stream.domain.chance import unit
from stream.domain.event import Campaign
from stream.domain.offer import Assigned
from stream.models.experiments.trials import EVENLY, PARTS, PURCHASES, REVENUE, Code

_GOALS: Final = {Goal.PURCHASES: PURCHASES, Goal.REVENUE: REVENUE}


class DrawnVariant(NamedTuple):
    """A variant, by its number, and the probability with which it was drawn, in `PARTS`."""

    arm: int
    parts: int


def odds_of(campaign: Campaign, segment: int | None, world: World) -> tuple[int, ...]:
    """The probability of each variant for a segment's customers, in `PARTS`; 0 of a stopped one."""
    choosing = campaign.choosing
    goal = EVENLY if choosing.by is By.EVENLY else _GOALS[choosing.goal]
    asked = campaign.campaign_id, campaign.edition, len(campaign.variants)
    return tuple(world.models.trials.odds(*asked, segment, choosing.floor, goal))


def under_way(customer: View, campaign: Campaign, now: int, world: World) -> DrawnVariant | None:
    """The variant that the customer is tried with, if a trial is under way at a time in ms."""
    since, edition = now - round(world.settings.attribution * 1000), campaign.edition
    for made in reversed(customer.offers):
        known = made.trial and made.campaign_id == campaign.campaign_id
        if known and made.time > since and _edition_of(made) == edition:
            code = Code.of(made.trial)
            if 0 <= code.arm < len(campaign.variants):
                return DrawnVariant(code.arm, code.parts)
    return None


def _edition_of(made: Made) -> int:
    return (made.state & (1 << TRIAL) - 1) >> EDITION


def draw_variant(
    campaign: Campaign, customer_id: str, now: int, odds: Sequence[int], world: World
) -> DrawnVariant:
    """Draw a variant; ``odds`` are 0 of those that cannot be."""
    settings, total = world.settings, sum(odds)
    window = now // max(round(settings.attribution * 1000), 1)
    key = settings.seed, "variant", campaign.campaign_id, campaign.edition, customer_id, window
    chance, arm = int(unit(*key) * total), 0
    while chance >= odds[arm]:
        chance -= odds[arm]
        arm += 1
    return DrawnVariant(arm, max(odds[arm] * PARTS // total, 1))


def assigned(
    campaign: Campaign, drawn: DrawnVariant, begins: bool, segment: int | None, odds: Sequence[int]
) -> Assigned:
    """What an offer says of its variant; ``begins`` is whether a trial does."""
    code = Code(drawn.arm, segment, drawn.parts).packed if begins else 0
    names = [variant.name for variant in campaign.variants]
    stopped = tuple([name for name, part in zip(names, odds, strict=True) if not part])
    return Assigned(names[drawn.arm], drawn.parts / PARTS, code, campaign.edition, stopped)
