"""Reading the customers' changelog from outside a worker: every record as of now."""

from __future__ import annotations

from collections.abc import Callable, Collection

from stream.broker.records import Record, Unreadable
from stream.broker.whole import counted, read_topic
from stream.codec.customers import StoredRecordError, decode_ledger, decode_state
from stream.codec.partition import partition_for
from stream.config import Settings
from stream.decide.ledger import Ledger
from stream.decide.rows.state import CustomerState
from stream.worker.faust.store import OWN
from stream.worker.partition import ledger_key
from stream.worker.restoring import Restoring


class Customers:
    """Customers' records and partitions' ledgers, as the changelog has them.

    ``unreadable`` holds a line for each record that cannot be read.
    """

    def __init__(self, records: dict[bytes, bytes], partitions: int) -> None:
        self.states: dict[str, CustomerState] = {}
        self.ledgers: list[Ledger] = []
        self.unreadable: list[str] = []
        for key in sorted(records):
            if not key.startswith(OWN):
                self._take(key, records[key])
        for number in range(partitions):
            stored = records.get(ledger_key(number))
            try:
                ledger = Ledger() if stored is None else decode_ledger(stored)
            except StoredRecordError as error:
                self.unreadable.append(f"the ledger of partition {number} cannot be read: {error}")
            else:
                self.ledgers.append(ledger)

    def _take(self, key: bytes, value: bytes) -> None:
        try:
            self.states[key.decode()] = decode_state(value)
        except (StoredRecordError, UnicodeDecodeError) as error:
            name = key.decode(errors="backslashreplace")
            self.unreadable.append(f"the record of customer {name!r} cannot be read: {error}")


def read_customers(settings: Settings) -> Customers:
    """Read the whole changelog, to where it ends now.

    Raises
    ------
    ConfigError
        If the broker does not answer, or the local log is open elsewhere.
    """
    records = _read(settings, None, lambda key: True)
    return Customers(records, settings.partitions)


def read_customer(
    settings: Settings, customer_id: str, seen: Callable[[int], None] = lambda _: None
) -> Customers:
    """Read what is kept of one customer: of the changelog, one partition.

    Where producers place keys their own way (``topics.partitioner``), all are read. ``seen`` is
    told the number of records read, now and then.

    Raises
    ------
    ConfigError
        As `read_customers`.
    """
    key, only = customer_id.encode(), None
    if settings.topics.partitioner == "murmur2":
        only = {partition_for(key, settings.partitions)}
    kept = {key, *map(ledger_key, range(settings.partitions) if only is None else only)}
    return Customers(_read(settings, only, kept.__contains__, seen), settings.partitions)


def _read(
    settings: Settings,
    only: Collection[int] | None,
    is_kept: Callable[[bytes], bool],
    seen: Callable[[int], None] = lambda _: None,
) -> dict[bytes, bytes]:
    """The last value of each key that is kept, of some partitions."""
    records: dict[bytes, bytes] = {}
    restoring = Restoring()

    def take(record: Record) -> None:
        writes = [(record.key or b"", record.value)]
        if isinstance(record, Unreadable):
            writes = restoring.writes([record])
        for key, value in writes:
            if not is_kept(key):
                continue
            if value is None:
                records.pop(key, None)
            else:
                records[key] = value

    changelog = settings.customers_changelog
    read_topic(settings, changelog, settings.partitions, counted(take, seen), only)
    return records
