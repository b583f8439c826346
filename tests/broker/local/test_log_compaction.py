"""Compaction: the latest of each key, at its offset, whatever happens meanwhile."""

import random
import time

import pytest

from stream.broker.local import compaction
from stream.broker.local.log import Log, LogRecord


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(compaction, "STEP", 7)
    monkeypatch.setattr(compaction, "_FRAME_BYTES", 200)


def open_log(directory, tombstone_ms=86_400_000, compaction_ms=86_400_000, **options):
    log = Log(directory, **{"segment_bytes": 700, "fsync": "never", **options})
    log.create_topic("c", 1, compacted=True, tombstone_ms=tombstone_ms, compaction_ms=compaction_ms)
    return log


def put(log, key, value):
    log.append("c", 0, [LogRecord(key.encode(), value and value.encode(), 0, (("h", b"x"),))])


def compact(log):
    for _ in log.compact("c", 0):
        pass


def content(log):
    return [(r.offset, r.key.decode(), r.value and r.value.decode()) for r in log.read("c", 0, 0)]


def latest(records):
    last = {key: offset for offset, key, _ in records}
    return [record for record in records if last[record[1]] == record[0]]


def fill(log, count=200, keys=20, seed=1):
    draw = random.Random(seed)
    start = log.highwater("c", 0)
    added = []
    for offset in range(start, start + count):
        key, value = f"k{draw.randrange(keys)}", draw.choice([None, f"v{offset}", "w" * 40])
        put(log, key, value)
        added.append((offset, key, value))
    return added


def test_of_each_key_the_latest_record_stays_at_its_offset(tmp_path):
    with open_log(tmp_path) as log:
        records = fill(log)
        compact(log)
        assert content(log) == latest(records)
        assert all(r.headers == (("h", b"x"),) for r in log.read("c", 0, 0))
        assert (log.earliest("c", 0), log.highwater("c", 0)) == (0, 200)
        for offset in range(200):
            (first,) = log.read("c", 0, offset, max_records=1)
            assert first.offset == min(o for o, _, _ in latest(records) if o >= offset)
    with open_log(tmp_path) as log:
        assert content(log) == latest(records)
        assert log.highwater("c", 0) == 200


def test_compacting_again_and_again_changes_nothing_but_what_was_added(tmp_path):
    with open_log(tmp_path) as log:
        records = []
        for seed in range(4):
            records += fill(log, count=90, seed=seed)
            compact(log)
            assert content(log) == latest(records)
            compact(log)
            assert content(log) == latest(records)


def test_a_partition_is_due_when_most_of_it_is_new(tmp_path):
    with open_log(tmp_path, compact_bytes=5_000) as log:
        assert log.due() == []
        fill(log, count=30)
        assert log.due() == []  # too little to be worth it
        fill(log, count=300)
        assert log.due() == [("c", 0)]
        compact(log)
        assert log.due() == []
        fill(log, count=20)
        assert log.due() == []


def test_files_are_smaller_afterwards(tmp_path):
    with open_log(tmp_path) as log:
        fill(log, count=500, keys=5)
        directory = tmp_path / "topics" / "c" / "0"
        before = sum(path.stat().st_size for path in directory.iterdir())
        compact(log)
        assert sum(path.stat().st_size for path in directory.iterdir()) < before / 10
        assert len(list(directory.iterdir())) == 2


def test_a_deletion_outlives_its_first_compaction_and_goes_when_its_date_has_passed(tmp_path):
    with open_log(tmp_path, tombstone_ms=0) as log:
        put(log, "a", "1")
        put(log, "b", "2")
        put(log, "a", None)
        put(log, "c", "3")
        compact(log)
        assert content(log) == [(1, "b", "2"), (2, "a", None), (3, "c", "3")]
        compact(log)
        assert content(log) == [(1, "b", "2"), (3, "c", "3")]


def test_a_deletion_stays_while_readers_may_lag(tmp_path):
    with open_log(tmp_path) as log:
        put(log, "a", None)
        put(log, "b", "1")
        for _ in range(3):
            compact(log)
        assert content(log) == [(0, "a", None), (1, "b", "1")]


def test_a_key_that_comes_back_after_its_deletion_stays(tmp_path):
    with open_log(tmp_path, tombstone_ms=0) as log:
        put(log, "a", None)
        compact(log)
        put(log, "a", "again")
        compact(log)
        compact(log)
        assert content(log) == [(1, "a", "again")]


def test_the_very_last_record_stays_even_if_it_is_a_deletion(tmp_path):
    # who recovers a table waits for the record before the high watermark
    with open_log(tmp_path, tombstone_ms=0) as log:
        put(log, "a", "1")
        put(log, "a", None)
        for _ in range(3):
            compact(log)
        assert content(log) == [(1, "a", None)]
        put(log, "b", "1")
        compact(log)
        assert content(log) == [(2, "b", "1")]


