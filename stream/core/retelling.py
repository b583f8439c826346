"""A decision told again: what led to an offer, step by step, from what it was made from.

Rules: it takes the steps of :func:`stream.core.offering.choose` in their order, with a world that
answers what was answered then, and leaves nothing out that they looked at. What was decided is not
told from memory: it is decided again.
"""

from __future__ import annotations

from typing import NamedTuple

from stream.core.candidates import gather
from stream.core.event import Campaign
from stream.core.offer import Offer
from stream.core.offering import choose
from stream.core.policy import Denial, campaign_for, item_denials
from stream.core.ranking import Found, rank, usual_price, worth
from stream.core.record import Desk, View
from stream.core.witness import Differs, Evidence, as_it_was


class Considered(NamedTuple):
    """A candidate: ``score`` is ``propensity`` x ``relevance`` x ``worth``.

    ``worth`` is what a sale earns, in minor units; ``denial`` is why it may not be offered, and
    then nothing was computed of it; ``place`` is that in the offer, from 1, None if it is not in.
    """

    item_id: str
    name: str | None
    origin: str
    because: str | None
    relevance: float
    propensity: float | None = None
    worth: float | None = None
    score: float | None = None
    denial: Denial | None = None
    place: int | None = None


class InLine(NamedTuple):
    """A campaign that was asked for, in the order of priority: ``taken`` or passed over."""

    campaign_id: str
    priority: int
    taken: bool


class Told(NamedTuple):
    """A decision told again; ``considered`` is best first, what was denied behind it."""

    offer: Offer
    campaigns: tuple[InLine, ...]
    considered: tuple[Considered, ...]


def decided_again(evidence: Evidence) -> Offer | Denial:
    """What the decision comes to with the same record, event and answers.

    Raises
    ------
    Differs
        If it asks what it did not ask then: this release decides in another way.
    """
    record, event, cause, now, _, _ = evidence
    chosen = choose(View(record), event, now, cause, as_it_was(evidence), Desk())
    return chosen if isinstance(chosen, Denial) else chosen[0]


def told_again(evidence: Evidence) -> Told:
    """What led to an offer.

    Raises
    ------
    Differs
        As `decided_again`; so does a decision that comes to no offer now.
    """
    offer = decided_again(evidence)
    if isinstance(offer, Denial):
        raise Differs(f"it comes to no offer now: {offer}")
    record, _, _, now, before, _ = evidence
    customer, world = View(record), as_it_was(evidence)
    campaign = campaign_for(customer, now, before)
    assert isinstance(campaign, Campaign), "an offer has a campaign"
    candidates = gather(customer, world)
    item_ids = [candidate.item_id for candidate in candidates]
    items = world.items(item_ids)
    denied = item_denials(item_ids, items, campaign, customer.bought)
    allowed = [n for n, denial in enumerate(denied) if denial is None]
    found = Found(candidates, item_ids, items)
    ranking = rank(found.only(allowed), customer, campaign, now, world, Desk())
    usual = usual_price(customer.usual)
    places = {item.item_id: place for place, item in enumerate(offer.items, 1)}

    def told(n: int, p: float | None, denial: Denial | None) -> Considered:
        one, item = candidates[n], items[n]
        gain = worth(item, campaign.discount, usual)
        return Considered(
            one.item_id,
            None if item is None else item.name,
            one.origin.value,
            one.because,
            one.relevance,
            p,
            None if p is None else gain,
            None if p is None else p * (one.relevance * gain),
            denial,
            places.get(one.item_id),
        )

    ranked = [told(allowed[n], ranking.propensities[n], None) for n in ranking.order]
    left = [told(n, None, denial) for n, denial in enumerate(denied) if denial is not None]
    in_line = _in_line(before.campaigns, campaign)
    return Told(offer, in_line, (*ranked, *left))


def _in_line(campaigns: tuple[Campaign, ...], taken: Campaign) -> tuple[InLine, ...]:
    """The campaigns that were asked, up to the one that was taken."""
    line = []
    for campaign in campaigns:
        line.append(InLine(campaign.campaign_id, campaign.priority, campaign == taken))
        if campaign == taken:
            break
    return tuple(line)
