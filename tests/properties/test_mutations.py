"""The simulation notices within a hundred seeds when any one part of the guarantee is taken away.

Each mutation changes the product's own code, and nothing of the simulation.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from stream.codec.customers import StoredRecordError, encode_ledger, encode_page
from stream.codec.examples import decode_examples
from stream.config import LearningSettings
from stream.decide import batch, decide
from stream.decide.ledger import UNSTAMPED, Entry, Ledger
from stream.decide.rows.due import Ends
from stream.decide.run import Run
from stream.learn.learner import Learner
from stream.worker import partition, pipeline
from stream.worker.checks import inspection
from stream.worker.checks.agreement import GoOn
from stream.worker.faust.lane import LaneQueue
from stream.worker.faust.records import Batch
from stream.worker.faust.store import StoreFault
from stream.worker.partition import Overlay
from stream.worker.script import Acknowledge, Append, Keep, Script, Send, Settle
from tests import simulation
from tests.builders import a_world
from tests.properties import test_effectively_once as laws

Patch = Callable[[pytest.MonkeyPatch], None]
SEEDS = 100


# -------------------------------------------------------------------------- the order of the script


def in_order(*kinds: type[Any] | tuple[type[Any], ...]) -> Patch:
    """The stages of every script in another order, or without some."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        real = pipeline.script

        def reordered(*args: Any) -> Script:
            effects = [effect for stage in real(*args) for effect in stage]
            return tuple(tuple(e for e in effects if isinstance(e, kind)) for kind in kinds)

        patch.setattr(pipeline, "script", reordered)

    return apply


def without_topic(topic: str) -> Patch:
    """Nothing is sent to an output topic."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        real = pipeline.script

        def shortened(*args: Any) -> Script:
            return tuple(
                tuple(e for e in stage if not (isinstance(e, Send) and e.topic == topic))
                for stage in real(*args)
            )

        patch.setattr(pipeline, "script", shortened)

    return apply


def acknowledged_with_the_first_part(patch: pytest.MonkeyPatch) -> None:
    """A batch that is decided in parts is acknowledged with each of them."""
    real = pipeline.Pipeline.take

    async def eager(self: Any, event: Any) -> None:
        script = pipeline.script
        patch.setattr(pipeline, "script", lambda n, flush, _, sent: script(n, flush, event, sent))
        try:
            await real(self, event)
        finally:
            patch.setattr(pipeline, "script", script)

    patch.setattr(pipeline.Pipeline, "take", eager)


# ---------------------------------------------------------------------------------- who executes it


def not_waiting(patch: pytest.MonkeyPatch) -> None:
    """The next stage begins when the one before has begun, and not when it is durable."""

    async def at_once(begun: Sequence[Awaitable[Any] | None]) -> Sequence[Any]:
        return [type("Written", (), {"offset": 0})]

    patch.setattr(pipeline, "_durable", at_once)


def committed_too_far(patch: pytest.MonkeyPatch) -> None:
    """With the first acknowledgement all that is under way is committed."""

    def done(self: Any) -> list[Batch]:
        under_way = list(self._under_way)
        self._under_way.clear()
        return under_way

    patch.setattr(LaneQueue, "done", done)


def overlay_lifted_too_far(patch: pytest.MonkeyPatch) -> None:
    """What a durable batch changed is taken from the overlay though a later one lies over it."""

    def lift(self: Any, number: int, changes: Any) -> None:
        for key in changes:
            self.pop(key, None)

    patch.setattr(Overlay, "lift", lift)


# ------------------------------------------------------------------------------------- what is kept


def no_stamps_on_customers(patch: pytest.MonkeyPatch) -> None:
    """A customer's record does not say what was applied."""
    real = decide.packed
    patch.setattr(decide, "packed", lambda event, source, _, *more: real(event, source, -1, *more))


def no_effects_in_records(patch: pytest.MonkeyPatch) -> None:
    """What was decided and not yet sent is not kept."""
    patch.setattr(batch._Batch, "_sealed", lambda _, record, size, effects: record[:size])
    patch.setattr(Run, "whole", Run.record)


def nothing_is_sent_again(patch: pytest.MonkeyPatch) -> None:
    """A record that was accounted for before does not send what it caused."""
    patch.setattr(batch._Batch, "_resend", lambda *_: None)


def effects_taken_for_durable_too_soon(patch: pytest.MonkeyPatch) -> None:
    """The effects of batches under way are dropped from the record by the next batch."""
    real = partition.decide_batch

    def hasty(entries: Sequence[Entry], number: int, before: Ledger, _: Any, *rest: Any) -> Any:
        return real(entries, number, before, before.stamps, *rest)

    patch.setattr(partition, "decide_batch", hasty)


def due_labels_not_kept(patch: pytest.MonkeyPatch) -> None:
    """Pages of the queue of due labels are gone with a crash."""
    patch.setattr(partition, "encode_page", lambda _: encode_page(()))


