"""Offering: from a customer's state to one offer, or to the reason why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from stream.decide.campaigns.standing import DEFAULT_CAMPAIGN, standing
from stream.decide.campaigns.strategies import Choice, strategy_for
from stream.decide.campaigns.variants import assigned, draw_variant, odds_of, under_way
from stream.decide.choice.candidates import Candidate, on_screen, rung
from stream.decide.choice.diversity import SlateLimits
from stream.decide.choice.own import judged
from stream.decide.choice.ranking import (
    Found,
    RankedCandidate,
    Ranking,
    Slate,
    draw,
    rank,
    usual_price,
)
from stream.decide.policy import TREATED, Denial, customer_denial, item_denials, resting
from stream.decide.rows.advance import offered
from stream.decide.rows.arriving import packed_offer
from stream.decide.rows.delivery import OF_ITEM
from stream.decide.rows.parameters import remembered
from stream.decide.rows.record import Desk, View
from stream.decide.world import World
from stream.domain.campaign import Incentive, Reward, Unit
from stream.domain.chance import digest, unit
from stream.domain.event import Campaign, CatalogItem, Event, Moment
from stream.domain.offer import Assigned, Cause, Offer, OfferItem


class Chosen(NamedTuple):
    """An offer with the slate that it was made from, or why there is none.

    ``passed`` are the campaigns that stood in line before it, each with its own reason; ``drawn``
    is how an offer came about.
    """

    outcome: tuple[Offer, Slate] | Denial
    passed: tuple[tuple[str, Denial], ...] = ()
    drawn: DrawnSlate | None = None


class Allowed(NamedTuple):
    """The candidates that may be offered, and all of them, each with why not, None if it may."""

    found: Found
    all: Found
    denied: Sequence[Denial | None]


class DrawnSlate(NamedTuple):
    """A slate with its incentive; ``worth`` is the expected margin of its best item.

    ``campaign`` is as the ``variant`` has it, where there is one.
    """

    slate: Slate
    reward: Reward
    worth: float
    allowed: Allowed
    ranking: Ranking
    campaign: Campaign
    variant: Assigned | None = None


def choose(
    customer: View, event: Event | Moment, now: int, cause: Cause, world: World, desk: Desk
) -> Chosen:
    """The offer for this customer now: of the first campaign in line that finds an item."""
    denial = customer_denial(customer, event.customer_id, now, world)
    if denial is not None:
        return Chosen(denial)
    moment = event if isinstance(event, Moment) else None
    when = event.time, now
    choice = Choice(customer, event.customer_id, world, on_screen(customer, event), when)
    told, passed = Denial.NO_CAMPAIGN, list[tuple[str, Denial]]()
    for campaign, refused in standing(customer, event.customer_id, now, world, moment):
        if refused is None:
            drawn = _drawn(choice, campaign, event, now, desk)
            if isinstance(drawn, DrawnSlate):
                offer = _offer(customer, event, cause, campaign, drawn, now, world)
                return Chosen((offer, drawn.slate), tuple(passed), drawn)
            refused = drawn
            if told is Denial.NO_CAMPAIGN:
                told = drawn  # of the campaign that came next to an offer
        passed.append((campaign.campaign_id, refused))
    return Chosen(told, tuple(passed))


def _drawn(
    choice: Choice, campaign: Campaign, event: Event | Moment, now: int, desk: Desk
) -> DrawnSlate | Denial:
    """The slate of a campaign, with the incentive that is expected to earn the most.

    Of a ladder, now and then, another incentive is drawn, and its probability kept: so what each of
    them does to the chance of a purchase can be learned.
    """
    if campaign.variants:
        return _tried(choice, campaign, event, now, desk)
    candidates = choice.of(campaign)
    if not candidates:
        return _without_candidates(choice)
    rewards = campaign.rewards
    if len(rewards) == 1:
        return _with(rewards[0], candidates, choice, campaign, event, now, desk)
    tried = [_with(one, candidates, choice, campaign, event, now, desk) for one in rewards]
    drawn = [one for one in tried if isinstance(one, DrawnSlate)]
    if not drawn:
        return tried[-1]
    settings = choice.world.settings
    exploration, n = settings.policy.exploration, len(drawn)
    best = max(range(n), key=lambda at: (drawn[at].worth, -drawn[at].reward.size))
    key, at = (settings.seed, event.customer_id, event.event_id), best
    if unit(*key, "incentive") < exploration:
        at = int(unit(*key, "reward") * n)
    share = exploration / n + (1 - exploration if at == best else 0.0)
    slate = drawn[at].slate
    slate = replace(
        slate, probability=slate.probability * share, explored=slate.explored or at != best
    )
    return drawn[at]._replace(slate=slate)


def _tried(
    choice: Choice, campaign: Campaign, event: Event | Moment, now: int, desk: Desk
) -> DrawnSlate | Denial:
    """The slate of a campaign with the variant that the customer is tried with."""
    customer, world = choice.customer, choice.world
    segment = customer.segment
    odds = odds_of(campaign, segment, world)
    known, begins, found = under_way(customer, campaign, now, world), False, {}
    if known is None or not odds[known.arm]:
        for arm, part in enumerate(odds):
            if part:
                found[arm] = _drawn(choice, campaign.as_variant(arm), event, now, desk)
        able = [part * isinstance(found.get(n), DrawnSlate) for n, part in enumerate(odds)]
        if not any(able):
            return next(iter(found.values()))
        begins = able == list(odds) and not isinstance(event, Moment)
        known = draw_variant(campaign, event.customer_id, now, able, world)
        drawn = found[known.arm]
    else:
        drawn = _drawn(choice, campaign.as_variant(known.arm), event, now, desk)
    if not isinstance(drawn, DrawnSlate):
        return drawn
    variant = assigned(campaign, known, begins, segment, odds)
    slate = replace(drawn.slate, probability=drawn.slate.probability * variant.probability)
    return drawn._replace(slate=slate, variant=variant)


def _without_candidates(choice: Choice) -> Denial:
    """Why a strategy has none."""
    if choice.all:
        return Denial.NOT_IN_STRATEGY
    return Denial.ON_SCREEN if choice.screen else Denial.NO_CANDIDATE


def _with(
    reward: Reward,
    candidates: list[Candidate],
    choice: Choice,
    campaign: Campaign,
    event: Event | Moment,
    now: int,
    desk: Desk,
) -> DrawnSlate | Denial:
    """The slate of a campaign with one of its incentives, or why there is none."""
    customer, world = choice.customer, choice.world
    settings, policy = world.settings, world.settings.policy
    allowed = _allowed(candidates, campaign, reward, choice, now)
    if isinstance(allowed, Denial):
        return allowed
    ranking = rank(allowed.found, customer, reward, now, world, desk)
    least = policy.min_propensity
    if least > 0:
        ranking = ranking.likely(least)
        if not ranking.order:
            return Denial.LOW_PROPENSITY
    worth = ranking.earns(ranking.order[0], reward, usual_price(customer.usual))
    audience = campaign.audience
    if audience is not None:
        propensity, value = audience.propensity, audience.value
        if propensity is not None and max(ranking.propensities) not in propensity:
            return Denial.LOW_PROPENSITY
        if value is not None and worth not in value:
            return Denial.LOW_VALUE
    key = (settings.seed, event.customer_id, event.event_id)
    limits = SlateLimits(policy.slate_per_category, policy.slate_per_brand)
    size = campaign.slate or policy.slate
    slate = draw(ranking, size, policy.exploration, *key, limits=limits)
    drawn = DrawnSlate(slate, reward, worth, allowed, ranking, campaign)
    if campaign.budget is not None and set_aside(campaign, drawn) > world.left.get(
        campaign.campaign_id, 0
    ):
        return Denial.BUDGET
    return drawn


def set_aside(campaign: Campaign, drawn: DrawnSlate) -> int:
    """What an offer takes from its campaign's budget, in the budget's unit.

    An offer is redeemed once at most, with its dearest item.
    """
    if campaign.budget is None:
        return 0
    if campaign.budget.unit is Unit.OFFERS:
        return 1
    prices = [ranked.item.price or 0 if ranked.item else 0 for ranked in drawn.slate.items]
    return max(drawn.reward.cost(price) for price in prices)


def delivered(record: bytes, offer: Offer, slate: Slate, world: World, desk: Desk) -> bytes:
    """The record, without effects, of a customer to whom an offer was made."""
    names = [offer.campaign_id, *[item.item_id for item in offer.items]]
    times = offer.issued, offer.expires, offer.issued - remembered(world.settings)
    is_default = offer.campaign_id == DEFAULT_CAMPAIGN.campaign_id
    variant = offer.variant
    trial = (0, 0) if not (variant and variant.begins) else (variant.begins, variant.edition)
    packed = packed_offer(offer.offer_id, names, *times, is_default, trial)
    offered(record, packed, slate.features, world.learning, desk.tables)
    return desk.record()


def _allowed(
    candidates: list[Candidate], campaign: Campaign, reward: Reward, choice: Choice, now: int
) -> Allowed | Denial:
    """The candidates that may be offered, each with what is known of its item."""
    customer, world = choice.customer, choice.world
    item_ids = [candidate.item_id for candidate in candidates]
    items = world.items(item_ids)
    settings = world.settings
    tired = resting(customer, OF_ITEM, now, settings.policy.rest_item)
    denied = item_denials(item_ids, items, campaign, reward, customer.bought, tired, settings)
    if campaign.budget is not None and campaign.budget.unit is Unit.MONEY:
        currency = settings.currency
        denied = [
            denial or (None if _has_cost(item, reward, currency) else Denial.NOT_IN_CAMPAIGN)
            for denial, item in zip(denied, items, strict=True)
        ]
    if world.rules:
        named = list(zip(item_ids, items, strict=True))
        denied = judged(denied, named, choice.shown, campaign, reward, now, world)
    found = Found(candidates, item_ids, items)
    if not any(denied):
        return Allowed(found, found, denied)
    if None in denied:
        some = found.only([n for n, denial in enumerate(denied) if denial is None])
        return Allowed(some, found, denied)
    if Denial.MARGIN_FLOOR in denied:
        return Denial.MARGIN_FLOOR  # there were items, but for the incentive
    denials = Counter(filter(None, denied))
    return min(denials, key=lambda denial: (-denials[denial], denial))


def _has_cost(item: CatalogItem | None, reward: Reward, currency: str) -> bool:
    """Whether it is known what an incentive takes off an item, in the shop's currency."""
    if reward.kind is not Incentive.PERCENT:
        return True
    return item is not None and item.price is not None and item.currency in (None, currency)


