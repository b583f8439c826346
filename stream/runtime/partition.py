"""One partition of the event topics: entries in, one decided batch out.

Rules: states are read through an overlay of what is decided but not yet durable, then a bounded
cache of decoded records, then the store. Nothing here awaits, so a batch is decided whole.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from stream.codec.examples import Lesson, Taught, encode_examples, encode_lesson
from stream.codec.offers import encode_offer
from stream.codec.state import (
    decode_ledger,
    decode_page,
    decode_state,
    encode_ledger,
    encode_page,
    encode_state,
)
from stream.core.due import Page
from stream.core.event import Rejection
from stream.core.ledger import EXAMPLES, OFFER, UNSTAMPED, Decided, Entry, Ledger, decide_batch
from stream.core.state import CustomerState
from stream.core.world import World
from stream.runtime.batching.records import Batch, Record
from stream.runtime.batching.table import BatchTable, Write
from stream.runtime.deadletters import BUG, bug_met

K = TypeVar("K")
V = TypeVar("V")
LESSON_BYTES = 512 << 10
RECORD_OVERHEAD = 32  # bytes of a record in a record batch beside key and value, at most


class Flush(NamedTuple):
    """What a decided batch has to send, in the order in which it becomes durable.

    ``batch`` is what was decided; ``stamps`` holds, per source, the last offset of it, -1 where it
    had none.
    """

    number: int
    batch: Batch
    writes: list[Write]
    decided: Decided
    offers: list[tuple[bytes, bytes]]
    lessons: list[bytes]
    late: list[Record]
    rejected: list[tuple[Record, Rejection]]
    failed: list[tuple[Record, Rejection]]
    stamps: tuple[int, ...]


class EffectWriter:
    """The codec of effects, as the core wants it."""

    offer = staticmethod(encode_offer)
    examples = staticmethod(encode_examples)


def ledger_key(partition: int) -> bytes:
    """The key of a partition's ledger in the customers table; no customer's id has a NUL."""
    return b"\0ledger-%d" % partition


def page_key(partition: int, number: int) -> bytes:
    """The key of a page of the queue of due labels in the customers table."""
    return b"\0due-%d-%d" % (partition, number)


class Overlay(dict[K, tuple[int, V]]):
    """What is decided but not yet durable, by key, with the number of the flush that holds it."""

    def lay(self, number: int, changes: Mapping[K, V]) -> None:
        """Put a flush's changes over those before it."""
        for key, value in changes.items():
            self[key] = (number, value)

    def lift(self, number: int, changes: Mapping[K, V]) -> None:
        """Take a durable flush's changes away, where none of a later one lies over them."""
        for key in changes:
            if self[key][0] == number:
                del self[key]


