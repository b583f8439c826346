"""The worker inside the caller's own process: for replays, the demo, notebooks and tests.

Rules: what is published is durable before :meth:`Engine.publish` returns; :meth:`Engine.settle`
returns when all of it has been decided and learned, and the new models are in use. Publishing
a fixed number of records and settling, again and again, is a *lockstep*: what is decided then
depends on the records alone, and not on timing. For that, partitions take turns in a lockstep: the
lessons of all of them stand in one log, and their order is part of what is learned.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple, Self, TypeAlias

from faust.types import TP

from stream.broker.directory import held
from stream.broker.records import Outgoing
from stream.codec.customers import decode_ledger
from stream.codec.partition import partition_for
from stream.config import Settings
from stream.decide.rows.state import CustomerState
from stream.models.propensity.foresight import Quality
from stream.worker.app import OfferstreamApp, build_app, rebuilds_of
from stream.worker.faust.store import StoreFault
from stream.worker.partition import ledger_key
from stream.worker.restoring import state_of
from stream.worker.telemetry.metrics import Metrics

Publication: TypeAlias = tuple[
    str, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]], int | None
]
"""Topic by its kind (``clicks``, ``catalog`` …), key, value, headers, timestamp in ms."""


class Status(NamedTuple):
    """What the engine has done, since the beginning of its log.

    ``counts`` are the ledgers' (records by outcome, ``rejected:<code>``, ``denied:<reason>``,
    ``offers``); ``waits`` are the latest times from event to offer in seconds, at most 10,000.
    """

    counts: Mapping[str, int]
    quality: Quality | None
    learned: int
    segments: tuple[str, ...]
    waits: Sequence[float]


class Engine:
    """A worker, its broker's clients and its tables, as an asynchronous context manager.

    Parameters
    ----------
    settings
        As for ``offerstream worker``; the topics must exist.
    lockstep
        Publish models only when settling, and decide partition by partition.
    """

    def __init__(self, settings: Settings, *, lockstep: bool = False) -> None:
        self.settings = settings
        self.metrics = Metrics(group=settings.app_id)
        self._lockstep = lockstep
        self._rebuilds = rebuilds_of(self.metrics)
        self._holding = ExitStack()
        self._app: OfferstreamApp | None = None

    @property
    def app(self) -> OfferstreamApp:
        """The application, while the engine runs."""
        if self._app is None:
            raise RuntimeError("the engine is not running: use it with 'async with'")
        return self._app

    async def __aenter__(self) -> Self:
        with ExitStack() as stack:
            if self.settings.table_store == "rocksdb":
                stack.enter_context(held(self.settings.data_dir, "data_dir"))
            await self._start()
            self._holding = stack.pop_all()
        return self

    async def _start(self) -> None:
        while True:
            self._app = app = await asyncio.to_thread(self._built)
            try:
                await app.start()
                await app.recovered()
            except BaseException as error:
                await app.stop()  # its tasks would outlive us, and ignore being cancelled
                if not isinstance(error, StoreFault):
                    raise
                self._rebuilds.empty(error)
            else:
                return

    def _built(self) -> OfferstreamApp:
        """An app: it takes a while, and needs no event loop."""
        app = build_app(
            self.settings,
            metrics=self.metrics,
            rebuilds=self._rebuilds,
            regular=not self._lockstep,
        )
        app.observing.keep_offers = True
        return app

    async def _unless_damaged(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something, and again from its start when a store was damaged meanwhile."""
        while True:
            try:
                return await work()
            except StoreFault as fault:
                before = self.app.observing
                await self.app.stop()
                self._rebuilds.empty(fault)
                await self._start()
                self.app.observing.take_over(before)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self._unless_damaged(self._finish)
        finally:
            app, self._app = self.app, None
            with self._holding:
                await app.stop()

    async def _finish(self) -> None:
        await self.app.learning.finish()

    async def publish(self, records: Sequence[Publication]) -> None:
        """Append records to their topics; they are durable on return, and decided in a lockstep.

        Raises
        ------
        StoreFault
            As for `settle`, in a lockstep.
        """
        batches: defaultdict[int, defaultdict[str, list[Outgoing]]]
        batches = defaultdict(lambda: defaultdict(list))
        for kind, key, value, headers, timestamp in records:
            topic = getattr(self.settings.topics, kind)
            shards = 1 if kind in ("catalog", "campaigns") else self.settings.partitions
            batches[partition_for(key, shards)][topic].append((key, value, timestamp, headers))
        send = self.app.send_batch
        for shard in sorted(batches):
            sent = [await send(topic, shard, batch) for topic, batch in batches[shard].items()]
            await asyncio.gather(*sent)
            if self._lockstep:
                await self._unless_damaged(self._decide)

    async def settle(self) -> None:
        """Wait until everything in the topics is decided, learned and in use.

        Raises
        ------
        StoreFault
            If a store cannot be read or written, and to rebuild it does not help.
        """
        await self._unless_damaged(self._settle)

    async def _decide(self) -> None:
        app = self.app
        await app.follower.progress.reach(await app.follower.ends())
        partitions = range(self.settings.partitions)
        events = [
            TP(topic, number) for topic in self.settings.topics.events for number in partitions
        ]
        await app.unless_crashed(
            app.pipeline.progress.reach(await app.consumer.highwaters(*events))
        )
        await app.follower.progress.reach(await app.follower.ends())  # of what was claimed

    async def _settle(self) -> None:
        await self._decide()
        app, topics = self.app, self.settings.topics
        if not self.settings.learning.enabled:
            return
        lessons = await app.consumer.highwaters(TP(topics.examples, 0))
        await app.unless_crashed(app.learning.progress.reach(lessons))
        await app.learning.publish()
        await app.follower.progress.reach(await app.follower.ends())
        await app.unless_crashed(app.view.known())

    def drain_offers(self) -> list[bytes]:
        """The offers that became durable since the last call, partition by partition."""
        return self.app.observing.drain_offers()

    def status(self) -> Status:
        """What has been done."""
        observing, models = self.app.observing, self.app.view.world.models
        counts: Counter[str] = Counter()
        for number in range(self.settings.partitions):
            ledger = self.app.table.read(number, ledger_key(number))
            if ledger is not None:
                counts.update(decode_ledger(ledger).counts)
        return Status(
            counts,
            observing.quality,
            models.learned_through,
            models.segment_names,
            tuple(observing.waits),
        )

    def customers(self) -> Iterator[tuple[str, CustomerState]]:
        """Every customer's record that is in the store."""
        for number in range(self.settings.partitions):
            for key, value in self.app.table.items_of(number):
                if not key.startswith(b"\0"):
                    yield key.decode(), state_of(value)
