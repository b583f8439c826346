"""Frames: how a batch of records stands in a file, all of it or nothing.

A frame is a header, one fixed-width entry per record, and the records' bytes::

    header   magic 4s | crc u32 | size u32 | base u64 | span u32 | count u32
    entry    delta u32 | timestamp i64 | key i32 | value i32 | headers u32      (count times)
    bytes    key, value and headers of each record in turn                      (size bytes
                                                                                 with the entries)

- Little-endian. The CRC-32 covers everything that follows it.
- ``base`` is the offset of the first record that was appended, ``span`` the number of offsets that
  the frame stands for; compaction may have removed records, never offsets.
- Sizes of key and value are in bytes, -1 for None. -2 is the value of a tombstone that compaction
  has dated: eight bytes tell when it may go, in ms since the Unix epoch.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

MAGIC: Final = b"\xf5OSF"
HEADER: Final = struct.Struct("<4sIIQII")
ENTRY: Final = struct.Struct("<IqiiI")
MAX_FRAME: Final = 1 << 30  # bytes; a length beyond this is damage, not data

_COVERED = struct.Struct("<IQII")  # the header behind its CRC
_HEADER_KEY = struct.Struct("<Hi")
_DATE = struct.Struct("<q")
_NONE = -1
_DATED = -2

Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]


class LogRecord(NamedTuple):
    """What is appended; ``timestamp`` is in ms since the Unix epoch."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: Headers = ()


class StoredRecord(NamedTuple):
    """A record that was read back, with the attributes of aiokafka's ``ConsumerRecord``."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def timestamp_type(self) -> int:
        """Always 0: the creator's time."""
        return 0

    @property
    def checksum(self) -> None:
        """Always None: frames have checksums, records don't."""
        return

    @property
    def serialized_key_size(self) -> int:
        """Size of the key in bytes, -1 without one."""
        return -1 if self.key is None else len(self.key)

    @property
    def serialized_value_size(self) -> int:
        """Size of the value in bytes, -1 without one."""
        return -1 if self.value is None else len(self.value)


class RawRecord(NamedTuple):
    """A record as it stands in a frame: what compaction moves without decoding it."""

    offset: int
    timestamp: int
    key: bytes | None
    value_size: int
    headers_size: int
    payload: bytes  # key, value and headers

    @property
    def is_tombstone(self) -> bool:
        """Whether the record deletes its key."""
        return self.value_size < 0

    @property
    def expires(self) -> int | None:
        """When compaction may drop this tombstone, in ms since the epoch; None while undated."""
        if self.value_size != _DATED:
            return None
        return int(_DATE.unpack_from(self.payload, len(self.key or b""))[0])

    def dated(self, expires: int) -> RawRecord:
        """Return this tombstone with the time from which it may be dropped."""
        split = len(self.key or b"")
        payload = self.payload[:split] + _DATE.pack(expires) + self.payload[split:]
        return self._replace(value_size=_DATED, payload=payload)


class Header(NamedTuple):
    """The header of a frame that was found whole and undamaged, or is yet to be checked."""

    crc: int
    size: int  # bytes behind the header
    base: int
    span: int
    records: int

    @property
    def end(self) -> int:
        """The offset that follows the frame."""
        return self.base + self.span

    @property
    def length(self) -> int:
        """Size of the whole frame in bytes."""
        return HEADER.size + self.size


class DamagedFrameError(Exception):
    """Bytes that are not the frame which should stand here; the message says in what way."""


class CutFrameError(DamagedFrameError):
    """A frame of which the end is missing."""


def encode_frame(
    base: int, records: Sequence[tuple[bytes | None, bytes | None, int, Headers]]
) -> bytes:
    """Pack records of consecutive offsets, the first at ``base``, into one frame.

    >>> frame = encode_frame(
    ...     7, [LogRecord(b"k", b"v", 0), LogRecord(b"k", None, 5, (("a", b"b"),))]
    ... )
    >>> for record in decode_frame(frame, 0, read_header(frame, 0), "clicks", 2):
    ...     print(record.offset, record.key, record.value, record.timestamp, record.headers)
    7 b'k' b'v' 0 ()
    8 b'k' None 5 (('a', b'b'),)
    """
    entries: list[bytes] = []
    payload: list[bytes] = []
    for delta, (key, value, timestamp, headers) in enumerate(records):
        key_size = value_size = _NONE
        blob = b""
        if key is not None:
            key_size = len(key)
            payload.append(key)
        if value is not None:
            value_size = len(value)
            payload.append(value)
        if headers:
            blob = _encode_headers(headers)
            payload.append(blob)
        entries.append(ENTRY.pack(delta, timestamp, key_size, value_size, len(blob)))
    return _seal(base, len(entries), entries, payload)


