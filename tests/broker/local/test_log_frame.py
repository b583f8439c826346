"""Frames: what goes in comes out, and any damage shows."""

import pytest

from stream.broker.local.frame import (
    CutFrameError,
    DamagedFrameError,
    LogRecord,
    check_frame,
    decode_frame,
    encode_frame,
    pack_frame,
    raw_records,
    read_header,
)

RECORDS = [
    LogRecord(b"key", b"value", 1_700_000_000_000),
    LogRecord(None, b"", -1),
    LogRecord(b"", None, 0, (("a", b"1"), ("a", None), ("é", b""))),
    LogRecord(b"k" * 300, b"v" * 300, 2**62),
]


def test_records_come_back_as_they_went_in():
    frame = encode_frame(41, RECORDS)
    header = read_header(frame, 0)
    check_frame(frame, 0, header)
    stored = decode_frame(frame, 0, header, "clicks", 3)
    assert [LogRecord(r.key, r.value, r.timestamp, r.headers) for r in stored] == RECORDS
    assert [r.offset for r in stored] == [41, 42, 43, 44]
    assert {(r.topic, r.partition, r.timestamp_type, r.checksum) for r in stored} == {
        ("clicks", 3, 0, None)
    }
    assert [r.serialized_key_size for r in stored] == [3, -1, 0, 300]
    assert [r.serialized_value_size for r in stored] == [5, 0, -1, 300]


def test_decoding_starts_and_stops_where_it_is_told():
    frame = encode_frame(10, RECORDS)
    stored = decode_frame(frame, 0, read_header(frame, 0), "t", 0, start=11, limit=2)
    assert [(r.offset, r.key) for r in stored] == [(11, None), (12, b"")]


def test_a_frame_may_stand_anywhere_in_a_buffer():
    frame = encode_frame(0, RECORDS)
    buffer = b"x" * 13 + frame + b"y" * 7
    header = read_header(buffer, 13)
    check_frame(buffer, 13, header)
    assert decode_frame(buffer, 13, header, "t", 0) == decode_frame(frame, 0, header, "t", 0)


def test_every_cut_is_noticed():
    frame = encode_frame(5, RECORDS)
    for size in range(len(frame)):
        with pytest.raises(CutFrameError):
            check_frame(frame[:size], 0, read_header(frame[:size], 0))


def test_every_changed_byte_is_noticed():
    frame = encode_frame(5, RECORDS)
    for position in range(len(frame)):
        for change in (0x01, 0x80, 0xFF):
            damaged = bytearray(frame)
            damaged[position] ^= change
            with pytest.raises(DamagedFrameError):
                check_frame(bytes(damaged), 0, read_header(bytes(damaged), 0))


def test_a_dated_tombstone_still_reads_as_none_with_its_headers():
    tombstone = LogRecord(b"gone", None, 7, (("why", b"erasure"),))
    frame = encode_frame(0, [tombstone])
    (raw,) = raw_records(frame, 0, read_header(frame, 0))
    assert raw.is_tombstone
    assert raw.expires is None
    dated = raw.dated(1234)
    assert dated.expires == 1234
    packed = pack_frame(0, 1, [dated])
    header = read_header(packed, 0)
    check_frame(packed, 0, header)
    (stored,) = decode_frame(packed, 0, header, "t", 0)
    assert LogRecord(stored.key, stored.value, stored.timestamp, stored.headers) == tombstone
    assert list(raw_records(packed, 0, header)) == [dated]