def _offer(
    customer: View,
    event: Event | Moment,
    cause: Cause,
    campaign: Campaign,
    drawn: DrawnSlate,
    now: int,
    world: World,
) -> Offer:
    models, segment, settings = world.models, customer.segment, world.settings
    slate, reward, lifetime = drawn.slate, drawn.reward, campaign.lifetime
    named = segment is not None and segment < len(models.segment_names)
    return Offer(
        offer_id=_identity(event, cause),
        customer_id=event.customer_id,
        campaign_id=campaign.campaign_id,
        strategy=strategy_for(drawn.campaign, segment, world),
        ladder=rung(slate.items[0].candidate.origin),
        items=tuple([_item(ranked, settings.currency) for ranked in slate.items]),
        discount=reward.size if reward.kind is Incentive.PERCENT else 0,
        currency=settings.currency,
        arm=TREATED,
        assignment_probability=slate.probability,
        explored=slate.explored,
        segment=segment,
        segment_name=models.segment_names[segment] if named and segment is not None else None,
        models=models.versions,
        learned_through=models.learned_through,
        issued=now,
        expires=now + (lifetime or round(settings.policy.offer_ttl * 1000)),
        cause=cause,
        reward=reward,
        channel=campaign.channel,
        placement=campaign.placement,
        set_aside=set_aside(campaign, drawn),
        due=event.time if isinstance(event, Moment) else 0,
        variant=drawn.variant,
    )


def _identity(event: Event | Moment, cause: Cause) -> str:
    """Of an offer: an event's id alone may be decided twice, once it or its customer is forgotten.

    A record is decided once.
    """
    place = cause.source, cause.partition, cause.offset
    return digest(event.customer_id, event.event_id, *place, "offer", size=16).hex()


def _item(ranked: RankedCandidate, currency: str) -> OfferItem:
    candidate, item, price = ranked.candidate, ranked.item, None
    if item is not None and (item.currency is None or item.currency == currency):
        price = item.price
    p = _micro(ranked.propensity)
    if item is None:
        return OfferItem(candidate.item_id, p, candidate.origin, candidate.because)
    shown = item.name, item.image, item.link
    return OfferItem(candidate.item_id, p, candidate.origin, candidate.because, price, *shown)


def _micro(p: float) -> float:
    """A probability to six places; ``round`` goes by way of decimal text, at four times that."""
    return int(p * 1e6 + 0.5) / 1e6
