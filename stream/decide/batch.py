"""The decision of one batch of a partition's records.

Rules: every record is counted once, whatever crashes; a record at or below the ledger's stamp
was accounted for before, changes nothing, and sends again what its customer's record still
holds. Records of a batch are decided in the order given; events that say nothing of permission are
taken together (:mod:`stream.decide.run`), and what that comes to is what it would one by one. A bug
of ours costs the one record that meets it, which is set aside as if it had been refused; nothing
here waits. Time passes with events: with each that is applied, a customer or two whose labels are
due are looked at, and what they teach travels with it.

An offer that a record recalls is recalled by an effect of that record: it stands in the customer's
record, as offers do, or in the ledger where the customer was erased, until it is durable.

What a record says of permission is heard first, whatever else becomes of the record; a record that
is set aside and changed something by it counts as ``heard``, too. An erasure leaves a trace under a
keyed hash of the customer's id, until stream time has passed it by the grace and more: so long is
what is older kept from bringing the customer back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final

from msgspec.structs import replace

from stream.decide import consent
from stream.decide.campaigns.budgets import SPENT, Purse, spent_by
from stream.decide.campaigns.moments import next_due, waits_for
from stream.decide.campaigns.standing import ends_of
from stream.decide.decide import Advanced, Step, come_due, decide, go_on, packed_event
from stream.decide.decision import Decision, is_sampled, told
from stream.decide.example import framed
from stream.decide.fairness import Member, values_of
from stream.decide.ledger import (
    DECISION,
    EXAMPLES,
    OFFER,
    RECALL,
    UNSTAMPED,
    Decided,
    Entry,
    Ledger,
    Owed,
    UnreadableState,
)
from stream.decide.policy import Denial
from stream.decide.recalling import first_end, withdrawn
from stream.decide.rows.admission import (
    ADMITTED,
    APPLIED,
    DUPLICATE,
    LATE,
    REJECTED,
    REPLAYED,
    SUPPRESSED,
)
from stream.decide.rows.advance import look
from stream.decide.rows.due import Due, DueQueue, Page
from stream.decide.rows.layout import LARGEST, NEVER
from stream.decide.rows.parameters import patience
from stream.decide.rows.record import (
    NEW,
    Desk,
    View,
    begun,
    effects_of,
    front,
    pending_of,
    said_of,
    sealed,
    timer_of,
    waits_of,
    with_page,
    with_timer,
)
from stream.decide.rows.state import Effect
from stream.decide.rows.timers import SPAN, Timers
from stream.decide.rows.track import ALONE, AT_END, FULL, TURNING
from stream.decide.run import Run
from stream.decide.world import World
from stream.domain.event import (
    Click,
    CustomerUpdate,
    Event,
    Feedback,
    Moment,
    Purchase,
    Rejection,
    RejectionCode,
    Source,
    Word,
)
from stream.domain.offer import Cause, Offer, Recall

EVENTS: Final = (Click, Purchase, Feedback, CustomerUpdate)
LOOKS = 2  # with an event, which puts one entry at most: so the queue cannot fall behind
UNCHANGED = b"unchanged"
_UPDATES: Final = Source.CUSTOMERS


class _Counted(dict[Denial, str]):
    """Names under which denials are counted; those of the shop's own rules are made when met."""

    def __init__(self, prefix: str) -> None:
        super().__init__({denial: prefix + denial for denial in Denial})
        self._prefix = prefix

    def __missing__(self, denial: Denial) -> str:
        return self.setdefault(denial, self._prefix + denial)


DENIED: Final = _Counted("denied:")
LEFT_OUT: Final = "left_out:"
TOO_ALIKE: Final = LEFT_OUT + Denial.TOO_ALIKE
PASSED: Final = _Counted("passed:")
UNASKED: Final = (None, Denial.CONSENT, Denial.OFFER_GAP, Denial.HOLDOUT)
"""Why a customer got none who might not have got one."""
DENIED_BY: Final = (None, Denial.CONSENT, Denial.OFFER_GAP)  # by kernels' codes


