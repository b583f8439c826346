"""Reading the customers' changelog from outside a worker: every record as of now."""

from __future__ import annotations

from stream.codec.state import decode_ledger, decode_state
from stream.config import Settings
from stream.core.ledger import Ledger
from stream.core.state import CustomerState
from stream.runtime.archive import read_topic
from stream.runtime.batching.records import Record
from stream.runtime.partition import ledger_key


class Customers:
    """Customers' records and partitions' ledgers, as the changelog has them."""

    def __init__(self, records: dict[bytes, bytes], partitions: int) -> None:
        self.states: dict[str, CustomerState] = {
            key.decode(): decode_state(records[key])
            for key in sorted(records)
            if not key.startswith(b"\0")
        }
        stored = [records.get(ledger_key(number)) for number in range(partitions)]
        self.ledgers = [Ledger() if found is None else decode_ledger(found) for found in stored]


def read_customers(settings: Settings) -> Customers:
    """Read the whole changelog, to where it ends now.

    Raises
    ------
    ConfigError
        If the broker does not answer, or the local log is open elsewhere.
    """
    records: dict[bytes, bytes] = {}

    def take(record: Record) -> None:
        if record.key is None:
            return
        if record.value is None:
            records.pop(record.key, None)
        else:
            records[record.key] = record.value

    read_topic(settings, settings.customers_changelog, settings.partitions, take)
    return Customers(records, settings.partitions)
