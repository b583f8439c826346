"""The composition root: settings in, a Faust application out.

Rules: nothing happens at import; two apps of one process share nothing. The agents read raw
batches; what they do with them lives in modules that know no Faust stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, cast

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import Service, get_logger

import faust
from stream.broker.kafka.connection import faust_credentials
from stream.broker.local.log import Log
from stream.broker.opening import broker_of
from stream.broker.protocol import Broker, Follower
from stream.broker.records import Outgoing, Record
from stream.broker.schemas.book import SchemaBook
from stream.codec.reference import ReferenceDecoder
from stream.codec.schema import load_schemas
from stream.config import Settings
from stream.host.extensions import in_force
from stream.worker.checks.inspection import Inspection
from stream.worker.checks.plausibility import Plausibility
from stream.worker.checks.topics import MAX_CHANGELOG_BATCH
from stream.worker.faust.kafka import KafkaTransport
from stream.worker.faust.lane import TopicGroup
from stream.worker.faust.records import BatchProducer, InFlight
from stream.worker.faust.schema import AsIs
from stream.worker.faust.store import Rebuilds, StoreFault
from stream.worker.faust.table import BatchTable, PromptTables
from stream.worker.intake import Intake
from stream.worker.learning.agent import Learning
from stream.worker.learning.rulebook import RuleBook
from stream.worker.lost_ends import skip_lost_ends
from stream.worker.mendable import is_mendable
from stream.worker.pipeline import Pipeline
from stream.worker.reading import EventReader, as_it_is
from stream.worker.restoring import Restoring
from stream.worker.telemetry.metrics import Internal, Metrics
from stream.worker.telemetry.observing import Observing
from stream.worker.worldview import WorldView

logger = get_logger(__name__)
Take: TypeAlias = Callable[[InFlight], Awaitable[None]]

T = TypeVar("T")
EVENTS = "events"
MAX_REQUEST = 4 << 20  # bytes: a dead letter is larger than what it buries
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
    broker: Broker
    inspection: Inspection
    schemas: SchemaBook | None = None
    #: The group of each topic that is read in batches.
    groups: Mapping[str, TopicGroup]

    def __init__(self, settings: Settings, groups: Mapping[str, TopicGroup]) -> None:
        self.settings = settings
        self.groups = groups
        self._knows_world = False
        super().__init__(settings.app_id, TableManager=PromptTables, **_options(settings))

    async def places(self, commits: Mapping[TP, int | None]) -> Mapping[TP, int]:
        """Where reading goes on in each partition, once it is compared with what is kept."""
        return await self.inspection.places(commits)

    async def jumped(self, jumps: Mapping[TP, tuple[int, int]]) -> None:
        """Judge reading that did not go on where it should have."""
        await self.inspection.jumped(jumps)

    def on_positions(self, offsets: Mapping[TP, int]) -> None:
        """Take note of where reading goes on: all before it is done."""
        examples = self.settings.topics.examples
        self.pipeline.progress.advance({tp: n for tp, n in offsets.items() if tp.topic != examples})
        self.learning.progress.advance({tp: n for tp, n in offsets.items() if tp.topic == examples})

    def absorbed(self, tp: TP, records: Sequence[Record]) -> Sequence[Record]:
        """Take in records of a changelog; those that Faust's recovery is to see."""
        if tp.topic != self.table.changelog_topic_name:
            return records
        try:
            return self.table.absorb(tp.partition, records)
        except StoreFault as fault:
            self.fail(fault)
            return ()

    async def recovered(self) -> None:
        """Wait until the tables are recovered, the world is known and events are being taken."""
        await self.unless_crashed(self.tables.wait_until_recovery_completed())
        await self.unless_crashed(self.world_known())

    async def on_stop(self) -> None:
        """Stop what runs beside Faust's services."""
        await super().on_stop()
        self.forget_partitions()
        await self.learning.stop()
        await self.broker.close()
        if self.schemas is not None:
            await self.schemas.close()

    async def world_known(self) -> None:
        """Wait until catalog, campaigns and models are in use as they stood at the start.

        What is decided before would differ from what is decided after for no reason but a restart.
        """
        if not self._knows_world:
            await self.follower.progress.reach(await self.follower.ends())
            await self.view.known()
            self._knows_world = True

    async def purge_regularly(self) -> None:
        """Have what is erased leave the files in time: at the start, then twice an interval."""
        await self.recovered()
        while True:
            await self.table.purge()
            try:
                await self.table.stir()
            except KafkaError as error:  # the next time will do
                logger.warning("could not write to the changelogs: %r", error)
            await asyncio.sleep(self.settings.worker.purge_interval / 2)

    def let_go(self) -> None:
        """Give up lessons that no publication holds yet: whoever learns next reads them again."""
        self.learning.forget()

    def recovered_tables(self) -> None:
        """Take note that the tables are whole: what is known of partitions may have changed."""
        self.forget_partitions()
        if self.settings.embedded_log is not None:
            skip_lost_ends(self.open_log(), self.settings, self.table)

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

    async def crash(self, reason: BaseException) -> None:
        """Crash, and log why."""
        if is_mendable(reason):
            self.fail(reason)
        else:
            await super().crash(reason)

    def fail(self, fault: BaseException) -> None:
        """Crash for what an operator can mend, and whoever ends the app tells: without a trace."""
        if not self._crashed.is_set():
            for child in self.beacon.children:
                if isinstance(child.data, Service):
                    child.data._crash(fault)
            self._crash(fault)

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
        from stream.worker.faust.local.batches import local_transport

        return local_transport(self.conf.broker_consumer, self, self.settings)

    def _new_producer_transport(self) -> Any:
        # Stock: a second transport; ours is shared, and so is the local log that it holds open.
        return self.transport


