"""Piping: the topic ``offers`` handed to a sink of the shop's own, at least once, in order.

Rules: a place is committed when the sink has returned, and never before, under a group of the
sink's name. A sink that raises is handed the same again, later and later; after some attempts the
pipe ends, and the next one goes on at the same place. So no offer is lost, and the last few may
come twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Final

from stream.broker.opening import open_broker
from stream.broker.protocol import Broker
from stream.broker.records import Record, value_of
from stream.broker.whole import partitions_of
from stream.codec.offers import is_recall
from stream.config import Settings
from stream.extending import Delivered, Sink

MOST: Final = 500
"""Offers that a sink is handed at once."""
LONGEST: Final = 60.0
"""Seconds between two attempts, at most; the first are a second apart."""


class SinkFailed(Exception):
    """A sink raised as often as it was let: its ``__cause__`` is what it raised last."""


class Pipe:
    """Hands offers to a sink, and remembers where it is.

    Parameters
    ----------
    settings, name, sink
        The sink, and its name, of which the group is made.
    since
        Where nothing is committed yet: ms since 1970, before which offers are passed over; None:
        the beginning.
    attempts
        How often a sink is handed the same.
    failed
        Told each time that it raised, with the seconds until the next attempt.
    opened
        A broker that is open in this process, instead of the settings' own.

    Attributes
    ----------
    delivered : int
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        sink: Sink,
        *,
        since: int | None = None,
        attempts: int = 8,
        failed: Callable[[Exception, float], None] = lambda _, __: None,
        opened: Broker | None = None,
    ) -> None:
        self._settings, self._sink, self._since = settings, sink, since
        self._attempts, self._failed = attempts, failed
        self._given = opened
        self.group = f"{settings.app_id}-sink-{name}"
        self.delivered = 0

    async def run(self, *, until_now: bool = False) -> None:
        """Hand over offers until cancelled, or until those that were there are handed over.

        Raises
        ------
        ConfigError
            If the topic cannot be read.
        SinkFailed
            If the sink raised at every attempt.
        """
        if self._given is not None:
            await self._follow(self._given, until_now)
            return
        async with open_broker(self._settings) as broker:
            await self._follow(broker, until_now)

    async def _follow(self, broker: Broker, until_now: bool) -> None:
        topic, caught_up = self._settings.topics.offers, asyncio.Event()
        tps = await partitions_of(broker, self._settings, topic)
        places = await broker.committed(self.group, tps)
        found = broker.tail(topic, self._since, caught_up.set, places)
        async with aclosing(found):  # type: ignore[type-var]
            async for records in found:
                for some in _parts(records):
                    await self._deliver(some)
                    after = some[-1].offset + 1
                    await broker.commit(self.group, {tps[some[-1].partition]: after})
                if until_now and caught_up.is_set() and not records:
                    return

    async def _deliver(self, records: Sequence[Record]) -> None:
        """Hand records of one partition over."""
        offers = list(_delivered(records))
        if offers:
            await self._hand(offers)
            self.delivered += len(offers)

    async def _hand(self, offers: Sequence[Delivered]) -> None:
        for attempt in range(1, self._attempts + 1):
            try:
                await asyncio.to_thread(self._sink, offers)
            except Exception as error:
                if attempt == self._attempts:
                    place = f"partition {offers[0].partition}, offset {offers[0].offset}"
                    raise SinkFailed(
                        f"it raised {type(error).__name__} at each of {attempt} attempts at {place}"
                    ) from error
                wait = min(2.0 ** (attempt - 1), LONGEST)
                self._failed(error, wait)
                await asyncio.sleep(wait)
            else:
                return


def _parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for at in range(0, len(records), MOST):
        yield records[at : at + MOST]


def _delivered(records: Sequence[Record]) -> Iterator[Delivered]:
    """What a sink takes of records: all that a worker wrote."""
    for record in records:
        value = value_of(record)
        if value is not None and record.key is not None:
            customer_id = record.key.decode(errors="replace")
            place = record.partition, record.offset
            yield Delivered(customer_id, value, is_recall(value), *place)
