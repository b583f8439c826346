"""Intake of the catalog and the campaigns: every entry is checked once, and refused aloud.

All workers follow these compacted topics by themselves; the agents here are there so that an
entry that its schema refuses becomes a dead letter, once, and is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stream.broker.records import Outgoing, Record, Unreadable
from stream.broker.turns import in_turns
from stream.codec.events.envelope import Headers
from stream.codec.reference import ReferenceDecoder
from stream.config import Settings
from stream.domain.event import Rejection
from stream.worker.deadletters import letter
from stream.worker.faust.records import InFlight
from stream.worker.telemetry.observing import Observing

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

    async def take_catalog(self, event: InFlight) -> None:
        """Refuse what is no item."""
        await self._take(event, self._decoder.decode_catalog)

    async def take_campaigns(self, event: InFlight) -> None:
        """Refuse what is no campaign."""
        await self._take(event, self._decoder.decode_campaign)

    async def _take(self, event: InFlight, decode: Decode) -> None:
        batch = event.value
        refused: list[Rejection] = []
        letters: list[Outgoing] = []
        async for some in in_turns(list(batch.records)):
            for record in some:
                rejection = _refused(record, decode)
                if rejection is not None:
                    refused.append(rejection)
                    letters.append(letter(record, rejection))
        if letters:
            await (await self._app.send_batch(self._topic, 0, letters))
        self._observing.checked(batch, refused)
        event.ack()


def _refused(record: Record, decode: Decode) -> Rejection | None:
    if isinstance(record, Unreadable):
        return record.aside.rejection
    outcome = decode(record.key, record.value, record.headers)
    return outcome if isinstance(outcome, Rejection) else None
