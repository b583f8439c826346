"""Laws of the local log: whatever is appended, cut, compacted and reopened, a list agrees."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from stream.broker.local import compaction, segment
from stream.broker.local.log import Log, LogRecord

SMALL = [(compaction, "STEP", 3), (segment, "_INDEX_BYTES", 60), (segment, "_CHUNK", 50)]
TOPICS = {"plain": 2, "compacted": 1}

topics = st.sampled_from([("plain", 0), ("plain", 1), ("compacted", 0)])
headers = st.lists(
    st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3)), max_size=2
).map(tuple)
records = st.builds(
    LogRecord,
    st.binary(max_size=1),
    st.none() | st.binary(max_size=40),
    st.integers(-(2**63), 2**63 - 1),
    headers,
)


class Batch(NamedTuple):
    """What the model knows of one append: the file it stands in, and where it ends there."""

    path: Path
    end: int
    highwater: int


class LocalLog(RuleBasedStateMachine):
    """The model: per partition a dict from offset to record, and a list of batches."""

    @initialize()
    def begin(self):
        self.patch = pytest.MonkeyPatch()
        for where, name, value in SMALL:
            self.patch.setattr(where, name, value)
        self.directory = Path(tempfile.mkdtemp())
        self.records = {key: {} for key in (("plain", 0), ("plain", 1), ("compacted", 0))}
        self.highwater = dict.fromkeys(self.records, 0)
        self.batches = {key: [] for key in self.records}
        self.dated = set()
        self.committed = {}
        self.log = None
        self.open()

    def open(self):
        self.log = Log(self.directory, segment_bytes=400, fsync="never")
        for topic, partitions in TOPICS.items():
            self.log.create_topic(topic, partitions, topic == "compacted", tombstone_ms=0)
        for key, offset in self.committed.items():
            self.committed[key] = min(offset, self.highwater[key])

    def active(self, key):
        topic, partition = key
        return max((self.directory / "topics" / topic / str(partition)).glob("*.log"))

    @rule(key=topics, batches=st.lists(st.lists(records, max_size=4), min_size=1, max_size=8))
    def append(self, key, batches):
        for batch in batches:
            self.append_one(key, batch)

    def append_one(self, key, batch):
        first = self.log.append(*key, batch)
        assert first == self.highwater[key]
        for offset, record in enumerate(batch, first):
            self.records[key][offset] = record
        self.highwater[key] += len(batch)
        if batch:
            path = self.active(key)
            self.batches[key].append(Batch(path, path.stat().st_size, self.highwater[key]))

    @rule(key=topics, at=st.floats(0, 1), limit=st.integers(1, 20))
    def read(self, key, at, limit):
        offset = round(at * self.highwater[key])
        read = self.log.read(*key, offset, max_records=limit)
        wanted = [(o, r) for o, r in sorted(self.records[key].items()) if o >= offset][:limit]
        assert [
            (r.offset, LogRecord(r.key, r.value, r.timestamp, r.headers)) for r in read
        ] == wanted

    @rule(key=topics, at=st.floats(0, 1))
    def commit(self, key, at):
        self.committed[key] = round(at * self.highwater[key])
        self.log.commit("group", {key: self.committed[key]})

    @rule()
    def reopen(self):
        self.log.close()
        self.open()

    @rule(key=topics, at=st.floats(0, 1))
    def cut(self, key, at):
        """Cut the file that was written last at any byte: whole batches before it stay."""
        self.log.close()
        path = self.active(key)
        size = round(at * path.stat().st_size)
        os.truncate(path, size)
        while self.batches[key] and self.batches[key][-1].path == path:
            if self.batches[key][-1].end <= size:
                break
            self.batches[key].pop()
        self.highwater[key] = (
            self.batches[key][-1].highwater if self.batches[key] else int(path.stem)
        )
        for offset in [o for o in self.records[key] if o >= self.highwater[key]]:
            del self.records[key][offset]
        self.open()

    @rule(key=topics, tail=st.binary(min_size=1, max_size=60))
    def tear(self, key, tail):
        """Leave noise where the next batch was being written."""
        self.log.close()
        with self.active(key).open("ab") as file:
            file.write(tail)
        self.open()

    @rule(steps=st.integers(0, 6))
    def die_while_compacting(self, steps):
        work = self.log.compact("compacted", 0)
        if any(next(work, "done") == "done" for _ in range(steps)):
            self.apply_compaction()
        work.close()
        self.reopen()

    @rule(times=st.integers(1, 2))
    def compact(self, times):
        for _ in range(times):
            for _ in self.log.compact("compacted", 0):
                pass
            self.apply_compaction()

    def apply_compaction(self):
        content = self.records["compacted", 0]
        last = {record.key: offset for offset, record in content.items()}
        end = self.highwater["compacted", 0] - 1
        for offset, record in list(content.items()):
            if offset != last[record.key] or (offset in self.dated and offset != end):
                del content[offset]
            elif record.value is None:
                self.dated.add(offset)

    @precondition(lambda self: self.log is not None)
    @invariant()
    def everything_agrees(self):
        for key, highwater in self.highwater.items():
            content, at = {}, 0
            while read := self.log.read(*key, at, max_records=3):
                content |= {
                    r.offset: LogRecord(r.key, r.value, r.timestamp, r.headers) for r in read
                }
                at = read[-1].offset + 1
            assert content == self.records[key]
            assert self.log.highwater(*key) == highwater
            assert self.log.committed("group", *key) == self.committed.get(key)

    def teardown(self):
        if getattr(self, "log", None):
            self.log.close()
            shutil.rmtree(self.directory)
            self.patch.undo()


TestLocalLog = LocalLog.TestCase
TestLocalLog.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None, print_blob=True
)
