"""A customer's record as bytes: what decisions make is sound, and is the same after every way."""

from __future__ import annotations

import os
import subprocess
import sys
from ast import literal_eval
from random import Random

import numpy as np
import pytest

from stream.codec.customers import StoredRecordError, decode_record, encode_record
from stream.decide.decide import decide
from stream.decide.rows.layout import CURRENCIES, pack, tables, unpack
from stream.decide.rows.record import View, begun, front, letters_of, record_of, sealed
from stream.decide.rows.state import Effect, Permission
from stream.domain.event import Source
from stream.domain.money import EXPONENTS
from stream.models.base.kernel import COMPILED
from tests.builders import a_cause
from tests.decide.agreeing import disagreements
from tests.decide.streams import Drawing, drawn_records, drawn_shop

BATCHES = 20


@pytest.fixture
def records(seed: int) -> list[bytes]:
    """What decisions made of a random stream."""
    return list(drawn_records(seed, BATCHES))


def test_every_record_that_a_decision_makes_is_read_again(records: list[bytes]) -> None:
    for record in records:
        assert decode_record(encode_record(record)) == record


def test_a_record_has_the_same_bytes_after_it_was_unpacked(records: list[bytes]) -> None:
    where = tables()
    for record in records:
        size = front(record).size
        unpack(np.frombuffer(record, np.uint8), where.rows)
        pack(where.rows, where.packed[0])
        assert where.packed[0]["bytes"][: where.packed[0]["size"]].tobytes() == record[:size]


def test_a_record_made_of_a_value_holds_that_value(records: list[bytes]) -> None:
    for record in records:
        value = View(record).value
        again = record_of(value)
        assert View(again).value == value
        assert len(again) == len(record)
        assert record_of(View(again).value) == again


def test_a_record_made_of_a_value_is_decided_as_the_one_before(
    records: list[bytes], seed: int
) -> None:
    """Its texts may be numbered otherwise."""
    chance = Random(seed)
    world, drawing = drawn_shop(chance).world, Drawing(chance)
    for record in records:
        source = Source(chance.randrange(4))
        event, cause = drawing.event(source), a_cause(1 << 40, source)
        one = decide(record, event, cause, world)
        other = decide(record_of(View(record).value), event, cause, world)
        assert one._replace(record=None) == other._replace(record=None)
        if one.record is not None and other.record is not None:
            assert View(one.record).value == View(other.record).value
        assert (one.record is None) is (other.record is None)


# --------------------------------------------------------------------------------- forged records


@pytest.mark.parametrize(
    "effect",
    [Effect(4, 0, 0, b""), Effect(-1, 0, 0, b""), Effect(0, -2, 0, b""), Effect(0, 0, 4, b"")],
)
def test_an_effect_that_no_worker_writes_is_refused(effect: Effect) -> None:
    record = begun((0, 0, 0, 0), Permission(), 0)
    with pytest.raises(StoredRecordError, match="effect"):
        decode_record(encode_record(sealed(record, len(record), [effect])))


def test_texts_that_are_not_utf_8_are_refused(records: list[bytes]) -> None:
    record = next(record for record in records if "ü" in letters_of(record))
    with pytest.raises(StoredRecordError, match="utf-8"):
        decode_record(encode_record(record.replace("ü".encode(), b"\xc3\x28")))


def borne(seed: int, count: int, **environ: str) -> dict[str, int]:
    """How many forged records were refused, and how many met, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.decide.forging", str(seed), str(count)],
        env=os.environ | environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(literal_eval(done.stdout))


def test_a_forged_record_is_refused_or_borne(seed: int) -> None:
    told = borne(seed, 4_000)
    assert min(told["refused"], told["met"]) > 400


def test_a_forged_record_has_no_uncompiled_kernel_reach_beyond_a_list(seed: int) -> None:
    told = borne(seed, 800, NUMBA_DISABLE_JIT="1")
    assert min(told["refused"], told["met"]) > 80


# ---------------------------------------------------------------------------------------- bounds


def test_a_record_has_room_for_every_currency_that_there_is() -> None:
    assert len(EXPONENTS) < CURRENCIES


def made_of_the_fullest(**environ: str) -> list[str]:
    """What becomes of a customer of whom all is known that there is room for."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.decide.fullest"],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_largest_events_write_nothing_beyond_the_fullest_lists() -> None:
    """An index beyond a list is an error in a kernel that is not compiled."""
    uncompiled = made_of_the_fullest(NUMBA_DISABLE_JIT="1")
    assert sum(line.startswith("applied 1") for line in uncompiled) == 2
    assert all(line.startswith("applied") for line in uncompiled)
    assert uncompiled == made_of_the_fullest()


@pytest.mark.skipif(not COMPILED, reason="this machine runs kernels uncompiled")
def test_random_batches_come_to_the_same_bytes_without_the_compiler(seed: int) -> None:
    assert list(disagreements(seed, streams=4)) == [None] * 4
