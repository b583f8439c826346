"""One partition of the event topics: entries in, one decided batch out.

Rules: states are read through an overlay of what is decided but not yet durable, then a bounded
cache of records, then the store. Nothing here awaits, so a batch is decided whole.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from mode import get_logger

from stream.broker.records import Record
from stream.codec.claims import encode_claim
from stream.codec.customers import (
    LOST,
    VERSION,
    StoredRecordError,
    decode_ledger,
    decode_page,
    decode_record,
    decode_timers,
    encode_ledger,
    encode_page,
    encode_record,
    is_foreign,
)
from stream.codec.decisions import encode_said
from stream.codec.evidence import encode_evidence
from stream.codec.examples import EncodedLessons, Lesson, encode_lesson
from stream.config import ConfigError
from stream.decide.batch import decide_batch
from stream.decide.consent import closed
from stream.decide.ledger import (
    DECISION,
    EXAMPLES,
    OFFER,
    RECALL,
    UNSTAMPED,
    Decided,
    Entry,
    Ledger,
)
from stream.decide.rows.due import PAGE, Due, Page
from stream.decide.rows.record import Desk, front
from stream.decide.rows.timers import PAGES
from stream.decide.witness import Evidence
from stream.decide.world import World
from stream.domain.event import Rejection
from stream.worker.checks.identity import ENDLESS, ComparedState, identified
from stream.worker.deadletters import BUG, bug_met
from stream.worker.faust.records import Batch
from stream.worker.faust.store import Write
from stream.worker.faust.table import BatchTable

logger = get_logger(__name__)
K = TypeVar("K")
V = TypeVar("V")
Rests: TypeAlias = tuple[str, Evidence]
"""The id of an offer, and what it rests on."""
STALE = Due(-1, "")  # an entry of a page that was lost: nobody waits since then
LESSON_BYTES = 512 << 10
EVIDENCE_BYTES = 512 << 10  # far beyond any, and below a broker's limit
RECORD_OVERHEAD = 40  # bytes of a record in a record batch beside key and content, at most


class Flush(NamedTuple):
    """What decided records have to send, in the order in which it becomes durable.

    ``batch`` is what was decided; ``pages`` and ``ledger`` are the writes beside those of
    customers, and ``size`` is about how many bytes all of them are. ``stamps`` holds, per source,
    the last offset of what arrived, -1 where there was none.
    """

    number: int
    batch: Batch
    decided: Decided
    pages: dict[bytes, bytes | None]
    ledger: Write
    size: int
    offers: list[tuple[bytes, bytes]]  # and recalls
    taught: list[EncodedLessons]
    late: list[Record]
    rejected: list[tuple[Record, Rejection]]
    failed: list[tuple[Record, Rejection]]
    stamps: tuple[int, ...]
    evidence: list[tuple[bytes, bytes]]
    decisions: list[tuple[bytes, bytes]]
    claims: Sequence[bytes] = ()

    @property
    def lessons(self) -> list[bytes]:
        """What it teaches, in records that stay well below a broker's limit."""
        return _lessons(self.batch.partition, self.taught)

    @property
    def writes(self) -> list[Write]:
        """What is written to the changelog and to the store: the ledger comes last."""
        writes: list[Write] = [
            (customer_id.encode(), None if record is None else encode_record(record))
            for customer_id, record in self.decided.changed.items()
        ]
        return [*writes, *self.pages.items(), self.ledger]

    def joined(self, later: Flush) -> Flush:
        """This flush and the one that was decided next as one: durable together."""
        return Flush(
            later.number,
            Batch(later.batch.lane, [*self.batch.arrived, *later.batch.arrived]),
            _joined(self.decided, later.decided),
            {**self.pages, **later.pages},
            later.ledger,
            self.size + later.size,
            self.offers + later.offers,
            self.taught + later.taught,
            self.late + later.late,
            self.rejected + later.rejected,
            self.failed + later.failed,
            tuple(map(max, self.stamps, later.stamps)),
            self.evidence + later.evidence,
            self.decisions + later.decisions,
            [*self.claims, *later.claims],
        )


def ledger_key(partition: int) -> bytes:
    """The key of a partition's ledger in the customers table; no customer's id has a NUL."""
    return b"\0ledger-%d" % partition


def page_key(partition: int, number: int) -> bytes:
    """The key of a page of a queue, or of timers, in the customers table."""
    return (b"\0timers-%d-%d" if number >= PAGES else b"\0due-%d-%d") % (partition, number)


