"""The log: order, offsets, groups, files and the words it has for operators."""

import json
import os
import threading
import time

import pytest

from stream.broker.local.log import CorruptLogError, Log, LogRecord, TopicPartition
from stream.config import ConfigError


def record(i, size=20):
    return LogRecord(b"key-%d" % i, (b"value-%d" % i).ljust(size, b"."), 1_700_000_000_000 + i)


def values(log, topic="t", partition=0, offset=0, **limits):
    return [r.value for r in log.read(topic, partition, offset, **limits)]


def files(directory, topic="t", partition=0):
    return sorted((directory / "topics" / topic / str(partition)).glob("*.log"))


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def log(directory):
    with Log(directory) as log:
        log.create_topic("t", 2)
        yield log


def test_offsets_count_per_partition_from_zero(log):
    assert log.append("t", 0, [record(0), record(1)]) == 0
    assert log.append("t", 0, [record(2)]) == 2
    assert log.append("t", 1, [record(3)]) == 0
    assert [r.offset for r in log.read("t", 0, 0)] == [0, 1, 2]
    assert (log.highwater("t", 0), log.highwater("t", 1)) == (3, 1)
    assert (log.earliest("t", 0), log.earliest("t", 1)) == (0, 0)


def test_an_empty_batch_does_nothing(log):
    log.append("t", 0, [record(0)])
    assert log.append("t", 0, []) == 1
    assert log.highwater("t", 0) == 1


def test_reading_goes_on_in_the_middle_of_a_batch(log):
    log.append("t", 0, [record(i) for i in range(10)])
    assert [r.offset for r in log.read("t", 0, 4, max_records=3)] == [4, 5, 6]
    assert log.read("t", 0, 10) == []


def test_reading_is_bounded_in_bytes_but_always_moves(log):
    for i in range(5):
        log.append("t", 0, [record(i, size=1000)])
    assert len(log.read("t", 0, 0, max_bytes=2500)) == 2
    assert len(log.read("t", 0, 0, max_bytes=1)) == 1


def test_reading_behind_the_end_is_a_bug(log):
    with pytest.raises(ValueError, match="offset 1 of t-0 lies behind its end 0"):
        log.read("t", 0, 1)


def test_there_is_no_partition_but_those_of_the_topic(log):
    for topic, partition in (("t", 2), ("u", 0)):
        with pytest.raises(KeyError, match=f"no partition {topic}-{partition}"):
            log.append(topic, partition, [record(0)])
    assert log.partitions("u") is None


def test_everything_is_there_again_after_reopening(directory):
    with Log(directory, segment_bytes=300) as log:
        log.create_topic("t", 2)
        for i in range(50):
            log.append("t", i % 2, [record(i), record(100 + i)])
        log.commit("group", {("t", 0): 7, ("t", 1): 9})
        before = [log.read("t", p, 0) for p in (0, 1)]
    assert len(files(directory)) > 5
    with Log(directory) as log:
        assert list(log.topics()) == ["t"]
        assert log.partitions("t") == 2
        assert [log.read("t", p, 0) for p in (0, 1)] == before
        assert log.committed("group", "t", 0) == 7
        assert log.committed("group", "t", 1) == 9
        assert log.committed("other", "t", 0) is None
        assert log.append("t", 0, [record(0)]) == 50


def test_every_offset_can_be_read_from_across_files(directory):
    with Log(directory, segment_bytes=40_000) as log:
        log.create_topic("t", 1)
        for i in range(300):
            log.append("t", 0, [record(i, size=1_000)])
    with Log(directory) as log:
        for offset in (*range(0, 300, 7), 299):
            assert log.read("t", 0, offset, max_records=1)[0].offset == offset
        assert len(log.read("t", 0, 0, max_bytes=1 << 30)) == 300


def test_a_frame_larger_than_what_is_read_at_once(log):
    log.append("t", 0, [record(0, size=3_000_000)])
    log.append("t", 0, [record(1)])
    assert [len(v) for v in values(log, max_bytes=1 << 30)] == [3_000_000, 20]
    assert len(values(log, offset=1)) == 1


def test_listeners_hear_of_every_append(log):
    heard = []
    log.listeners.add(lambda *seen: heard.append(seen))
    log.append("t", 1, [record(0), record(1)])
    log.append("t", 0, [record(2)])
    assert heard == [("t", 1, 2), ("t", 0, 1)]


