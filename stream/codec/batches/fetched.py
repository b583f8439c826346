"""What a broker hands out of a partition: batches one behind the other, each with its place.

Rules:

- A batch whose head can't be believed covers the offsets up to the next batch's, where that is
  seen, and in no case more than its head says or the partition has: nothing is passed over unsaid.
- A last batch that did not come whole is left to the next fetch; brokers send the first whole.
- Formats 0 and 1, which brokers still hand out of old logs, are read here (KIP-32).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from stream.codec.batches.recordbatch import (
    HEADER,
    LENGTH_END,
    MAGIC,
    MAGIC_AT,
    Damaged,
    Head,
    Item,
    rest_of,
)

_BASE: Final = Struct(">q")
_SIZE: Final = Struct(">i")
_LEAST: Final = 14  # bytes of a message of format 0 behind its length
_OLD: Final = (Struct(">qiIbb"), Struct(">qiIbbq"))

Inflate = Callable[[int, bytes | memoryview], bytes | bytearray]
"""The bytes that a codec, by its number, made these of; raises `Damaged`."""


class Frame(NamedTuple):
    """The bytes of one batch; ``following`` is the base offset of the next, if it was seen."""

    raw: memoryview
    base: int
    magic: int
    whole: bool
    following: int | None

    def covered(self, position: int, end: int, last: int | None) -> int:
        """The last offset that a batch stands for that can't be read.

        Parameters
        ----------
        position
            The offset that is read at.
        end
            Of the partition: the offset after its last record.
        last
            What the batch itself says.
        """
        if self.following is not None and position < self.following <= end:
            return self.following - 1
        return max(position, min(position if last is None else last, end - 1))


def frames(data: bytes | memoryview) -> Iterator[Frame]:
    """Tell a fetched partition's batches apart."""
    view, at = memoryview(data), 0
    while len(view) - at >= MAGIC_AT + 1:
        (base,), (length,) = _BASE.unpack_from(view, at), _SIZE.unpack_from(view, at + 8)
        end = at + LENGTH_END + length
        whole = length >= _LEAST and end <= len(view)
        if not whole and at:
            return
        following = None
        if whole and len(view) - end > MAGIC_AT and view[end + MAGIC_AT] >= MAGIC:
            (following,) = _BASE.unpack_from(view, end)
        stop = end if whole else len(view)
        yield Frame(view[at:stop], base, view[at + MAGIC_AT], whole, following)
        at = stop


def head_of(frame: Frame) -> Head:
    """The head of a batch of format 2.

    Raises
    ------
    Damaged
        If the batch is shorter than a head.
    """
    if len(frame.raw) < HEADER.size:
        raise Damaged("it is shorter than its head")
    return Head(*HEADER.unpack_from(frame.raw))


def nameless(frame: Frame, first: int, last: int, detail: str) -> Item:
    """What covers a whole batch of which nothing can be believed."""
    head = Head(first, 0, 0, 0, 0, 0, last - first, -1, -1, 0, 0, 0, 0)
    return rest_of(head, frame.raw, first, detail)


def old_items(frame: Frame, inflate: Inflate) -> list[Item]:
    """The records of a batch of format 0 or 1, which is a message, or one that wraps others.

    Raises
    ------
    Damaged
        If any of it is not as it should be.
    """
    offset, codec, item = _old_item(frame.raw)
    if not codec:
        return [item]
    if item.value is None:
        raise Damaged("it wraps nothing")
    inner = list(_old_messages(memoryview(inflate(codec, item.value)), frame.magic))
    if not inner or any(wraps for _, wraps, _ in inner):
        raise Damaged("it wraps nothing, or what wraps others")
    shift = offset - inner[-1][0] if frame.magic else 0
    items = [one._replace(offset=at + shift) for at, _, one in inner]
    places = [one.offset for one in items]
    if places != sorted(set(places)) or places[-1] > offset or places[0] < 0:
        raise Damaged("its offsets are out of place")
    return items


def _old_messages(data: memoryview, magic: int) -> Iterator[tuple[int, int, Item]]:
    at = 0
    while at < len(data):
        if len(data) - at < MAGIC_AT + 1:
            raise Damaged("it ends too early")
        (length,) = _SIZE.unpack_from(data, at + 8)
        end = at + LENGTH_END + length
        if length < _LEAST or end > len(data) or data[at + MAGIC_AT] != magic:
            raise Damaged("a message in it is no message")
        yield _old_item(data[at:end])
        at = end


def _old_item(raw: memoryview) -> tuple[int, int, Item]:
    """A message: its offset, its codec, and what it holds."""
    form = _OLD[raw[MAGIC_AT]]
    if len(raw) < form.size:
        raise Damaged("it is shorter than its head")
    offset, _, crc, _, attributes, *times = form.unpack_from(raw)
    if crc32(raw[MAGIC_AT:]) != crc:
        raise Damaged("its checksum does not fit")
    key, at = _old_bytes(raw, form.size)
    value, at = _old_bytes(raw, at)
    if at != len(raw):
        raise Damaged("it is longer than what it holds")
    return offset, attributes & 0x07, Item(offset, times[0] if times else -1, key, value, ())


def _old_bytes(raw: memoryview, at: int) -> tuple[bytes | None, int]:
    if len(raw) - at < 4:
        raise Damaged("it ends too early")
    (size,) = _SIZE.unpack_from(raw, at)
    at += 4
    if size < 0:
        return None, at
    if size > len(raw) - at:
        raise Damaged("it ends too early")
    return bytes(raw[at : at + size]), at + size
