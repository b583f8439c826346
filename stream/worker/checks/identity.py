"""What a batch leaves in its partition's ledger, so that its topics are known again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from stream.decide.ledger import Identity, Ledger
from stream.domain.event import Source
from stream.domain.stamps import offset_of
from stream.worker.checks.agreement import print_of
from stream.worker.faust.records import Batch

ENDLESS: Final = (2**63,) * len(Source)


class ComparedState(NamedTuple):
    """What was found when the partitions were compared with the broker.

    ``topic_ids`` by topic; ``durable`` holds, by partition, per source the last stamp of which a
    commit says that its effects are safe; ``ends`` likewise the stamps at which topics ended.
    """

    topic_ids: dict[str, str]
    durable: dict[int, tuple[int, ...]]
    ends: dict[int, tuple[int, ...]]

    @classmethod
    def nothing(cls) -> ComparedState:
        """Where nothing was compared yet."""
        return cls({}, {}, {})


def identified(
    ledger: Ledger, batch: Batch, topic_ids: Mapping[str, str], durable: Sequence[int]
) -> Ledger:
    """The ledger with what the records at its stamps were.

    ``durable`` holds, per source, the last stamp whose effects are safe.
    """
    identities = list(ledger.identities)
    for source, record in {one.content.source: one.record for one in batch.arrived}.items():
        known = identities[source]
        safe = max(known.safe, durable[source])
        if record.offset == offset_of(ledger.stamps[source]):  # else it was accounted for before
            seen, topic_id = print_of(record), topic_ids.get(record.topic, known.topic_id)
            checksum = None if seen is None else seen.checksum
            known = Identity(topic_id, record.timestamp, checksum)
        identities[source] = known._replace(safe=safe)
    return ledger._replace(identities=tuple(identities))


def moved(ledger: Ledger, source: int, at: int, topic_id: str) -> Ledger:
    """The ledger with all of a source up to a stamp accounted for, whatever record stood there."""
    stamps, identities = list(ledger.stamps), list(ledger.identities)
    stamps[source], identities[source] = at, Identity(topic_id, safe=at)
    return ledger._replace(stamps=tuple(stamps), identities=tuple(identities))
