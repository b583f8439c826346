"""Ends of a local log's topics that a power cut took, or a hand: no offset is given twice.

A record that took the offset of one that was lost would look like it: at or below the ledger's
stamp, accounted for already, and so it would change nothing. A topic that was made anew is another
matter: what it holds was never read.
"""

from __future__ import annotations

from mode import get_logger

from stream.broker.local.log import Log
from stream.config import ConfigError, Settings
from stream.domain.stamps import next_place
from stream.worker.faust.store import StoreFault
from stream.worker.faust.table import BatchTable
from stream.worker.partition import read_ledger

logger = get_logger(__name__)


def skip_lost_ends(log: Log, settings: Settings, table: BatchTable) -> None:
    """Let event topics go on behind what the ledgers have accounted for.

    What was lost is in the customers' records: it was accounted for. It cannot be read again.
    """
    for number in range(settings.partitions):
        try:
            ledger = read_ledger(table, number)
        except (ConfigError, StoreFault):  # told when the partition is read
            continue
        if ledger is None:
            continue
        for topic, stamp, known in zip(
            settings.topics.events, ledger.stamps, ledger.identities, strict=True
        ):
            end, wanted = log.highwater(topic, number), next_place(stamp)[1]
            if end >= wanted or known.topic_id != log.topic_id(topic):
                continue
            log.skip(topic, number, wanted)
            log.commit(settings.app_id, {(topic, number): wanted})
            logger.error(
                "%s-%d lost its records from offset %d to %d, which are in the customers' records: "
                "a power cut took them (see embedded.fsync), or a hand; it goes on behind them",
                *(topic, number, end, wanted - 1),
            )
