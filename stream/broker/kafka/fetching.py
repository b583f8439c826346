"""A consumer's fetches, read with care: no bytes that a broker keeps stop a partition.

aiokafka's own reader is quick, and trusts: a header's name that is not UTF-8, a codec that it does
not know, or a damaged batch raise out of every fetch, at every start; and it inflates whatever it
is told to, in the event loop. Here a fetch is opened first: checked, and inflated within bounds,
in a thread if anything is to be. aiokafka's reader then reads what it can; from where it can't,
:mod:`stream.codec.batches.recordbatch` does. Rules:

- A batch that inflates to more than `IN_MEMORY` is streamed, and what is too large of it is cut.
- Of one fetch no more than about `AT_ONCE` is opened; the rest is left, and fetched again.
- A batch of more than `PASSED` is given up on there: what comes behind is set aside together.
- What a producer sent in a transaction counts when that is committed, and not where it was aborted
  (KIP-98): a broker hands out nothing beyond the first transaction that is open.
- A batch that reaches beyond its partition's end is looked at `LOOKS` times before it is damaged: a
  broker tells the end first and reads then, so what is appended between lies beyond what it told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from time import monotonic
from types import FunctionType, MethodType
from typing import Any, Final, NamedTuple

from aiokafka.consumer import fetcher as stock
from aiokafka.errors import CorruptRecordException, KafkaStorageError, UnknownError, for_code
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c
from mode import get_logger

from stream.broker.kafka.inflating import inflated, streamed
from stream.broker.records import Fetched, Unreadable
from stream.codec.batches.fetched import Frame, frames, head_of, nameless, old_items
from stream.codec.batches.recordbatch import (
    CODEC,
    CRC_END,
    HEADER,
    LENGTH_END,
    MAGIC,
    MAGIC_AT,
    ByteSource,
    Damaged,
    Head,
    Item,
    aborts,
    read_items,
    rest_of,
)

logger = get_logger(__name__)
FETCH: Final = 1
IN_MEMORY: Final = 32 << 20
KEPT: Final = 32 << 20
AT_ONCE: Final = 64 << 20
PASSED: Final = 5 << 30  # bytes that one batch may inflate to: some seconds of a core
BROKEN: Final = frozenset(
    error.errno for error in (CorruptRecordException, KafkaStorageError, UnknownError)
)
LOOKS: Final = 8
POLL_RECORDS: Final = 10_000  # taken at once where no setting says: a batch may hold millions
OVERHEAD: Final = 512  # bytes of a record in memory, beside what it holds
QUIET: Final = 10.0  # s between two lines about what is set aside of a topic

Place = tuple[str, int]
Chunks = Generator[bytes, None, None]


class Owner(NamedTuple):
    """Whose transaction a batch belongs to, where the batch begins, and whether it aborts it."""

    base: int
    producer: int
    aborts: bool


class Ready(NamedTuple):
    """A batch that can be read: its items, or its bytes with nothing left to inflate in them."""

    next_offset: int
    items: list[Item]
    owner: Owner | None = None
    head: Head | None = None
    data: bytes | bytearray | memoryview = b""
    raw: bytes | memoryview = b""


class Opened:
    """What stands for a fetched partition's bytes, once they are opened."""

    def __init__(self, batches: deque[Ready]) -> None:
        self.batches = batches

    def has_next(self) -> bool:
        """Whether there is anything to read."""
        return bool(self.batches)

    def size_in_bytes(self) -> int:
        """None that could be too large to be fetched: the first batch is opened, whatever it is."""
        return 0


def read_carefully(consumer: Any) -> None:
    """Have a started ``AIOKafkaConsumer`` that has fetched nothing yet read with care."""
    fetcher = consumer._fetcher
    fetcher._isolation_level = stock.READ_COMMITTED
    request = stock.Fetcher._proc_fetch_request
    ours = {"MemoryRecords": lambda opened: opened, "PartitionRecords": CarefulRecords}
    fetcher._client = OpeningClient(fetcher._client)
    fetcher._proc_fetch_request = MethodType(
        FunctionType(request.__code__, {**vars(stock), **ours}, request.__name__), fetcher
    )


class OpeningClient:
    """A client as its fetcher sees it: what it fetches is opened."""

    def __init__(self, client: Any) -> None:
        self._client, self._doubts = client, Doubts()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node: int, request: Any) -> Any:
        """Send a request; of a fetch, the partitions' bytes come back opened."""
        response = await self._client.send(node, request)
        if response.API_KEY == FETCH:
            positions = {
                (topic, partition): offset
                for topic, partitions in request.topics
                for partition, offset, _ in partitions
            }
            fetched = [data for _, parts in response.topics for *_, data in parts if data]
            if all(map(_is_plain, fetched)):
                response.topics = _open(response.topics, positions, self._doubts)
            else:
                response.topics = await asyncio.to_thread(
                    _open, response.topics, positions, self._doubts
                )
        return response


