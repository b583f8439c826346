"""Whether a store was filled from a changelog, where the broker tells no topics' ids.

The ledger of each batch is a fingerprint: it names stamps that only grow, and checksums of records.
Either the changelog has the store's own where it stood, or compaction left a later one.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from faust.types import TP

from stream.broker.protocol import Broker
from stream.codec.customers import StoredRecordError, decode_ledger
from stream.worker.partition import ledger_key

SOUGHT: Final = 200  # records that are looked at for the next ledger: some 5 ms each


class Descent(Enum):
    """What the changelog says of a store: it filled it, it never did, or nothing."""

    SAME = auto()
    OTHER = auto()
    UNKNOWN = auto()


async def descent(broker: Broker, tp: TP, mark: int, stored: bytes | None) -> Descent:
    """What a changelog's ledgers say of the one that a store has.

    Parameters
    ----------
    mark
        The offset where that stood.
    stored
        Its bytes.
    """
    if stored is None or mark < 0:
        return Descent.UNKNOWN
    key, at = ledger_key(tp.partition), mark
    for _ in range(SOUGHT):
        record = (await broker.records({tp: at})).get(tp)
        if record is None:
            return Descent.OTHER  # the newest ledger is never compacted away
        if record.offset == mark and (record.key, record.value) != (key, stored):
            return Descent.OTHER
        if record.key == key:
            return _compared(stored, record.value or b"")
        at = record.offset + 1
    return Descent.UNKNOWN


def _compared(ours: bytes, theirs: bytes) -> Descent:
    try:
        before, after = decode_ledger(ours).stamps, decode_ledger(theirs).stamps
    except StoredRecordError:
        return Descent.UNKNOWN
    ahead = any(one > other for one, other in zip(before, after, strict=True))
    return Descent.OTHER if ahead else Descent.SAME
