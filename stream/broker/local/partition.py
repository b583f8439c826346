"""A partition: segments in order, the last of which is appended to.

- Offsets are consecutive and never used twice. Readers see a batch as soon as it is written.
- Files are added at the end and removed at the front. Compaction replaces a run of files with one:
  a rename makes it count, and files that it covers are superseded, whether removed yet or not.
- The lock covers the list of segments and the file that is appended to, so any thread may append,
  read or sync. Nothing waits for the disk under it, except rolling to a new file.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from stream.broker.local.durable import TEMPORARY, sync_directory
from stream.broker.local.frame import Headers, StoredRecord, decode_frame, encode_frame, pack_frame
from stream.broker.local.segment import HEAD, SUFFIX, LogFrame, SegmentFile, read_head
from stream.broker.local.topic import DAY, TopicConfig


class PartitionLog:
    """The log of one partition, in a directory of its own.

    Parameters
    ----------
    directory
        Made if it is missing.
    topic, number
        Put into the records that are read.
    config
        See `TopicConfig`.
    segment_bytes
        Size at which a file is closed and the next begun.
    durable
        Whether a new file is synced into its directory, and an old one before it is closed.
    """

    def __init__(
        self,
        directory: Path,
        topic: str,
        number: int,
        config: TopicConfig,
        segment_bytes: int,
        *,
        durable: bool,
    ) -> None:
        self.topic = topic
        self.number = number
        self.config = config
        self.directory = directory
        self._segment_bytes = segment_bytes
        self._durable = durable
        self._lock = threading.Lock()
        self.compacting = threading.Lock()  # held by the one compaction that may be under way
        directory.mkdir(parents=True, exist_ok=True)
        self._half: LogFrame | None = (
            None  # that the last read stopped in: the next one goes on there
        )
        self._segments = self._load()
        self._waits_since = self._first_waiting()  # for compaction or removal: ms, None for nothing
        self._sealed = 0
        self._may_hold_tombstones = bool(self._segments[0].covers)
        self._trim()

    @property
    def earliest(self) -> int:
        """First offset that may still be read."""
        return self._segments[0].base

    @property
    def end(self) -> int:
        """Offset that the next record gets: the high watermark."""
        return self._segments[-1].end

    @property
    def size(self) -> int:
        """Size of the files in bytes."""
        return sum(segment.size for segment in self._segments)

    @property
    def dirty_size(self) -> int:
        """Size of the files that were not compacted yet, in bytes."""
        return sum(
            segment.size - HEAD.size for segment in list(self._segments) if not segment.covers
        )

    def append(self, records: Sequence[tuple[bytes | None, bytes | None, int, Headers]]) -> int:
        """Append records as one frame and return the offset of the first."""
        if self.config.compacted and any(record[0] is None for record in records):
            raise ValueError(f"topic {self.topic} is compacted: each of its records needs a key")
        with self._lock:
            active = self._segments[-1]
            if active.size >= self._segment_bytes:
                active = self._roll()
            base = active.end
            active.append(encode_frame(base, records), base + len(records))
            if self._waits_since is None:
                self._waits_since = _now()
        return base

    def skip(self, offset: int) -> None:
        """Let the next record's offset be at least this one: an empty frame fills up."""
        with self._lock:
            active = self._segments[-1]
            if active.end < offset:
                active.append(pack_frame(active.end, offset, []), offset)

    def is_overdue(self, now: int) -> bool:
        """Whether records have waited for compaction, or deletions to be dropped, for long."""
        if self._waits_since is not None:
            return now - self._waits_since > self.config.compaction_ms
        if not self._may_hold_tombstones:
            return False
        compacted = self._segments[0].path.stat().st_mtime * 1000
        return now - compacted > self.config.tombstone_ms

    def expire(self, now: int, until: int) -> None:
        """Remove files that are older than the topic keeps, and end before offset ``until``."""
        with self._lock:
            kept = min(self.config.retention_ms or DAY, DAY)
            if self._waits_since is not None and now - self._waits_since > kept:
                self._roll(until)  # closed, it can be removed in its turn
                self._waits_since = None
            self._trim(until)

    def read(self, offset: int, max_records: int, max_bytes: int) -> list[StoredRecord]:
        """Read from ``offset`` on; at least one record if there is any, whatever its size."""
        with self._lock:
            if offset > self.end:
                raise ValueError(
                    f"offset {offset} of {self.topic}-{self.number} lies behind its end {self.end}"
                )
            records: list[StoredRecord] = []
            size = 0
            for frame in self._frames(offset):
                _, header, buffer, at = frame
                size += header.size
                if records and size > max_bytes:
                    break
                room = max_records - len(records)
                records += decode_frame(
                    buffer, at, header, self.topic, self.number, start=offset, limit=room
                )
                if len(records) >= max_records:
                    self._half = frame
                    break
        return records

    def _frames(self, offset: int) -> Iterator[LogFrame]:
        half, self._half = self._half, None
        if half is not None and half.header.base < offset < half.header.end:
            yield half
            offset = half.header.end
        for segment in self._segments:
            if segment.end > offset:
                yield from segment.frames(offset)

    def sync(self) -> None:
        """Make durable what was appended; appending goes on meanwhile."""
        with self._lock:
            fd = self._segments[-1].duplicate()
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def seal(self) -> list[SegmentFile]:
        """Close the file that is appended to, and return readers of all that were written."""
        with self._lock:
            if self._segments[-1].end > self._segments[-1].base:
                self._roll()
            self._sealed = _now()
            return [segment.twin() for segment in self._segments[:-1]]

    def replace(self, old: Sequence[SegmentFile], compacted: Path, tombstones: bool) -> None:
        """Put a compacted file in the place of the files that it was made from.

        ``tombstones`` says whether it holds any.
        """
        covers = read_head(compacted)
        first = old[0]
        with self._lock:
            compacted.rename(first.path)
            self._sync_directory()
            size = first.path.stat().st_size
            self._half = None
            self._segments[: len(old)] = [SegmentFile(first.path, first.base, covers, size, covers)]
            self._waits_since = self._sealed if self.dirty_size else None
            self._may_hold_tombstones = tombstones
        for segment in old[1:]:
            segment.path.unlink()

    def close(self) -> None:
        """Close the file that is appended to."""
        with self._lock:
            self._segments[-1].close()

    def _load(self) -> list[SegmentFile]:
        for leftover in self.directory.glob(f"*{TEMPORARY}"):
            leftover.unlink()
        paths = sorted(self.directory.glob(f"*{SUFFIX}"))
        segments: list[SegmentFile] = []
        covered = 0
        for path, following in zip_longest(paths, paths[1:]):
            base = int(path.stem)
            if base < covered:
                path.unlink()
                continue
            segments.append(self._open(path, base, following))
            covered = segments[-1].covers
        if not segments or segments[-1].covers:
            segments.append(self._create(segments[-1].end if segments else 0))
        return segments

    def _open(self, path: Path, base: int, following: Path | None) -> SegmentFile:
        if following is None and not _is_compacted(path):
            return SegmentFile.recover(path, base)
        covers = read_head(path)
        end = covers or int(following.stem if following else base)
        return SegmentFile(path, base, end, path.stat().st_size, covers)

    def _first_waiting(self) -> int | None:
        """When the first record came that was not compacted; in the file of today, for others."""
        fresh = [s for s in self._segments if not s.covers and s.end > s.base]
        if not fresh:
            return None
        segment = fresh[0] if self.config.compacted else self._segments[-1]
        for _, header, buffer, at in segment.frames():
            first = decode_frame(buffer, at, header, self.topic, self.number, limit=1)
            if first:
                return min(first[0].timestamp, _now())
        return None

    def _create(self, base: int) -> SegmentFile:
        segment = SegmentFile.create(self.directory, base)
        self._sync_directory()
        return segment

    def _roll(self, until: int | None = None) -> SegmentFile:
        active = self._segments[-1]
        if self._durable:
            fd = active.duplicate()
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)
        active.close()
        self._segments.append(self._create(active.end))
        self._trim(until)
        return self._segments[-1]

    def _trim(self, until: int | None = None) -> None:
        """Remove closed files that are older, or beyond the size, that the topic keeps."""
        config = self.config
        while len(self._segments) > 1 and not config.compacted:
            oldest = self._segments[0]
            if until is not None and oldest.end > until:
                return
            age = time.time() * 1000 - oldest.path.stat().st_mtime * 1000
            if not (
                (config.retention_ms is not None and age > config.retention_ms)
                or (config.retention_bytes is not None and self.size > config.retention_bytes)
            ):
                return
            oldest.path.unlink()
            del self._segments[0]

    def _sync_directory(self) -> None:
        if self._durable:
            sync_directory(self.directory)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _is_compacted(path: Path) -> bool:
    with path.open("rb") as file:
        return any(file.read(HEAD.size)[8:16])
