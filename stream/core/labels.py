"""Labels: what became of an exposure, once, with the features that it had then.

Rules: a purchase within the attribution window makes an exposure positive; once stream time has
passed the window and the grace for late events, it is negative, with the customer's next event or,
if there is none, a little later; a full list matures its oldest early. Nothing is ever computed
afterwards from a later state (no leakage).
"""

from __future__ import annotations

from msgspec.structs import replace

from stream.config import CoreSettings
from stream.core.event import Event, Feedback, Purchase, Response, Trade
from stream.core.example import Labelled
from stream.core.state import CustomerState, Exposure, PendingOffer, Waiting

PENDING_OFFERS = 3


def join(
    waiting: Waiting, event: Event, now: int, segment: int | None, settings: CoreSettings
) -> tuple[Waiting, list[Labelled]]:
    """Label what the event, or the time that passed, decides.

    ``now`` is stream time in ms, the event's own included.
    """
    examples: list[Labelled] = []
    if isinstance(event, Purchase) and event.trade is Trade.PURCHASE:
        waiting = _convert(waiting, event, segment, settings, examples)
    elif isinstance(event, Feedback) and event.response is Response.IMPRESSION:
        waiting = _shown(waiting, event, segment, settings, examples)
    return mature(waiting, now, segment, settings, examples), examples


def expose(
    waiting: Waiting,
    exposure: Exposure,
    segment: int | None,
    settings: CoreSettings,
    examples: list[Labelled],
) -> Waiting:
    """Let an exposure wait; the first exposure of an item keeps its place and its features."""
    if waits(waiting, exposure.item_id):
        return waiting
    exposures = (*waiting.exposures, exposure)
    while len(exposures) > settings.pending_exposures:
        examples.append(Labelled(exposures[0].time, 0, segment, exposures[0].features))
        exposures = exposures[1:]
    return replace(waiting, exposures=exposures, due=waiting.due or exposure.time)


def waits(waiting: Waiting, item_id: str) -> bool:
    """Whether an exposure of the item waits already."""
    return item_id in [exposure.item_id for exposure in waiting.exposures]


def remember(waiting: Waiting, offer: PendingOffer) -> Waiting:
    """Keep an offer's features until its impression is reported."""
    return replace(waiting, offers=(*waiting.offers[-PENDING_OFFERS + 1 :], offer))


def mature(
    waiting: Waiting,
    now: int,
    segment: int | None,
    settings: CoreSettings,
    examples: list[Labelled],
) -> Waiting:
    """Make negative what no purchase can turn positive any more."""
    deadline = now - _maturity(settings)
    if not waiting.exposures or min([e.time for e in waiting.exposures]) >= deadline:
        return waiting
    kept = []
    for exposure in waiting.exposures:
        if exposure.time < deadline:
            examples.append(Labelled(exposure.time, 0, segment, exposure.features))
        else:
            kept.append(exposure)
    return replace(waiting, exposures=tuple(kept))


def patience(settings: CoreSettings) -> int:
    """How long in ms a customer is waited for before a look: a whole visit must have matured.

    That is an eighth more than one exposure takes; a look at once would find the first of many.
    """
    return _maturity(settings) * 9 // 8


def look(
    state: CustomerState, now: int, settings: CoreSettings
) -> tuple[CustomerState, list[Labelled]]:
    """Mature what waits of a customer who is not here."""
    examples: list[Labelled] = []
    waiting = mature(state.waiting, now, state.profile.segment, settings, examples)
    due = min([exposure.time for exposure in waiting.exposures], default=0)
    return replace(state, waiting=replace(waiting, due=due)), examples


def _maturity(settings: CoreSettings) -> int:
    return round((settings.attribution + settings.grace) * 1000)


def _convert(
    waiting: Waiting,
    event: Purchase,
    segment: int | None,
    settings: CoreSettings,
    examples: list[Labelled],
) -> Waiting:
    window = round(settings.attribution * 1000)
    items = {line.item_id for line in event.lines}
    kept = []
    for exposure in waiting.exposures:
        if exposure.item_id in items and 0 <= event.time - exposure.time <= window:
            examples.append(Labelled(event.time, 1, segment, exposure.features))
        else:
            kept.append(exposure)
    return replace(waiting, exposures=tuple(kept))


def _shown(
    waiting: Waiting,
    event: Feedback,
    segment: int | None,
    settings: CoreSettings,
    examples: list[Labelled],
) -> Waiting:
    for offer in waiting.offers:
        if offer.offer_id == event.offer_id:
            for item_id, features in offer.items:
                exposure = Exposure(item_id, event.time, features)
                waiting = expose(waiting, exposure, segment, settings, examples)
            left = tuple(o for o in waiting.offers if o.offer_id != event.offer_id)
            return replace(waiting, offers=left)
    return waiting
