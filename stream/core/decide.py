"""The decision: one pure function whose body is the list of stages.

Rules: the same state, event, cause and world give the same step; nothing is mutated; it raises
only on a bug of ours. An event at or below its stamp changes nothing and sends again what it
sent before; a duplicate, late or suppressed event learns nothing and offers nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from stream.core import consent, history, labels, profile
from stream.core.admission import DUPLICATE, LATE, REPLAYED, SUPPRESSED, Outcome, admit
from stream.core.event import (
    REMOVE_FROM_CART,
    Click,
    CustomerUpdate,
    Event,
    Feedback,
    Purchase,
    Response,
)
from stream.core.example import Example, Labelled
from stream.core.exposure import await_impression, expose_click
from stream.core.features import portrait
from stream.core.lessons import lessons, turning_point
from stream.core.offer import Cause, Offer
from stream.core.offering import choose, delivered, shown
from stream.core.policy import Denial, may_profile
from stream.core.state import CustomerState, Delivery, Effect, Waiting
from stream.core.value import Value
from stream.core.world import World

NOTHING_WAITS = Waiting()


class Step(Value, frozen=True):
    """What one event does: a new state (None erases it), offers, examples, or why no offer."""

    outcome: Outcome
    state: CustomerState | None
    offers: tuple[Offer, ...] = ()
    examples: tuple[Example, ...] = ()
    denial: Denial | None = None
    resend: tuple[Effect, ...] = ()


def decide(state: CustomerState, event: Event, cause: Cause, world: World) -> Step:
    """Take one event through every stage."""
    if cause.offset <= state.stamps[cause.source]:
        return _replayed(state, cause)
    outcome, admission = admit(state.admission, event, cause, world.settings)
    if outcome is DUPLICATE or outcome is LATE:
        return Step(outcome, state)
    stamps = _stamped(state, cause)
    if outcome is SUPPRESSED:
        return Step(outcome, replace(state, stamps=stamps, admission=admission))
    if isinstance(event, CustomerUpdate) and event.erase:
        return Step(outcome, None)
    permission = consent.update(state.permission, event)
    state = replace(state, stamps=stamps, admission=admission, permission=permission)
    if not may_profile(permission, world.settings.policy):
        denial = Denial.CONSENT if _is_moment(event) else None
        return Step(outcome, consent.unprofiled(state), denial=denial)
    now = event.time if event.time > cause.stream_time else cause.stream_time
    state, labelled = _learn(state, event, now, world)
    examples: tuple[Example, ...] = ()
    if world.learning:
        examples = (*labelled, *lessons(state, event, now))
    if not _is_moment(event):
        return Step(outcome, state, examples=examples)
    chosen = choose(state, event, now, cause, world)
    if isinstance(chosen, Denial):
        return Step(outcome, state, examples=examples, denial=chosen)
    offer, slate = chosen
    waiting = await_impression(state.waiting, offer, slate) if world.learning else state.waiting
    state = replace(state, waiting=waiting, delivery=delivered(state.delivery, offer))
    return Step(outcome, state, (offer,), examples)


def _replayed(state: CustomerState, cause: Cause) -> Step:
    again = tuple(
        effect
        for effect in state.effects
        if effect.source == cause.source and effect.offset == cause.offset
    )
    return Step(REPLAYED, state, resend=again)


def _stamped(state: CustomerState, cause: Cause) -> tuple[int, ...]:
    stamps = list(state.stamps)
    stamps[cause.source] = cause.offset
    return tuple(stamps)


def _is_moment(event: Event) -> bool:
    """Whether the event is one that an offer may answer: the customer is here, and open to it."""
    if isinstance(event, Click):
        return event.action is not REMOVE_FROM_CART
    return isinstance(event, Purchase)


def _learn(
    before: CustomerState, event: Event, now: int, world: World
) -> tuple[CustomerState, list[Labelled]]:
    """Labels first, with what was known before; then profile, history and segment."""
    settings = world.settings
    waiting, labelled = NOTHING_WAITS, list[Labelled]()
    if world.learning:
        segment = before.profile.segment
        waiting, labelled = labels.join(before.waiting, event, now, segment, settings)
        if isinstance(event, Click):
            waiting = expose_click(waiting, before, event, world, labelled)
    state = replace(
        before,
        profile=profile.update(before.profile, event, settings),
        history=history.update(before.history, event, settings),
        waiting=waiting,
        delivery=_responded(before.delivery, event),
    )
    if turning_point(state, event):
        assigned = world.models.segments.assign(portrait(state, now))
        state = replace(state, profile=replace(state.profile, segment=assigned))
    return state, labelled


def _responded(delivery: Delivery, event: Event) -> Delivery:
    if not isinstance(event, Feedback):
        return delivery
    if event.response is Response.IMPRESSION:
        return shown(delivery, event.time)
    if event.response is Response.DISMISS:
        return replace(delivery, dismissed=delivery.dismissed + 1)
    return delivery