def decide_batch(
    entries: Sequence[Entry],
    partition: int,
    ledger: Ledger,
    durable: tuple[int, ...],
    lookup: Callable[[str], bytes | None],
    page: Callable[[int], Page | None],
    world: World,
    write: Callable[[Offer | Recall | Decision], bytes],
    desk: Desk | None = None,
) -> Decided:
    """Decide a batch; ``durable`` holds, per source, the last offset whose effects are safe.

    ``lookup`` brings a customer's record and ``page`` a page of the queue of due labels, as they
    were before; ``write`` makes bytes of an offer, of a recall, and of a decision; ``desk`` is
    where kernels work, a new one where none is given.

    Raises
    ------
    Unreadable
        What they raised: nothing is decided then.
    """
    batch = _Batch(partition, ledger, durable, lookup, page, world, write, desk or Desk())
    at = 0
    while at < len(entries):
        at = batch.run(entries, at)
        if at < len(entries):
            batch.take(at, entries[at])
            at += 1
    return batch.close()


class _Batch:
    """The working set of one batch."""

    def __init__(
        self,
        partition: int,
        ledger: Ledger,
        durable: tuple[int, ...],
        lookup: Callable[[str], bytes | None],
        page: Callable[[int], Page | None],
        world: World,
        write: Callable[[Offer | Recall | Decision], bytes],
        desk: Desk,
    ) -> None:
        self.partition = partition
        self.before = ledger
        self.durable = durable
        self.lookup = lookup
        self.purse = Purse(world.campaigns, world.grants, partition, ledger.counts)
        self.world = world._replace(left=self.purse.left) if self.purse else world
        self.write = write
        self.stamps = list(ledger.stamps)
        self.stream_time = ledger.stream_time
        self.erased = ledger.erased
        known = ledger.trace_key
        self.trace_key = world.settings.seed if known is None else known
        self.grace = round(world.settings.grace * 1000)
        self.late = [mark for mark in ledger.late if mark[1] > durable[mark[0]]]
        self.failed = [mark for mark in ledger.failed if mark[1] > durable[mark[0]]]
        self.owed = [owed for owed in ledger.owed if owed.offset > durable[owed.source]]
        self.ends = ends_of(world.campaigns)
        self.due = DueQueue(ledger.due, page)
        self.traces = DueQueue(ledger.traces, lambda at: page(~at))  # numbered downwards from -1
        self.patience = patience(world.settings)
        self.groups = world.settings.fairness_groups
        self.seed, self.share = world.settings.seed, world.settings.decisions_share
        self.timers = Timers(ledger.timer, page)
        self.waits = waits_for(world.campaigns)
        self.desk = desk
        self.rules = desk.rules(world.settings, world.learning)
        self.decided = Decided(ledger)
        self.together = self._begin()

    def _begin(self) -> Run:
        default = self.world.settings.policy.consent_default
        return Run(self.desk, default, self.durable)

    def run(self, entries: Sequence[Entry], first: int) -> int:
        """Take entries that ask for little together; the first that asks for more, or how many."""
        end, together = first, self.together
        while end < len(entries) and self._joins(end, entries[end]):
            end += 1
        if together.slots:
            together.lay()
            self._run(entries)
            self._end_run()
        return end

    def _end_run(self) -> None:
        self.decided.changed |= self.together.records()
        self.together = self._begin()

    def _joins(self, index: int, entry: Entry) -> bool:
        """Whether an entry is taken with those before it: it is new, and says nothing else."""
        source, offset, content = entry.source, entry.offset, entry.content
        if entry.word is not None or offset <= self.stamps[source]:
            return False
        if content is None or isinstance(content, Rejection):
            self.take(index, entry)  # it changes nobody's record
            return True
        if consent.word_of(content) is not None or not self.together.has_room:
            return False
        if source == _UPDATES and content.traits:  # type: ignore[union-attr]
            return False  # which are told in Python
        try:
            slot = self._slot_of(content.customer_id)
            if slot is not None:
                arriving = packed_event(content, source, offset, content.time, self.world)
                self.together.join(index, slot, arriving)
        except UnreadableState:
            raise
        except Exception:  # a bug, which the event will meet by itself
            return False
        if slot is None:
            return False
        self.stamps[source] = offset
        return True

    def _slot_of(self, customer_id: str) -> int | None:
        """Where a customer's record is laid out; None if a trace of an erasure is to be asked."""
        slot = self.together.slots.get(customer_id)
        if slot is not None:
            return slot
        record = self._record(customer_id)
        if record is None:
            if self.erased and self.stream_time <= self.erased + self.grace:
                return None
            record = NEW
        return self.together.enter(
            customer_id, record, first_end(record, self.stream_time, self.ends)
        )

    def _run(self, entries: Sequence[Entry]) -> None:
        """Take a run through the kernels, and what stops them by itself."""
        together, at = self.together, 0
        earliest = self._earliest(entries)
        while at < len(together):
            first = at
            next_look = self._next_look()
            if earliest:
                soonest = max(earliest[first] + self.waits.shortest, self.stream_time + 1)
                next_look = min(next_look, soonest - self.patience)
            at, why = together.go_on(first, self.stream_time, next_look, self.rules)
            self._note(first, at, entries)
            if why == FULL:  # of records that grow by the hundred kilobytes
                self._end_run()
                for rest in range(at, len(together)):
                    self._decide(*self._event_of(together, rest, entries))
                return
            if why != AT_END:
                self._halt(at, why, entries)
                at += 1

    def _event_of(
        self, together: Run, at: int, entries: Sequence[Entry]
    ) -> tuple[int, Event, Cause]:
        """An event of a run, with its place in the batch."""
        index = together.indices[at]
        entry = entries[index]
        event = entry.content
        assert event is not None and not isinstance(event, Rejection)
        return index, event, Cause(entry.source, self.partition, entry.offset, self.stream_time)

    def _earliest(self, entries: Sequence[Entry]) -> list[int]:
        """Of each event of a run, the earliest time of it and of those behind it, in ms.

        A timer that one of them sets may be due before others: the kernels must stop then. Empty
        where no campaign sets any.
        """
        if not self.waits.shortest:
            return []
        times = [entries[index].content.time for index in self.together.indices]  # type: ignore[union-attr]
        return list(accumulate(reversed(times), min))[::-1]

    def _next_look(self) -> int:
        """Since when the first of those who wait to be looked at does."""
        waits = [self.due.next_time] if self.world.learning else []
        waits.append(self.timers.next_time - self.patience)  # which come at their time
        if self.erased:
            waits.append(self.traces.next_time)
        return min(waits, default=LARGEST)

    def _note(self, first: int, end: int, entries: Sequence[Entry]) -> None:
        """Note what became of events that asked for nothing but kernels."""
        together, decided, tally = self.together, self.decided, self.decided.tally
        now = self.stream_time
        for step, index in zip(
            together.steps(first, end), together.indices[first:end], strict=True
        ):
            _, _, slot, code, denial, due, count, start, size, unknown = step
            entry, outcome = entries[index], ADMITTED[code]
            tally[outcome] += 1
            refused = DENIED_BY[denial]
            if refused is not None:
                tally[DENIED[refused]] += 1
            if unknown:
                tally["unknown_offer"] += 1
            if outcome is DUPLICATE:
                continue
            if outcome is LATE:
                decided.late.append(index)
                self.late.append((entry.source, entry.offset))
                continue
            name = entry.content.customer_id  # type: ignore[union-attr]
            self._promise(name, slot)
            if due:
                together.put_page(slot, self.due.put(Due(due, name)))
            if self.waits.shortest and outcome is APPLIED:
                time: int = entry.content.time  # type: ignore[union-attr]
                now = max(now, time)
                if together.may_learn(slot, time):
                    self._set_in_run(name, slot, time, now)
            if count:
                payload = framed(count, together.taught(start, size))
                effect = Effect(entry.source, entry.offset, EXAMPLES, payload)
                together.send(slot, effect)
                decided.effects.append((name, effect))
                decided.examples += count
            if self.share and outcome is APPLIED:
                event: Event = entry.content  # type: ignore[assignment]
                now = max(now, event.time)
                if refused is not None and is_sampled(name, self.seed, self.share):
                    cause = Cause(entry.source, self.partition, entry.offset)
                    effect = self._telling(event, cause, now, refused, ())
                    together.send(slot, effect)
                    decided.effects.append((name, effect))
        self.stream_time = together.stream_time

    def _promise(self, name: str, slot: int) -> None:
        """Keep a customer's place among those whose record has changed."""
        self.together.changed[name] = slot
        self.decided.changed.setdefault(name)

    def _halt(self, at: int, why: int, entries: Sequence[Entry]) -> None:
        """Take the event at which the kernels stopped."""
        index, event, cause = self._event_of(self.together, at, entries)
        if why == ALONE:
            self._decide(index, event, cause)
            return
        now = max(event.time, self.stream_time)
        arriving, outcome, learned = self.together.halted(at, event.time, now)
        advanced = Advanced(arriving, now, ADMITTED[outcome], learned, why == TURNING)
        self._decide(index, event, cause, advanced)

    def take(self, index: int, entry: Entry) -> None:
        source, offset, content = entry.source, entry.offset, entry.content
        is_new = offset > self.stamps[source]  # in this batch, too: a fetch may repeat itself
        if is_new:
            self.stamps[source] = offset
            if entry.word is not None:
                self._hear(entry.word, source, offset)
        else:
            said = content if isinstance(content, EVENTS) else entry.word
            if said is not None:
                self._resend(said.customer_id, source, offset)
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

    def close(self) -> Decided:
        decided = self.decided
        counts = Counter(self.before.counts)
        counts.update(decided.tally)
        decided.pages = self.due.changed | {~at: p for at, p in self.traces.changed.items()}
        decided.pages |= self.timers.changed
        next_time = self.timers.next_time
        decided.ledger = Ledger(
            tuple(self.stamps),
            self.stream_time,
            dict(counts),
            tuple(self.late),
            tuple(self.failed),
            self.due.ends,
            self.erased,
            self.traces.ends,
            self.before.identities,
            self.trace_key if self.erased else None,
            tuple(self.owed),
            0 if next_time == LARGEST else next_time,
        )
        decided.claims = self.purse.claims(self.stream_time)
        return decided

    def _record(self, name: str) -> bytes | None:
        slot = self.together.slots.get(name)
        if slot is not None:
            return self.together.whole(slot)
        known = self.decided.changed.get(name, UNCHANGED)
        return self.lookup(name) if known is UNCHANGED else known

    def _known(self, customer_id: str) -> bytes:
        known = self._record(customer_id)
        if known is not None:
            return known
        if self.erased and self.stream_time <= self.erased + self.grace:
            trace = self._record(self._trace_of(customer_id))
            if trace is not None:
                return begun(UNSTAMPED, consent.SILENCE, front(trace).erased)
        return NEW

    def _trace_of(self, customer_id: str) -> str:
        return consent.trace_of(customer_id, self.trace_key)

    def _decide(
        self, index: int, event: Event, cause: Cause, advanced: Advanced | None = None
    ) -> None:
        customer_id, decided = event.customer_id, self.decided
        try:
            before = self._known(customer_id)
            if advanced is None:
                step = decide(before, event, cause, self.world, self.desk)
            else:
                self.desk.take_page(before)
                step = go_on(before, event, advanced, cause, self.world, self.desk)
            if self._is_lesson(step, before):
                step = self._with_who_is_due(customer_id, event, step)
            now = max(event.time, cause.stream_time)
            effects = self._effects(step, cause) + self._told(step, event, cause, now)
        except UnreadableState:
            raise
        except Exception as error:  # it would meet the same bug again, and nobody get past it
            self._count(REJECTED, f"rejected:{RejectionCode.INTERNAL}")
            decided.failed.append((index, error))
            self.failed.append((cause.source, cause.offset))
            word = consent.word_of(event)
            if word is not None:
                self._hear_in_spite(word, cause)
            return
        outcome, record = step.outcome, step.record
        if outcome is REPLAYED:
            self._replayed(event, before, step, cause)
            return
        self._count(outcome)
        if outcome is LATE:
            decided.late.append(index)
            self.late.append((cause.source, cause.offset))
        if outcome is APPLIED and event.time > self.stream_time:
            self.stream_time = event.time
            if self.erased:
                self._forget_erasures(event.time)
        elif outcome is SUPPRESSED and event.time <= front(before).erased:
            self._count("erased")
        self._tell_why(step)
        if outcome is APPLIED and isinstance(event, Feedback) and not _is_of(event, before):
            self._count("unknown_offer")
        if record is before:
            return
        if self.groups and record is not None and (step.offers or step.denial not in UNASKED):
            self._compare(customer_id, record, step.offers)
        self._count(*["recalls"] * len(step.recalls))
        if outcome is not APPLIED and (
            record is None or _permission(record) != _permission(before)
        ):
            self._count("heard")
        if outcome is APPLIED and record is not None:
            record = self._with_timer(event, record)
        self._keep(customer_id, before, record, event.time, effects)
        decided.examples += step.examples.number
        self._made(step.offers)
        if outcome is APPLIED:
            self._ring(cause, customer_id)

    def _tell_why(self, step: Step) -> None:
        """Count why there is no offer, and which campaigns made none."""
        if step.denial is not None:
            self._count(DENIED[step.denial])
        for campaign_id, reason in step.passed:
            self._count(PASSED[reason])
            if reason is Denial.BUDGET:
                self.purse.want(campaign_id)
        if step.left_out:
            self.decided.tally[TOO_ALIKE] += step.left_out

    def _made(self, offers: Sequence[Offer]) -> None:
        """Count offers, and take what they cost from budgets."""
        if offers:
            self.decided.offers.extend(offers)
            self.decided.tally["offers"] += len(offers)
            for offer in offers:
                self._spend(offer.campaign_id, offer.set_aside)

    def _compare(self, customer_id: str, record: bytes, offers: Sequence[Offer]) -> None:
        """Note what came of a moment for the groups that are compared."""
        incentive = any(offer.reward.size for offer in offers)
        for group, value in values_of(View(record).told, self.groups):
            member = Member(customer_id, group, value, bool(offers), incentive)
            self.decided.members.append(member)

    def _spend(self, campaign_id: str, amount: int) -> None:
        """Take what an offer costs from its campaign's budget."""
        if amount:
            self.decided.tally[SPENT + campaign_id] += amount
            self.purse.spend(campaign_id, amount)
            self.world = self.world._replace(left=self.purse.left)

    def _replayed(self, event: Event, before: bytes, step: Step, cause: Cause) -> None:
        """An event that the customer's record has applied, and the ledger not: a write was torn."""
        customer_id, record = event.customer_id, step.record
        self._count(APPLIED)
        self.stream_time = max(self.stream_time, event.time)
        offers = [effect.payload for effect in step.resend if effect.kind == OFFER]
        self.decided.tally["offers"] += len(offers)
        for offer in offers:
            self._spend(*spent_by(offer))
        self._count(*["recalls" for effect in step.resend if effect.kind == RECALL])
        self._send(customer_id, step.resend)
        if record is not None and waits_of(record)[:2] == waits_of(before)[:2]:
            self._await(customer_id, before)  # its entry is missing
        if record is not before:
            self._count("heard")
            self._count(*["recalls"] * len(step.recalls))
            effects = self._effects(step, cause)
            self._keep(customer_id, before, record, event.time, effects)
        self._ring(cause, customer_id)

    def _is_lesson(self, step: Step, before: bytes) -> bool:
        """Whether what is learned of others can travel with a step: in a record that is written."""
        is_written = step.record is not None and step.record is not before
        return is_written and step.outcome is APPLIED and self.world.learning

    def _hear_in_spite(self, word: Word, cause: Cause) -> None:
        """Hear a word of an event that met a bug, which is told; the word may meet it, too."""
        try:
            self._hear(word, cause.source, cause.offset)
        except UnreadableState:
            raise
        except Exception:
            return

    def _hear(self, word: Word, source: Source, offset: int) -> None:
        """Take over what a record says of permission that says nothing else, or is refused."""
        if not word.time:
            word = replace(word, time=self.stream_time or 1)
        before, settings = self._known(word.customer_id), self.world.settings
        after = consent.hear(before, word, self.stream_time, settings, self.desk)
        if after is not before:
            self._count("heard")
            now, default = self.stream_time, settings.policy.consent_default
            after, recalls = withdrawn(before, after, word.customer_id, now, default, self.desk)
            self._count(*["recalls"] * len(recalls))
            effects = self._recalling(recalls, source, offset)
            self._keep(word.customer_id, before, after, word.time, effects)

    def _keep(
        self,
        customer_id: str,
        before: bytes,
        record: bytes | None,
        time: int,
        effects: tuple[Effect, ...] = (),
    ) -> None:
        """Keep what a customer's record is now, or the trace of an erasure at ``time``."""
        due_before, page_before, _ = waits_of(before)
        timer = timer_of(before)
        if timer and (record is None or not timer_of(record)):
            self.timers.remove(customer_id, timer)
        if record is None:
            if page_before != NEVER:
                self.due.scrub(customer_id, page_before)
            self.owed = [one for one in self.owed if one.payload or one.customer_id != customer_id]
            whole = self._record(customer_id)
            if whole is not None:
                self.decided.changed[customer_id] = None
                self._owe(customer_id, pending_of(whole, waits_of(whole)[2], self.durable))
            self._leave_trace(customer_id, time)
            self._owe(customer_id, effects)
            self._send(customer_id, effects)
            return
        due, page, size = waits_of(record)
        if page_before != NEVER and page == NEVER:
            self.due.scrub(customer_id, page_before)
        if due != due_before:
            record = self._await(customer_id, record)
        slot = self.together.slots.get(customer_id)
        if slot is None:
            self.decided.changed[customer_id] = self._sealed(record, size, effects)
        else:
            self._promise(customer_id, slot)
            ends = first_end(record, self.stream_time, self.ends)
            self.together.put(slot, record, size, effects, ends)
        if effects:
            self._send(customer_id, effects)

    def _owe(self, customer_id: str, effects: Iterable[Effect]) -> None:
        """Have the ledger keep recalls of which nothing else tells after an erasure."""
        self.owed += [
            Owed(e.source, e.offset, customer_id, e.payload) for e in effects if e.kind == RECALL
        ]

    def _leave_trace(self, customer_id: str, time: int) -> None:
        if time < self.stream_time - self.grace:
            return  # what is older is late anyway
        name = self._trace_of(customer_id)
        trace = self._record(name)
        if trace is None or front(trace).erased < time:
            self.decided.changed[name] = begun(UNSTAMPED, consent.SILENCE, time)
            self.traces.put(Due(time, name))
            self.erased = max(self.erased, time)

    def _forget_erasures(self, now: int) -> None:
        """Let traces go of erasures before which everything is late."""
        for _ in range(LOOKS):
            entry = self.traces.take(now - self.patience)
            if entry is None:
                return
            trace = self._record(entry.customer_id)
            if trace is not None and front(trace).erased == entry.time:
                self.decided.changed[entry.customer_id] = None

    def _with_who_is_due(self, customer_id: str, event: Event, step: Step) -> Step:
        """A step that was applied, and with it what the time that passed says of who is away."""
        now = max(self.stream_time, event.time)
        for _ in range(LOOKS):
            entry = self.due.take(now - self.patience)
            if entry is None:
                break
            if entry.customer_id:
                step = self._look(entry, now, customer_id, step)
        return step

    def _look(self, entry: Due, now: int, customer_id: str, step: Step) -> Step:
        is_here = entry.customer_id == customer_id
        before = step.record if is_here else self._record(entry.customer_id)
        if before is None:
            return step
        due, _, size = waits_of(before)
        if due != entry.time:
            return step
        look(before, now, self.rules, self.desk.tables)
        record = self.desk.record() + before[size:]
        if self.waits.shortest and not timer_of(record):  # a campaign has begun since
            record = self._with_next(entry.customer_id, record, now)
        examples = step.examples.then(*self.desk.examples())
        if is_here:
            return step._replace(record=record, examples=examples)
        self._keep(entry.customer_id, before, record, now)
        return step._replace(examples=examples)

    def _set_in_run(self, customer_id: str, slot: int, time: int, now: int) -> None:
        """As `_with_timer`, of a customer of the run."""
        timer = self.together.timer(slot)
        page = self._timer_after(customer_id, timer, time, now)
        if page != timer:
            self.together.put_timer(slot, page)

    def _with_timer(self, event: Event, record: bytes) -> bytes:
        """The record of a customer after an event that was applied, with a timer if one is set."""
        if not self.waits.shortest:
            return record
        default = self.world.settings.policy.consent_default
        profiled, since, _ = consent.stance_of(said_of(record), default)
        if not profiled or event.time < since:
            return record
        timer = timer_of(record)
        page = self._timer_after(event.customer_id, timer, event.time, self.stream_time)
        return record if page == timer else with_timer(record, page)

    def _timer_after(self, customer_id: str, timer: int, time: int, now: int) -> int:
        """The page of a customer's timer after an event: never later than what that may begin.

        So whatever comes due of the event is found; mostly, the timer finds nothing yet, and is put
        to when something is.
        """
        if now >= self.waits.until:
            return timer
        look = max(time + self.waits.shortest, now + 1)
        if timer and timer <= look >> SPAN and not self.timers.is_gone(timer):
            return timer
        if timer:
            self.timers.remove(customer_id, timer)
        return self.timers.put(Due(look, customer_id))

    def _ring(self, cause: Cause, here: str) -> None:
        """Have customers whose timers are due be offered something, with the time that passed.

        ``here`` is whose event it was.
        """
        for _ in range(LOOKS):
            taken = self.timers.take(self.stream_time)
            if taken is None:
                return
            entry, page = taken
            before = self._record(entry.customer_id)
            if before is not None and timer_of(before) == page:
                self._come_due(entry, before, cause, here)

    def _come_due(self, entry: Due, before: bytes, cause: Cause, here: str) -> None:
        """Have a customer's moment be answered, and set the timer to their next one."""
        customer_id, now = entry.customer_id, self.stream_time
        unset = with_timer(before, 0)
        try:
            moment = Moment(f"due-{entry.time}", customer_id, entry.time)
            step = come_due(unset, moment, now, cause, self.world, self.desk)
            effects = self._effects(step, cause) + self._told(step, moment, cause, now)
            assert step.record is not None
            record = self._with_next(customer_id, step.record, now)
        except UnreadableState:
            raise
        except Exception:  # a bug of ours costs the moment that meets it
            self._count("rejected_moments")
            self._keep(customer_id, before, unset, now)
            return
        self._tell_why(step)
        if self.groups and (step.offers or step.denial not in UNASKED):
            self._compare(customer_id, record, step.offers)
        self._keep(customer_id, before, record, now, effects)
        self._made(step.offers)
        if effects and customer_id != here:
            self.owed.append(Owed(cause.source, cause.offset, customer_id, b""))

    def _with_next(self, customer_id: str, record: bytes, now: int) -> bytes:
        """The record of a customer who has no timer, with one set to the next moment, if any is."""
        due = next_due(View(record), now, self.world)
        return with_timer(record, self.timers.put(Due(due, customer_id))) if due else record

    def _await(self, customer_id: str, record: bytes) -> bytes:
        """Have a customer looked at, if anything waits."""
        due = waits_of(record)[0]
        if not due:
            return record
        return with_page(record, self.due.put(Due(due, customer_id)))

    def _effects(self, step: Step, cause: Cause) -> tuple[Effect, ...]:
        """What a step sends, as bytes."""
        source, offset, write = cause.source, cause.offset, self.write
        effects = self._recalling(step.recalls, source, offset)
        effects += tuple([Effect(source, offset, OFFER, write(offer)) for offer in step.offers])
        count, examples = step.examples
        if count:
            effects += (Effect(source, offset, EXAMPLES, framed(count, examples)),)
        return effects

    def _told(
        self, step: Step, event: Event | Moment, cause: Cause, now: int
    ) -> tuple[Effect, ...]:
        """What a step says of itself, where it was a moment of a customer of the sample."""
        answer = step.offers[0] if step.offers else step.denial
        if answer is None or not is_sampled(event.customer_id, self.seed, self.share):
            return ()
        return (self._telling(event, cause, now, answer, step.passed),)

    def _telling(
        self,
        event: Event | Moment,
        cause: Cause,
        now: int,
        answer: Offer | Denial,
        passed: Sequence[tuple[str, Denial]],
    ) -> Effect:
        """A decision, as bytes."""
        decision = told(event, cause, now, answer, passed, self.world)
        return Effect(cause.source, cause.offset, DECISION, self.write(decision))

    def _recalling(
        self, recalls: tuple[Recall, ...], source: Source, offset: int
    ) -> tuple[Effect, ...]:
        """What recalls send, as bytes."""
        return tuple([Effect(source, offset, RECALL, self.write(one)) for one in recalls])

    def _sealed(self, record: bytes, size: int, effects: tuple[Effect, ...]) -> bytes:
        """A new record with its effects behind it, until they are known to be durable."""
        if size == len(record) and not effects:
            return record
        return sealed(record, size, (*pending_of(record, size, self.durable), *effects))

    def _resend(self, customer_id: str, source: Source, offset: int) -> None:
        """Send again what a record that was accounted for has caused and is not yet durable."""
        record = self._known(customer_id)
        effects = effects_of(record, waits_of(record)[2])
        again = [e for e in effects if e.source == source and e.offset == offset]
        again += [
            Effect(source, offset, RECALL, owed.payload)
            for owed in self.before.owed
            if owed.payload and owed[:3] == (source, offset, customer_id)
        ]
        self._send(customer_id, again)
        for owed in self.owed:
            if owed[:2] == (source, offset) and not owed.payload:
                self._send_again(owed.customer_id, source, offset)

    def _send_again(self, customer_id: str, source: Source, offset: int) -> None:
        """Send again what a timer began with another's event."""
        record = self._record(customer_id)
        if record is not None:
            place, effects = (source, offset), effects_of(record, waits_of(record)[2])
            self._send(customer_id, [e for e in effects if (e.source, e.offset) == place])

    def _send(self, customer_id: str, effects: Iterable[Effect]) -> None:
        self.decided.effects.extend([(customer_id, effect) for effect in effects])

    def _count(self, *names: str) -> None:
        for name in names:
            self.decided.tally[name] += 1


def _is_of(event: Feedback, record: bytes) -> bool:
    """Whether an offer is one of those that a customer's record knows."""
    return any(offer.offer_id == event.offer_id for offer in View(record).offers)


def _permission(record: bytes) -> tuple[int, ...]:
    return front(record)[5:10]