def build_app(
    settings: Settings,
    *,
    metrics: Metrics,
    rebuilds: Rebuilds | None = None,
    regular: bool = True,
    apart: bool = False,
) -> OfferstreamApp:
    """Build the worker's application.

    Parameters
    ----------
    settings
        Everything that an operator may choose.
    metrics
        What the worker reports to.
    rebuilds
        Who empties damaged stores: the same for all apps that the process has in turn.
    regular
        Whether the learner publishes each interval, as it should but in a replay in lockstep.
    apart
        Whether it learns in a process of its own.

    Raises
    ------
    ConfigError
        If a schema, a certificate or an extension cannot be read.
    """
    topics, schemas, extensions = settings.topics, load_schemas(), in_force(settings)
    reader = EventReader.of(settings, schemas, extensions.envelopes)
    app = OfferstreamApp(settings, _groups(settings, reader))
    if settings.kafka.schema_registry_url:
        app.schemas = reader.schemas = SchemaBook(settings.kafka, metrics.schema_asked)
    reference = ReferenceDecoder(schemas, settings.core)
    app.table = BatchTable(
        app,
        name="customers",
        key_type=bytes,
        value_type=bytes,
        partitions=settings.partitions,
        options=_store_options(settings),
        rebuilds=rebuilds or rebuilds_of(metrics),
        beacon=app.tables.beacon,
        help="One record for each customer, and a ledger for each partition.",
    )
    app.tables.add(app.table)
    app.observing = observing = Observing(metrics, settings, reader.unknown, extensions.failures)
    app.broker = broker_of(settings, app.open_log)
    rules = RuleBook(app, settings, lambda: metrics.internal_refused(Internal.RULES))
    learning = settings.learning
    app.view = WorldView(
        settings.core,
        reference,
        learning.enabled,
        learning.key,
        metrics.models_refused,
        Plausibility(settings, app.broker).judged,
        on_claim_refused=lambda: metrics.internal_refused(Internal.BUDGETS),
        evidence=settings.worker.evidence,
        rules=extensions.rules,
        sources=extensions.sources,
        on_stopped=metrics.variants_stopped,
    )
    follow = {
        topics.catalog: app.view.take_item,
        topics.campaigns: app.view.take_campaign,
        topics.models: app.view.take_models,
        topics.rules: rules.take,
        topics.budgets: app.view.take_claim,
    }
    app.follower = app.broker.follow(follow)
    app.inspection = Inspection(
        settings,
        app.broker,
        app.table,
        lambda: app.consumer.assignment(),
        reader.first_stamps,
        metrics.records_lost,
        lambda starts: cast(Any, app.consumer).skipped(starts),
    )
    app.pipeline = Pipeline(
        app,
        app.table,
        settings,
        lambda: app.view.world,
        observing,
        known=app.inspection.known,
    )
    app.learning = Learning(
        app,
        settings,
        app.view,
        rules,
        lambda: _caught_up(app),
        observing.learned,
        apart=apart,
    )
    app.table.restored = Restoring(
        lambda count: metrics.internal_refused(Internal.CHANGELOG, count)
    ).writes
    app.table.on_recovered = app.recovered_tables
    app.table.before_recovery = app.inspection.stores
    # Weakly: Faust keeps the signals of all apps of the process together.
    app.on_partitions_revoked.connect(app.on_revoked, weak=True)
    intake = Intake(app, settings, reference, observing)
    _agent(app, "decide", topics.events, _decide(app))
    if settings.learning.enabled:
        _agent(app, "learn", (topics.examples,), app.learning.take)
    _agent(app, "catalog", (topics.catalog,), intake.take_catalog)
    _agent(app, "campaigns", (topics.campaigns,), intake.take_campaigns)
    _task(app, app.view.build)
    _task(app, app.follower.run)
    _task(app, app.purge_regularly)
    _task(app, app.inspection.run)
    if regular and settings.learning.enabled:
        _task(app, app.learning.publish_regularly)
    return app


