"""A partition's account, and the decision of one batch of its records.

Rules: every record is counted once, whatever crashes; a record at or below the ledger's stamp
was accounted for before, changes nothing, and sends again what its customer's record still
holds. Records of a batch are decided in the order given. A bug of ours costs the one record that
meets it, which is set aside as if it had been refused; nothing here waits. Time passes with events:
with each that is applied, a customer or two whose labels are due are looked at, and what they teach
travels with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from msgspec.structs import replace

from stream.core.admission import APPLIED, DUPLICATE, LATE, REJECTED, REPLAYED, SUPPRESSED
from stream.core.decide import Step, decide
from stream.core.due import Due, DueQueue, Ends, Page
from stream.core.event import Event, Rejection, RejectionCode, Source
from stream.core.example import Example
from stream.core.labels import look, patience
from stream.core.offer import Cause, Offer
from stream.core.policy import Denial
from stream.core.state import NEVER, NEW_CUSTOMER, CustomerState, Effect
from stream.core.value import Value
from stream.core.world import World

OFFER, EXAMPLES = 0, 1
LOOKS = 2  # with an event, which puts one entry at most: so the queue cannot fall behind
UNSTAMPED = (NEVER,) * len(Source)
UNCHANGED = CustomerState()
DENIED = {denial: f"denied:{denial}" for denial in Denial}


class Ledger(NamedTuple):
    """What is kept of a partition beside its customers.

    ``stamps`` holds the last offset accounted for of each :class:`Source`; ``counts`` the records
    by outcome, offers and denials since the beginning; ``late`` and ``failed`` the (source, offset)
    pairs that go to the late topic and, for a bug of ours, to the dead letters, and are not yet
    known to be there. ``due`` says where the queue of due labels begins and ends.
    """

    stamps: tuple[int, ...] = UNSTAMPED
    stream_time: int = 0
    counts: Mapping[str, int] = {}
    late: tuple[tuple[int, int], ...] = ()
    failed: tuple[tuple[int, int], ...] = ()
    due: Ends = Ends()


class Entry(Value, frozen=True):
    """One record of a batch: where it stood, and what its bytes said.

    ``content`` None is a valid record that there is no use for: it counts as suppressed.
    """

    source: Source
    offset: int
    content: Event | Rejection | None


class Writer(Protocol):
    """How effects become bytes: the codec's part, handed in."""

    def offer(self, offer: Offer, /) -> bytes:
        """The offer as it is sent."""

    def examples(self, examples: Sequence[Example], /) -> bytes:
        """The examples of one event as they are sent."""


@dataclass(slots=True)
class Decided:
    """What a batch comes to: states to write, effects to send in order, records to set aside.

    ``pages`` are those of the queue of due labels that changed; an empty one is done with.
    ``effects`` go with their customer's id; ``rejected`` and ``late`` hold indices of entries,
    ``failed`` those that met a bug of ours, with the exception (None if it was met before a
    crash); ``tally`` counts what is new, and ``examples`` those among the effects that are.
    """

    ledger: Ledger
    changed: dict[str, CustomerState | None] = field(default_factory=dict)
    pages: Mapping[int, Page] = field(default_factory=dict)
    effects: list[tuple[str, Effect]] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    failed: list[tuple[int, Exception | None]] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    examples: int = 0


def decide_batch(
    entries: Sequence[Entry],
    partition: int,
    ledger: Ledger,
    durable: tuple[int, ...],
    lookup: Callable[[str], CustomerState | None],
    page: Callable[[int], Page | None],
    world: World,
    writer: Writer,
) -> Decided:
    """Decide a batch; ``durable`` holds, per source, the last offset whose effects are safe.

    ``lookup`` brings a customer's record and ``page`` a page of the queue of due labels, as they
    were before.
    """
    batch = _Batch(partition, ledger, durable, lookup, page, world, writer)
    for index, entry in enumerate(entries):
        batch.take(index, entry)
    return batch.close()


