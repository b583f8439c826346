"""Time that passes with nobody's event: how far to go, and the event with which it goes on.

Stream time is the time of events, and a worker has no other clock. So time passes by an update of
a customer of the driver's own, who allows nothing: nothing is profiled, learned or offered of it.
What is due takes its turn with it, two customers with each event, as with anybody's.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

import orjson

from stream.codec.customers import decode_ledger, decode_page
from stream.codec.partition import partition_for
from stream.config import Settings
from stream.decide.ledger import Ledger
from stream.decide.rows.due import DueQueue, Page
from stream.decide.rows.layout import LARGEST
from stream.decide.rows.parameters import patience
from stream.worker.engine import Engine, Publication
from stream.worker.partition import ledger_key, page_key

NAME: Final = "offerstream.testing"
"""How the ids begin of those with whom time passes."""
_EACH: Final = 50  # updates of one of them: more at once would be a flood
_REFUSED: Final = {"profiling": False, "offers": False}


class Ticks:
    """Makes the events with which time passes."""

    def __init__(self, settings: Settings) -> None:
        self._partitions = settings.partitions
        self._each = min(_EACH, settings.core.policy.events_burst)
        self._numbers = count(1)
        self._names: list[Iterator[bytes]] = [self._of(n) for n in range(settings.partitions)]

    def tick(self, partition: int, time: int) -> Publication:
        """An event of a partition, at a time in ms."""
        key = next(self._names[partition])
        event = {
            "event_id": f"tick-{next(self._numbers)}",
            "customer_id": key.decode(),
            "timestamp": time,
            "consent": _REFUSED,
        }
        return "customers", key, orjson.dumps(event), (), time

    def _of(self, partition: int) -> Iterator[bytes]:
        for number in count():
            key = f"{NAME}.{number}".encode()
            if partition_for(key, self._partitions) == partition:
                for _ in range(self._each):
                    yield key


def ledger_of(engine: Engine, partition: int) -> Ledger:
    """A partition's ledger, as the table has it."""
    stored = engine.app.table.read(partition, ledger_key(partition))
    return Ledger() if stored is None else decode_ledger(stored)


def next_due(engine: Engine, partition: int) -> int:
    """When something of a partition is due next, in ms; `LARGEST` if nothing waits."""

    def page(number: int) -> Page | None:
        stored = engine.app.table.read(partition, page_key(partition, number))
        return None if stored is None else decode_page(stored)

    ledger, settings = ledger_of(engine, partition), engine.settings
    waits = [ledger.timer or LARGEST]
    behind = patience(settings.core)
    if settings.learning.enabled:
        waits.append(DueQueue(ledger.due, page).next_time + behind)
    if ledger.erased:
        waits.append(DueQueue(ledger.traces, lambda at: page(~at)).next_time + behind)
    return min(waits)
