"""Fencing: of all workers that think they own a partition, only the latest can write its changelog.

A worker that was paused past its session (a zombie) may wake up with a decided batch in its hands,
while another worker owns the partition and has gone on. Kafka's own fence for that is the producer
epoch: whoever initialises a producer id under a name raises its epoch, and the broker refuses a
partition's appends under an epoch lower than the last that it saw there. We use that without
transactions, and so without their round trips: the name serves to get the id and the epoch, and
what is written are plain idempotent batches.

The new owner writes one record under its epoch *before* it reads where the changelog ends. So what
a zombie wrote before is recovered, and what it writes after is refused; its effects are never sent,
because they wait for that write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from faust.types import TP

from stream.broker.kafka.connection import started

TIMEOUT_MS = 60_000  # asked for with every name; there are no transactions that could time out


def owner_name(app_id: str, tp: TP) -> str:
    """The name under which a partition is owned; Kafka's access rules see a transactional id."""
    return f"{app_id}-{tp.topic}-{tp.partition}"


class FencedProducer:
    """A producer of which only the latest of a name can write to where the latest wrote.

    Parameters
    ----------
    name
        Unique for what is owned, the same for all who may own it. Kafka's access rules see it as a
        transactional id.
    options
        As for an ``AIOKafkaProducer``.
    """

    def __init__(self, name: str, options: Mapping[str, Any]) -> None:
        self._name = name
        self._options = options
        self.producer: Any = None

    async def start(self) -> None:
        """Become the latest, once a broker answers: from now on, those before are refused."""
        self.producer = await started(self._named)
        self.producer._txn_manager.transactional_id = None

    def _named(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(**{**self._options, "enable_idempotence": True, "acks": "all"})
        # The name is there for the sender's InitProducerId alone; with it, aiokafka would ask for
        # a transaction around every batch.
        manager = producer._txn_manager
        manager.transactional_id = self._name
        manager.transaction_timeout_ms = TIMEOUT_MS
        return producer

    async def stop(self) -> None:
        """Stop; what was handed over is sent, or refused."""
        if self.producer is not None:
            await self.producer.stop()
