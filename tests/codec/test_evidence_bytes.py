"""Evidence as bytes: what goes in comes out, and what was damaged is refused, whatever it is."""

from __future__ import annotations

import random

import numpy as np
import pytest

from stream.codec.customers import decode_record, encode_state
from stream.codec.evidence import decode_evidence, encode_evidence, pack, unpack
from stream.decide.decide import decide
from stream.decide.retelling import decided_again, told_again
from stream.decide.rows.state import NEW_CUSTOMER
from stream.decide.witness import Differs, Evidence, Witness
from stream.domain.event import CatalogItem
from tests.builders import a_cause, a_click, a_world


@pytest.fixture
def seen() -> tuple[str, Evidence]:
    """What the offer to a new customer rests on, in a shop that has learned nothing."""
    witness = Witness()
    catalog = {f"i{n}": CatalogItem(f"i{n}", text="x" * 4_000, price=500 + n) for n in range(9)}
    world = a_world()._replace(catalog=catalog, newest=tuple(catalog), witness=witness)
    step = decide(decode_record(encode_state(NEW_CUSTOMER)), a_click(), a_cause(0), world)
    (offer,) = step.offers
    ((offer_id, evidence),) = witness.drain()
    assert offer_id == offer.offer_id
    assert witness.drain() == []
    assert decided_again(evidence) == offer
    return offer_id, evidence


def test_what_goes_in_comes_out(seen: tuple[str, Evidence]) -> None:
    offer_id, evidence = seen
    key, value = encode_evidence(offer_id, evidence)
    assert key == b"c1"
    assert len(value) < 2_000  # no descriptions
    of, again = decode_evidence(value)
    assert of == offer_id
    assert again.record == evidence.record
    assert again.event == evidence.event
    assert decided_again(again) == decided_again(evidence)
    told = told_again(again)
    assert [one.place for one in told.considered][:4] == [1, 2, 3, 4]


def test_a_decision_that_asks_something_else_is_found_out(seen: tuple[str, Evidence]) -> None:
    _, evidence = seen
    with pytest.raises(Differs, match="it asks for"):
        decided_again(evidence._replace(answers=evidence.answers[1:]))


def test_damage_is_a_value_error_and_never_another(seen: tuple[str, Evidence], seed: int) -> None:
    chance, (_, value) = random.Random(seed), encode_evidence(*seen)
    for _ in range(2_000):
        data = bytearray(value)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            decode_evidence(bytes(data[: chance.randrange(1, len(data) + 1)]))
        except ValueError:
            continue


@pytest.mark.parametrize(
    "value",
    [
        np.array([0.25, 1e-300]), np.array([1, 2], np.uint32), np.float64(0.1), np.int64(-3),
        (1, ("a", [None])), {}, [], "", b"\x00",
    ],
)  # fmt: skip
def test_values_come_back_as_they_were(value: object) -> None:
    again = unpack(pack(value))
    assert type(again) is type(value)
    assert np.array_equal(again, value) if isinstance(value, np.ndarray) else again == value
    if isinstance(value, np.ndarray):
        assert again.dtype == value.dtype


def test_what_nobody_packs_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="object cannot be packed"):
        pack([object()])
