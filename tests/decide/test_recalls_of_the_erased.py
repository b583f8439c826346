"""A recall that is not known to be sent outlives its customer's record."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stream.decide.ledger import OFFER, RECALL, Entry
from stream.domain.event import Event, Source
from tests.builders import a_click, a_purchase, a_world, an_update
from tests.decide.streams import Batch, Partition

LOOKED = Entry(Source.CLICKS, 0, a_click(0))
BOUGHT = Entry(Source.PURCHASES, 0, a_purchase(1, "c1", "new-1"))
ERASED: Event = an_update(2, erase=True)
NOTHING, ALL = (-1, -1, -1, -1), (9, 9, 9, 9)


@pytest.mark.parametrize("batches", [((0, 1), (2,)), ((0,), (1, 2)), ((0, 1, 2),)])
def test_it_is_sent_again_with_its_purchase(batches: Sequence[Sequence[int]]) -> None:
    entries = [LOOKED, BOUGHT, Entry(Source.CUSTOMERS, 0, ERASED)]
    partition = Partition(a_world())
    sent = [
        effect
        for numbers in batches
        for _, effect in partition.decide(Batch([entries[n] for n in numbers], NOTHING)).effects
    ]
    assert [effect.kind for effect in sent if effect.kind in (OFFER, RECALL)] == [OFFER, RECALL]
    again = partition.decide(Batch([BOUGHT], NOTHING)).effects
    assert [e.payload for _, e in again if e.kind == RECALL] == [
        e.payload for e in sent if e.kind == RECALL
    ]


def test_it_is_forgotten_when_it_is_durable() -> None:
    partition = Partition(a_world())
    partition.decide(Batch([LOOKED, BOUGHT], NOTHING))
    partition.decide(Batch([Entry(Source.CUSTOMERS, 0, ERASED)], ALL))
    assert partition.ledger.owed == ()
