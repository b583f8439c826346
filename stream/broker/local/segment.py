"""Segments: one file of frames, with a head, a sparse index and a way to tell torn from damaged.

- A file is named after the first offset that it may hold and starts with ``magic 8s | covers u64 |
  crc u32``. ``covers`` is 0 for a file that was appended to; a compacted file says through which
  offset (exclusive) it stands in for the files behind it.
- A frame is written with one ``write``. After a kill or a power cut the last frame may be torn:
  opening cuts it. A damaged frame with a sound one behind it was whole once: that is a
  `CorruptLogError`, never skipped.
- The index knows one frame about every 16 KiB. It learns while frames are appended and read.
"""

from __future__ import annotations

import errno
import logging
import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from stream.broker.directory import open_private
from stream.broker.local.frame import (
    HEADER,
    MAGIC,
    CutFrameError,
    DamagedFrameError,
    Header,
    check_frame,
    read_header,
)

HEAD: Final = struct.Struct("<8sQI")
SUFFIX: Final = ".log"
_HEAD_MAGIC = b"OSLOG\x00\x00\x01"
_INDEX_BYTES = 1 << 14
_CHUNK = 1 << 19

_logger = logging.getLogger(__name__)


class CorruptLogError(Exception):
    """A file of the log is damaged where nothing was being written; names file and byte."""

    def __init__(self, path: Path, position: int, reason: object) -> None:
        super().__init__(
            f"{path} is corrupt at byte {position}: {reason}; "
            "restore the file from a backup, or start with a new log directory"
        )
        self.path = path
        self.position = position


class LogFrame(NamedTuple):
    """A sound frame: where it stands in its file, and where in the buffer that was read."""

    position: int
    header: Header
    buffer: bytes
    at: int


def encode_head(covers: int) -> bytes:
    """Return the first bytes of a file."""
    return HEAD.pack(_HEAD_MAGIC, covers, zlib.crc32(covers.to_bytes(8, "little")))


def read_head(path: Path) -> int:
    """Read what the file covers; 0 unless it was compacted.

    Raises
    ------
    CorruptLogError
        When the file doesn't start as a segment must.
    """
    with path.open("rb") as file:
        blob = file.read(HEAD.size)
    if len(blob) == HEAD.size:
        magic, covers, crc = HEAD.unpack(blob)
        if magic == _HEAD_MAGIC and crc == zlib.crc32(blob[8:16]):
            return int(covers)
    raise CorruptLogError(path, 0, "no segment of a log starts like this")