def test_many_threads_append_and_read_at_once(log):
    def write(partition):
        for i in range(200):
            log.append("t", partition, [record(i), record(i + 1000)])
            log.sync()

    def follow(partition, seen):
        while len(seen) < 800:
            seen += [r.offset for r in log.read("t", partition, len(seen))]

    seen = [[], []]
    threads = [threading.Thread(target=write, args=(p,)) for p in (0, 1, 0, 1)]
    threads += [threading.Thread(target=follow, args=(p, seen[p])) for p in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == [list(range(800))] * 2


# ---------------------------------------------------------------------------------------- operators


def test_a_directory_belongs_to_one_log_at_a_time(directory):
    open_already = rf"is open already, in process {os.getpid()}; stop"
    with Log(directory), pytest.raises(ConfigError, match=open_already):
        Log(directory)
    Log(directory).close()


def test_a_directory_that_cannot_be_made_is_the_operators_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write to .*file/log: Not a directory; choose"):
        Log(tmp_path / "file" / "log")


def test_creating_a_topic_again_changes_nothing(log):
    log.append("t", 0, [record(0)])
    log.create_topic("t", 2)
    assert log.highwater("t", 0) == 1


def test_a_topic_keeps_its_partitions_and_its_kind(log):
    with pytest.raises(ConfigError, match="partitions: topic t has 2, not 4"):
        log.create_topic("t", 4)
    with pytest.raises(ConfigError, match="topic t isn't compacted"):
        log.create_topic("t", 2, compacted=True)


@pytest.mark.parametrize("name", ["", ".", "..", "../t", "a/b", "a b", "x" * 250, "ä"])
def test_a_topic_name_stays_inside_the_directory(log, name):
    with pytest.raises(ConfigError, match="a name takes 1 to 249"):
        log.create_topic(name, 1)


def test_a_topic_has_at_least_one_partition(log):
    with pytest.raises(ConfigError, match="partitions must be at least 1"):
        log.create_topic("none", 0)


def test_a_compacted_topic_wants_keys(log):
    log.create_topic("c", 1, compacted=True)
    with pytest.raises(ValueError, match="topic c is compacted"):
        log.append("c", 0, [LogRecord(None, b"v", 0)])


def test_a_closed_log_says_so(directory):
    log = Log(directory)
    log.create_topic("t", 1)
    log.close()
    log.close()
    with pytest.raises(ValueError, match="is closed"):
        log.append("t", 0, [record(0)])


def test_a_topic_description_that_was_damaged_is_named(directory):
    with Log(directory) as log:
        log.create_topic("t", 1)
    path = directory / "topics" / "t" / "topic.json"
    path.write_text("{")
    with pytest.raises(CorruptLogError, match=r"topics/t/topic\.json is corrupt"):
        Log(directory)


def test_a_failed_sync_stops_the_log(log, monkeypatch):
    def fail(fd):
        raise OSError(5, "Input/output error")

    log.append("t", 0, [record(0)])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        with pytest.raises(OSError, match=r"cannot sync .* what was last appended may be lost"):
            log.sync()
    for again in (log.sync, lambda: log.append("t", 0, [record(1)])):
        with pytest.raises(OSError, match="cannot sync"):
            again()


def test_never_means_never(directory, monkeypatch):
    def fail(fd):
        raise AssertionError("asked the disk")

    with Log(directory, fsync="never", segment_bytes=100) as log:
        log.create_topic("t", 1)
        monkeypatch.setattr(os, "fdatasync", fail)
        for i in range(20):
            log.append("t", 0, [record(i)])
        log.sync()


def test_sync_asks_the_disk_once_for_each_partition_that_changed(log, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(os.fstat(fd).st_ino))
    for _ in range(3):
        log.append("t", 0, [record(0)])
        log.append("t", 1, [record(0)])
    log.sync()
    log.sync()
    assert len(synced) == len(set(synced)) == 2


# ------------------------------------------------------------------------------------ torn, damaged


def test_a_tail_torn_at_any_byte_takes_its_batch_and_no_other(directory, caplog):
    with Log(directory) as log:
        log.create_topic("t", 1)
        log.append("t", 0, [record(0), record(1)])
        (path,) = files(directory)
        kept = path.stat().st_size
        log.append("t", 0, [record(2), record(3)])
    whole = path.read_bytes()
    for size in range(kept, len(whole)):
        path.write_bytes(whole[:size])
        with Log(directory) as log:
            assert log.highwater("t", 0) == 2
            assert len(log.read("t", 0, 0)) == 2
            assert log.append("t", 0, [record(9)]) == 2
        assert ("torn" in caplog.text) == (size > kept)
        caplog.clear()


def test_a_tail_of_zeros_or_noise_is_torn(directory):
    with Log(directory) as log:
        log.create_topic("t", 1)
        log.append("t", 0, [record(0)])
    (path,) = files(directory)
    sound = path.read_bytes()
    for tail in (bytes(4096), bytes(range(256)) * 9, sound[:11]):
        path.write_bytes(sound + tail)
        with Log(directory) as log:
            assert len(log.read("t", 0, 0)) == log.highwater("t", 0) == 1
        assert path.read_bytes() == sound


def test_a_head_that_was_torn_is_written_again(directory):
    with Log(directory) as log:
        log.create_topic("t", 1)
    (path,) = files(directory)
    for torn in (b"", b"OSL", bytes(20), bytes(500)):
        path.write_bytes(torn)
        with Log(directory) as log:
            assert log.append("t", 0, [record(0)]) == 0
        with Log(directory) as log:
            assert log.highwater("t", 0) == 1


def test_a_file_of_something_else_is_not_taken_for_torn(directory):
    with Log(directory) as log:
        log.create_topic("t", 1)
    (path,) = files(directory)
    path.write_bytes(b"somebody's own precious notes")
    with pytest.raises(CorruptLogError, match="no segment of a log starts like this"):
        Log(directory)
    assert path.read_bytes() == b"somebody's own precious notes"


def test_damage_before_a_sound_batch_is_loud_and_names_file_and_byte(directory):
    with Log(directory) as log:
        log.create_topic("t", 1)
        log.append("t", 0, [record(0)])
        (path,) = files(directory)
        position = path.stat().st_size
        log.append("t", 0, [record(1)])
        log.append("t", 0, [record(2)])
    whole = path.read_bytes()
    for at in (position, position + 5, position + 10, position + 40, position + 60):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(CorruptLogError) as caught:
            Log(directory)
        assert (caught.value.path, caught.value.position) == (path, position)
        assert f"{path} is corrupt at byte {position}: " in str(caught.value)
        assert path.read_bytes() == damaged  # nothing was cut
    path.write_bytes(whole)
    with Log(directory) as log:
        assert len(log.read("t", 0, 0)) == 3


def test_damage_in_a_closed_file_is_loud_when_it_is_read(directory):
    with Log(directory, segment_bytes=100) as log:
        log.create_topic("t", 1)
        for i in range(6):
            log.append("t", 0, [record(i, size=100)])
    second = files(directory)[1]
    damaged = bytearray(second.read_bytes())
    damaged[-1] ^= 1
    second.write_bytes(damaged)
    with Log(directory) as log:
        assert [r.offset for r in log.read("t", 0, 0, max_records=1)] == [0]
        with pytest.raises(CorruptLogError, match=second.name):
            log.read("t", 0, 1)
        assert [r.offset for r in log.read("t", 0, 2)] == [2, 3, 4, 5]


def test_records_missing_from_the_end_of_a_closed_file_are_noticed(directory):
    with Log(directory, segment_bytes=200) as log:
        log.create_topic("t", 1)
        for i in range(10):
            log.append("t", 0, [record(i, size=100)])
    first = files(directory)[0]
    whole = first.read_bytes()
    for size in (len(whole) // 2, len(whole) - 1):
        first.write_bytes(whole[:size])
        with Log(directory) as log, pytest.raises(CorruptLogError, match=first.name):
            log.read("t", 0, 0)


def test_a_group_never_goes_on_behind_the_end_of_a_log_that_was_cut(directory, caplog):
    with Log(directory) as log:
        log.create_topic("t", 1)
        log.append("t", 0, [record(0)])
        (path,) = files(directory)
        size = path.stat().st_size
        log.append("t", 0, [record(1)])
        log.commit("group", {("t", 0): 2})
    os.truncate(path, size)
    with Log(directory) as log:
        assert log.committed("group", "t", 0) == log.highwater("t", 0) == 1
    assert "t-0 ends at offset 1, behind which group group had read to 2" in caplog.text


# ---------------------------------------------------------------------------------------- retention


def test_old_files_go_when_the_partition_is_larger_than_it_may_be(directory):
    with Log(directory) as log:
        log.create_topic("t", 1, segment_bytes=500, retention_bytes=2_000)
        for i in range(100):
            log.append("t", 0, [record(i, size=100)])
        earliest = log.earliest("t", 0)
        assert earliest > 70
        assert [r.offset for r in log.read("t", 0, 0)] == list(range(earliest, 100))
    assert sum(path.stat().st_size for path in files(directory)) < 3_000
    with Log(directory) as log:
        assert earliest <= log.earliest("t", 0) < 100
        assert log.read("t", 0, 0)[0].offset == log.earliest("t", 0)


def test_files_go_that_nothing_was_appended_to_for_long(directory):
    with Log(directory) as log:
        log.create_topic("t", 1, segment_bytes=200, retention_ms=3_600_000)
        for i in range(9):
            log.append("t", 0, [record(i, size=100)])
        assert log.earliest("t", 0) == 0
    first, second = files(directory)[:2]
    two_hours_ago = time.time() - 7_200
    os.utime(first, (two_hours_ago, two_hours_ago))
    with Log(directory) as log:
        assert log.earliest("t", 0) == int(second.stem)


def test_the_description_of_a_topic_is_plain_json(directory):
    with Log(directory) as log:
        log.create_topic("t", 3, retention_ms=5)
    content = json.loads((directory / "topics" / "t" / "topic.json").read_text())
    assert content["partitions"] == 3
    assert content["retention_ms"] == 5
    assert TopicPartition("t", 0) == ("t", 0)
