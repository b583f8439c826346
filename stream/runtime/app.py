"""The composition root: settings in, a Faust application out.

Rules: nothing happens at import; two apps of one process share nothing. The agents read raw
batches; what they do with them lives in modules that know no Faust stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, cast

import faust
from faust.types import TP
from mode import get_logger

from stream.codec.events import EventDecoder
from stream.codec.reference import ReferenceDecoder
from stream.codec.schema import load_schemas
from stream.config import Settings
from stream.runtime.batching.kafka import KafkaTransport
from stream.runtime.batching.lane import Group
from stream.runtime.batching.records import BatchProducer, Delivery, Outgoing, Record
from stream.runtime.batching.schema import AsIs
from stream.runtime.batching.table import BatchTable, PromptTables
from stream.runtime.connection import faust_credentials
from stream.runtime.follow import Follower, KafkaFollower, LocalFollower
from stream.runtime.intake import Intake
from stream.runtime.learning.agent import Learning
from stream.runtime.learning.rulebook import RuleBook
from stream.runtime.local.log import Log
from stream.runtime.metrics import Metrics
from stream.runtime.observing import Observing
from stream.runtime.pipeline import Pipeline
from stream.runtime.reading import EventReader, as_it_is
from stream.runtime.topics import MAX_CHANGELOG_BATCH
from stream.runtime.worldview import WorldView

logger = get_logger(__name__)
Take: TypeAlias = Callable[[Delivery], Awaitable[None]]

T = TypeVar("T")
EVENTS = "events"
MAX_REQUEST = 4 << 20  # bytes: a dead letter is larger than what it buries
STORE_BUFFERS = 128 << 20  # bytes of writes that all partitions' stores hold before they are files
STORE_CACHE = 256 << 20  # bytes of blocks that they cache together; Faust's 2 GiB are for each
LESSONS_AHEAD = 10_000  # lessons are acknowledged by publications, not one by one


class OfferstreamApp(faust.App):
    """A Faust app with our transports, and with the parts of the worker within reach."""

    settings: Settings
    table: BatchTable
    view: WorldView
    follower: Follower
    pipeline: Pipeline
    learning: Learning
    observing: Observing
    #: The group of each topic that is read in batches.
    groups: Mapping[str, Group]

    def __init__(self, settings: Settings, groups: Mapping[str, Group]) -> None:
        self.settings = settings
        self.groups = groups
        self._knows_world = False
        super().__init__(settings.app_id, TableManager=PromptTables, **_options(settings))

    def on_positions(self, offsets: Mapping[TP, int]) -> None:
        """Take note of where reading goes on: all before it is done."""
        examples = self.settings.topics.examples
        self.pipeline.progress.advance({tp: n for tp, n in offsets.items() if tp.topic != examples})
        self.learning.progress.advance({tp: n for tp, n in offsets.items() if tp.topic == examples})

    def absorbed(self, tp: TP, records: Sequence[Record]) -> Sequence[Record]:
        """Take in records of a changelog; those that Faust's recovery is to see."""
        if tp.topic == self.table.changelog_topic_name:
            return self.table.absorb(tp.partition, records)
        return records

    async def recovered(self) -> None:
        """Wait until the tables are recovered, the world is known and events are being taken."""
        await self.unless_crashed(self.tables.wait_until_recovery_completed())
        await self.unless_crashed(self.world_known())

    async def on_stop(self) -> None:
        """Stop what runs beside Faust's services."""
        await super().on_stop()
        self.forget_partitions()
        await self.learning.stop()

    async def world_known(self) -> None:
        """Wait until catalog, campaigns and models are in use as they stood at the start.

        What is decided before would differ from what is decided after for no reason but a restart.
        """
        if not self._knows_world:
            await self.follower.progress.reach(await self.follower.ends())
            await self.view.models_known()
            self._knows_world = True

    def let_go(self) -> None:
        """Give up lessons that no publication holds yet: whoever learns next reads them again."""
        self.learning.forget()

    def forget_partitions(self) -> None:
        """Drop what is known of partitions: they may have moved, or been recovered."""
        self.pipeline.forget()
        self.observing.forget()

    async def on_revoked(self, *_: Any, **__: Any) -> None:
        """Drop what is known of partitions that move; the consumer lets go of lessons itself."""
        self.forget_partitions()

    def open_log(self) -> Log:
        """The local log, where embedded."""
        log: Log = self.transport.log  # type: ignore[attr-defined]  # our own transport has it
        return log

    async def send_batch(
        self, topic: str, partition: int, records: Sequence[Outgoing]
    ) -> Awaitable[Any]:
        """Send records of one partition together; see :class:`BatchProducer`."""
        producer = cast(BatchProducer, self.producer)
        return await producer.send_batch(topic, partition, records)

    async def unless_crashed(self, waited: Awaitable[T]) -> T:
        """Await something that only a running worker can bring about.

        Raises
        ------
        BaseException
            What the worker crashed with, if it did.
        """
        task = asyncio.ensure_future(waited)
        crashed = asyncio.ensure_future(self._crashed.wait())
        await asyncio.wait({task, crashed}, return_when=asyncio.FIRST_COMPLETED)
        crashed.cancel()
        if task.done():
            return task.result()
        task.cancel()
        raise self.crash_reason or RuntimeError("the worker crashed")

    def _new_transport(self) -> Any:
        # Stock: chosen from Faust's own registry, where kafka:// is the driver without batches.
        if self.settings.embedded_log is None:
            return KafkaTransport(self.conf.broker_consumer, self)
        from stream.runtime.batching.local import local_transport

        return local_transport(self.conf.broker_consumer, self, self.settings)

    def _new_producer_transport(self) -> Any:
        # Stock: a second transport; ours is shared, and so is the local log that it holds open.
        return self.transport


