"""Customers' records and partitions' ledgers as they are stored: behind a version and a checksum.

A customer's record is stored as kernels read it (:mod:`stream.decide.rows.layout`), with the
effects that are not yet known to be durable; ledgers and pages are MessagePack. A changed order or
meaning of fields is a new version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar
from zlib import crc32

import msgspec
import numpy as np

from stream.codec.events.native import MAX_TIME
from stream.decide.ledger import DECISION, Ledger
from stream.decide.rows.due import PAGE, Ends, Page
from stream.decide.rows.layout import MARK, SIZE, is_sound
from stream.decide.rows.record import View, effects_of, front, letters_of, record_of
from stream.decide.rows.state import CustomerState, Effect
from stream.decide.rows.timers import LEAF
from stream.domain.event import Source

T = TypeVar("T")
VERSION = 3
MOST: Final = 1 << 62
MOST_PAGES: Final = 1 << 20  # of a queue: 67 million customers who wait, in one partition
LAST_VERSION = 31  # what begins with more than that is no version, but damage
_PREFIX = bytes([VERSION])
_FRAME: Final = 5  # bytes of the version and the checksum
_encode = msgspec.msgpack.Encoder().encode
_decode_ledger = msgspec.msgpack.Decoder(Ledger).decode
_decode_page = msgspec.msgpack.Decoder(Page).decode
LOST = b"\0"
"""In the store, what stands for a customer's record that the changelog has no more."""


class StoredRecordError(Exception):
    """A stored record that this version cannot read: never skipped, never guessed at."""


def encode_record(record: bytes) -> bytes:
    """A customer's record as it is stored.

    >>> from stream.decide.rows.record import NEW
    >>> decode_record(encode_record(NEW)) == NEW
    True
    """
    return _framed(record)


def decode_record(data: bytes) -> bytes:
    """The customer's record that ``encode_record`` stored.

    Raises
    ------
    StateError
        If the version is unknown, the bytes are damaged, or say what cannot be.
    """
    record = _unframed(data)
    if len(record) < SIZE or not is_sound(np.frombuffer(record, MARK)):
        raise StoredRecordError("a record that no worker writes")
    try:
        letters_of(record)
        _ = View(record).told
        for effect in effects_of(record, front(record).size):
            if not _is_effect(effect):
                raise StoredRecordError("an effect that no worker writes")
    except ValueError as error:
        raise StoredRecordError(f"a damaged record: {error}") from error
    return record


def encode_state(state: CustomerState) -> bytes:
    """A customer's record as bytes.

    >>> from stream.decide.rows.state import NEW_CUSTOMER
    >>> decode_state(encode_state(NEW_CUSTOMER)) == NEW_CUSTOMER
    True
    """
    return _framed(record_of(state))


def decode_state(data: bytes) -> CustomerState:
    """The customer's record that was stored, as a value.

    Raises
    ------
    StateError
        If the version is unknown, the bytes are damaged, or say what cannot be.
    """
    return View(decode_record(data)).value


def is_record(data: bytes) -> bool:
    """Whether bytes are a whole record of a version that is known; not whether it makes sense.

    >>> from stream.decide.rows.state import NEW_CUSTOMER
    >>> whole = encode_state(NEW_CUSTOMER)
    >>> is_record(whole), is_record(whole[:-1]), is_record(b"")
    (True, False, False)
    """
    return data[:1] == _PREFIX and _is_whole(data)


def is_foreign(data: bytes) -> bool:
    """Whether bytes are a whole record of another version, which begins as ours do.

    >>> newer = bytes([VERSION + 1]) + crc32(b"?").to_bytes(4, "big") + b"?"
    >>> is_foreign(newer), is_foreign(newer[:-1]), is_foreign(b""), is_foreign(LOST)
    (True, False, False, False)
    """
    known = bool(data) and 0 < data[0] <= LAST_VERSION and data[0] != VERSION
    return known and _is_whole(data)


def encode_ledger(ledger: Ledger) -> bytes:
    """A partition's ledger as bytes."""
    return _framed(_encode(ledger))


def decode_ledger(data: bytes) -> Ledger:
    """The ledger that ``encode_ledger`` wrote.

    Raises
    ------
    StateError
        If the version is unknown, the bytes are damaged, or say what cannot be.
    """
    ledger = _checked(data, _decode_ledger)
    if not _is_sound(ledger):
        raise StoredRecordError("a ledger that no worker writes")
    return ledger


def encode_page(page: Page) -> bytes:
    """A page of a queue, or of timers, as bytes."""
    return _framed(_encode(page))


def decode_page(data: bytes, most: int = PAGE) -> Page:
    """The page that ``encode_page`` wrote, of at most so many entries.

    Raises
    ------
    StateError
        If the version is unknown, the bytes are damaged, or say what cannot be.
    """
    page = _checked(data, _decode_page)
    if len(page) > most or not all(-1 <= entry.time < MOST for entry in page):
        raise StoredRecordError("a page that no worker writes")
    return page


def decode_timers(data: bytes) -> Page:
    """The page of timers that ``encode_page`` wrote; StateError as `decode_page`."""
    return decode_page(data, LEAF)


def _framed(content: bytes) -> bytes:
    return b"".join((_PREFIX, crc32(content).to_bytes(4, "big"), content))


def _unframed(data: bytes) -> bytes:
    if data[:1] != _PREFIX:
        raise StoredRecordError(f"a record of version {data[:1]!r}; this release reads {VERSION}")
    if not _is_whole(data):
        raise StoredRecordError("a damaged record: its checksum is another")
    return data[_FRAME:]


def _is_whole(data: bytes) -> bool:
    content = data[_FRAME:]
    return bool(content) and crc32(content) == int.from_bytes(data[1:_FRAME], "big")


def _checked(data: bytes, decode: Callable[[bytes], T]) -> T:
    try:
        return decode(_unframed(data))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoredRecordError(f"a damaged record: {error}") from error


def _is_effect(effect: Effect) -> bool:
    """Whether an effect is of a kind, a source and an offset that can be."""
    known = 0 <= effect.kind <= DECISION and 0 <= effect.source < len(Source)
    return known and -1 <= effect.offset < MOST


def _is_sound(ledger: Ledger) -> bool:
    """Whether a ledger has all its sources, and numbers that can be."""
    stamps = ledger.stamps
    if len(stamps) != len(Source) or len(ledger.identities) != len(Source):
        return False
    return (
        all(-1 <= stamp < MOST for stamp in stamps)
        and all(_is_mark(mark, stamps) for mark in (*ledger.late, *ledger.failed))
        and all(_is_mark(owed[:2], stamps) for owed in ledger.owed)
        and all(-1 <= known.safe < MOST for known in ledger.identities)
        and all(0 <= count < MOST for count in ledger.counts.values())
        and all(map(_is_queue, (ledger.due, ledger.traces)))
        and 0 <= ledger.stream_time <= MAX_TIME
        and 0 <= ledger.erased < MOST
        and 0 <= ledger.timer < MOST
    )


def _is_mark(mark: tuple[int, int], stamps: Sequence[int]) -> bool:
    source, offset = mark
    return 0 <= source < len(stamps) and 0 <= offset <= stamps[source]


def _is_queue(ends: Ends) -> bool:
    spans = 0 <= ends.first <= ends.last < MOST and ends.last - ends.first < MOST_PAGES
    return spans and 0 <= ends.taken <= PAGE
