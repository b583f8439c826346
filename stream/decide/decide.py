"""The decision: one pure function whose body is the list of stages.

Rules: the same record, event, cause and world give the same step; nothing is mutated; it raises
only on a bug of ours. An event at or below its stamp sends again what it sent before, and changes
nothing unless what it says was not heard; a duplicate, late or suppressed event learns nothing and
offers nothing, and what it says of permission is heard all the same. What recalls an offer does so
whatever else becomes of the event. What is from at or before an
erasure changes nothing but, where silence is a yes, by a no.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stream.decide import consent
from stream.decide.campaigns.moments import due_campaigns
from stream.decide.example import Trial, tell
from stream.decide.offering import choose, delivered
from stream.decide.policy import Denial
from stream.decide.recalling import followed, withdrawn
from stream.decide.rows.admission import (
    ADMITTED,
    APPLIED,
    DUPLICATE,
    LATE,
    REPLAYED,
    SUPPRESSED,
    Outcome,
)
from stream.decide.rows.advance import FORGOTTEN, JUDGED, PROFILED, advance, turn
from stream.decide.rows.arriving import packed
from stream.decide.rows.record import (
    Desk,
    View,
    effects_of,
    front,
    said_of,
    with_stamp,
    with_traits,
)
from stream.decide.rows.state import Effect
from stream.decide.world import World
from stream.domain.event import (
    REMOVE_FROM_CART,
    Click,
    CustomerUpdate,
    Event,
    Moment,
    Purchase,
    Word,
)
from stream.domain.offer import Assigned, Cause, Offer, Recall
from stream.models.experiments.trials import BEGUN


class Taught(NamedTuple):
    """Examples as they travel: how many, and their bytes, one behind the other."""

    number: int
    data: bytes

    def then(self, count: int, data: bytes) -> Taught:
        """These, and others behind them."""
        return Taught(self.number + count, self.data + data) if count else self


NO_LESSON: Final = Taught(0, b"")


class Step(NamedTuple):
    """What one event does: a new record (None erases it), offers, examples, or why no offer.

    The record is the same object as before where nothing of it changes. ``recalls`` are of offers
    that were made before; ``passed`` are the campaigns that stood in line before whatever came of
    it, each with its own reason; ``left_out`` counts items that an offer does not hold for its
    diversity.
    """

    outcome: Outcome
    record: bytes | None
    offers: tuple[Offer, ...] = ()
    examples: Taught = NO_LESSON
    denial: Denial | None = None
    resend: tuple[Effect, ...] = ()
    recalls: tuple[Recall, ...] = ()
    passed: tuple[tuple[str, Denial], ...] = ()
    left_out: int = 0


class Advanced(NamedTuple):
    """An event that kernels have taken as far as they go.

    ``arriving`` are its bytes and ``now`` the stream time in ms, its own included; ``learned`` says
    whether it may be learned from, and ``turning`` whether its segment is to be found first.
    """

    arriving: bytes
    now: int
    outcome: Outcome
    learned: bool
    turning: bool


def decide(
    record: bytes, event: Event, cause: Cause, world: World, desk: Desk | None = None
) -> Step:
    """Take one event through every stage.

    Parameters
    ----------
    record
        The customer's (see :mod:`stream.decide.rows.layout`), with what was decided and is not yet
        sent.
    event, cause, world
    desk
        Where kernels work; a new one where none is given.
    """
    desk = desk or Desk()
    now = event.time if event.time > cause.stream_time else cause.stream_time
    step = _decided(record, event, now, cause, world, desk)
    if consent.word_of(event) is None or step.record is record:
        return step
    default = world.settings.policy.consent_default
    after, recalls = withdrawn(record, step.record, event.customer_id, now, default, desk)
    known = [one.offer_id for one in step.recalls]
    more = [one for one in recalls if one.offer_id not in known]
    return step._replace(record=after, recalls=(*step.recalls, *more))


def _decided(record: bytes, event: Event, now: int, cause: Cause, world: World, desk: Desk) -> Step:
    """All but what a withdrawal recalls."""
    first = front(record)
    if cause.offset <= first[cause.source]:
        return _replayed(record, event, cause, world, desk)
    word, settings = consent.word_of(event), world.settings
    if event.time <= first.erased:
        return _before_an_erasure(record, word, cause, world, desk)
    arriving = packed_event(event, cause.source, cause.offset, now, world)
    if word is not None:
        if word.erase:
            return _erased(record, arriving, word, cause, world, desk)
        heard = consent.hear(record, word, cause.stream_time, settings, desk)
        assert heard is not None
        if heard is not record:
            record, first = heard, front(heard)
    profiled, since, _ = consent.stance_of(said_of(record), settings.policy.consent_default)
    learned = profiled and event.time >= since
    how_far = PROFILED if learned else JUDGED if profiled else FORGOTTEN
    rules = desk.rules(settings, world.learning)
    code, turning = advance(record, arriving, how_far, rules, desk.tables)
    outcome = ADMITTED[code]
    if outcome is DUPLICATE or outcome is LATE:
        return Step(outcome, record)
    advanced = Advanced(arriving, now, outcome, learned, turning)
    return go_on(record, event, advanced, cause, world, desk)


def packed_event(event: Event, source: int, offset: int, now: int, world: World) -> bytes:
    """An event as kernels read it; as `packed`."""
    item = world.item(event.item_id) if isinstance(event, Click) else None
    return packed(event, source, offset, now, world.settings.currency, item)


def go_on(
    record: bytes, event: Event, advanced: Advanced, cause: Cause, world: World, desk: Desk
) -> Step:
    """What follows when kernels have taken an event as far as they go.

    Parameters
    ----------
    record
        The customer's as it was before the event.
    event, cause, world
    advanced
        How far the event is.
    desk
        On which the kernels have laid the record after it.
    """
    arriving, now, outcome, learned, turning = advanced
    if turning:
        segment = world.models.segments.assign(tuple(desk.point.tolist()))
        turn(arriving, segment, desk.rules(world.settings, world.learning), desk.tables)
    plain, examples = desk.record(), NO_LESSON.then(*desk.examples())
    size = front(record).size
    record, recalls = followed(
        _with_effects(plain, record, size), event, now, world.campaigns, desk
    )
    step = Step(outcome, record, examples=examples, recalls=recalls)
    if outcome is SUPPRESSED or not _is_moment(event):
        if learned and outcome is APPLIED and isinstance(event, CustomerUpdate) and event.traits:
            return step._replace(record=with_traits(record, event.traits, event.time))
        return step
    if not learned:
        return step._replace(denial=Denial.CONSENT)
    return _answered(step, record, event, now, cause, world, desk)


def come_due(
    record: bytes, moment: Moment, now: int, cause: Cause, world: World, desk: Desk
) -> Step:
    """What follows when a customer's time came, though no event of theirs did.

    Parameters
    ----------
    record
        The customer's.
    moment
    now
        Stream time in ms.
    cause
        The record with which the time passed.
    world, desk
    """
    step = Step(APPLIED, record)
    if next(due_campaigns(View(record), moment, now, world), None) is None:
        return step
    return _answered(step, record, moment, now, cause, world, desk)


def _answered(
    step: Step,
    record: bytes,
    event: Event | Moment,
    now: int,
    cause: Cause,
    world: World,
    desk: Desk,
) -> Step:
    """A step with the offer that answers it, or the reason why there is none."""
    watched = world if world.witness is None else world.witness.watch(world)
    chosen, passed, _ = choose(View(record), event, now, cause, watched, desk)
    if isinstance(chosen, Denial):
        return step._replace(denial=chosen, passed=passed)
    offer, slate = chosen
    left_out = len(slate.too_alike)
    size = front(record).size
    if world.witness is not None:
        world.witness.saw(record[:size], event, cause, now, offer.offer_id)
    made = _with_effects(delivered(record, offer, slate, world, desk), record, size)
    if offer.variant is not None and offer.variant.begins and world.learning:
        step = step._replace(examples=step.examples.then(1, _begun(offer, offer.variant)))
    return step._replace(record=made, offers=(offer,), passed=passed, left_out=left_out)


def _begun(offer: Offer, variant: Assigned) -> bytes:
    """What the beginning of a trial teaches."""
    return tell(Trial(offer.issued, offer.campaign_id, variant.edition, variant.begins, BEGUN))


def _before_an_erasure(
    record: bytes, word: Word | None, cause: Cause, world: World, desk: Desk
) -> Step:
    """Of what is from before an erasure, only a word of permission may count."""
    if word is None:
        return Step(SUPPRESSED, record)
    heard = consent.hear(record, word, cause.stream_time, world.settings, desk)
    return Step(APPLIED if word.erase else SUPPRESSED, heard)


def _with_effects(advanced: bytes, record: bytes, size: int) -> bytes:
    """A new record with the effects of the one before, which stand behind its ``size`` bytes."""
    return advanced if len(record) == size else advanced + record[size:]


def _replayed(record: bytes, event: Event, cause: Cause, world: World, desk: Desk) -> Step:
    again = tuple(
        effect
        for effect in effects_of(record, front(record).size)
        if effect.source == cause.source and effect.offset == cause.offset
    )
    word = consent.word_of(event)
    if word is None:
        return Step(REPLAYED, record, resend=again)
    # as if for the first time
    heard = consent.hear(record, word, cause.stream_time, world.settings, desk)
    return Step(REPLAYED, heard, resend=again)


def _erased(
    record: bytes, arriving: bytes, word: Word, cause: Cause, world: World, desk: Desk
) -> Step:
    """An erasure is heard whatever becomes of the event."""
    rules = desk.rules(world.settings, world.learning)
    outcome = ADMITTED[advance(record, arriving, FORGOTTEN, rules, desk.tables)[0]]
    heard = consent.hear(record, word, cause.stream_time, world.settings, desk)
    if heard is None or outcome is DUPLICATE or outcome is LATE:
        return Step(outcome, heard)
    return Step(outcome, with_stamp(heard, cause.source, cause.offset))


def _is_moment(event: Event) -> bool:
    """Whether the event is one that an offer may answer: the customer is here, and open to it."""
    if isinstance(event, Click):
        return event.action is not REMOVE_FROM_CART
    return isinstance(event, Purchase)
