"""Fetched bytes: what can be read is, what can't is set aside, and nothing stops or swells."""

from __future__ import annotations

import gc
import random
import struct
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import fields
from hashlib import sha256
from operator import attrgetter

import cramjam
import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from stream.broker.kafka import fetching
from stream.broker.kafka.fetching import LOOKS, CarefulRecords, Doubts, _Opening
from stream.broker.records import Record, Unreadable
from stream.codec.batches.fetched import frames
from stream.domain.event import RejectionCode
from tests.kafka.batches import (
    GZIP,
    LZ4,
    NAMELESS,
    NONE,
    PACK,
    SNAPPY,
    ZSTD,
    Zeros,
    batch,
    body,
    bomb,
    old_message,
    old_wrapper,
    sealed,
    sized,
    varint,
)

TP = TopicPartition("clicks", 0)
CODECS = (NONE, GZIP, SNAPPY, LZ4, ZSTD)
MIB = 1 << 20
names = st.text(max_size=5).map(str.encode)
raws = st.none() | st.binary(max_size=40)
bodies = st.lists(
    st.tuples(raws, raws, st.lists(st.tuples(names, raws), max_size=3)), min_size=1, max_size=8
)


def fetched(log: Sequence[bytes], start: int = 0, end: int | None = None) -> list[Record]:
    """All that a consumer gets of a partition, as a broker hands it out, fetch after fetch."""
    return list(consumed(log, start, end))


def consumed(log: Sequence[bytes], start: int = 0, end: int | None = None) -> Iterator[Record]:
    position, whole, doubts = start, b"".join(log), Doubts()
    end = _end_of(log) if end is None else end
    at, idle = 0, 0
    while position < end:
        data = whole[at:]
        if len(data) <= 16:
            return  # a broker that finds no batch hands out nothing
        opened = _Opening(doubts).opened(data, TP, position, end)
        records = CarefulRecords(TP, opened, None, position, None, None, True, 0)
        yield from records
        idle = idle + 1 if records.next_fetch_offset == position else 0
        assert idle <= LOOKS, "it does not get on"
        position = records.next_fetch_offset
        at = _place_of(whole, position)


def test_a_batch_that_came_after_the_end_was_told_is_read_with_the_next_fetch() -> None:
    """A broker takes the high watermark first, and reads as far as it has moved since."""
    log = [batch([good(n)], n) for n in range(3)]
    doubts = Doubts()
    first = _Opening(doubts).opened(b"".join(log), TP, 0, 2)
    assert [each.next_offset for each in first.batches] == [1, 2]
    for _ in range(LOOKS - 1):
        assert not _Opening(doubts).opened(log[2], TP, 2, 2).has_next()
    (late,) = _Opening(doubts).opened(log[2], TP, 2, 3).batches
    assert not late.items
    assert late.next_offset == 3


def _end_of(log: Sequence[bytes]) -> int:
    return sum(int.from_bytes(each[23:27]) + 1 for each in log)


def _place_of(whole: bytes, position: int) -> int:
    """Where a broker would begin to hand out: at the batch that holds an offset."""
    at = 0
    for frame in frames(whole):
        delta = int.from_bytes(frame.raw[23:27], signed=True) if frame.magic >= 2 else 0
        if not frame.whole or frame.base + delta >= position:
            return at
        at += len(frame.raw)
    return at


def told(records: Sequence[Record]) -> list[tuple[int, bool]]:
    return [(record.offset, isinstance(record, Unreadable)) for record in records]


def aside(records: Sequence[Record]) -> list[Unreadable]:
    return [record for record in records if isinstance(record, Unreadable)]


def good(n: int) -> bytes:
    return body(n, b"k%d" % n, b"v%d" % n, [(b"h", b"1")])


attributes_of = attrgetter(*(field.name for field in fields(ConsumerRecord)))


