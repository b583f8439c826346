"""A replay drives a sink, chunk by chunk: what is published is settled before more is.

Rules:

- A chunk is a fixed number of records; after each, the sink settles. What an engine decides then
  depends on the rows alone, and not on timing.
- What an earlier run has written already is passed over, and counted.
- An interruption ends it between two chunks: what was published is settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from stream.codec.partition import partition_for
from stream.config import Settings
from stream.replay.outcome import PublishedRecord, RefusedRow
from stream.replay.pace import Pace
from stream.replay.resume import Resume, headers_of

if TYPE_CHECKING:
    from stream.worker.engine import Publication


class EventSink(Protocol):
    """Where records go: an engine, or topics that others work on."""

    async def publish(self, records: Sequence[Publication], /) -> None:
        """Append records; durable on return."""

    async def settle(self) -> None:
        """Wait until all of them are decided, learned and in use."""

    def drain_offers(self) -> list[bytes]:
        """The offers made since the last call."""


class ChunkResult(NamedTuple):
    """One chunk's effect: rows read, events published, records passed over, and what came of it."""

    rows: int
    published: int
    present: int
    time_ms: int | None
    refused: tuple[RefusedRow, ...]
    offers: Sequence[bytes]


def chunks(
    outcomes: Iterable[PublishedRecord | RefusedRow], records: int
) -> Iterator[list[PublishedRecord | RefusedRow]]:
    """Cut a replay into pieces of so many records, or of ten times as many rows that give none.

    >>> refused = [RefusedRow(n, "ragged", b"") for n in range(25)]
    >>> [len(chunk) for chunk in chunks(refused, 1)]
    [10, 10, 5]
    """
    chunk: list[PublishedRecord | RefusedRow] = []
    held = 0
    for outcome in outcomes:
        chunk.append(outcome)
        held += isinstance(outcome, PublishedRecord)
        if held >= records or len(chunk) - held >= 10 * records:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


class Drive:
    """A replay on its way into a sink.

    Parameters
    ----------
    sink
        Where the records go.
    settings
        For the number of partitions.
    replay_id
        Written with each record, so that a later run can resume.
    resume
        What is there already.
    pace
        How fast.
    elapsed
        Seconds since the beginning, by the wall.
    """

    def __init__(
        self,
        sink: EventSink,
        settings: Settings,
        replay_id: str,
        resume: Resume,
        pace: Pace,
        elapsed: Callable[[], float],
    ) -> None:
        self._sink = sink
        self._partitions = settings.partitions
        self._id = replay_id
        self._resume = resume
        self._pace = pace
        self._elapsed = elapsed

    async def run(
        self,
        outcomes: Iterable[PublishedRecord | RefusedRow],
        watch: Callable[[ChunkResult], None],
        stop: asyncio.Event,
    ) -> bool:
        """Publish everything, telling ``watch`` of each step; False if ``stop`` was set before."""
        rows, first = 0, None
        for chunk in chunks(outcomes, self._pace.chunk):
            time = next((o.time_ms for o in chunk if isinstance(o, PublishedRecord)), None)
            first = time if first is None else first
            passed = 0 if time is None or first is None else time - first
            await _pause(self._pace.wait(rows, passed, self._elapsed()), stop)
            if stop.is_set():
                return False
            step = await self._publish(chunk)
            rows += step.rows
            watch(step)
        return True

    async def _publish(self, chunk: Sequence[PublishedRecord | RefusedRow]) -> ChunkResult:
        records = [outcome for outcome in chunk if isinstance(outcome, PublishedRecord)]
        absent = [record for record in records if not self._is_present(record)]
        # Items first: whether an event finds its item described must not be a matter of timing.
        for of_items in (True, False):
            await self._settled([r for r in absent if (r.kind == "catalog") is of_items])
        refused = tuple(outcome for outcome in chunk if isinstance(outcome, RefusedRow))
        return ChunkResult(
            rows=sum(record.rows for record in records) + len(refused),
            published=sum(record.kind != "catalog" for record in absent),
            present=len(records) - len(absent),
            time_ms=records[-1].time_ms if records else None,
            refused=refused,
            offers=self._sink.drain_offers(),
        )

    async def _settled(self, records: Sequence[PublishedRecord]) -> None:
        """Publish records and let the sink settle, if there are any.

        Their timestamp is that of their arrival: topics keep them from then on, and an event that
        claims to be from the future is told by it.
        """
        if records:
            await self._sink.publish(
                [(r.kind, r.key, r.value, headers_of(self._id, r), None) for r in records]
            )
            await self._sink.settle()

    def _is_present(self, record: PublishedRecord) -> bool:
        shards = 1 if record.kind == "catalog" else self._partitions
        return self._resume.has(record, partition_for(record.key, shards))


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    """Wait, but no longer than until ``stop`` is set; let others run in any case."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
