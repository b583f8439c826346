"""Dead letters: what was refused comes back byte for byte, with the reason beside it."""

from __future__ import annotations

from hashlib import sha256

import pytest

from stream.codec.deadletters import (
    PREFIX,
    Cut,
    DeadLetter,
    FailedRecord,
    build_dead_letter,
    restore,
    retried,
)
from stream.domain.event import Rejection, RejectionCode

REJECTION = Rejection(RejectionCode.SCHEMA, "/event is missing")
HEADERS = (("x", b"1"), ("x", b"2"), ("y", None))
RECORD = FailedRecord("clicks", 3, 17, 1_714_555_800_250, b"\xff\x00", b'{"a":\xfe}', HEADERS)


def build(record: FailedRecord = RECORD, rejection: Rejection = REJECTION) -> DeadLetter:
    return build_dead_letter(record, rejection, stage="decode", version="1.2.3")


def test_the_original_stands_untouched_and_ours_beside_it() -> None:
    letter = build()
    assert (letter.key, letter.value) == (RECORD.key, RECORD.value)
    assert letter.headers[:3] == tuple(RECORD.headers)
    assert dict(letter.headers[3:]) == {
        "offerstream.topic": b"clicks",
        "offerstream.partition": b"3",
        "offerstream.offset": b"17",
        "offerstream.timestamp": b"1714555800250",
        "offerstream.stage": b"decode",
        "offerstream.code": b"schema",
        "offerstream.message": b"/event is missing",
        "offerstream.attempt": b"1",
        "offerstream.version": b"1.2.3",
    }


@pytest.mark.parametrize("key", [None, b"", b"c1"])
@pytest.mark.parametrize("value", [None, b"", b"x" * 300_000])
def test_restore_is_the_inverse(key: bytes | None, value: bytes | None) -> None:
    record = RECORD._replace(key=key, value=value)
    restored = restore(build(record))
    assert restored.record == record
    assert restored.rejection == REJECTION
    assert (restored.stage, restored.attempt, restored.version) == ("decode", 1, "1.2.3")
    assert restored.complete


def test_of_an_oversize_value_the_beginning_and_the_fingerprint_are_kept() -> None:
    value = bytes(range(256)) * 2000
    rejection = Rejection(RejectionCode.OVERSIZE, "too long")
    letter = build(RECORD._replace(value=value), rejection)
    assert letter.value == value[:4096]
    headers = dict(letter.headers)
    assert headers["offerstream.value.sha256"] == sha256(value).hexdigest().encode()
    assert headers["offerstream.value.bytes"] == b"512000"
    assert not restore(letter).complete
    whole = build(RECORD._replace(value=value[:4096]), rejection)
    assert restore(whole).complete


def test_a_record_that_dies_again_is_buried_as_the_next_attempt() -> None:
    restored = restore(build())
    again = RECORD._replace(offset=99, headers=retried(restored))
    second = restore(build(again))
    assert second.attempt == 2
    assert second.record == again._replace(headers=RECORD.headers)


@pytest.mark.parametrize("forged", [b"x", b"", b"-1", b"9" * 50, b"\xff", None])
def test_a_forged_count_of_attempts_does_no_harm(forged: bytes | None) -> None:
    letter = build(RECORD._replace(headers=((PREFIX + "attempt", forged),)))
    assert restore(letter).attempt == 1


def test_headers_that_pass_for_ours_are_replaced() -> None:
    letter = build(RECORD._replace(headers=((PREFIX + "code", b"none"), ("x", b"1"))))
    assert restore(letter).rejection == REJECTION
    assert restore(letter).record.headers == (("x", b"1"),)


@pytest.mark.parametrize("name", ["partition", "offset", "timestamp", "attempt", "code"])
def test_what_is_no_dead_letter_is_refused_by_name(name: str) -> None:
    letter = build()
    for wrong in ((), ((PREFIX + name, b"\xff"),)):
        kept = tuple(header for header in letter.headers if header[0] != PREFIX + name)
        with pytest.raises(ValueError, match=PREFIX + name):
            restore(letter._replace(headers=kept + wrong))


NAMES = [b"\xff\xfe trace", b"caf\xc3", b"\xed\xa0\x80", b"%41\xff", b""]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_not_utf8_keeps_its_bytes_and_can_be_sent(name: bytes) -> None:
    headers = ((name.decode("utf-8", "surrogateescape"), b"1"), ("x", None))
    rejection = Rejection(RejectionCode.UNREADABLE, "a name")
    record = RECORD._replace(headers=headers)
    letter = build(record, rejection)
    assert all(isinstance(sent.encode(), bytes) for sent, _ in letter.headers)
    restored = restore(letter)
    assert restored.record == record and restored.complete
    assert restored.record.headers[0][0].encode("utf-8", "surrogateescape") == name
    again = record._replace(headers=retried(restored))
    assert all(isinstance(sent.encode(), bytes) for sent, _ in again.headers)
    second = restore(build(again, rejection))
    assert second.attempt == 2 and second.record == record


def test_what_only_looks_like_an_encoded_name_is_ours_and_replaced() -> None:
    letter = build(RECORD._replace(headers=(("offerstream.name.plain", b"1"), ("x", b"2"))))
    assert restore(letter).record.headers == (("x", b"2"),)


def test_of_a_value_that_was_cut_before_the_length_and_the_fingerprint_are_told() -> None:
    rejection = Rejection(RejectionCode.OVERSIZE, "too long")
    cut = Cut(600_000_000, "ab" * 32)
    record = RECORD._replace(value=bytes(4096), first=5)
    letter = build_dead_letter(record, rejection, stage="fetch", version="1.2.3", cut=cut)
    headers = dict(letter.headers)
    assert headers["offerstream.value.bytes"] == b"600000000"
    assert headers["offerstream.value.sha256"] == cut.sha256.encode()
    assert headers["offerstream.offset.first"] == b"5"
    restored = restore(letter)
    assert restored.record == record
    assert restored.cut == cut and not restored.complete