class Partition:
    """The state of one partition between its batches."""

    def __init__(
        self,
        number: int,
        table: BatchTable,
        cached: int,
    ) -> None:
        self.number = number
        self._table = table
        self._cached = cached
        self._cache: OrderedDict[str, CustomerState] = OrderedDict()
        self._overlay = Overlay[str, CustomerState | None]()
        self._pages = Overlay[int, Page]()
        self._flushes = 0
        self._durable = UNSTAMPED
        stored = table.read(number, ledger_key(number))
        self.ledger = Ledger() if stored is None else decode_ledger(stored)

    def decide(self, batch: Batch, world: World, limit: int, alone: bool) -> Flush | None:
        """Decide as many of a batch's first records as make a write of about ``limit`` bytes.

        A write that is larger would be torn, or refused by the broker: a customer's record holds
        the effects that are on their way, and those of one customer may be many. ``alone`` says
        that nothing is on its way; while something is, and too much with it, the answer is None.
        """
        while True:
            entries = _entries(batch)
            decided = decide_batch(
                entries,
                self.number,
                self.ledger,
                self._durable,
                self._lookup,
                self._page,
                world,
                EffectWriter,
            )
            writes = self._writes(decided)
            if _size(writes) <= limit or (alone and len(batch) == 1):
                return self._adopted(batch, entries, decided, writes)
            if not alone:
                return None
            batch = batch.first(len(batch) // 2)

    def _adopted(
        self, batch: Batch, entries: list[Entry], decided: Decided, writes: list[Write]
    ) -> Flush:
        self.ledger = decided.ledger
        self._flushes += 1
        number = self._flushes
        self._overlay.lay(number, decided.changed)
        self._pages.lay(number, decided.pages)
        return Flush(
            number=number,
            batch=batch,
            writes=writes,
            decided=decided,
            offers=_offers(decided),
            lessons=_lessons(self.number, decided),
            late=[batch.arrived[index].record for index in decided.late],
            rejected=[(batch.arrived[i].record, _rejection(entries[i])) for i in decided.rejected],
            failed=[_failure(batch.arrived[i].record, error) for i, error in decided.failed],
            stamps=_stamps(entries),
        )

    def stored(self, flush: Flush) -> None:
        """Move what is durable from the overlay to the cache."""
        changed, pages = flush.decided.changed, flush.decided.pages
        self._overlay.lift(flush.number, changed)
        self._pages.lift(flush.number, pages)
        for customer_id, state in changed.items():
            self._remember(customer_id, state)

    def safe(self, flush: Flush) -> None:
        """Note that the effects of a batch are durable and need not be kept."""
        pairs = zip(self._durable, flush.stamps, strict=True)
        self._durable = tuple(max(known, new) for known, new in pairs)

    def _lookup(self, customer_id: str) -> CustomerState | None:
        known = self._overlay.get(customer_id)
        if known is not None:
            return known[1]
        state = self._cache.get(customer_id)
        if state is not None:
            self._cache.move_to_end(customer_id)
            return state
        stored = self._table.read(self.number, customer_id.encode())
        return None if stored is None else decode_state(stored)

    def _page(self, at: int) -> Page | None:
        known = self._pages.get(at)
        if known is not None:
            return known[1]
        stored = self._table.read(self.number, page_key(self.number, at))
        return None if stored is None else decode_page(stored)

    def _remember(self, customer_id: str, state: CustomerState | None) -> None:
        if state is None:
            self._cache.pop(customer_id, None)
            return
        self._cache[customer_id] = state
        self._cache.move_to_end(customer_id)
        if len(self._cache) > self._cached:
            self._cache.popitem(last=False)

    def _writes(self, decided: Decided) -> list[Write]:
        writes: list[Write] = [
            (customer_id.encode(), None if state is None else encode_state(state))
            for customer_id, state in decided.changed.items()
        ]
        writes += [
            (page_key(self.number, at), encode_page(page) if page else None)
            for at, page in decided.pages.items()
        ]
        writes.append((ledger_key(self.number), encode_ledger(decided.ledger)))
        return writes


def _entries(batch: Batch) -> list[Entry]:
    return [one.content for one in batch.arrived]


def _size(writes: Sequence[Write]) -> int:
    return sum(len(key) + len(value or b"") + RECORD_OVERHEAD for key, value in writes)


def _offers(decided: Decided) -> list[tuple[bytes, bytes]]:
    return [
        (customer_id.encode(), effect.payload)
        for customer_id, effect in decided.effects
        if effect.kind == OFFER
    ]


def _lessons(partition: int, decided: Decided) -> list[bytes]:
    """What a batch taught, in records that stay well below a broker's limit."""
    lessons: list[list[Taught]] = [[]]
    size = 0
    for _, effect in decided.effects:
        if effect.kind == EXAMPLES:
            if size + len(effect.payload) > LESSON_BYTES and lessons[-1]:
                lessons.append([])
                size = 0
            lessons[-1].append(Taught(effect.source, effect.offset, effect.payload))
            size += len(effect.payload)
    return [encode_lesson(Lesson(partition, tuple(taught))) for taught in lessons if taught]


def _rejection(entry: Entry) -> Rejection:
    assert isinstance(entry.content, Rejection)
    return entry.content


def _failure(record: Record, error: Exception | None) -> tuple[Record, Rejection]:
    return record, BUG if error is None else bug_met(record, "decide", error)


def _stamps(entries: Sequence[Entry]) -> tuple[int, ...]:
    stamps = list(UNSTAMPED)
    for entry in entries:
        if entry.offset > stamps[entry.source]:
            stamps[entry.source] = entry.offset
    return tuple(stamps)
