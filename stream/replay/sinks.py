"""Sinks without an engine: records for workers that run elsewhere, or later.

Rules: what was published is durable; settling waits for nobody, and no offers come back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from faust.types import TP

from stream.broker.opening import open_broker
from stream.broker.protocol import Broker
from stream.broker.records import Outgoing
from stream.codec.partition import partition_for
from stream.config import Settings
from stream.replay.drive import EventSink

if TYPE_CHECKING:
    from stream.worker.engine import Publication


@asynccontextmanager
async def topics_only(settings: Settings) -> AsyncIterator[EventSink]:
    """Open the topics for writing.

    Raises
    ------
    ConfigError
        The broker does not answer, or the local log is open elsewhere.
    """
    async with open_broker(settings) as broker:
        yield _Topics(broker, settings)


class _Topics:
    """Topics that somebody else reads."""

    def __init__(self, broker: Broker, settings: Settings) -> None:
        self._broker, self._settings = broker, settings

    async def settle(self) -> None:
        """Wait for nobody."""

    def drain_offers(self) -> list[bytes]:
        """None come back."""
        return []

    async def publish(self, records: Sequence[Publication]) -> None:
        """Append records; durable on return."""
        places: defaultdict[TP, list[Outgoing]] = defaultdict(list)
        for kind, key, value, headers, _ in records:
            shards = 1 if kind == "catalog" else self._settings.partitions
            tp = TP(getattr(self._settings.topics, kind), partition_for(key, shards))
            places[tp].append((key, value, None, headers))
        await self._broker.publish(places)
