"""The simulation notices when any one part of the guarantee is taken away."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from stream.codec.examples import decode_examples
from stream.codec.state import encode_ledger, encode_page
from stream.config import LearningSettings
from stream.core import decide, ledger
from stream.core.due import Ends
from stream.core.learner import Learner
from stream.core.ledger import UNSTAMPED, Entry, Ledger
from stream.core.state import CustomerState
from tests import simulation
from tests.builders import a_world
from tests.properties import test_effectively_once as suite

Worker = simulation.Worker
Patch = Callable[[pytest.MonkeyPatch], None]


def no_stamps_on_customers(patch: pytest.MonkeyPatch) -> None:
    """A customer's record does not say what was applied."""
    patch.setattr(decide, "_stamped", lambda state, cause: state.stamps)


def no_effects_in_records(patch: pytest.MonkeyPatch) -> None:
    """What was decided and not yet sent is not kept."""
    sealed = ledger._Batch._sealed

    def forgetful(self: Any, *args: Any) -> CustomerState | None:
        state = sealed(self, *args)
        return None if state is None else replace(state, effects=())

    patch.setattr(ledger._Batch, "_sealed", forgetful)


def effects_taken_for_durable_too_soon(patch: pytest.MonkeyPatch) -> None:
    """The effects of batches under way are dropped from the record by the next batch."""
    real = simulation.decide_batch

    def hasty(entries: Sequence[Entry], partition: int, before: Ledger, _: Any, *rest: Any) -> Any:
        return real(entries, partition, before, before.stamps, *rest)

    patch.setattr(simulation, "decide_batch", hasty)


def effects_before_the_changelog(patch: pytest.MonkeyPatch) -> None:
    """Offers go out before the state that they were decided from is durable."""
    append, send = Worker._append, Worker._send

    def late_append(self: Any, entries: Any, decided: Any) -> None:
        send(self, entries, decided)
        append(self, decided)

    patch.setattr(Worker, "_append", lambda *_: None)
    patch.setattr(Worker, "_send", late_append)


def ack_before_the_changelog(patch: pytest.MonkeyPatch) -> None:
    """Offsets are committed as soon as a batch is decided."""
    append = Worker._append

    def committed(self: Any, decided: Any) -> None:
        self.durable.committed = [stamp + 1 for stamp in decided.ledger.stamps]
        append(self, decided)

    patch.setattr(Worker, "_append", committed)


def ack_before_the_effects(patch: pytest.MonkeyPatch) -> None:
    """Offsets are committed when the changelog is durable, and the effects are not yet sent."""
    append = Worker._append

    def committed(self: Any, decided: Any) -> None:
        append(self, decided)
        self.durable.committed = [stamp + 1 for stamp in decided.ledger.stamps]

    patch.setattr(Worker, "_append", committed)


def due_labels_not_kept(patch: pytest.MonkeyPatch) -> None:
    """Pages of the queue of due labels are gone with a crash."""
    patch.setattr(simulation, "encode_page", lambda _: encode_page(()))


def stored_ledger(**changes: Any) -> Patch:
    """Something is not stored with the ledger."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(
            simulation, "encode_ledger", lambda kept: encode_ledger(kept._replace(**changes))
        )

    return apply


MUTATIONS: dict[str, Patch] = {
    "no stamps on customers": no_stamps_on_customers,
    "no stamps on the ledger": stored_ledger(stamps=UNSTAMPED),
    "no counts on the ledger": stored_ledger(counts={}),
    "no stream time on the ledger": stored_ledger(stream_time=0),
    "late records not noted": stored_ledger(late=()),
    "bugs not noted": stored_ledger(failed=()),
    "due labels not noted": stored_ledger(due=Ends()),
    "due labels not kept": due_labels_not_kept,
    "no effects in records": no_effects_in_records,
    "effects taken for durable too soon": effects_taken_for_durable_too_soon,
    "effects before the changelog": effects_before_the_changelog,
    "ack before the changelog": ack_before_the_changelog,
    "ack before the effects": ack_before_the_effects,
}


def everything(seed: int) -> None:
    """Run what the suite runs."""
    for torn in (False, True):
        suite.test_crashes_lose_nothing_double_nothing_and_change_no_offer(0, torn, seed)
        suite.test_with_one_topic_a_crash_changes_nothing_at_all(torn, seed)


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_is_noticed(mutation: Patch, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    mutation(monkeypatch)
    with pytest.raises(AssertionError):
        everything(seed)


def test_without_a_mutation_there_is_nothing_to_notice(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(suite, "SEEDS", 80)
    everything(seed)


def learned_over_a_restart(seed: int) -> tuple[int, int]:
    """How many examples there are, and how many a learner knows that began again in the middle.

    It has a snapshot of the middle, and reads the examples again from the beginning.
    """
    topics = suite.a_history(random.Random(seed))
    sent = simulation.run(topics, a_world(suite.FEW_RESTS), seed, 0).examples
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