class SegmentFile:
    """One file of frames: offsets ``base`` (inclusive) to ``end`` (exclusive).

    Parameters
    ----------
    path
        The file, which exists and has its head.
    base
        First offset that it may hold.
    end
        Offset that follows it.
    size
        Bytes known to be sound: reading stops there.
    covers
        As in the head: 0, or ``end`` of a compacted file.
    """

    def __init__(self, path: Path, base: int, end: int, size: int, covers: int = 0) -> None:
        self.path = path
        self.base = base
        self.end = end
        self.size = size
        self.covers = covers
        self._offsets = [base]
        self._positions = [HEAD.size]
        self._fd = -1

    @classmethod
    def create(cls, directory: Path, base: int) -> SegmentFile:
        """Make an empty file and open it for appending."""
        path = directory / f"{base:020d}{SUFFIX}"
        with open(path, "wb", opener=open_private) as file:
            file.write(encode_head(0))
        segment = cls(path, base, base, HEAD.size)
        segment.open()
        return segment

    @classmethod
    def recover(cls, path: Path, base: int) -> SegmentFile:
        """Open the file that was appended to last: check every frame and cut a torn tail."""
        segment = cls(path, base, base, path.stat().st_size)
        with path.open("rb") as file:
            head = file.read(HEAD.size)
        if len(head) < HEAD.size or not any(head):  # the very first write was torn
            segment._cut(0, CorruptLogError(path, 0, "the head is missing"))
            path.write_bytes(encode_head(0))
            segment.size = HEAD.size
        else:
            read_head(path)
            segment._check()
        segment.open()
        return segment

    def twin(self) -> SegmentFile:
        """Return another reader of the same file, for another thread."""
        return SegmentFile(self.path, self.base, self.end, self.size, self.covers)

    def open(self) -> None:
        """Open for appending."""
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)

    def close(self) -> None:
        """Stop appending; reading goes on."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def append(self, frame: bytes, end: int) -> None:
        """Write a frame; what can't be written whole is cut off again.

        Raises
        ------
        OSError
            When the disk is full or fails; names the file.
        """
        position = self.size
        try:
            _write(self._fd, frame)
        except OSError as error:
            self._undo(position)
            reason = os.strerror(error.errno or errno.EIO)
            raise OSError(
                error.errno,
                f"cannot append to {self.path}: {reason}; nothing of the batch was kept",
            ) from error
        self._learn(self.end, position)
        self.size = position + len(frame)
        self.end = end

    def _undo(self, position: int) -> None:
        try:
            os.ftruncate(self._fd, position)
        except OSError:
            self.close()  # half a frame stands there: nothing may be written behind it

    def duplicate(self) -> int:
        """Return another descriptor of the file, so that it can be synced while it is closed."""
        return os.dup(self._fd)

    def frames(self, offset: int = 0) -> Iterator[LogFrame]:
        """Yield the frames that end behind ``offset``, each checked, and learn where they stand.

        Raises
        ------
        CorruptLogError
            When a frame is damaged, or offsets are missing.
        """
        index = max(bisect_right(self._offsets, offset) - 1, 0)
        position, expected = self._positions[index], self._offsets[index]
        for frame in self._walk(position, expected, offset):
            self._learn(frame.header.base, frame.position)
            position, expected = frame.position + frame.header.length, frame.header.end
            yield frame
        if expected != self.end and not self.covers and offset < self.end:
            raise CorruptLogError(
                self.path, position, f"offsets {expected} to {self.end} are missing"
            )

    def _walk(self, position: int, expected: int, offset: int) -> Iterator[LogFrame]:
        """Yield the checked frames from byte ``position`` on that end behind ``offset``.

        ``expected`` is the offset that stands at ``position``.
        """
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC) if self._fd < 0 else self.duplicate()
        wanted = _CHUNK
        try:
            while position < self.size:
                buffer = os.pread(fd, min(wanted, self.size - position), position)
                at, wanted = 0, _CHUNK
                while at < len(buffer):
                    try:
                        header = self._header(buffer, position, at, expected)
                        if header.end > offset:
                            check_frame(buffer, at, header)
                            yield LogFrame(position + at, header, buffer, at)
                    except CutFrameError as cut:
                        if position + len(buffer) >= self.size:
                            raise CorruptLogError(self.path, position + at, cut) from cut
                        if at == 0:
                            wanted = max(2 * wanted, _length(buffer))
                        break
                    except DamagedFrameError as damage:
                        raise CorruptLogError(self.path, position + at, damage) from damage
                    expected = header.end
                    at += header.length
                position += at
        finally:
            os.close(fd)

    def _header(self, buffer: bytes, position: int, at: int, expected: int) -> Header:
        header = read_header(buffer, at)
        fits = header.base >= expected if self.covers else header.base == expected
        if not fits:
            raise DamagedFrameError(f"offset {header.base} stands where {expected} should")
        if position + at + header.length > self.size:
            raise DamagedFrameError("the frame's end is missing")
        return header

    def _learn(self, offset: int, position: int) -> None:
        if position >= self._positions[-1] + _INDEX_BYTES:
            self._offsets.append(offset)
            self._positions.append(position)

    def _check(self) -> None:
        """Find the end of what is sound, and cut what was torn."""
        position, expected = HEAD.size, self.base
        try:
            for frame in self._walk(position, expected, 0):
                self._learn(frame.header.base, frame.position)
                position, expected = frame.position + frame.header.length, frame.header.end
        except CorruptLogError as error:
            self._cut(position, error)
        self.end, self.size = expected, position

    def _cut(self, position: int, error: CorruptLogError) -> None:
        """Cut a torn tail, unless a sound frame behind it shows that this is damage."""
        with self.path.open("rb+") as file:
            file.seek(position)
            if _has_sound_frame(file.read()):
                raise error
            file.truncate(position)
            os.fsync(file.fileno())
        _logger.warning(
            "%s: cut %d bytes of a torn write at byte %d", self.path, self.size - position, position
        )


def _write(fd: int, frame: bytes) -> None:
    written = os.write(fd, frame)
    while written < len(frame):
        written += os.write(fd, memoryview(frame)[written:])


def _length(buffer: bytes) -> int:
    return read_header(buffer, 0).length if len(buffer) >= HEADER.size else HEADER.size


def _has_sound_frame(tail: bytes) -> bool:
    at = tail.find(MAGIC, 1)
    while at >= 0:
        try:
            check_frame(tail, at, read_header(tail, at))
        except DamagedFrameError:
            at = tail.find(MAGIC, at + 1)
        else:
            return True
    return False
