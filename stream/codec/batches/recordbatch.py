"""Record batches, read with care: whatever a broker hands out becomes records or set-aside ones.

What the bytes are is told in Kafka's `RecordBatch` and in KIP-98. Rules:

- No bytes make the reader raise, and it takes no more of them together than one record may have.
- A record that is not as it should be costs itself alone, where its length tells where it ends;
  where nothing does, the rest of its batch becomes one set-aside record at the batch's last offset.
- What is set aside keeps its bytes: the record's, or the batch's as they were fetched.
- Offsets only grow, and stay within the batch: what claims another place is set aside in its own.
- A record over `WHOLE` is not held: of its value the first bytes, the length and the SHA-256 are.
- A header's name that is not UTF-8 keeps its bytes as surrogates (PEP 383).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from struct import Struct
from typing import Final, NamedTuple

from stream.codec.deadletters import KEPT_OF_OVERSIZE, Cut
from stream.codec.events.opening import MAX_VALUE, bounded
from stream.domain.event import Rejection, RejectionCode

HEADER: Final = Struct(">qiibIhiqqqhii")
"""The head of a batch of format 2; ``Length`` counts what comes after itself."""
MAGIC: Final = 2
LENGTH_END: Final = 12
MAGIC_AT: Final = 16
CRC_END: Final = 21
WHOLE: Final = 16 << 20
"""Bytes of the largest record that is held: no topic of ours takes half as much."""

CODEC: Final = 0x07
"""The bits of a batch's attributes that say how its records are compressed."""

_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x08, 0x10, 0x20
_MARKER: Final = Struct(">hh")  # a marker's key: version, and 0 where a transaction was aborted
_HEAD_OF_OVERSIZE: Final = 64 << 10

Headers = tuple[tuple[str, bytes | None], ...]


class Damaged(Exception):
    """Bytes that are not what they should be; the message says what, and holds none of them."""


class Head(NamedTuple):
    """A batch's head; offsets and times in ms as Kafka has them."""

    base: int
    length: int
    epoch: int
    magic: int
    crc: int
    attributes: int
    last_delta: int
    first_time: int
    max_time: int
    producer: int
    producer_epoch: int
    sequence: int
    records: int

    @property
    def codec(self) -> int:
        """0 for none, or how the records are compressed."""
        return self.attributes & CODEC

    @property
    def is_control(self) -> bool:
        """Whether it holds a transaction's marker, and no records of anyone's."""
        return bool(self.attributes & _CONTROL)

    @property
    def is_transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def last(self) -> int:
        """The last offset that the batch covers."""
        return self.base + self.last_delta

    @property
    def time_type(self) -> int:
        """1 if the broker's time of arrival stands for the producers' own."""
        return int(bool(self.attributes & _APPEND_TIME))

    def time(self, delta: int) -> int:
        """The time of a record, in 64 bits, whatever its sum would be."""
        time = self.max_time if self.time_type else self.first_time + delta
        return (time + 2**63) % 2**64 - 2**63


class SetAside(NamedTuple):
    """Why a record is not handed on as one.

    It covers the offsets from ``first`` to its own; ``cut`` tells of a value of which only the
    first bytes are there. ``keys`` are those that could still be told of a damaged batch's records:
    they may be damaged, too, and need not be all.
    """

    rejection: Rejection
    first: int
    cut: Cut | None = None
    keys: tuple[bytes, ...] = ()


class Item(NamedTuple):
    """A record as its bytes have it; ``aside`` says why it is not to be used, if it is not."""

    offset: int
    time: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    aside: SetAside | None = None