@given(bodies, st.sampled_from(CODECS), st.sampled_from([0, 8]))
def test_what_aiokafka_reads_is_read_as_it_does(
    told: list[tuple[bytes | None, bytes | None, list[tuple[bytes, bytes | None]]]],
    codec: int,
    attributes: int,
) -> None:
    records = [body(n, *each, time=n * 7) for n, each in enumerate(told)]
    data = batch(records, 5, codec, attributes=attributes)
    stock = PartitionRecords(TP, MemoryRecords(data), None, 5, None, None, True, 0)
    read = fetched([data], 5, 5 + len(records))
    assert list(map(attributes_of, read)) == list(map(attributes_of, stock))


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_read_with_care_is_what_aiokafka_reads(
    codec: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other ways through: the reader in Python, and streams."""
    log = [batch([good(n) for n in range(100)], at, codec) for at in (0, 100, 200)]
    expected = fetched(log)
    assert len(expected) == 300
    with monkeypatch.context() as patched:
        patched.setattr(fetching, "DefaultRecordBatch", None)
        assert fetched(log) == expected
        patched.setattr(fetching, "IN_MEMORY", 100)
        patched.setattr(fetching, "KEPT", 10_000)
        patched.setattr(fetching, "AT_ONCE", 5_000)
        assert fetched(log) == expected
        assert [r.offset for r in fetched(log, 137)] == list(range(137, 300))


@pytest.mark.parametrize("codec", CODECS)
def test_a_name_that_is_not_utf8_costs_its_record_alone_and_keeps_its_bytes(codec: int) -> None:
    records = [good(0), body(1, b"k", b"v", [NAMELESS, (b"x", None)]), good(2)]
    found = fetched([batch([good(0)]), batch(records, 1, codec), batch([good(0)], 4)])
    assert told(found) == [(0, False), (1, False), (2, True), (3, False), (4, False)]
    (bad,) = aside(found)
    assert (bad.key, bad.value) == (b"k", b"v")
    assert [n.encode("utf-8", "surrogateescape") for n, _ in bad.headers] == [NAMELESS[0], b"x"]
    assert bad.aside.rejection.code is RejectionCode.UNREADABLE


BROKEN = {
    "headers below 0": body(1, b"k", b"v")[:-1] + varint(-3),
    "too many headers": body(1, b"k", b"v")[:-1] + varint(1 << 30),
    "a name's length below 0": body(1, b"k", b"v")[:-1] + varint(1) + varint(-1),
    "a key beyond its end": b"\0\0" + varint(1) + varint(500) + b"k",
    "an integer without an end": b"\0" + b"\xff" * 12,
    "nothing": b"",
    "bytes behind its end": body(1, b"k", b"v") + b"rest",
    "an offset that was": body(0, b"k", b"v"),
    "an offset beyond the batch": body(77, b"k", b"v"),
    "an offset below the batch": body(-9, b"k", b"v"),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("bad", BROKEN.values(), ids=BROKEN)
def test_a_broken_record_whose_end_is_known_costs_itself_alone(bad: bytes, codec: int) -> None:
    found = fetched([batch([good(0), bad, good(2)], 0, codec), batch([good(0)], 3)])
    assert told(found) == [(0, False), (1, True), (2, False), (3, False)]
    assert (aside(found)[0].value, aside(found)[0].aside.first) == (bad, 1)


CUT = sized(good(0)) + sized(good(1)) + sized(good(2))[:-4]
REST = {
    "a length below 0": (sized(good(0)) + varint(-5) + good(1), 1),
    "a length beyond the end": (sized(good(0)) + varint(4000) + good(1), 1),
    "a length without an end": (sized(good(0)) + b"\xff" * 9, 1),
    "the end is missing": (CUT, 2),
    "too few records": (sized(good(0)), 1),
    "no records": (b"", 0),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("inside", "first"), REST.values(), ids=REST)
def test_where_no_end_is_known_the_rest_of_the_batch_is_one_record_that_covers_it(
    inside: bytes, first: int, codec: int
) -> None:
    bad = batch([good(n) for n in range(3)], 1, codec, packed=PACK[codec](inside))
    found = fetched([batch([good(0)]), bad, batch([good(0)], 4)])
    before = [(n + 1, False) for n in range(first)]
    assert told(found) == [(0, False), *before, (3, True), (4, False)]
    assert (aside(found)[0].value, aside(found)[0].aside.first) == (bad, first + 1)


DAMAGED = {
    "its checksum": batch([good(0), good(1), good(2)], 1, damage=1),
    "an unknown codec": batch([good(0), good(1), good(2)], 1, packed=b"?" * 40, attributes=5),
    "no zstd": batch([good(0), good(1), good(2)], 1, ZSTD, packed=b"?" * 40),
    "no lz4": batch([good(0), good(1), good(2)], 1, LZ4, packed=b"?" * 40),
    "no gzip": batch([good(0), good(1), good(2)], 1, GZIP, packed=b"?" * 40),
    "no snappy": batch([good(0), good(1), good(2)], 1, SNAPPY, packed=b"?" * 40),
    "a format to come": bytes([*batch([good(n) for n in range(3)], 1)[:16], 3]) + bytes(60),
    "more records than offsets": batch([good(n) for n in range(3)], 1, last=-1, damage=3),
}


@pytest.mark.parametrize("bad", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_batch_is_one_record_that_covers_its_offsets(bad: bytes) -> None:
    bad = bad[:8] + (len(bad) - 12).to_bytes(4) + bad[12:]
    found = fetched([batch([good(0)]), bad, batch([good(0)], 4)], 0, 5)
    assert told(found) == [(0, False), (3, True), (4, False)]
    assert (aside(found)[0].value, aside(found)[0].aside.first) == (bad, 1)


def test_a_last_batch_that_claims_more_offsets_than_there_are_covers_what_there_is() -> None:
    bad = batch([good(0), good(1)], 1, last=2**31 - 1, damage=1)
    found = fetched([batch([good(0)]), bad], 0, 3)
    assert told(found) == [(0, False), (2, True)]


def test_of_a_base_offset_that_rotted_nothing_is_passed_over_unsaid() -> None:
    """The checksum does not cover it."""
    log = [batch([good(0), good(1)], at) for at in (0, 2, 4)]
    log[1] = (1 << 40).to_bytes(8) + log[1][8:]
    assert told(fetched(log, 0, 6)) == [
        *((0, False), (1, False), (3, True), (4, False), (5, False))
    ]  # fmt: skip


def test_control_batches_and_empty_ones_are_passed() -> None:
    marker = batch([body(0, b"\0\0\0\0", b"")], 1, attributes=0x30)
    log = [batch([good(0)]), marker, batch([], 2, last=3), batch([good(0)], 6)]
    assert told(fetched(log, 0, 7)) == [(0, False), (6, False)]


@given(
    st.lists(
        st.tuples(st.sampled_from([*"tttctan"]), st.integers(0, 2), st.sampled_from([NONE, ZSTD]))
    ),
    st.integers(0, 8),
)
def test_of_transactions_what_is_committed_is_read_and_what_is_aborted_is_not(
    steps: list[tuple[str, int, int]], start: int
) -> None:
    """As aiokafka's own reader has it: ``t`` sends within a transaction, ``n`` outside of any."""
    log, begun, aborted = [], dict[int, int](), list[tuple[int, int]]()
    for at, (step, producer, codec) in enumerate(steps):
        if step in "tn":
            attributes = 0x10 if step == "t" else 0
            log.append(batch([good(0)], at, codec, attributes=attributes, producer=producer))
            if step == "t":
                begun.setdefault(producer, at)
            continue
        marker = body(0, struct.pack(">hh", 0, step == "c"), b"")
        log.append(batch([marker], at, attributes=0x30, producer=producer))
        if producer in begun:
            first = begun.pop(producer)
            aborted += [(producer, first)] if step == "a" and at >= start else []
    data, end = b"".join(log[start:]), len(log)
    opened = _Opening(Doubts()).opened(data, TP, start, end)
    ours = CarefulRecords(TP, opened, aborted, start, None, None, True, READ_COMMITTED)
    stock = PartitionRecords(
        *(TP, MemoryRecords(data), aborted, start, None, None, True, READ_COMMITTED)
    )
    assert [r.offset for r in ours] == [r.offset for r in stock]
    assert ours.next_fetch_offset == stock.next_fetch_offset


@pytest.mark.parametrize("magic", [0, 1])
def test_old_formats_are_read(magic: int) -> None:
    inner = [old_message(n + (0 if magic else 2), b"k", b"v%d" % n, magic) for n in range(3)]
    log = [old_message(0, None, b"a", magic), old_message(1, b"k", None, magic)]
    log += [old_wrapper(4, inner, magic, GZIP)]
    found = fetched(log, 0, 5)
    assert [(r.offset, r.value) for r in found] == [
        *((0, b"a"), (1, None), (2, b"v0"), (3, b"v1"), (4, b"v2"))
    ]
    stock = PartitionRecords(TP, MemoryRecords(b"".join(log)), None, 0, None, None, True, 0)
    assert [(r.offset, r.key, r.value) for r in found] == [
        (r.offset, r.key, r.value) for r in stock
    ]
    damaged = [log[0], log[1][:-1] + b"?", log[2]]
    assert told(fetched(damaged, 0, 5)) == [
        *((0, False), (1, True), (2, False), (3, False), (4, False))
    ]


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD])
def test_a_bomb_is_cut_the_records_around_it_are_read_and_memory_stays_bounded(codec: int) -> None:
    zeros = Zeros(1, b"bomb", 80 * MIB, [(b"h", b"x")])
    digest = sha256()
    for piece in zeros.value():
        digest.update(piece)
    data = bomb([good(0), zeros, good(2)], codec)
    gc.collect()
    tracemalloc.start()
    found = fetched([data])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told(found) == [(0, False), (1, True), (2, False)]
    (bad,) = aside(found)
    assert bad.aside.rejection.code is RejectionCode.OVERSIZE
    assert bad.aside.cut == (80 * MIB, digest.hexdigest())
    assert (bad.key, bad.value, bad.headers) == (b"bomb", bytes(4096), (("h", b"x"),))
    assert peak < 60 * MIB


