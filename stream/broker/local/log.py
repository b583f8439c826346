"""The local log: topics, their partitions, and what consumer groups have committed; pure file I/O.

- A directory belongs to one process at a time, held by a lock that dies with it.
- One append is one frame: after a crash all of its records exist or none. What `Log.append` has
  returned survives ``kill -9``; what `Log.sync` has made durable survives a power cut.
- Damage is loud (`CorruptLogError`), torn tails are cut, and a committed offset never lies behind
  the end of its partition.
- Committed offsets are records of an internal compacted topic, so nothing else needs care.

::

    lock
    topics/<topic>/topic.json
    topics/<topic>/<partition>/<first offset>.log
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Final, Literal, NamedTuple, TypeAlias

from stream.broker.directory import hold, make_private
from stream.broker.local.compaction import compact
from stream.broker.local.durable import sync_directory
from stream.broker.local.frame import Headers, LogRecord, StoredRecord
from stream.broker.local.partition import PartitionLog
from stream.broker.local.segment import CorruptLogError
from stream.broker.local.topic import (
    DAY,
    TopicConfig,
    check_new,
    check_same,
    read_config,
    write_config,
)

__all__ = ["CorruptLogError", "Log", "LogRecord", "StoredRecord", "TopicConfig", "TopicPartition"]

Fsync: TypeAlias = Literal["always", "interval", "never"]
Listener: TypeAlias = Callable[[str, int, int], None]

OFFSETS: Final = "__offsets"
_TOPIC_FILE = "topic.json"

_logger = logging.getLogger(__name__)


class TopicPartition(NamedTuple):
    """Names a partition; equal to Faust's ``TP`` of the same names."""

    topic: str
    partition: int