class ByteSource:
    """Bytes that come in chunks, taken from the front.

    Raises
    ------
    Damaged
        By each method, if there are fewer bytes than are asked for.
    """

    def __init__(self, chunks: Iterable[bytes | memoryview]) -> None:
        self._chunks = iter(chunks)
        self._buffer: bytes | memoryview = b""
        self._at = 0

    def ends(self) -> bool:
        """Whether nothing is left, and what there was ended as it should."""
        try:
            return not self._fill(1)
        except Damaged:
            return False

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if size < 0:
            raise Damaged("a length is below 0")
        if not self._fill(size):
            raise Damaged("it ends too early")
        taken = bytes(self._buffer[self._at : self._at + size])
        self._at += size
        return taken

    def varint(self, most: int = 5) -> int:
        """The next integer in zigzag and groups of seven bits, of at most so many bytes."""
        self._fill(most)
        value = 0
        for index, byte in enumerate(self._buffer[self._at : self._at + most]):
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                self._at += index + 1
                return value >> 1 ^ -(value & 1)
        raise Damaged("an integer has no end")

    def sized(self) -> bytes | None:
        """Bytes behind their length; None for -1."""
        size = self.varint()
        return None if size < 0 else self.take(size)

    def measure(self, size: int) -> Cut:
        """Pass over bytes; their length and SHA-256."""
        digest, left = sha256(), size
        while left:
            if not self._fill(1):
                raise Damaged("it ends too early")
            piece = self._buffer[self._at : self._at + left]
            digest.update(piece)
            self._at += len(piece)
            left -= len(piece)
        return Cut(size, digest.hexdigest())

    def peek(self, size: int) -> bytes:
        """The next bytes, or as many as there are; they are not taken."""
        self._fill(size)
        return bytes(self._buffer[self._at : self._at + size])

    def _fill(self, size: int) -> bool:
        """Whether so many bytes are at hand, after what can be done for it."""
        have = len(self._buffer) - self._at
        if have >= size:
            return True
        pieces: list[bytes | memoryview] = [self._buffer[self._at :]] if have else []
        while have < size and (piece := next(self._chunks, None)) is not None:
            pieces.append(piece)
            have += len(piece)
        self._buffer, self._at = pieces[0] if len(pieces) == 1 else b"".join(pieces), 0
        return have >= size


def read_items(
    head: Head, source: ByteSource, batch: bytes | memoryview, after: int | None = None
) -> Iterator[Item]:
    """Read a batch's records, those that are set aside among them.

    Parameters
    ----------
    head
        The batch's.
    source
        Its records, inflated.
    batch
        Its bytes as they were fetched: what is kept where the records can't be told apart.
    after
        An offset up to which all is known already, and not read again into records.
    """
    known = head.base - 1
    for _ in range(head.records):
        if known >= head.last:
            return
        try:
            item = _read(head, source, known)
        except Damaged as error:
            yield rest_of(head, batch, known + 1, f"the batch can't be read on: {error}")
            return
        known = item.offset
        if after is None or known > after:
            yield item
    if known < head.last and not source.ends():
        yield rest_of(head, batch, known + 1, "the batch holds more than it counts")


def aborts(head: Head, batch: bytes | memoryview) -> bool:
    """Whether a batch is the marker of a transaction that was aborted."""
    if not head.is_control:
        return False
    for item in read_items(head, ByteSource([memoryview(batch)[HEADER.size :]]), batch):
        key = item.key or b""
        return len(key) >= _MARKER.size and _MARKER.unpack_from(key)[1] == 0
    return False


def rest_of(
    head: Head, batch: bytes | memoryview, first: int, detail: str, last: int | None = None
) -> Item:
    """What covers a batch, or the rest of it, from ``first`` on: its bytes as they were fetched."""
    value, cut = _kept(bytes(batch))
    why = Rejection(RejectionCode.UNREADABLE, detail)
    aside = SetAside(why, first, cut, tuple(_keys_in(batch, first)))
    return Item(head.last if last is None else last, head.max_time, None, value, (), aside)


