"""What a changelog's records come to, whoever reads them: the table in recovery, or a command.

Rules:

- A customer whose record can't be read is one who may not be profiled, nor made offers, until they
  say yes anew: what was allowed may have been withdrawn in it.
- Customers' records are many: that they are whole is seen here, and the rest when one is used.
- A ledger, or a page of a queue or of timers, that can't be read is as if it had not been
  written; the one before it, where there is one, stands.
- Of a batch that is damaged, the keys that can still be told are those of customers concerned.
- What another release wrote is kept as it is: the partition's owner refuses to touch it.
- Nothing stops here, and nothing is passed over unsaid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from mode import get_logger

from stream.broker.records import Record, Unreadable
from stream.codec.customers import (
    LOST,
    StoredRecordError,
    decode_ledger,
    decode_page,
    decode_state,
    decode_timers,
    is_foreign,
    is_record,
)
from stream.decide.consent import GONE, closed
from stream.decide.rows.record import View
from stream.decide.rows.state import CustomerState
from stream.worker.faust.store import Write

logger = get_logger(__name__)
OURS: Final = b"\0"
"""What the keys of all that is no customer's begin with."""

_OF_OURS: Final[Sequence[tuple[bytes, Callable[[bytes], Any]]]] = (
    (b"\0ledger-", decode_ledger),
    (b"\0due-", decode_page),
    (b"\0timers-", decode_timers),
)


def state_of(stored: bytes, stream_time: int = 0) -> CustomerState:
    """The customer's record in these bytes; if they are none, one that is closed since a time."""
    try:
        return decode_state(stored)
    except StoredRecordError as error:
        logger.error("a customer's record is lost, and closed until their next yes: %s", error)
        return View(closed(max(stream_time, 1))).value


class Restoring:
    """Turns records into what the table is to hold; ``on_refused`` is told of those it can't."""

    def __init__(self, on_refused: Callable[[int], None] = lambda count: None) -> None:
        self._on_refused = on_refused

    def writes(self, records: Sequence[Record]) -> list[Write]:
        """What records come to, in their order."""
        writes, refused = list[Write](), list[Record]()
        for record in records:
            found = list(_writes_of(record))
            if found == [(record.key, record.value)]:
                writes += found
            else:
                refused.append(record)
                writes += found
        if refused:
            self._tell(refused)
        return writes

    def _tell(self, refused: Sequence[Record]) -> None:
        first, last = refused[0], refused[-1]
        self._on_refused(len(refused))
        logger.error(
            "%s-%d: %d records between offsets %d and %d can't be read; whose customers' they are "
            "may not be profiled until they say yes anew",
            *(first.topic, first.partition, len(refused), first.offset, last.offset),
        )


def _writes_of(record: Record) -> Iterable[Write]:
    key, value = record.key, record.value
    if isinstance(record, Unreadable):
        keys = record.aside.keys if key is None else (key,)
        return [(each, LOST) for each in keys if _is_customers(each)]
    if key is None:
        return []
    if _is_customers(key):
        keeps = value is None or is_record(value) or is_foreign(value)
        return [(key, value if keeps else LOST)]
    if not key.startswith(OURS):
        return []
    decode = next((decode for start, decode in _OF_OURS if key.startswith(start)), None)
    keeps = decode is None or value is None or is_foreign(value) or _reads(value, decode)
    return [(key, value)] if keeps else []


def _is_customers(key: bytes) -> bool:
    """Whether a key is a customer's id, or the trace of one who was erased."""
    try:
        return key.decode().startswith(GONE) or not key.startswith(OURS)
    except UnicodeDecodeError:
        return False


def _reads(value: bytes, decode: Callable[[bytes], Any]) -> bool:
    try:
        decode(value)
    except StoredRecordError:
        return False
    return True