class Log:
    """An append-only log in a directory.

    Any thread may call it. Appending and reading never wait for the disk; `sync` does.

    Parameters
    ----------
    directory
        Made if it is missing; locked until `close`.
    fsync
        What `sync` means: ``"always"`` and ``"interval"`` ask the disk, ``"never"`` leaves it to
        the operating system. Which of the first two it is, is a matter of when it is called.
    segment_bytes
        Size at which a file is closed, unless the topic says otherwise.
    compact_bytes
        A compacted partition is due when more than this, and more than half of it, was appended
        since it was compacted last; or when the topic's ``compaction_ms`` is over.

    Raises
    ------
    ConfigError
        When the directory can't be written, or another process has it open.
    CorruptLogError
        When a file is damaged.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        fsync: Fsync = "always",
        segment_bytes: int = 64 << 20,
        compact_bytes: int = 4 << 20,
    ) -> None:
        self.directory = Path(directory)
        self.fsync: Fsync = fsync
        self.segment_bytes = segment_bytes
        self.compact_bytes = compact_bytes
        self.listeners: set[Listener] = set()
        self._lock = threading.Lock()
        self._dirty: set[PartitionLog] = set()
        self._failure: OSError | None = None
        self._held = hold(self.directory, "broker")
        self._topics: dict[str, tuple[TopicConfig, list[PartitionLog]]] = {}
        self._committed: dict[tuple[str, str, int], int] = {}
        try:
            self._make_private()
            self._load()
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------------------------------ topics

    def create_topic(
        self,
        topic: str,
        partitions: int,
        compacted: bool = False,
        *,
        segment_bytes: int | None = None,
        retention_ms: int | None = None,
        retention_bytes: int | None = None,
        tombstone_ms: int = DAY,
        compaction_ms: int = DAY // 4,
    ) -> None:
        """Create a topic; if it exists, with as many partitions, nothing happens.

        Raises
        ------
        ConfigError
            When the name can't be one, or the topic exists and is another.
        """
        wanted = TopicConfig(
            partitions,
            compacted,
            segment_bytes,
            retention_ms,
            retention_bytes,
            tombstone_ms,
            compaction_ms,
            token_hex(8),
        )
        with self._lock:
            if topic in self._topics:
                check_same(topic, self._topics[topic][0], wanted)
                return
            check_new(topic, wanted)
            self._open_topic(topic, wanted)
            directory = self._topic_directory(topic)
            write_config(directory / _TOPIC_FILE, wanted)
            if self.fsync != "never":
                sync_directory(directory, directory.parent, self.directory)

    def topics(self) -> dict[str, TopicConfig]:
        """Return the topics and what they are."""
        return {name: config for name, (config, _) in self._topics.items() if name != OFFSETS}

    def topic_id(self, topic: str) -> str:
        """Return the id of a topic's present life; empty if there is none."""
        known = self._topics.get(topic)
        return "" if known is None else known[0].id

    def partitions(self, topic: str) -> int | None:
        """Return the number of partitions, None if there is no such topic."""
        known = self._topics.get(topic)
        return None if known is None else known[0].partitions

    # ----------------------------------------------------------------------------------- records

    def append(
        self,
        topic: str,
        partition: int,
        records: Sequence[tuple[bytes | None, bytes | None, int, Headers]],
    ) -> int:
        """Append records, all of them or none, and return the offset of the first.

        They are read again in frames as large as they were appended: a megabyte is a good batch.

        Parameters
        ----------
        records
            Tuples like `LogRecord`: key, value, timestamp in ms, headers. An empty batch does
            nothing.

        Raises
        ------
        KeyError
            When there is no such topic or partition.
        OSError
            When the disk is full or fails: nothing was appended.
        """
        log = self._partition(topic, partition)
        if not records:
            return log.end
        if self._failure is not None:
            raise self._failure
        first = log.append(records)
        with self._lock:
            self._dirty.add(log)
        end = first + len(records)
        for listener in tuple(self.listeners):
            listener(topic, partition, end)
        return first

    def read(
        self,
        topic: str,
        partition: int,
        offset: int,
        max_records: int = 1_000,
        max_bytes: int = 1 << 20,
    ) -> list[StoredRecord]:
        """Read records in order from ``offset`` on, or from the earliest that is left.

        Empty at the end; else at least one record, whatever its size.

        Raises
        ------
        CorruptLogError
            When a frame is damaged.
        ValueError
            When ``offset`` lies behind the end.
        """
        return self._partition(topic, partition).read(offset, max_records, max_bytes)

    def highwater(self, topic: str, partition: int) -> int:
        """Return the offset that the next record gets."""
        return self._partition(topic, partition).end

    def earliest(self, topic: str, partition: int) -> int:
        """Return the first offset that may be read."""
        return self._partition(topic, partition).earliest

    def skip(self, topic: str, partition: int, offset: int) -> None:
        """Give no offset before this one to any record: such offsets were given before.

        The end of a partition is lost when a power cut takes what was not synced; records that took
        the same offsets would look known to whoever has seen those that were lost.
        """
        log = self._partition(topic, partition)
        log.skip(offset)
        with self._lock:
            self._dirty.add(log)

    # ------------------------------------------------------------------------------------ groups

    def commit(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Remember, all at once, where a consumer group goes on reading in some partitions."""
        now = _now()
        records = [
            LogRecord(json.dumps([group, topic, partition]).encode(), b"%d" % offset, now)
            for (topic, partition), offset in offsets.items()
        ]
        self.append(OFFSETS, 0, records)
        for (topic, partition), offset in offsets.items():
            self._committed[group, topic, partition] = offset

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """Return where a consumer group goes on reading, None if it never committed."""
        return self._committed.get((group, topic, partition))

    # ------------------------------------------------------------------------------------- files

    def sync(self) -> None:
        """Wait until what was appended before this call is on the disk, unless fsync is never.

        Raises
        ------
        OSError
            When the disk fails. What it holds is then unknown: nothing more can be appended.
        """
        if self._failure is not None:
            raise self._failure
        with self._lock:
            dirty, self._dirty = self._dirty, set()
        if self.fsync == "never":
            return
        try:
            for partition in dirty:
                partition.sync()
        except OSError as error:
            self._failure = OSError(
                error.errno,
                f"cannot sync {self.directory}: {os.strerror(error.errno or 0)}; "
                "what was last appended may be lost: check the disk, then start again",
            )
            raise self._failure from error

    def due(self) -> list[TopicPartition]:
        """Return the partitions that are worth compacting, or have waited for it for long."""
        now = _now()
        return [
            TopicPartition(name, number)
            for name, (config, partitions) in list(self._topics.items())
            for number, partition in enumerate(partitions)
            if config.compacted
            and (
                partition.dirty_size > max(self.compact_bytes, partition.size // 2)
                or partition.is_overdue(now)
            )
        ]

    def expire(self) -> None:
        """Remove what topics keep no longer, but for what a group has still to read."""
        now = _now()
        for name, (config, partitions) in list(self._topics.items()):
            if config.compacted or config.retention_ms is None:
                continue
            for number, partition in enumerate(partitions):
                read = [at for (_, *tp), at in self._committed.items() if tp == [name, number]]
                partition.expire(now, min(read, default=partition.end))

    def compact(self, topic: str, partition: int) -> Iterator[None]:
        """Compact a partition step by step, due or not: see `stream.broker.local.compaction`."""
        return compact(self._partition(topic, partition), _now())

    def close(self) -> None:
        """Sync, and let another process have the directory."""
        if self._held < 0:
            return
        try:
            if self._failure is None:
                self.sync()
        finally:
            for _, partitions in self._topics.values():
                for partition in partitions:
                    partition.close()
            held, self._held = self._held, -1
            os.close(held)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ----------------------------------------------------------------------------------- private

    def _partition(self, topic: str, partition: int) -> PartitionLog:
        if self._held < 0:
            raise ValueError(f"the log in {self.directory} is closed")
        try:
            return self._topics[topic][1][partition]
        except (KeyError, IndexError):
            raise KeyError(f"there is no partition {topic}-{partition}") from None

    def _topic_directory(self, topic: str) -> Path:
        return self.directory / "topics" / topic

    def _open_topic(self, topic: str, config: TopicConfig) -> None:
        directory = self._topic_directory(topic)
        size = config.segment_bytes or self.segment_bytes
        durable = self.fsync != "never"
        self._topics[topic] = (
            config,
            [
                PartitionLog(directory / str(number), topic, number, config, size, durable=durable)
                for number in range(config.partitions)
            ],
        )

    def _make_private(self) -> None:
        """Keep others out of all that is below: older releases let them in."""
        topics = self.directory / "topics"
        make_private(topics)
        topics.chmod(0o700)

    def _load(self) -> None:
        for path in sorted(self.directory.glob(f"topics/*/{_TOPIC_FILE}")):
            self._open_topic(path.parent.name, read_config(path))
        self.create_topic(OFFSETS, 1, compacted=True)
        offset = 0
        while records := self.read(OFFSETS, 0, offset):
            for record in records:
                group, topic, partition = json.loads(record.key or b"")
                self._committed[group, topic, partition] = int(record.value or b"")
            offset = records[-1].offset + 1
        self._rewind()

    def _rewind(self) -> None:
        """Let no group go on behind the end, where it would miss what is appended next.

        It is committed anew: the next start might find the end behind the old commit again.
        """
        for (group, topic, partition), offset in list(self._committed.items()):
            if topic not in self._topics or partition >= self._topics[topic][0].partitions:
                continue
            end = self.highwater(topic, partition)
            if offset > end:
                _logger.warning(
                    "%s-%d ends at offset %d, behind which group %s had read to %d: records were "
                    "lost in a power cut (see fsync) or by hand; the group goes on at the end",
                    *(topic, partition, end, group, offset),
                )
                self.commit(group, {(topic, partition): end})


def _now() -> int:
    return time.time_ns() // 1_000_000