class Overlay(dict[K, tuple[int, V]]):
    """What is decided but not yet durable, by key, with the number of the flush that holds it."""

    def lay(self, number: int, changes: Mapping[K, V]) -> None:
        """Put a flush's changes over those before it."""
        for key, value in changes.items():
            self[key] = (number, value)

    def lift(self, number: int, changes: Mapping[K, V]) -> None:
        """Take away what is durable up to a flush, where no later one's lies over it."""
        for key in changes:
            if self[key][0] <= number:
                del self[key]


class Partition:
    """The state of one partition between its batches."""

    def __init__(
        self,
        number: int,
        table: BatchTable,
        cached: int,
        known: ComparedState | None = None,
        desk: Desk | None = None,
    ) -> None:
        self.number = number
        self._known = known or ComparedState.nothing()
        self._table = table
        self._desk = desk or Desk()
        self._cached = cached
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._overlay = Overlay[str, bytes | None]()
        self._pages = Overlay[int, Page]()
        self._lost: dict[str, int] = {}  # whose record is lost, and since when that is known
        self._flushes = 0
        self._durable = self._known.durable.get(number, UNSTAMPED)
        self._ends = self._known.ends.get(number, ENDLESS)
        self.ledger = read_ledger(table, number) or Ledger()

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
                encode_said,
                self._desk,
            )
            seen = [] if world.witness is None else world.witness.drain()
            decided.ledger = identified(decided.ledger, batch, self._known.topic_ids, self._durable)
            flush = self._flush(batch, entries, decided, seen)
            if flush.size <= limit or (alone and len(batch) == 1):
                return self._adopted(flush)
            if not alone:
                return None
            batch = batch.first(len(batch) // 2)

    def _flush(
        self,
        batch: Batch,
        entries: Sequence[Entry],
        decided: Decided,
        seen: Sequence[tuple[str, Evidence]],
    ) -> Flush:
        pages = {
            page_key(self.number, at): encode_page(page) if page else None
            for at, page in decided.pages.items()
        }
        ledger = (ledger_key(self.number), encode_ledger(decided.ledger))
        return Flush(
            number=self._flushes + 1,
            batch=batch,
            decided=decided,
            pages=pages,
            ledger=ledger,
            size=_size(decided.changed, [*pages.items(), ledger]),
            offers=_sent(decided, OFFER, RECALL),
            taught=_taught(decided),
            late=[batch.arrived[index].record for index in decided.late],
            rejected=[(batch.arrived[i].record, _rejection(entries[i])) for i in decided.rejected],
            failed=[_failure(batch.arrived[i].record, error) for i, error in decided.failed],
            stamps=_stamps(entries),
            evidence=list(_evidence(seen)),
            decisions=_sent(decided, DECISION),
            claims=[encode_claim(claim) for claim in decided.claims],
        )

    def _adopted(self, flush: Flush) -> Flush:
        decided = flush.decided
        self.ledger = decided.ledger
        self._flushes = flush.number
        self._overlay.lay(flush.number, decided.changed)
        self._pages.lay(flush.number, decided.pages)
        return flush

    def stored(self, flush: Flush) -> None:
        """Move what is durable from the overlay to the cache."""
        changed, pages = flush.decided.changed, flush.decided.pages
        self._overlay.lift(flush.number, changed)
        self._pages.lift(flush.number, pages)
        for customer_id, record in changed.items():
            self._remember(customer_id, record)

    def safe(self, flush: Flush) -> None:
        """Note that the effects of a batch are durable and need not be kept."""
        pairs = zip(self._durable, flush.stamps, strict=True)
        self._durable = tuple(max(known, new) for known, new in pairs)

    @property
    def owes(self) -> bool:
        """Whether the ledger names erased customers whom nothing is owed any more."""
        durable, owed = self._durable, self.ledger.owed
        return any(one.payload and one.offset <= durable[one.source] for one in owed)

    def _lookup(self, customer_id: str) -> bytes | None:
        known = self._overlay.get(customer_id)
        if known is not None:
            return known[1]
        record = self._cache.get(customer_id)
        if record is not None:
            self._cache.move_to_end(customer_id)
            return record
        return self._read(customer_id.encode(), self._plausible, lambda: self._closed(customer_id))

    def _plausible(self, stored: bytes) -> bytes:
        """The record in these bytes, of which nothing is from beyond the topics.

        A write that was torn leaves stamps beyond the ledger's, but not beyond where topics ended.
        """
        record = decode_record(stored)
        stamps = front(record)[:4]
        for stamp, accounted, end in zip(stamps, self.ledger.stamps, self._ends, strict=True):
            if stamp > accounted and stamp >= end:
                raise StoredRecordError(
                    f"a record with the stamp {stamp}, and its topic ends at {end}"
                )
        return record

    def _closed(self, customer_id: str) -> bytes:
        """Whose record is lost: a yes counts from the stream time on at which that was noticed."""
        time = self._lost.get(customer_id) or self.ledger.stream_time
        self._lost[customer_id] = time
        return closed(time)

    def _page(self, at: int) -> Page | None:
        known = self._pages.get(at)
        if known is not None:
            return known[1]
        if at >= PAGES:  # of timers: whoever was on a lost one is waited for no more
            empty: Page = ()
            return self._read(page_key(self.number, at), decode_timers, lambda: empty)
        last = self.ledger.due.last if at >= 0 else ~self.ledger.traces.last
        is_last = at == last  # and will be written to: it must have room
        lost = (STALE,) * (PAGE - is_last)
        return self._read(page_key(self.number, at), decode_page, lambda: lost)

    def _read(self, key: bytes, decode: Callable[[bytes], V], instead: Callable[[], V]) -> V | None:
        return _stored(self._table, self.number, key, decode, instead)

    def _remember(self, customer_id: str, record: bytes | None) -> None:
        if record is None:
            self._cache.pop(customer_id, None)
            return
        self._cache[customer_id] = record
        self._cache.move_to_end(customer_id)
        if len(self._cache) > self._cached:
            self._cache.popitem(last=False)


def read_ledger(table: BatchTable, number: int) -> Ledger | None:
    """The ledger that the table holds of a partition; None if there is none, or it was lost.

    Raises
    ------
    ConfigError
        If another release wrote it: to this one all that it wrote would look damaged.
    StoreFault
        If the store is damaged.
    """

    def decode(stored: bytes) -> Ledger | None:
        if is_foreign(stored):
            raise ConfigError(
                f"the customers' records of partition {number} are of version {stored[0]}, and "
                f"this release reads {VERSION}: run the release that wrote them"
            )
        return decode_ledger(stored)

    return _stored(table, number, ledger_key(number), decode, lambda: None)


def _stored(
    table: BatchTable,
    number: int,
    key: bytes,
    decode: Callable[[bytes], V],
    instead: Callable[[], V],
) -> V | None:
    """What the store holds of a key; ``instead`` where even the changelog's is unreadable."""
    stored = table.read(number, key)
    if stored is None:
        return None
    if stored == LOST:
        table.rebuilds.lost(number, "none is left of it")
        return instead()
    try:
        return decode(stored)
    except StoredRecordError as error:
        fault = table.doubt(number, str(error))
        if fault is not None:
            raise fault from error
        return instead()


def _entries(batch: Batch) -> list[Entry]:
    return [one.content for one in batch.arrived]


def _size(changed: Mapping[str, bytes | None], others: Sequence[Write]) -> int:
    """About how many bytes writes are: the records that changed, and others."""
    sizes = [
        len(customer_id.encode()) + len(record or b"") for customer_id, record in changed.items()
    ]
    sizes += [len(key) + len(value or b"") for key, value in others]
    return sum(sizes) + RECORD_OVERHEAD * len(sizes)


def _joined(before: Decided, later: Decided) -> Decided:
    """What two batches come to that were decided one after the other.

    Of what is set aside the indices are left out: they are of either batch.
    """
    return Decided(
        later.ledger,
        before.changed | later.changed,
        {**before.pages, **later.pages},
        before.effects + later.effects,
        offers=before.offers + later.offers,
        tally=before.tally + later.tally,
        members=before.members + later.members,
        examples=before.examples + later.examples,
    )


def _sent(decided: Decided, *kinds: int) -> list[tuple[bytes, bytes]]:
    """The effects of some kinds, each behind its customer's id."""
    return [
        (customer_id.encode(), effect.payload)
        for customer_id, effect in decided.effects
        if effect.kind in kinds
    ]


def _evidence(seen: Sequence[Rests]) -> Iterator[tuple[bytes, bytes]]:
    """What offers were made from; an offer whose evidence is a bug of ours is made all the same."""
    for one in seen:
        try:
            key, value = encode_evidence(*one)
        except (TypeError, ValueError, OverflowError):
            logger.exception("the evidence of an offer is left out")
            continue
        if len(value) <= EVIDENCE_BYTES:
            yield key, value


def _taught(decided: Decided) -> list[EncodedLessons]:
    return [
        EncodedLessons(effect.source, effect.offset, effect.payload)
        for _, effect in decided.effects
        if effect.kind == EXAMPLES
    ]


def _lessons(partition: int, taught: Iterable[EncodedLessons]) -> list[bytes]:
    """What was taught, in records that stay well below a broker's limit."""
    lessons: list[list[EncodedLessons]] = [[]]
    size = 0
    for one in taught:
        if size + len(one.examples) > LESSON_BYTES and lessons[-1]:
            lessons.append([])
            size = 0
        lessons[-1].append(one)
        size += len(one.examples)
    return [encode_lesson(Lesson(partition, tuple(some))) for some in lessons if some]


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