def stored_ledger(**changes: Any) -> Patch:
    """Something is not stored with the ledger."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(
            partition, "encode_ledger", lambda kept: encode_ledger(kept._replace(**changes))
        )

    return apply


# --------------------------------------------------------------------- what must agree at a start


def commits_before_the_ledger(patch: pytest.MonkeyPatch) -> None:
    """Reading goes on at the commit, whatever the ledger has accounted for."""
    patch.setattr(inspection.Kept, "goes_on", lambda self, commit, found: GoOn(commit or 0))


def topics_not_known_again(patch: pytest.MonkeyPatch) -> None:
    """A topic is taken for what it was."""
    patch.setattr(inspection.Kept, "agrees", lambda *_: None)


def a_disks_fault_is_a_bug(patch: pytest.MonkeyPatch) -> None:
    """An event whose customer cannot be read becomes a dead letter."""
    patch.setattr(batch, "UnreadableState", type("Other", (Exception,), {}))


TOPICS = simulation.TOPICS
MUTATIONS: dict[str, Patch] = {
    "effects before the changelog": in_order(Send, Append, Keep, Settle, Acknowledge),
    "effects beside the changelog": in_order((Append, Send), Keep, Settle, Acknowledge),
    "ack before the changelog": in_order(Acknowledge, Append, Keep, Send, Settle),
    "ack before the effects": in_order(Append, Keep, Acknowledge, Send, Settle),
    "ack beside the effects": in_order(Append, Keep, (Send, Acknowledge), Settle),
    "settled before the effects": in_order(Append, Keep, Settle, Send, Acknowledge),
    "settled beside the changelog": in_order((Append, Settle), Keep, Send, Acknowledge),
    "changelog last": in_order(Send, Settle, Append, Keep, Acknowledge),
    "nothing in the store": in_order(Append, Send, Settle, Acknowledge),
    "no acknowledgement": in_order(Append, Keep, Send, Settle),
    "no offers": without_topic(TOPICS.offers),
    "no examples": without_topic(TOPICS.examples),
    "no decisions": without_topic(TOPICS.decisions),
    "no late records": without_topic(TOPICS.late),
    "no dead letters": without_topic(TOPICS.dead_letters),
    "acknowledged with the first part": acknowledged_with_the_first_part,
    "not waiting": not_waiting,
    "committed too far": committed_too_far,
    "overlay lifted too far": overlay_lifted_too_far,
    "no stamps on customers": no_stamps_on_customers,
    "no effects in records": no_effects_in_records,
    "nothing is sent again": nothing_is_sent_again,
    "effects taken for durable too soon": effects_taken_for_durable_too_soon,
    "due labels not kept": due_labels_not_kept,
    "no stamps on the ledger": stored_ledger(stamps=UNSTAMPED),
    "no counts on the ledger": stored_ledger(counts={}),
    "no stream time on the ledger": stored_ledger(stream_time=0),
    "late records not noted": stored_ledger(late=()),
    "bugs not noted": stored_ledger(failed=()),
    "due labels not noted": stored_ledger(due=Ends()),
    "commits before the ledger": commits_before_the_ledger,
    "topics not known again": topics_not_known_again,
    "a disk's fault is a bug": a_disks_fault_is_a_bug,
}


def check(case: int) -> None:
    """All that the simulation checks, for one seed."""
    laws.check_counts(case)
    for worse in laws.WORSE:
        laws.check_surroundings(case, worse)
    for torn in (False, True):
        laws.check_account(case, torn)
        laws.check_against_a_calm_run(case, torn)


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_is_noticed_within_a_hundred_seeds(
    mutation: Patch, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    mutation(monkeypatch)
    with pytest.raises((AssertionError, StoredRecordError, StoreFault)):  # whoever notices it first
        for case in range(seed, seed + SEEDS):
            check(case)


def test_without_a_mutation_there_is_nothing_to_notice(seed: int) -> None:
    for case in range(seed, seed + SEEDS):
        check(case)


def learned_over_a_restart(seed: int) -> tuple[int, int]:
    """How many examples there are, and how many a learner knows that began again in the middle.

    It has a snapshot of the middle, and reads the examples again from the beginning.
    """
    topics = laws.a_history(random.Random(seed))
    sent = simulation.run(topics, a_world(laws.FEW_RESTS), seed, 0).examples()
    lessons = [
        (f"{source}/0", offset, decode_examples(payload))
        for source, offset, payload in sorted(sent, key=lambda lesson: lesson[:2])
    ]
    settings = LearningSettings(propensity_bits=8)
    first, second = Learner(settings, 7), Learner(settings, 7)
    for lesson in lessons[: len(lessons) // 2 + 1]:
        first.learn(*lesson)
    second.restore(first.states(), dict(first.through), first.learned)
    for lesson in lessons:
        second.learn(*lesson)
    return sum(len(examples) for _, _, examples in lessons), second.learned


def test_a_snapshot_without_its_offsets_is_noticed(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    cases = range(seed, seed + 5)
    assert all(there_are == known for there_are, known in map(learned_over_a_restart, cases))
    restore = Learner.restore

    def forgetful(self: Learner, states: Any, _: Any, learned: int) -> None:
        restore(self, states, {}, learned)

    monkeypatch.setattr(Learner, "restore", forgetful)
    assert any(there_are != known for there_are, known in map(learned_over_a_restart, cases))