class CarefulRecords(stock.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """A fetched partition's records, those that are set aside among them."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Fetched | Unreadable]:
        batches = self._records.batches
        while batches:
            batch = batches.popleft()
            for record in () if self._is_aborted(batch.owner) else self._of(batch):
                if record.offset >= self.next_fetch_offset:
                    self.next_fetch_offset = record.offset + 1
                    yield record
            self.next_fetch_offset = max(self.next_fetch_offset, batch.next_offset)

    def _is_aborted(self, owner: Owner | None) -> bool:
        if owner is None:
            return False
        self._consume_aborted_up_to(owner.base)
        if owner.aborts:
            self._aborted_producers.discard(owner.producer)
        return owner.producer in self._aborted_producers

    def _of(self, batch: Ready) -> Iterator[Fetched | Unreadable]:
        (topic, partition), head, items = self._tp, batch.head, iter(batch.items)
        if head is not None:
            known = head.base - 1
            try:
                for record in DefaultRecordBatch(batch.data):
                    if not known < record.offset <= head.last:
                        break
                    known = record.offset
                    time, kind, headers = record.timestamp, record.timestamp_type, record.headers
                    found = (known, time, kind, record.key, record.value, tuple(headers))
                    yield Fetched(topic, partition, *found)
                else:
                    return
            except Exception as error:  # whatever it is, the careful reader tells
                logger.debug("%s: read with care: %s", self._tp, type(error).__name__)
            source = ByteSource([memoryview(batch.data)[HEADER.size :]])
            items = read_items(head, source, batch.raw, known)
        for item in items:
            yield self._record(item, 0 if head is None else head.time_type)

    def _record(self, item: Item, time_type: int) -> Fetched | Unreadable:
        place = (self._tp.topic, self._tp.partition, item.offset, item.time, time_type)
        if item.aside is None:
            return Fetched(*place, item.key, item.value, item.headers)
        sizes = (-1 if of is None else len(of) for of in (item.key, item.value))
        record = Unreadable(*place, item.key, item.value, None, *sizes, item.headers, item.aside)
        _tell(record)
        return record


_next_line: dict[str, float] = {}


def _is_due(topic: str) -> bool:
    """Whether enough time has passed since something was last said of a topic."""
    now = monotonic()
    if now < _next_line.get(topic, 0.0):
        return False
    _next_line[topic] = now + QUIET
    return True


def _tell_of_broker(topic: str, partition: int, position: int, error: int) -> None:
    if _is_due(topic):
        logger.error(
            "%s-%d: the broker can't read its own log at offset %d (%s); it is asked again, and "
            "nothing behind that comes until its disk is mended",
            *(topic, partition, position, for_code(error).__name__),
        )


def _tell(record: Unreadable) -> None:
    """Say what is set aside, now and then: metrics and dead letters count, and have all of it."""
    if _is_due(record.topic):
        logger.warning(
            "%s-%d: what stands at offsets %d to %d is set aside: %s",
            *(record.topic, record.partition, record.aside.first, record.offset),
            record.aside.rejection.detail,
        )


def _is_plain(data: bytes) -> bool:
    """Whether nothing is to be inflated."""
    at, end = 0, len(data) - HEADER.size
    while at <= end:
        if data[at + MAGIC_AT] < MAGIC or data[at + CRC_END + 1] & CODEC:
            return False
        at += LENGTH_END + max(int.from_bytes(data[at + 8 : at + LENGTH_END]), 1)
    return True


class Doubts:
    """How often the batch at a partition's next offset was seen to reach beyond the end."""

    def __init__(self) -> None:
        self._looks: dict[Place, tuple[int, int]] = {}

    def remain(self, place: Place, position: int) -> bool:
        """Count one more look; whether there are to be others."""
        at, looks = self._looks.get(place, (position, 0))
        looks = looks + 1 if at == position else 1
        self._looks[place] = position, looks
        return looks < LOOKS


def _open(topics: Any, positions: Mapping[Place, int], doubts: Doubts) -> list[Any]:
    opening, opened = _Opening(doubts), []
    for topic, partitions in topics:
        told = []
        for number, error, end, *rest, data in partitions:
            place = topic, number
            if error in BROKEN:
                _tell_of_broker(*place, positions[place], error)
            batches = opening.opened(data or b"", place, positions[place], end)
            told.append((number, error, end, *rest, batches))
        opened.append((topic, told))
    return opened


class _Ahead(Damaged):
    """A batch that reaches beyond the end that its partition was said to have."""


class _Opening:
    """Opens what one fetch brought, as far as there is room."""

    def __init__(self, doubts: Doubts) -> None:
        self._held, self._doubts = 0, doubts

    def opened(self, data: bytes, place: Place, position: int, end: int) -> Opened:
        """Open a partition's bytes, fetched at an offset; ``end`` is where the partition ends."""
        batches: deque[Ready] = deque()
        for frame in frames(data):
            if self._held > AT_ONCE:
                break
            try:
                batch = self._batch(frame, position, end)
            except _Ahead as error:
                if batches or self._doubts.remain(place, position):
                    break  # the next fetch shows it beside an end of that moment
                batch = _given_up(frame, position, end, f"the batch is damaged: {error}")
            except Exception as error:  # a bug of ours stops a partition no more than bytes do
                logger.exception("a bug: %s at offset %d", type(error).__name__, position)
                batch = None
            if batch is None and not batches:
                batch = _given_up(frame, position, end, "the batch is damaged")
            if batch is None:
                break  # the next fetch begins with it, and shows what follows it
            batches.append(batch)
            position = max(position, batch.next_offset)
        return Opened(batches)

    def _batch(self, frame: Frame, position: int, end: int) -> Ready | None:
        """A batch, if what it says of its place can be believed or what follows it is seen."""
        try:
            if not frame.whole:
                raise Damaged("it is cut")
            if frame.magic < MAGIC:
                return _old(frame, position, end)
            if frame.magic > MAGIC:
                raise Damaged(f"format {frame.magic} is unknown")
            head = head_of(frame)
            if calc_crc32c(bytes(frame.raw[CRC_END:])) != head.crc:
                raise Damaged("its checksum does not fit")
            _check_place(frame, head.base, head.last, position, end)
        except _Ahead:
            raise
        except Damaged as error:
            if frame.following is None:
                return None
            return _given_up(frame, position, end, f"the batch is damaged: {error}")
        owner = None
        if head.is_transactional:
            owner = Owner(head.base, head.producer, aborts(head, frame.raw))
        if head.is_control:
            return Ready(head.last + 1, [], owner)
        if not head.codec:
            return Ready(head.last + 1, [], owner, head, frame.raw, frame.raw)
        return self._inflated(frame, head, position)._replace(owner=owner)

    def _inflated(self, frame: Frame, head: Head, position: int) -> Ready:
        packed = frame.raw[HEADER.size :]
        try:
            data = inflated(head.codec, packed, IN_MEMORY, HEADER.size)
        except Damaged:
            batch = _streamed(frame, head, position)
            self._held += sum(map(_size, batch.items))
            return batch
        self._held += len(data)
        plain = head._replace(attributes=head.attributes & ~CODEC, length=len(data) - LENGTH_END)
        HEADER.pack_into(data, 0, *plain)
        return Ready(head.last + 1, [], None, head, data, frame.raw)


def _old(frame: Frame, position: int, end: int) -> Ready:
    items = old_items(frame, lambda codec, data: inflated(codec, data, IN_MEMORY))
    last = items[-1].offset
    _check_place(frame, items[0].offset, max(last, frame.base), position, end)
    return Ready(max(last, frame.base) + 1, items)


def _check_place(frame: Frame, first: int, last: int, position: int, end: int) -> None:
    """A batch's offsets are not under its checksum; what stands around it tells."""
    overlaps = frame.following is not None and frame.following <= last and first != position
    if last < first or last < position or overlaps:
        raise Damaged("its offsets are out of place")
    if last >= end:
        raise _Ahead("its offsets are out of place")


def _given_up(frame: Frame, position: int, end: int, detail: str) -> Ready:
    last = None
    if frame.magic >= MAGIC and len(frame.raw) >= HEADER.size:
        last = head_of(frame).last
    elif frame.magic < MAGIC:
        last = frame.base
    last = frame.covered(position, end, last)
    return Ready(last + 1, [nameless(frame, position, last, detail)])


def _streamed(frame: Frame, head: Head, position: int) -> Ready:
    """As many of a large batch's records as may be held, from an offset on."""
    items: list[Item] = []
    held = 0
    try:
        chunks = streamed(head.codec, frame.raw[HEADER.size :])
    except Damaged as error:
        detail = f"the batch can't be read: {error}"
        first = max(head.base, position)
        return Ready(head.last + 1, [rest_of(head, frame.raw, first, detail)])
    with closing(_bounded(chunks)) as bounded:
        for item in read_items(head, ByteSource(bounded), frame.raw, position - 1):
            if held > KEPT:
                return Ready(item.aside.first if item.aside else item.offset, items)
            items.append(item)
            held += _size(item)
    return Ready(head.last + 1, items)


def _bounded(chunks: Chunks) -> Chunks:
    passed = 0
    with closing(chunks):
        for chunk in chunks:
            passed += len(chunk)
            if passed > PASSED:
                raise Damaged(f"it inflates to more than {PASSED} bytes")
            yield chunk


def _size(item: Item) -> int:
    headers = sum(len(name) + len(raw or b"") + OVERHEAD // 4 for name, raw in item.headers)
    return len(item.key or b"") + len(item.value or b"") + headers + OVERHEAD
