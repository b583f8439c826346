"""A decision told again: what led to an offer, step by step, from what it was made from.

Rules: the decision is made again, by the same function, in a world that answers what was answered
then; a teller notes its steps. Nothing is worked out a second time: what is told is what was done.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from stream.core.event import Campaign
from stream.core.offer import Offer
from stream.core.offering import choose
from stream.core.policy import Denial
from stream.core.record import Desk, View
from stream.core.witness import Differs, Evidence, Teller, as_it_was


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
    return _decided(evidence, None)


def told_again(evidence: Evidence) -> Told:
    """What led to an offer.

    Raises
    ------
    Differs
        As `decided_again`; so does a decision that comes to no offer now.
    """
    teller = Teller()
    offer = _decided(evidence, teller)
    if isinstance(offer, Denial):
        raise Differs(f"it comes to no offer now: {offer}")
    places = {item.item_id: place for place, item in enumerate(offer.items, 1)}
    ranked = _ranked(teller, offer, places)
    denied = [
        _considered(candidate, item)._replace(denial=denial)
        for candidate, item, denial in (teller.denied[-1] if teller.denied else ())
    ]
    in_line = _in_line(evidence.world.campaigns, offer.campaign_id)
    return Told(offer, in_line, (*ranked, *denied))


def _decided(evidence: Evidence, teller: Teller | None) -> Offer | Denial:
    record, event, cause, now, _, _ = evidence
    world = as_it_was(evidence)._replace(teller=teller)
    chosen = choose(View(record), event, now, cause, world, Desk())
    return chosen if isinstance(chosen, Denial) else chosen[0]


def _ranked(teller: Teller, offer: Offer, places: dict[str, int]) -> list[Considered]:
    """The candidates of the ranking that the offer was drawn from: the last that has its items."""
    for candidates, items, propensities, scores, order in reversed(teller.ranked):
        if places.keys() <= {candidate.item_id for candidate in candidates}:
            return [
                _scored(candidates[n], items[n], propensities[n], scores[n], places) for n in order
            ]
    raise Differs("its items were ranked nowhere")


def _scored(
    candidate: Any, item: Any, propensity: float, score: float, places: dict[str, int]
) -> Considered:
    share = propensity * candidate.relevance
    return _considered(candidate, item)._replace(
        propensity=propensity,
        worth=score / share if share else None,
        score=score,
        place=places.get(candidate.item_id),
    )


def _considered(candidate: Any, item: Any) -> Considered:
    return Considered(
        candidate.item_id,
        None if item is None else item.name,
        candidate.origin.value,
        candidate.because,
        candidate.relevance,
    )


def _in_line(campaigns: tuple[Campaign, ...], taken: str) -> tuple[InLine, ...]:
    """The campaigns that were asked, up to the one that was taken."""
    line = []
    for campaign in campaigns:
        line.append(InLine(campaign.campaign_id, campaign.priority, campaign.campaign_id == taken))
        if campaign.campaign_id == taken:
            break
    return tuple(line)
