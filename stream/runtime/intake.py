"""Intake of the catalog and the campaigns: every entry is checked once, and refused aloud.

All workers follow these compacted topics by themselves; the agents here are there so that an
entry that its schema refuses becomes a dead letter, once, and is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stream.codec.envelope import Headers
from stream.codec.reference import ReferenceDecoder
from stream.config import Settings
from stream.core.event import Rejection
from stream.runtime.batching.records import Delivery, Record
from stream.runtime.deadletters import letter
from stream.runtime.observing import Observing

Decode = Callable[[bytes | None, bytes | None, Headers], object]


class Intake:
    """The agents of the catalog and the campaigns."""

    def __init__(
        self, app: Any, settings: Settings, decoder: ReferenceDecoder, observing: Observing
    ) -> None:
        self._app = app
        self._topic = settings.topics.dead_letters
        self._decoder = decoder
        self._observing = observing

    async def take_catalog(self, event: Delivery) -> None:
        """Refuse what is no item."""
        await self._take(event, self._decoder.decode_catalog)

    async def take_campaigns(self, event: Delivery) -> None:
        """Refuse what is no campaign."""
        await self._take(event, self._decoder.decode_campaign)

    async def _take(self, event: Delivery, decode: Decode) -> None:
        batch = event.value
        refused: list[tuple[Record, Rejection]] = []
        for record in batch.records:
            outcome = decode(record.key, record.value, record.headers)
            if isinstance(outcome, Rejection):
                refused.append((record, outcome))
        if refused:
            letters = [letter(record, rejection) for record, rejection in refused]
            await (await self._app.send_batch(self._topic, 0, letters))
        self._observing.checked(batch, [rejection for _, rejection in refused])
        event.ack()
