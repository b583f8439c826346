from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from faust.types import TP

from stream.broker.facts import TopicFacts
from stream.broker.local.frame import StoredRecord
from stream.broker.protocol import OffsetRange
from stream.broker.records import Record
from stream.codec.customers import encode_ledger
from stream.decide.ledger import Identity, Ledger
from stream.worker.checks.descent import SOUGHT, Descent, descent
from stream.worker.partition import ledger_key

LOG = TP("customers", 0)


def ledger(*stamps: int, checksum: int = 1) -> bytes:
    identity = Identity("", 5, checksum)
    return encode_ledger(Ledger(stamps=stamps, identities=(identity,) * len(stamps)))


OURS = ledger(9, 4, -1, 7)


class AChangelog:
    """What compaction left of one: values by offset; None is a customer's record."""

    def __init__(self, records: Mapping[int, bytes | None]) -> None:
        self._records = [
            StoredRecord(*LOG, at, 0, b"c1", b"c") if value is None
            else StoredRecord(*LOG, at, 0, ledger_key(0), value)
            for at, value in records.items()
        ]  # fmt: skip

    async def records(self, places: Mapping[TP, int]) -> Mapping[TP, Record]:
        behind = [record for record in self._records if record.offset >= places[LOG]]
        return {LOG: behind[0]} if behind else {}

    async def topics(self, names: Iterable[str]) -> Mapping[str, TopicFacts]:
        return {}

    async def bounds(self, tps: Iterable[TP]) -> Mapping[TP, OffsetRange]:
        return {}

    async def deletions_kept(self, topic: str) -> int | None:
        return None

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ({3: None, 6: OURS}, Descent.SAME),
        ({3: None, 6: OURS, 8: ledger(2, 2, 2, 2)}, Descent.SAME),
        ({3: None, 7: None, 9: ledger(9, 5, -1, 7)}, Descent.SAME),
        ({3: None, 9: ledger(900, 50, 3, 70)}, Descent.SAME),
        ({}, Descent.OTHER),
        ({3: OURS}, Descent.OTHER),  # the newest ledger never goes
        ({3: None, 6: None, 9: OURS}, Descent.OTHER),
        ({6: ledger(9, 4, -1, 7, checksum=2)}, Descent.OTHER),
        ({9: ledger(900, 3, 3, 70)}, Descent.OTHER),
        ({9: b"\x01\xc1"}, Descent.UNKNOWN),
        (dict.fromkeys(range(7, 8 + SOUGHT)), Descent.UNKNOWN),
    ],
)
async def test_a_store_descends_from_a_changelog_with_its_ledger_or_a_later_one(
    held: Mapping[int, bytes | None], expected: Descent
) -> None:
    assert await descent(AChangelog(held), LOG, 6, OURS) is expected


@pytest.mark.parametrize(("mark", "stored"), [(-1, OURS), (6, None)])
async def test_a_store_without_a_ledger_is_not_known_again(mark: int, stored: bytes | None) -> None:
    assert await descent(AChangelog({6: OURS}), LOG, mark, stored) is Descent.UNKNOWN