def rebuilds_of(metrics: Metrics) -> Rebuilds:
    """Who empties the damaged stores of a process, and counts them."""
    return Rebuilds(metrics.store_rebuilt, metrics.record_unreadable)


def _groups(settings: Settings, reader: EventReader) -> dict[str, TopicGroup]:
    topics, worker, limit = settings.topics, settings.worker, settings.kafka.poll_records
    groups = [
        TopicGroup(
            EVENTS,
            topics.events,
            reader.read,
            worker.batches_ahead,
            limit,
            worker.order_wait,
            gathered=True,
            ahead_of=reader.ahead_of,
        ),
        TopicGroup(
            topics.examples, (topics.examples,), as_it_is, LESSONS_AHEAD, limit, awaited=False
        ),
        TopicGroup(topics.catalog, (topics.catalog,), as_it_is, limit=limit, dense=False),
        TopicGroup(topics.campaigns, (topics.campaigns,), as_it_is, limit=limit, dense=False),
    ]
    return {topic: group for group in groups for topic in group.topics}


def _task(app: OfferstreamApp, run: Callable[[], Awaitable[None]]) -> None:
    async def task() -> None:
        try:
            await run()
        except Exception as error:
            # Faust would log it and go on with a world that no longer changes.
            if not is_mendable(error):
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
            if is_mendable(error):
                app.fail(error)
                await asyncio.Future()  # until it is stopped: Faust would log what is raised
            logger.exception("agent %s failed", name)
            await app.crash(error)
            raise

    agent.__name__ = agent.__qualname__ = name
    app.agent(app.topic(*topics, schema=AsIs()), name=name)(agent)


def _decide(app: OfferstreamApp) -> Take:
    async def decide(event: InFlight) -> None:
        await app.world_known()
        await app.pipeline.take(event)

    return decide


async def _caught_up(app: OfferstreamApp) -> None:
    await app.follower.progress.reach(await app.follower.ends())
    await app.view.known()


def _store_options(settings: Settings) -> dict[str, int]:
    """What RocksDB may hold in memory for one partition: a share of what all may.

    Faust's own are 2 GiB and 64 MiB for each.
    """
    worker, partitions = settings.worker, settings.partitions
    buffers = 2
    return {
        "write_buffer_size": min(worker.store_buffers // (buffers * partitions), 16 << 20),
        "max_write_buffer_number": buffers,
        "block_cache_size": worker.store_cache // partitions,
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
        # Faust refuses a session that is longer than a request.
        "broker_request_timeout": max(kafka.request_timeout, kafka.session_timeout),
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
