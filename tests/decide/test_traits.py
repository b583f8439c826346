"""Traits in a customer's record: bounded, in their order, and safe from damage."""

from __future__ import annotations

import msgspec
import pytest

from stream.codec.customers import (
    StoredRecordError,
    decode_record,
    decode_state,
    encode_record,
    encode_state,
)
from stream.decide.decide import decide
from stream.decide.rows.layout import TRAITS
from stream.decide.rows.record import NEW, View, with_traits
from stream.decide.rows.state import CustomerState, Profile
from stream.decide.rows.traits import MOST, after, told
from stream.domain.event import Source
from tests.builders import NOON, a_cause, a_click, a_world, an_update, consent


def test_a_record_with_traits_comes_back_as_value_and_as_bytes() -> None:
    traits = (("age", 40, NOON), ("tier", "gold", NOON + 1), ("vip", True, NOON))
    state = CustomerState(profile=Profile(traits=traits))
    assert decode_state(encode_state(state)) == state
    clicked = decide(NEW, a_click(0), a_cause(0), a_world()).record
    assert clicked is not None
    record = with_traits(clicked, [("tier", "gold")], NOON)
    assert decode_record(encode_record(record)) == record
    assert View(record).value.history == View(clicked).value.history


def test_traits_that_are_damaged_make_a_record_that_no_worker_writes() -> None:
    record = with_traits(NEW, [("tier", "gold")], NOON)
    at, n = View(record).place("traits")
    for bad in (b"\xff" * n, msgspec.msgpack.encode([1])[:1] * n):
        with pytest.raises(StoredRecordError):
            decode_record(encode_record(record[:at] + bad + record[at + n :]))


def test_the_words_that_are_oldest_give_way() -> None:
    kept = b""
    for n in range(MOST + 10):
        kept = after(kept, [(f"t{n}", n)], NOON + n)
    assert list(told(kept)) == sorted(f"t{n}" for n in range(10, MOST + 10))
    long = after(b"", [(f"t{n}", "é" * 256) for n in range(MOST)], NOON)
    assert len(long) <= TRAITS
    assert 20 < len(told(long)) < MOST


def test_an_erasure_and_a_no_take_the_traits_away() -> None:
    update = an_update(0, traits=(("tier", "gold"),), consent=consent(True))
    record = decide(NEW, update, a_cause(0, Source.CUSTOMERS), a_world()).record
    assert record is not None
    assert View(record).told == {"tier": ("gold", NOON)}
    for n, event in enumerate((an_update(1, consent=consent(False)), an_update(1, erase=True)), 1):
        gone = decide(record, event, a_cause(n, Source.CUSTOMERS, NOON), a_world()).record
        assert gone is None or View(gone).told == {}