def test_what_is_appended_meanwhile_is_kept_and_can_be_read(tmp_path):
    with open_log(tmp_path) as log:
        records = fill(log)
        for i, _ in enumerate(log.compact("c", 0)):
            put(log, f"k{i % 30}", f"new{i}")
            records.append((log.highwater("c", 0) - 1, f"k{i % 30}", f"new{i}"))
            assert latest(content(log)) == latest(records)
        compact(log)
        assert content(log) == latest(records)


def test_a_second_compaction_at_once_does_nothing(tmp_path):
    with open_log(tmp_path) as log:
        records = fill(log)
        first = log.compact("c", 0)
        next(first)
        assert list(log.compact("c", 0)) == []
        assert content(log) == records
        for _ in first:
            pass
        assert content(log) == latest(records)
        assert list(log.compact("c", 0)) != []


def test_killed_at_any_step_nothing_is_lost(tmp_path):
    log = open_log(tmp_path)
    records = fill(log)
    steps = 0
    while True:
        compaction_ = log.compact("c", 0)
        alive = True
        for _ in range(steps):
            alive = next(compaction_, "done") != "done"
        log.close()  # the lock; nothing else is tidied
        compaction_.close()
        log = open_log(tmp_path)
        assert latest(content(log)) == latest(records)
        assert not list((tmp_path / "topics" / "c" / "0").glob("*.tmp"))
        if not alive:
            break
        steps += 1
    assert steps > 20
    assert content(log) == latest(records)
    log.close()


def test_killed_before_the_superseded_files_are_removed(tmp_path):
    with open_log(tmp_path) as log:
        records = fill(log)
        directory = tmp_path / "topics" / "c" / "0"
        before = {path.name: path.read_bytes() for path in directory.glob("*.log")}
        compact(log)
    compacted = min(directory.glob("*.log")).name
    after = {path.name for path in directory.glob("*.log")}
    for name, blob in before.items():
        if name != compacted:
            (directory / name).write_bytes(blob)
    with open_log(tmp_path) as log:
        assert content(log) == latest(records)
        assert log.highwater("c", 0) == 200
        put(log, "k0", "goes on")
        assert log.highwater("c", 0) == 201
    assert {path.name for path in directory.glob("*.log")} <= after | {f"{200:020d}.log"}


def test_reading_a_compacted_file_checks_it_too(tmp_path):
    with open_log(tmp_path) as log:
        fill(log)
        compact(log)
    path = min((tmp_path / "topics" / "c" / "0").glob("*.log"))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(damaged)
    with open_log(tmp_path) as log, pytest.raises(Exception, match=path.name):
        log.read("c", 0, 0)


def test_offsets_of_groups_are_compacted_and_stay(tmp_path):
    with Log(tmp_path, fsync="never", compact_bytes=1_000) as log:
        log.create_topic("t", 1)
        log.append("t", 0, [LogRecord(None, b"", time.time_ns() // 1_000_000)] * 100)
        for offset in range(100):
            log.commit("g", {("t", 0): offset})
        ((topic, partition),) = log.due()
        for _ in log.compact(topic, partition):
            pass
        assert log.due() == []
    with Log(tmp_path) as log:
        assert log.committed("g", "t", 0) == 99


# ----------------------------------------------------------------------------- what waited for long


def test_a_little_that_waited_for_long_is_compacted(tmp_path):
    with open_log(tmp_path, compaction_ms=-1) as log:
        assert log.due() == []
        put(log, "k", "v")
        assert log.due() == [("c", 0)]
        compact(log)
        assert log.due() == []
        put(log, "k", "w")
    with open_log(tmp_path) as log:  # the topic says so, and records say since when they wait
        assert log.due() == [("c", 0)]


def test_a_little_that_is_new_can_wait(tmp_path):
    with open_log(tmp_path, compaction_ms=86_400_000) as log:
        put(log, "k", "v")
        assert log.due() == []


def test_deletions_are_dropped_in_time_though_nothing_is_appended(tmp_path):
    with open_log(tmp_path, tombstone_ms=-1, compaction_ms=-1) as log:
        for key, value in (("gone", "v"), ("gone", None), ("k", "v")):
            put(log, key, value)
        assert log.due() == [("c", 0)]
        compact(log)
    with open_log(tmp_path) as log:
        assert log.due() == [("c", 0)]
        compact(log)
        assert log.due() == []
    assert not any(b"gone" in path.read_bytes() for path in tmp_path.rglob("*.log"))


def test_what_a_topic_keeps_no_longer_goes_unless_it_is_still_to_be_read(tmp_path):
    with Log(tmp_path, fsync="never") as log:
        log.create_topic("t", 1, retention_ms=-1)
        log.append("t", 0, [LogRecord(b"k", b"v", 0)])
        log.commit("g", {("t", 0): 0})
        log.expire()
        assert (log.earliest("t", 0), log.highwater("t", 0)) == (0, 1)
        log.append("t", 0, [LogRecord(b"k", b"w", 0)])
        log.commit("g", {("t", 0): 1})
        log.expire()
        assert (log.earliest("t", 0), log.highwater("t", 0)) == (1, 2)
        log.commit("g", {("t", 0): 2})
        log.expire()
        assert (log.earliest("t", 0), log.highwater("t", 0)) == (2, 2)