def build_app(
    settings: Settings, *, metrics: Metrics, regular: bool = True, apart: bool = False
) -> OfferstreamApp:
    """Build the worker's application.

    Parameters
    ----------
    settings
        Everything that an operator may choose.
    metrics
        What the worker reports to.
    regular
        Whether the learner publishes each interval, as it should but in a replay in lockstep.
    apart
        Whether it learns in a process of its own.

    Raises
    ------
    ConfigError
        If a schema or a certificate cannot be read.
    """
    topics, schemas = settings.topics, load_schemas()
    reader = EventReader(EventDecoder(schemas, settings.core), topics)
    app = OfferstreamApp(settings, _groups(settings, reader))
    reference = ReferenceDecoder(schemas, settings.core)
    app.table = BatchTable(
        app,
        name="customers",
        key_type=bytes,
        value_type=bytes,
        partitions=settings.partitions,
        options=_store_options(settings.partitions),
        beacon=app.tables.beacon,
        help="One record for each customer, and a ledger for each partition.",
    )
    app.tables.add(app.table)
    app.observing = observing = Observing(metrics, settings, reader.unknown)
    rules = RuleBook(app, settings)
    learning = settings.learning
    app.view = WorldView(
        settings.core, reference, learning.enabled, learning.key, metrics.models_refused
    )
    follow = {
        topics.catalog: app.view.take_item,
        topics.campaigns: app.view.take_campaign,
        topics.models: app.view.take_models,
        topics.rules: rules.take,
    }
    if settings.embedded_log is None:
        app.follower = KafkaFollower(settings, follow)
    else:
        app.follower = LocalFollower(app.open_log, follow)
    app.pipeline = Pipeline(app, app.table, settings, lambda: app.view.world, observing)
    app.learning = Learning(
        app,
        settings,
        app.view,
        rules,
        lambda: _caught_up(app),
        observing.learned,
        apart=apart,
    )
    app.table.on_recovered = app.forget_partitions
    # Weakly: Faust keeps the signals of all apps of the process together.
    app.on_partitions_revoked.connect(app.on_revoked, weak=True)
    intake = Intake(app, settings, reference, observing)
    _agent(app, "decide", topics.events, _decide(app))
    if settings.learning.enabled:
        _agent(app, "learn", (topics.examples,), app.learning.take)
    _agent(app, "catalog", (topics.catalog,), intake.take_catalog)
    _agent(app, "campaigns", (topics.campaigns,), intake.take_campaigns)
    _task(app, app.view.build_models)
    _task(app, app.follower.run)
    if regular and settings.learning.enabled:
        _task(app, app.learning.publish_regularly)
    return app


