"""Decisions as they are told: each moment of a sampled share, with its offer or why there is none.

Rules. Whether a customer is of the sample is a hash of the customer and the seed, so that all of a
customer's moments are told or none. Who may not be made offers takes part in no experiment, so such
a moment names no arm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from stream.decide.policy import Denial, arm_of
from stream.decide.world import World
from stream.domain.chance import digest, unit
from stream.domain.event import Event, Moment
from stream.domain.offer import Assigned, Cause, Offer
from stream.domain.value import Value

HOLDOUT: Final = "holdout"
"""The name of the standing experiment: offers against none."""

MOST_PASSED: Final = 32
"""Campaigns that stood in line and are named; of more, how many."""


class Decision(Value, frozen=True):
    """What was decided in one moment, at ``time`` in ms of stream time.

    Attributes
    ----------
    cause
        The record of the event that made the moment.
    arms
        Experiment and arm, of each experiment that the customer takes part in.
    offer_id, campaign_id
        Of the offer; None if there is none.
    denial
        Why there is none.
    passed
        Campaigns that stood in line before, each with its own reason, `MOST_PASSED` at most.
    unnamed
        How many more there were.
    models, learned_through
        Versions of the models in use, and how many examples they had learned.
    share
        Of customers whose decisions are told, in (0, 1].
    variant
        Of the offer's campaign; None where it has one way alone.
    """

    decision_id: str
    customer_id: str
    event_id: str
    time: int
    cause: Cause
    arms: tuple[tuple[str, str], ...]
    offer_id: str | None
    campaign_id: str | None
    denial: Denial | None
    passed: tuple[tuple[str, Denial], ...]
    unnamed: int
    models: tuple[tuple[str, int], ...]
    learned_through: int
    share: float
    variant: Assigned | None = None


def is_sampled(customer_id: str, seed: int, share: float) -> bool:
    """Whether a customer's decisions are told, where they are of a share in [0, 1] of customers.

    >>> is_sampled("anna", 7, 1.0), is_sampled("anna", 7, 0.0)
    (True, False)
    """
    return share > 0 and unit(seed, "decisions", customer_id) < share


def told(
    event: Event | Moment,
    cause: Cause,
    now: int,
    answer: Offer | Denial,
    passed: Sequence[tuple[str, Denial]],
    world: World,
) -> Decision:
    """Tell of a moment.

    Parameters
    ----------
    event, cause
    now
        Stream time in ms, the event's included.
    answer
        The offer, or why there is none.
    passed
        Campaigns that stood in line before whatever came of it, each with its own reason.
    world
        What was decided with.
    """
    settings, models = world.settings, world.models
    offer = None if isinstance(answer, Denial) else answer
    place = cause.source, cause.partition, cause.offset
    arm = arm_of(event.customer_id, settings.seed, settings.policy)
    return Decision(
        decision_id=digest(event.customer_id, event.event_id, *place, "decision", size=16).hex(),
        customer_id=event.customer_id,
        event_id=event.event_id,
        time=now,
        cause=cause,
        arms=() if answer is Denial.CONSENT else ((HOLDOUT, arm),),
        offer_id=None if offer is None else offer.offer_id,
        campaign_id=None if offer is None else offer.campaign_id,
        denial=answer if isinstance(answer, Denial) else None,
        passed=tuple(passed[:MOST_PASSED]),
        unnamed=max(len(passed) - MOST_PASSED, 0),
        models=models.versions,
        learned_through=models.learned_through,
        share=settings.decisions_share,
        variant=None if offer is None else offer.variant,
    )
