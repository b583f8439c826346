"""Offering: from a customer's state to one offer, or to the reason why there is none."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from stream.core.candidates import LADDER, Candidate, gather
from stream.core.event import Campaign, Event
from stream.core.hashing import digest
from stream.core.offer import Cause, Offer, OfferItem
from stream.core.policy import (
    DAY,
    MOST_A_DAY,
    TREATED,
    Denial,
    campaign_for,
    customer_denial,
    item_denial,
)
from stream.core.ranking import Found, Ranked, Slate, draw, rank
from stream.core.state import CustomerState, Delivery
from stream.core.world import World


def choose(
    state: CustomerState, event: Event, now: int, cause: Cause, world: World
) -> tuple[Offer, Slate] | Denial:
    """The offer for this customer now, with the slate that it was made from."""
    denial = customer_denial(state, event.customer_id, now, world)
    if denial is not None:
        return denial
    campaign = campaign_for(state, now, world)
    if isinstance(campaign, Denial):
        return campaign
    found = _allowed(gather(state, world), campaign, state, world)
    if isinstance(found, Denial):
        return found
    settings, policy = world.settings, world.settings.policy
    ranked = rank(found, state, campaign, now, world)
    if policy.min_propensity > 0:
        ranked = [r for r in ranked if r.propensity >= policy.min_propensity]
        if not ranked:
            return Denial.LOW_PROPENSITY
    key = (settings.seed, event.customer_id, event.event_id)
    slate = draw(ranked, policy.slate, policy.exploration, *key)
    return _offer(state, event, cause, campaign, slate, now, world), slate


def delivered(delivery: Delivery, offer: Offer) -> Delivery:
    """Count an offer that was made."""
    made, since = delivery.made, offer.issued - DAY
    if made and made[0][1] <= since:
        made = tuple([one for one in made if one[1] > since])
    return replace(
        delivery,
        offers=delivery.offers + 1,
        last_offer=offer.issued,
        made=(*made[-MOST_A_DAY + 1 :], (offer.campaign_id, offer.issued)),
    )


def shown(delivery: Delivery, time: int) -> Delivery:
    """Count an impression: caps go by what was seen, not by what was sent."""
    recent = tuple(t for t in delivery.impressions if t > time - DAY)
    return replace(delivery, impressions=(*recent[-MOST_A_DAY + 1 :], time))


def _allowed(
    candidates: list[Candidate], campaign: Campaign, state: CustomerState, world: World
) -> list[Found] | Denial:
    """The candidates that may be offered, each with what is known of its item."""
    if not candidates:
        return Denial.NO_CANDIDATE
    denials: Counter[Denial] = Counter()
    bought = dict(state.history.bought)
    allowed = []
    for candidate in candidates:
        item = world.item(candidate.item_id)
        denial = item_denial(candidate.item_id, item, campaign, bought)
        if denial is None:
            allowed.append((candidate, item))
        else:
            denials[denial] += 1
    if allowed:
        return allowed
    return min(denials, key=lambda denial: (-denials[denial], denial))


def _offer(
    state: CustomerState,
    event: Event,
    cause: Cause,
    campaign: Campaign,
    slate: Slate,
    now: int,
    world: World,
) -> Offer:
    models, segment, settings = world.models, state.profile.segment, world.settings
    named = segment is not None and segment < len(models.segment_names)
    return Offer(
        offer_id=digest(event.customer_id, event.event_id, "offer", size=16).hex(),
        customer_id=event.customer_id,
        campaign_id=campaign.campaign_id,
        strategy=campaign.strategy,
        ladder=LADDER[slate.items[0].candidate.origin],
        items=tuple([_item(ranked, settings.currency) for ranked in slate.items]),
        discount=campaign.discount,
        currency=settings.currency,
        arm=TREATED,
        assignment_probability=slate.probability,
        explored=slate.explored,
        segment=segment,
        segment_name=models.segment_names[segment] if named and segment is not None else None,
        models=models.versions,
        learned_through=models.learned_through,
        issued=now,
        expires=now + round(settings.policy.offer_ttl * 1000),
        cause=cause,
    )


def _item(ranked: Ranked, currency: str) -> OfferItem:
    candidate, item, price = ranked.candidate, ranked.item, None
    if item is not None and (item.currency is None or item.currency == currency):
        price = item.price
    return OfferItem(
        candidate.item_id, _micro(ranked.propensity), candidate.origin, candidate.because, price
    )


def _micro(p: float) -> float:
    """A probability to six places; ``round`` goes by way of decimal text, at four times that."""
    return int(p * 1e6 + 0.5) / 1e6
