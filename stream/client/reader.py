"""The offer reader: what each customer may be shown now, in memory, kept up to date."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from typing import Final, Self

from stream.broker.opening import open_broker
from stream.broker.protocol import Broker
from stream.broker.records import Record, value_of
from stream.client.book import Limits, OfferBook, Taken
from stream.client.offer import Offer
from stream.config import Settings
from stream.domain.text import tidy

DAY: Final = 86_400.0
Heard = Callable[[Record, Taken], None]


class ReaderStopped(Exception):
    """The reader no longer follows the topic, so what it knows must not be shown."""


def wall_clock() -> int:
    """The time of this machine, in ms since 1970."""
    return time.time_ns() // 1_000_000


class OfferReader:
    """Follows the topic ``offers`` and keeps what each customer may be shown now.

    Use it with ``async with``: it is entered once all offers are read that were there, and
    follows the topic until it is left. Asking it is a look into a dictionary. Where the broker is
    away meanwhile, it goes on with what it knows, and reads on when the broker is back.

    Parameters
    ----------
    broker
        ``kafka://host:port[,host:port]`` or ``local:///directory`` for a local log that nobody has
        open; or settings, for TLS, a login or a prefix of topics' names.
    opened
        A broker that is open in this process, such as ``engine.app.broker``, instead.
    lookback
        How many seconds before now to begin on Kafka, at least as long as offers live; None: with
        the topic's first record.
    clock
        The time in ms since 1970 at which offers expire. By default this machine's; ``"stream"``
        is the newest offer's own, for replays of old events.
    limits
        How much is kept.
    heard
        Called for each record, with what became of it.

    Examples
    --------
    .. code-block:: python

        async with OfferReader("kafka://127.0.0.1:9092") as offers:
            for offer in offers.for_customer("c-7"):
                print(offer.offer_id, [item.product_id for item in offer.items])
    """

    def __init__(
        self,
        broker: str | Settings = "kafka://127.0.0.1:9092",
        *,
        opened: Broker | None = None,
        lookback: float | None = DAY,
        clock: Callable[[], int] | str = wall_clock,
        limits: Limits = Limits(),  # noqa: B008  # immutable
        heard: Heard | None = None,
    ) -> None:
        self._settings = Settings(broker=broker) if isinstance(broker, str) else broker
        self._given = opened
        self._lookback = lookback
        self._book = OfferBook(limits)
        self._clock = clock if callable(clock) else lambda: self._book.newest
        self._heard = heard
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    @property
    def counts(self) -> Counter[str]:
        """Records by what became of them (see `Taken`), and offers ``evicted`` before their end."""
        return self._book.counts

    def for_customer(self, customer_id: str) -> list[Offer]:
        """The customer's open offers, newest first.

        Raises
        ------
        ReaderStopped
            If the reader was left, or had to give up: its ``__cause__`` says why.
        """
        self.check()
        return self._book.offers(tidy(customer_id), self._clock())

    def documents(self, customer_id: str) -> list[bytes]:
        """The same as the JSON that the worker wrote."""
        self.check()
        return self._book.open(tidy(customer_id), self._clock())

    def check(self) -> None:
        """Raise `ReaderStopped` unless the topic is followed."""
        if self._task is None:
            raise ReaderStopped("the reader is not running: use it with 'async with'")
        if self._task.done():
            error = None if self._task.cancelled() else self._task.exception()
            raise ReaderStopped("the reader no longer follows the offers") from error

    async def wait(self) -> None:
        """Follow until cancelled.

        Raises
        ------
        ConfigError
            If the topic can no longer be read.
        """
        assert self._task is not None, "the reader is not running"
        await asyncio.shield(self._task)

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._follow())
        waiting = asyncio.ensure_future(self._caught_up.wait())
        try:
            await asyncio.wait({self._task, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if self._task.done():
                self._task.result()
        except BaseException:
            await self._stop()
            raise
        finally:
            waiting.cancel()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _follow(self) -> None:
        ago, topic = self._lookback, self._settings.topics.offers
        since = None if ago is None else wall_clock() - round(ago * 1000)
        async with AsyncExitStack() as stack:
            broker = self._given
            if broker is None:
                broker = await stack.enter_async_context(open_broker(self._settings))
            found = broker.tail(topic, since, self._caught_up.set)
            async with aclosing(found):  # type: ignore[type-var]
                async for records in found:
                    for record in records:
                        self._take(record)
                    await asyncio.sleep(0)

    def _take(self, record: Record) -> None:
        taken = self._book.take(record.key, value_of(record), self._clock())
        if self._heard is not None:
            self._heard(record, taken)
