"""A customer's record after some events, made by the project's own core, one event at a time.

What is left out is what only the worker's protocol needs: stamps of other topics, effects kept
until they are durable, a ledger.
"""

from __future__ import annotations

from collections import defaultdict

from bench.run import Run
from stream.codec.customers import decode_record, encode_record
from stream.codec.events.decoding import Decoded, EventDecoder
from stream.codec.offers import encode_offer
from stream.codec.schema import load_schemas
from stream.decide.decide import decide
from stream.decide.rows.record import NEW
from stream.decide.world import World
from stream.domain.event import Source
from stream.domain.offer import Cause


class StateJob:
    """One record after the other: its customer's record before and after, and the offer."""

    def __init__(self, run: Run) -> None:
        settings = run.settings().core
        self._decode = EventDecoder(load_schemas(), settings).of(Source.CLICKS)
        self._world = World(settings=settings, learning=False)
        self._stream_time: defaultdict[int, int] = defaultdict(int)

    def take(
        self, partition: int, offset: int, time: int, key: bytes, value: bytes, stored: bytes | None
    ) -> tuple[bytes, bytes | None]:
        """The customer's new record, and the offer if there is one; ``time`` in ms, the record's.

        Raises
        ------
        ValueError
            If the record is no event: the bench makes none such.
        """
        decoded = self._decode(key, value, (), time)
        if not isinstance(decoded, Decoded):
            raise ValueError(f"not an event: {decoded}")
        event = decoded.event
        record = NEW if stored is None else decode_record(stored)
        cause = Cause(Source.CLICKS, partition, offset, self._stream_time[partition])
        step = decide(record, event, cause, self._world)
        self._stream_time[partition] = max(cause.stream_time, event.time)
        if step.record is None:
            raise ValueError("nobody is erased here")
        offer = encode_offer(step.offers[0]) if step.offers else None
        return encode_record(step.record), offer