def pack_frame(base: int, end: int, records: Sequence[RawRecord]) -> bytes:
    """Pack raw records, in offset order, into a frame that spans ``base`` to ``end``."""
    entries = [
        ENTRY.pack(
            record.offset - base,
            record.timestamp,
            _NONE if record.key is None else len(record.key),
            record.value_size,
            record.headers_size,
        )
        for record in records
    ]
    return _seal(base, end - base, entries, [record.payload for record in records])


def _seal(base: int, span: int, entries: list[bytes], payload: list[bytes]) -> bytes:
    count = len(entries)
    body = b"".join((*entries, *payload))
    if len(body) > MAX_FRAME:
        raise ValueError(f"{len(body):,} bytes in one append; the most is {MAX_FRAME:,}")
    covered = _COVERED.pack(len(body), base, span, count)
    crc = zlib.crc32(body, zlib.crc32(covered))
    return b"".join((MAGIC, crc.to_bytes(4, "little"), covered, body))


def read_header(buffer: bytes, position: int) -> Header:
    """Read the header at ``position`` and check its plausibility, not the CRC.

    Raises
    ------
    CutFrameError
        When the buffer ends before the header does.
    DamagedFrameError
        When no header stands there.
    """
    if len(buffer) - position < HEADER.size:
        raise CutFrameError("the header is cut")
    magic, *fields = HEADER.unpack_from(buffer, position)
    header = Header(*fields)
    if magic != MAGIC:
        raise DamagedFrameError("no frame starts here")
    if header.size > MAX_FRAME or header.records * ENTRY.size > header.size:
        raise DamagedFrameError("the frame's length is impossible")
    return header


def check_frame(buffer: bytes, position: int, header: Header) -> None:
    """Check a frame against its CRC.

    Raises
    ------
    CutFrameError
        When the buffer ends before the frame does.
    DamagedFrameError
        When the CRC differs.
    """
    end = position + header.length
    if len(buffer) < end:
        raise CutFrameError("the frame is cut")
    covered = memoryview(buffer)[position + 8 : end]
    if zlib.crc32(covered) != header.crc:
        raise DamagedFrameError("the frame's checksum is wrong")


def decode_frame(
    buffer: bytes,
    position: int,
    header: Header,
    topic: str,
    partition: int,
    *,
    start: int = 0,
    limit: int = MAX_FRAME,
) -> list[StoredRecord]:
    """Decode at most ``limit`` records from offset ``start`` on of a frame that was checked."""
    first = position + HEADER.size
    base = header.base
    at = first + header.records * ENTRY.size
    records: list[StoredRecord] = []
    new = tuple.__new__  # half the cost of the named tuple's own constructor
    for delta, timestamp, key_size, value_size, headers_size in ENTRY.iter_unpack(
        memoryview(buffer)[first:at]
    ):
        offset = base + delta
        key = value = None
        headers: Headers = ()
        key_at = at
        if key_size >= 0:
            at += key_size
        value_at = at
        if value_size >= 0:
            at += value_size
        elif value_size == _DATED:
            at += _DATE.size
        headers_at = at
        at += headers_size
        if offset < start:
            continue
        if len(records) >= limit:
            break
        if key_size >= 0:
            key = buffer[key_at:value_at]
        if value_size >= 0:
            value = buffer[value_at:headers_at]
        if headers_size:
            headers = _decode_headers(buffer[headers_at:at])
        records.append(
            new(StoredRecord, (topic, partition, offset, timestamp, key, value, headers))
        )
    return records


def raw_records(buffer: bytes, position: int, header: Header) -> Iterator[RawRecord]:
    """Yield the records of a frame that was checked, undecoded."""
    first = position + HEADER.size
    at = first + header.records * ENTRY.size
    for delta, timestamp, key_size, value_size, headers_size in ENTRY.iter_unpack(buffer[first:at]):
        value_at = at + max(key_size, 0)
        end = value_at + (_DATE.size if value_size == _DATED else max(value_size, 0)) + headers_size
        key = buffer[at:value_at] if key_size >= 0 else None
        yield RawRecord(
            header.base + delta, timestamp, key, value_size, headers_size, buffer[at:end]
        )
        at = end


def _encode_headers(headers: Headers) -> bytes:
    parts: list[bytes] = []
    for name, value in headers:
        text = name.encode()
        parts += (_HEADER_KEY.pack(len(text), _NONE if value is None else len(value)), text)
        parts.append(value or b"")
    return b"".join(parts)


def _decode_headers(blob: bytes) -> Headers:
    headers: list[tuple[str, bytes | None]] = []
    at = 0
    while at < len(blob):
        name_size, value_size = _HEADER_KEY.unpack_from(blob, at)
        at += _HEADER_KEY.size
        name = blob[at : at + name_size].decode()
        at += name_size
        value = None if value_size < 0 else blob[at : at + value_size]
        at += max(value_size, 0)
        headers.append((name, value))
    return tuple(headers)