class _Batch:
    """The working set of one batch."""

    def __init__(
        self,
        partition: int,
        ledger: Ledger,
        durable: tuple[int, ...],
        lookup: Callable[[str], CustomerState | None],
        page: Callable[[int], Page | None],
        world: World,
        writer: Writer,
    ) -> None:
        self.partition = partition
        self.before = ledger
        self.durable = durable
        self.lookup = lookup
        self.world = world
        self.writer = writer
        self.stamps = list(ledger.stamps)
        self.stream_time = ledger.stream_time
        self.late = [mark for mark in ledger.late if mark[1] > durable[mark[0]]]
        self.failed = [mark for mark in ledger.failed if mark[1] > durable[mark[0]]]
        self.due = DueQueue(ledger.due, page)
        self.patience = patience(world.settings)
        self.decided = Decided(ledger)

    def take(self, index: int, entry: Entry) -> None:
        source, offset, content = entry.source, entry.offset, entry.content
        is_new = offset > self.stamps[source]  # in this batch, too: a fetch may repeat itself
        if is_new:
            self.stamps[source] = offset
        if content is None:
            if is_new:
                self._count(SUPPRESSED, "ignored")
        elif isinstance(content, Rejection):
            self.decided.rejected.append(index)
            if is_new:
                self._count(REJECTED, f"rejected:{content.code}")
        elif is_new:
            self._decide(index, content, Cause(source, self.partition, offset, self.stream_time))
        elif (source, offset) in self.before.late:
            self.decided.late.append(index)
        elif (source, offset) in self.before.failed:
            self.decided.failed.append((index, None))
        else:
            self._resend(content, source, offset)

    def close(self) -> Decided:
        decided = self.decided
        counts = Counter(self.before.counts)
        counts.update(decided.tally)
        decided.pages = self.due.changed
        decided.ledger = Ledger(
            tuple(self.stamps),
            self.stream_time,
            dict(counts),
            tuple(self.late),
            tuple(self.failed),
            self.due.ends,
        )
        return decided

    def _state(self, customer_id: str) -> CustomerState:
        known = self.decided.changed.get(customer_id, UNCHANGED)
        if known is UNCHANGED:
            known = self.lookup(customer_id)
        return known or NEW_CUSTOMER

    def _decide(self, index: int, event: Event, cause: Cause) -> None:
        customer_id, decided = event.customer_id, self.decided
        try:
            before = self._state(customer_id)
            step = decide(before, event, cause, self.world)
            if step.outcome is APPLIED and step.state is not None and self.world.learning:
                step = self._with_who_is_due(customer_id, event, step)
            effects = self._effects(step, cause)
        except Exception as error:  # it would meet the same bug again, and nobody get past it
            self._count(REJECTED, f"rejected:{RejectionCode.INTERNAL}")
            decided.failed.append((index, error))
            self.failed.append((cause.source, cause.offset))
            return
        outcome = step.outcome
        if outcome is REPLAYED:
            self._count(APPLIED)
            self.stream_time = max(self.stream_time, event.time)
            decided.tally["offers"] += sum(e.kind == OFFER for e in step.resend)
            self._send(customer_id, step.resend)
            self._await(customer_id, before)  # if the write was torn, its entry is missing
            return
        self._count(outcome)
        if outcome is LATE:
            decided.late.append(index)
            self.late.append((cause.source, cause.offset))
        if outcome is LATE or outcome is DUPLICATE:
            return
        if outcome is APPLIED and event.time > self.stream_time:
            self.stream_time = event.time
        if step.denial is not None:
            self._count(DENIED[step.denial])
        decided.changed[customer_id] = self._sealed(step, effects)
        if effects:
            self._send(customer_id, effects)
        if step.state is not None and step.state.waiting.due != before.waiting.due:
            self._await(customer_id, step.state)
        decided.examples += len(step.examples)
        if step.offers:
            decided.offers.extend(step.offers)
            decided.tally["offers"] += len(step.offers)

    def _with_who_is_due(self, customer_id: str, event: Event, step: Step) -> Step:
        """A step that was applied, and with it what the time that passed says of who is away."""
        now = max(self.stream_time, event.time)
        for _ in range(LOOKS):
            entry = self.due.take(now - self.patience)
            if entry is None:
                break
            step = self._look(entry, now, customer_id, step)
        return step

    def _look(self, entry: Due, now: int, customer_id: str, step: Step) -> Step:
        is_here = entry.customer_id == customer_id
        state = step.state if is_here else self._state(entry.customer_id)
        if state is None or state.waiting.due != entry.time:
            return step
        state, labelled = look(state, now, self.world.settings)
        examples = (*step.examples, *labelled)
        if is_here:
            return replace(step, state=state, examples=examples)
        self.decided.changed[entry.customer_id] = state
        self._await(entry.customer_id, state)
        return replace(step, examples=examples)

    def _await(self, customer_id: str, state: CustomerState) -> None:
        """Have a customer looked at, if anything waits."""
        if state.waiting.due:
            self.due.put(Due(state.waiting.due, customer_id))

    def _effects(self, step: Step, cause: Cause) -> tuple[Effect, ...]:
        """What a step sends, as bytes."""
        source, offset, write = cause.source, cause.offset, self.writer
        effects = tuple([Effect(source, offset, OFFER, write.offer(o)) for o in step.offers])
        if step.examples:
            effects += (Effect(source, offset, EXAMPLES, write.examples(step.examples)),)
        return effects

    def _sealed(self, step: Step, effects: tuple[Effect, ...]) -> CustomerState | None:
        """The new state with its effects in it, until they are known to be durable."""
        state, durable = step.state, self.durable
        if state is None or not (state.effects or effects):
            return state
        pending = [e for e in state.effects if e.offset > durable[e.source]]
        return replace(state, effects=(*pending, *effects))

    def _resend(self, event: Event, source: Source, offset: int) -> None:
        effects = self._state(event.customer_id).effects
        again = [e for e in effects if e.source == source and e.offset == offset]
        self._send(event.customer_id, again)

    def _send(self, customer_id: str, effects: Iterable[Effect]) -> None:
        self.decided.effects.extend([(customer_id, effect) for effect in effects])

    def _count(self, *names: str) -> None:
        for name in names:
            self.decided.tally[name] += 1
