"""Ledgers and pages that are whole MessagePack, and that no worker writes."""

from __future__ import annotations

from typing import Any

import pytest

from stream.codec.customers import (
    StoredRecordError,
    decode_ledger,
    decode_page,
    decode_timers,
    encode_ledger,
    encode_page,
)
from stream.decide.ledger import Identity, Ledger
from stream.decide.rows.due import PAGE, Due, Ends
from stream.decide.rows.timers import LEAF
from stream.domain.stamps import stamp

GOOD = Ledger(
    stamps=(stamp(2, 29), -1, 0, 7),
    stream_time=1_700_000_000_000,
    counts={"applied": 30, "offers": 0},
    late=((0, 29), (3, 7)),
    failed=((2, 0),),
    due=Ends(3, PAGE - 1, 4),
    erased=1_700_000_000_000,
    traces=Ends(0, 0, 0),
    identities=(Identity("A", 5, 77, 29), *[Identity()] * 3),
)
WRONG: list[dict[str, Any]] = [
    {"stamps": ()},
    {"stamps": (29, -1)},
    {"stamps": (29, -1, -1, -1, -1)},
    {"stamps": (-2, -1, -1, -1), "late": (), "failed": ()},
    {"stamps": (2**62, -1, 0, 7)},
    {"stamps": (2**64 - 1, -1, 0, 7)},
    {"stamps": (1.5, -1, 0, 7)},
    {"identities": ()},
    {"identities": (Identity(),) * 3},
    {"identities": (Identity(),) * 5},
    {"identities": (Identity(safe=-2), *[Identity()] * 3)},
    {"identities": (Identity(safe=2**62), *[Identity()] * 3)},
    {"late": ((9, 5),)},
    {"late": ((-1, 5),)},
    {"late": ((0, -1),)},
    {"late": ((1, 0),)},
    {"failed": ((4, 0),)},
    {"failed": ((3, 8),)},
    {"failed": ((3, 2**60),)},
    {"due": (-5, -3, -1)},
    {"due": (5, 3, 1)},
    {"due": (0, PAGE + 1, 0)},
    {"due": (0, 0, 2**40)},
    {"due": (2**62, 0, 2**62)},
    {"traces": (-5, -3, -1)},
    {"traces": (1, 0, 0)},
    {"stream_time": -1},
    {"stream_time": 2**60},
    {"stream_time": 4_102_444_800_000},
    {"erased": -1},
    {"erased": 2**62},
    {"counts": {"applied": -5}},
    {"counts": {"applied": 2**63}},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_ledger_of_the_wrong_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StoredRecordError):
        decode_ledger(encode_ledger(GOOD._replace(**wrong)))


def test_what_workers_write_is_read() -> None:
    assert decode_ledger(encode_ledger(GOOD)) == GOOD
    assert decode_ledger(encode_ledger(Ledger())) == Ledger()
    page = (Due(-1, ""), Due(5, "anna")) * (PAGE // 2)
    assert decode_page(encode_page(page)) == page


@pytest.mark.parametrize(
    "page", [(Due(5, "anna"),) * (PAGE + 1), (Due(-2, "anna"),), (Due(2**62, "anna"),)], ids=len
)
def test_a_page_of_the_wrong_shape_is_refused(page: tuple[Due, ...]) -> None:
    with pytest.raises(StoredRecordError):
        decode_page(encode_page(page))


def test_a_page_of_timers_may_be_longer_and_is_bounded_too() -> None:
    full = (Due(5, "anna"),) * LEAF
    assert decode_timers(encode_page(full)) == full
    for page in ((*full, Due(5, "anna")), (Due(-2, "anna"),)):
        with pytest.raises(StoredRecordError):
            decode_timers(encode_page(page))
