"""Compaction: of each key only the latest record stays, at its offset.

- It reads closed files only and writes a new one beside them; a rename makes that count. Killed
  anywhere before, it has changed nothing; killed after, opening removes what was superseded.
- A deletion is dated when it is first met and dropped when its date has passed, so that a reader
  that lags by less than ``tombstone_ms`` sees it. The very last record always stays: who waits for
  the end of the log must find it.
- It works in small steps and gives way between them; the memory it needs is a map of the keys.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from stream.broker.directory import open_private
from stream.broker.local.durable import TEMPORARY
from stream.broker.local.frame import RawRecord, pack_frame, raw_records
from stream.broker.local.partition import PartitionLog
from stream.broker.local.segment import SegmentFile, encode_head

STEP: Final = 500  # records between two chances to give way: about a millisecond
_FRAME_BYTES = 1 << 16


def compact(partition: PartitionLog, now: int) -> Iterator[None]:
    """Compact a partition step by step: each ``next`` does about a millisecond of work.

    Parameters
    ----------
    partition
        May be appended to and read meanwhile, in other threads too. While one compaction of it is
        under way, another does nothing.
    now
        Wall time in ms since the Unix epoch: dates deletions.
    """
    if not partition.compacting.acquire(blocking=False):
        return
    try:
        closed = partition.seal()
        if closed:
            yield from _compact(partition, closed, now)
    finally:
        partition.compacting.release()


def _compact(partition: PartitionLog, closed: Sequence[SegmentFile], now: int) -> Iterator[None]:
    latest: dict[bytes | None, int] = {}
    for record in _records(closed):
        if record is None:
            yield
        else:
            latest[record.key] = record.offset
    target = closed[0].path.with_suffix(TEMPORARY)
    with open(target, "wb", opener=open_private) as file:
        file.write(encode_head(closed[-1].end))
        kept = _Kept(closed, latest, now, now + partition.config.tombstone_ms)
        yield from _write(file, kept.records())
        file.flush()
        os.fsync(file.fileno())
    yield
    partition.replace(closed, target, kept.tombstones)


def _records(closed: Sequence[SegmentFile]) -> Iterator[RawRecord | None]:
    """Yield the records in order, and None when it is time to give way."""
    count = 0
    for segment in closed:
        for _, header, buffer, at in segment.frames():
            for record in raw_records(buffer, at, header):
                yield record
                count += 1
                if count % STEP == 0:
                    yield None


class _Kept:
    """What stays of closed files, and whether deletions are among it."""

    def __init__(
        self,
        closed: Sequence[SegmentFile],
        latest: dict[bytes | None, int],
        now: int,
        expires: int,
    ) -> None:
        self._closed, self._latest = closed, latest
        self._now, self._expires = now, expires
        self.tombstones = False

    def records(self) -> Iterator[RawRecord | None]:
        """Yield what stays, and None when it is time to give way."""
        last = self._closed[-1].end - 1
        for record in _records(self._closed):
            if record is None:
                yield None
            elif self._latest[record.key] == record.offset:
                if not record.is_tombstone:
                    yield record
                elif record.expires is None:
                    self.tombstones = True
                    yield record.dated(self._expires)
                elif record.expires > self._now or record.offset == last:
                    self.tombstones = True
                    yield record


def _write(file: BinaryIO, records: Iterator[RawRecord | None]) -> Iterator[None]:
    frame: list[RawRecord] = []
    size = 0
    for record in records:
        if record is None:
            yield
            continue
        if frame and size + len(record.payload) > _FRAME_BYTES:
            file.write(pack_frame(frame[0].offset, frame[-1].offset + 1, frame))
            frame, size = [], 0
        frame.append(record)
        size += len(record.payload)
    if frame:
        file.write(pack_frame(frame[0].offset, frame[-1].offset + 1, frame))
