"""Offering: from a customer's state to one offer, or to the reason why there is none."""

from __future__ import annotations

from collections import Counter

from stream.core.advance import offered
from stream.core.arriving import packed_offer
from stream.core.candidates import LADDER, Candidate, gather, on_screen
from stream.core.delivery import OF_ITEM
from stream.core.event import Campaign, Event
from stream.core.hashing import digest
from stream.core.offer import Cause, Offer, OfferItem
from stream.core.policy import (
    DEFAULT_CAMPAIGN,
    TREATED,
    Denial,
    campaign_for,
    customer_denial,
    item_denials,
    resting,
)
from stream.core.ranking import Found, Ranked, Slate, draw, rank
from stream.core.record import Desk, View
from stream.core.rules import remembered
from stream.core.world import World


def choose(
    customer: View, event: Event, now: int, cause: Cause, world: World, desk: Desk
) -> tuple[Offer, Slate] | Denial:
    """The offer for this customer now, with the slate that it was made from."""
    denial = customer_denial(customer, event.customer_id, now, world)
    if denial is not None:
        return denial
    campaign = campaign_for(customer, now, world)
    if isinstance(campaign, Denial):
        return campaign
    screen = on_screen(customer, event)
    candidates = gather(customer, world, screen)
    if not candidates:
        return Denial.ON_SCREEN if screen else Denial.NO_CANDIDATE
    found = _allowed(candidates, campaign, customer, now, world)
    if isinstance(found, Denial):
        return found
    settings, policy = world.settings, world.settings.policy
    ranking = rank(found, customer, campaign, now, world, desk)
    if policy.min_propensity > 0:
        ranking = ranking.likely(policy.min_propensity)
        if not ranking.order:
            return Denial.LOW_PROPENSITY
    key = (settings.seed, event.customer_id, event.event_id)
    slate = draw(ranking, policy.slate, policy.exploration, *key)
    return _offer(customer, event, cause, campaign, slate, now, world), slate


def delivered(record: bytes, offer: Offer, slate: Slate, world: World, desk: Desk) -> bytes:
    """The record, without effects, of a customer to whom an offer was made."""
    names = [offer.campaign_id, *[item.item_id for item in offer.items]]
    times = offer.issued, offer.expires, offer.issued - remembered(world.settings)
    standing = offer.campaign_id == DEFAULT_CAMPAIGN.campaign_id
    packed = packed_offer(offer.offer_id, names, *times, standing)
    offered(record, packed, slate.features, world.learning, desk.tables)
    return desk.record()


def _allowed(
    candidates: list[Candidate], campaign: Campaign, customer: View, now: int, world: World
) -> Found | Denial:
    """The candidates that may be offered, each with what is known of its item."""
    item_ids = [candidate.item_id for candidate in candidates]
    items = world.items(item_ids)
    tired = resting(customer, OF_ITEM, now, world.settings.policy.rest_item)
    denied = item_denials(item_ids, items, campaign, customer.bought, tired)
    found = Found(candidates, item_ids, items)
    if not any(denied):
        return found
    if None in denied:
        return found.only([n for n, denial in enumerate(denied) if denial is None])
    denials = Counter(filter(None, denied))
    return min(denials, key=lambda denial: (-denials[denial], denial))


def _offer(
    customer: View,
    event: Event,
    cause: Cause,
    campaign: Campaign,
    slate: Slate,
    now: int,
    world: World,
) -> Offer:
    models, segment, settings = world.models, customer.segment, world.settings
    named = segment is not None and segment < len(models.segment_names)
    return Offer(
        offer_id=_identity(event, cause),
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


def _identity(event: Event, cause: Cause) -> str:
    """Of an offer: an event's id alone may be decided twice, once it or its customer is forgotten.

    A record is decided once.
    """
    place = cause.source, cause.partition, cause.offset
    return digest(event.customer_id, event.event_id, *place, "offer", size=16).hex()


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