def _groups(settings: Settings, reader: EventReader) -> dict[str, Group]:
    topics, worker, limit = settings.topics, settings.worker, settings.kafka.poll_records
    groups = [
        Group(
            EVENTS,
            topics.events,
            reader.read,
            worker.batches_ahead,
            limit,
            worker.order_wait,
            gathered=True,
        ),
        Group(topics.examples, (topics.examples,), as_it_is, LESSONS_AHEAD, limit, awaited=False),
        Group(topics.catalog, (topics.catalog,), as_it_is, limit=limit),
        Group(topics.campaigns, (topics.campaigns,), as_it_is, limit=limit),
    ]
    return {topic: group for group in groups for topic in group.topics}


def _task(app: OfferstreamApp, run: Callable[[], Awaitable[None]]) -> None:
    async def task() -> None:
        try:
            await run()
        except Exception as error:
            # Faust would log it and go on with a world that no longer changes.
            logger.exception("%s failed", run)
            await app.crash(error)

    app.task(task)


def _agent(app: OfferstreamApp, name: str, topics: tuple[str, ...], take: Take) -> None:
    async def agent(stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                await take(event)
        except Exception as error:
            # Faust would acknowledge the event and restart the agent: a silent loss.
            logger.exception("agent %s failed", name)
            await app.crash(error)
            raise

    agent.__name__ = agent.__qualname__ = name
    app.agent(app.topic(*topics, schema=AsIs()), name=name)(agent)


def _decide(app: OfferstreamApp) -> Take:
    async def decide(event: Delivery) -> None:
        await app.world_known()
        await app.pipeline.take(event)

    return decide


async def _caught_up(app: OfferstreamApp) -> None:
    await app.follower.progress.reach(await app.follower.ends())
    await app.view.models_known()


def _store_options(partitions: int) -> dict[str, int]:
    """What RocksDB may hold in memory for one partition: a share of what all may."""
    return {
        "write_buffer_size": min(STORE_BUFFERS // (2 * partitions), 16 << 20),
        "max_write_buffer_number": 2,
        "block_cache_size": STORE_CACHE // partitions,
    }


def _options(settings: Settings) -> dict[str, Any]:
    """What we override of Faust's defaults, each with its reason."""
    kafka = settings.kafka
    options: dict[str, Any] = {
        "broker": settings.broker,
        "datadir": str(settings.data_dir),
        "store": "memory://" if settings.table_store == "memory" else "rocksdb://",
        "autodiscover": False,
        "web_enabled": False,  # bound to all addresses, and it would serve the tables
        "topic_allow_declare": False,  # topics are an operator's to create
        "topic_disable_leader": True,  # no leader election topic: nothing of ours needs it
        "processing_guarantee": "at_least_once",  # exactly_once is not reliable; see the ADR
        "stream_wait_empty": True,  # a rebalance waits for what is under way
        "stream_recovery_delay": 0.0,
        "stream_publish_on_commit": False,
        "broker_commit_interval": settings.worker.commit_interval,
        "broker_session_timeout": kafka.session_timeout,
        "broker_heartbeat_interval": kafka.heartbeat_interval,
        "broker_max_poll_interval": kafka.max_poll_interval,
        "broker_max_poll_records": kafka.poll_records,
        "broker_request_timeout": kafka.request_timeout,
        "consumer_max_fetch_size": MAX_CHANGELOG_BATCH,  # or recovery could wait for its turn
        "consumer_auto_offset_reset": "earliest",
        "consumer_group_instance_id": kafka.group_instance_id or None,
        "producer_max_batch_size": kafka.batch_bytes,
        "producer_max_request_size": MAX_REQUEST,
        "producer_request_timeout": kafka.request_timeout,
        "table_standby_replicas": 0 if settings.embedded_log else settings.worker.standbys,
    }
    credentials = faust_credentials(kafka)
    if credentials is not None:
        options["broker_credentials"] = credentials
    return options
