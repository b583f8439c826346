"""The decision for tests that would rather look at values than at bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from stream.codec.examples import decode_examples
from stream.decide import decide as core
from stream.decide.example import Example, framed
from stream.decide.policy import Denial
from stream.decide.rows.admission import Outcome
from stream.decide.rows.record import View, record_of
from stream.decide.rows.state import CustomerState, Effect
from stream.decide.world import World
from stream.domain.event import Event
from stream.domain.offer import Cause, Offer


class Step(NamedTuple):
    """A step of the core's with its record and its examples as values."""

    outcome: Outcome
    state: CustomerState | None
    offers: tuple[Offer, ...]
    examples: tuple[Example, ...]
    denial: Denial | None
    resend: tuple[Effect, ...]


def decide(state: CustomerState, event: Event, cause: Cause, world: World) -> Step:
    """Take one event through every stage; the state is the same object where nothing changes."""
    record = record_of(state)
    step = core.decide(record, event, cause, world)
    return Step(
        step.outcome,
        state if step.record is record else value_of(step.record),
        step.offers,
        tuple(decode_examples(framed(*step.examples))),
        step.denial,
        step.resend,
    )


def value_of(record: bytes | None) -> CustomerState | None:
    """A record as a value."""
    return None if record is None else View(record).value


def values_of(records: Mapping[str, bytes | None]) -> dict[str, CustomerState | None]:
    """Records as values, by customer."""
    return {name: value_of(record) for name, record in records.items()}
