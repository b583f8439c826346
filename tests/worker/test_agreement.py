from __future__ import annotations

import pytest

from stream.decide.ledger import Identity
from stream.domain.stamps import stamp
from stream.worker.checks.agreement import (
    FoundPartition,
    GoOn,
    Print,
    Refuse,
    changelog_and_store,
    ledger_and_commit,
    log_and_commit,
    snapshot_and_logs,
    topic_and_ledger,
)

KNOWN = Identity("A", 5, 77)
SAME = Print(9, 5, 77)


@pytest.mark.parametrize(
    ("found", "agrees"),
    [
        (FoundPartition("A", 0, 10, SAME), True),
        (FoundPartition("A", 0, 99, SAME), True),
        (FoundPartition("", 0, 99, SAME), True),  # a broker that tells no ids
        (FoundPartition("A", 50, 99), True),  # retention removed the record
        (FoundPartition("A", 0, 99, Print(12, 6, 78)), True),  # compaction did: nothing to compare
        (FoundPartition("B", 0, 0), False),
        (FoundPartition("B", 0, 99, SAME), False),  # what was applied unseen fits, too
        (FoundPartition("B", 50, 99), False),
        (FoundPartition("A", 0, 9), False),
        (FoundPartition("", 0, 3), False),
        (FoundPartition("A", 0, 99, Print(9, 6, 77)), False),
        (FoundPartition("", 0, 99, Print(9, 5, 78)), False),
    ],
)
def test_a_topic_agrees_with_a_ledger_that_knows_it(found: FoundPartition, agrees: bool) -> None:
    for epoch in (0, 3):
        verdict = topic_and_ledger("shop.clicks-1", stamp(epoch, 9), KNOWN, found)
        assert (verdict is None) == agrees
        if verdict is not None:
            assert "topic shop.clicks " in verdict.line
            assert "`offerstream topics renew shop.clicks`" in verdict.line


def test_what_was_never_read_agrees_with_everything() -> None:
    for at in (-1, stamp(2, -1)):
        assert topic_and_ledger("clicks-0", at, Identity("A"), FoundPartition("B", 7, 7)) is None


@pytest.mark.parametrize(
    ("commit", "start", "verdict"),
    [
        (10, 0, GoOn(10)),
        (4, 0, GoOn(4)),  # what a crash left unsent is sent
        (None, 0, GoOn(8)),  # … and no more of it
        (4, 7, GoOn(7)),
        (10, 30, GoOn(30, 20)),
        (None, 30, GoOn(30, 20)),
    ],
)
def test_reading_goes_on_where_the_commit_says(
    commit: int | None, start: int, verdict: GoOn
) -> None:
    assert ledger_and_commit("clicks-0", 9, 7, commit, FoundPartition("", start, 50)) == verdict


def test_a_commit_beyond_the_ledger_goes_back_or_is_refused() -> None:
    back = ledger_and_commit("clicks-0", 9, 7, 40, FoundPartition("", 10, 50))
    assert isinstance(back, GoOn) and (back.at, back.lost) == (10, 0) and "clicks-0" in back.note
    assert isinstance(ledger_and_commit("clicks-0", 9, 7, 40, FoundPartition("", 11, 50)), Refuse)


def test_a_new_epoch_begins_where_it_was_said_whatever_was_committed() -> None:
    renewed = stamp(1, 4)  # read as new from offset 5 on
    for commit in (None, 900):
        verdict = ledger_and_commit("clicks-0", renewed, renewed, commit, FoundPartition("", 0, 50))
        assert isinstance(verdict, GoOn) and (verdict.at, verdict.lost) == (5, 0)


def test_without_a_ledger_all_is_read_or_nothing_is() -> None:
    assert ledger_and_commit("c-0", None, -1, None, FoundPartition("", 3, 9)) == GoOn(3)
    assert ledger_and_commit("c-0", None, -1, 0, FoundPartition("", 0, 9)) == GoOn(0)
    again = ledger_and_commit("c-0", None, -1, 7, FoundPartition("", 0, 9))
    assert isinstance(again, GoOn) and again.at == 0 and "read again" in again.note
    assert isinstance(ledger_and_commit("c-0", None, -1, 7, FoundPartition("", 1, 9)), Refuse)


def test_a_log_without_a_ledger_is_read_from_its_commit_its_start_or_anew() -> None:
    assert log_and_commit("examples-0", None, FoundPartition("", 3, 9)) == GoOn(3)
    assert log_and_commit("examples-0", 5, FoundPartition("", 3, 9)) == GoOn(5)
    assert log_and_commit("examples-0", 5, FoundPartition("", 7, 9)) == GoOn(7, 2)
    anew = log_and_commit("examples-0", 50, FoundPartition("", 0, 9))
    assert (anew.at, anew.lost) == (0, 0) and "made anew" in anew.note


@pytest.mark.parametrize(
    ("stored", "same", "start", "end", "agrees"),
    [
        (None, True, 0, 0, True),
        (None, True, 0, 9, True),
        (8, True, 0, 9, True),
        (4, True, 5, 9, True),  # what was deleted the store has
        (9, True, 0, 9, False),
        (4, False, 0, 9, False),
        (3, True, 5, 9, False),
        (None, True, 1, 9, False),
    ],
)
def test_a_store_agrees_with_a_changelog_that_it_was_filled_from(
    stored: int | None, same: bool, start: int, end: int, agrees: bool
) -> None:
    found = FoundPartition("", start, end)
    verdict = changelog_and_store("log-0", stored, same, found, " at /state/0")
    assert (verdict is None) == agrees


def test_models_have_learned_no_more_than_there_is_in_any_epoch() -> None:
    ends = {"0/0": 42, "1/0": 0}
    assert not snapshot_and_logs({"0/0": 41, "1/0": -1}, ends, {})
    assert snapshot_and_logs({"0/0": 42}, ends, {})
    assert snapshot_and_logs({"1/0": 0}, ends, {})
    assert snapshot_and_logs({"0/1": 0}, ends, {})
    assert not snapshot_and_logs({"0/0": 10**12}, ends, {"0/0": 1})  # of the topic before
    assert snapshot_and_logs({"0/0": stamp(1, 42)}, ends, {"0/0": 1})