def _keys_in(batch: bytes | memoryview, first: int) -> Iterator[bytes]:
    """The keys of what can still be read of a batch, from an offset on, believed or not."""
    if len(batch) < HEADER.size:
        return
    head = Head(*HEADER.unpack_from(batch))
    source, known = ByteSource([memoryview(batch)[HEADER.size :]]), head.base - 1
    if head.magic != MAGIC or head.codec:
        return
    for _ in range(head.records):
        try:
            item = _read(head, source, known)
        except Damaged:
            return
        known = item.offset
        if item.key is not None and (known >= first or head.last < first):
            yield item.key


def _read(head: Head, source: ByteSource, known: int) -> Item:
    """The next record; it raises only where nothing tells where that ends."""
    length = source.varint()
    if length < 0:
        raise Damaged("a record's length is below 0")
    if length > WHOLE:
        return _read_oversize(head, source, length, known)
    body = source.take(length)
    try:
        return _parsed(head, ByteSource([body]), known)
    except Damaged as error:
        value, cut = _kept(body)
        why = Rejection(RejectionCode.UNREADABLE, f"the record can't be read: {error}")
        return Item(known + 1, head.max_time, None, value, (), SetAside(why, known + 1, cut))


def _parsed(head: Head, body: ByteSource, known: int) -> Item:
    body.take(1)  # attributes: none are in use
    time, offset = head.time(body.varint(10)), head.base + body.varint()
    key, value = body.sized(), body.sized()
    headers = _headers(body)
    if not body.ends():
        raise Damaged("it is longer than what it holds")
    _check_place(head, offset, known)
    aside = None
    if not all(map(_is_utf8, (name for name, _ in headers))):
        why = Rejection(RejectionCode.UNREADABLE, "a header's name is not UTF-8")
        aside = SetAside(bounded(why, key, value, headers), offset)
    return Item(offset, time, key, value, headers, aside)


def _headers(body: ByteSource) -> Headers:
    count = body.varint()
    if count < 0:
        raise Damaged("a number of headers is below 0")
    headers = []
    for _ in range(count):
        name = body.take(body.varint()).decode("utf-8", "surrogateescape")
        headers.append((name, body.sized()))
    return tuple(headers)


def _check_place(head: Head, offset: int, known: int) -> None:
    if not known < offset <= head.last:
        raise Damaged("its offset is out of place")


def _read_oversize(head: Head, source: ByteSource, length: int, known: int) -> Item:
    """A record that is too large to be held: what is kept of it, and how long its value is."""
    opening = source.peek(_HEAD_OF_OVERSIZE)
    start = ByteSource([opening])
    try:
        start.take(1)
        time, offset = head.time(start.varint(10)), head.base + start.varint()
        key, size = start.sized(), start.varint()
        _check_place(head, offset, known)
        before = len(opening) - len(start.peek(len(opening)))
        if not _HEAD_OF_OVERSIZE < size <= length - before:
            raise Damaged("no value makes it as long")
    except Damaged:  # a key or headers of many megabytes, or no record at all
        offset, time, key, before, size = known + 1, head.max_time, None, 0, length
    source.take(before)
    value = source.peek(KEPT_OF_OVERSIZE)
    cut = source.measure(size)
    left = length - before - size
    headers = _headers_of_oversize(source.take(left)) if left <= WHOLE else ()
    if left > WHOLE:
        source.measure(left)
    why = Rejection(RejectionCode.OVERSIZE, f"the record is over {WHOLE} bytes")
    return Item(offset, time, key, value, headers, SetAside(why, offset, cut))


def _headers_of_oversize(raw: bytes) -> Headers:
    try:
        return _headers(ByteSource([raw])) if raw else ()
    except Damaged:
        return ()


def _kept(raw: bytes) -> tuple[bytes, Cut | None]:
    """As much of bytes as a dead letter has room for, and what tells the whole."""
    if len(raw) <= MAX_VALUE:
        return raw, None
    return raw[:KEPT_OF_OVERSIZE], Cut(len(raw), sha256(raw).hexdigest())


def _is_utf8(name: str) -> bool:
    try:
        return name.isascii() or bool(name.encode())
    except UnicodeEncodeError:
        return False
