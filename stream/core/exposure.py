"""Exposures: what a customer saw, kept with the features of that moment until it has a label."""

from __future__ import annotations

from stream.core.event import REMOVE_FROM_CART, CatalogItem, Click
from stream.core.example import Labelled
from stream.core.features import Describer, pack
from stream.core.labels import expose, remember, waits
from stream.core.offer import Offer
from stream.core.ranking import Slate
from stream.core.state import CustomerState, Exposure, PendingOffer, Waiting
from stream.core.world import World


def expose_click(
    waiting: Waiting,
    before: CustomerState,
    event: Click,
    world: World,
    examples: list[Labelled],
) -> Waiting:
    """Let a click wait, described by what was known of the customer before it."""
    if event.action is REMOVE_FROM_CART or waits(waiting, event.item_id):
        return waiting
    item = world.item(event.item_id) or CatalogItem(
        event.item_id, category=event.category, brand=event.brand, price=event.price
    )
    features = Describer(before, event.time).row(event.item_id, item)
    exposure = Exposure(event.item_id, event.time, pack(features))
    return expose(waiting, exposure, before.profile.segment, world.settings, examples)


def await_impression(waiting: Waiting, offer: Offer, slate: Slate) -> Waiting:
    """Keep the features of an offer's items until the offer is reported as shown."""
    items = tuple((ranked.candidate.item_id, pack(ranked.features)) for ranked in slate.items)
    return remember(waiting, PendingOffer(offer.offer_id, offer.issued, items))