def test_a_snappy_block_says_how_large_it_is_and_is_believed_in_that() -> None:
    packed = cramjam.snappy.compress_raw(bytes(80 * MIB))
    log = [batch([good(0)] * 3, 0, SNAPPY, packed=bytes(packed)), batch([good(0)], 3)]
    assert told(fetched(log)) == [(2, True), (3, False)]


def test_a_batch_that_inflates_without_end_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PASSED", 60 * MIB)
    data = bomb([good(0), Zeros(1, b"bomb", 100 * MIB), good(2)])
    found = fetched([data, batch([good(0)], 3)])
    assert told(found) == [(0, False), (2, True), (3, False)]
    assert aside(found)[0].value == data


@pytest.mark.parametrize("codec", CODECS)
def test_mutated_batches_never_raise_never_stop_and_never_swell(codec: int, seed: int) -> None:
    chance = random.Random(f"{seed}/{codec}")
    for _ in range(400):
        log = [
            batch([good(n) for n in range(4)], at, codec, damage=chance.random() < 0.1)
            for at in (0, 4, 8)
        ]
        bad = bytearray(log[1])
        for _ in range(chance.randint(1, 4)):
            place = chance.choice([chance.randrange(len(bad)), chance.randrange(12, len(bad))])
            bad[place] = chance.choice([0, 0xFF, 0x80, chance.randrange(256)])
        if chance.random() < 0.7:  # as if whoever wrote it had meant it
            bad = sealed(bad)
        found = fetched([log[0], bytes(bad), log[2]], 0, 12)
        offsets = [record.offset for record in found]
        assert offsets == sorted(set(offsets))
        assert all(0 <= offset < 12 for offset in offsets)
        assert sum(len(record.value or b"") for record in found) < MIB
