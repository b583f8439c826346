"""The consumer: the only member of its group, reading every partition of the local log.

Two methods are the driver's side of Faust's consumer; everything else of it is bookkeeping, which
subclasses may replace:

- `Consumer._getmany` returns what comes next in the partitions that may flow, and moves on.
- `Consumer._commit` remembers where the group goes on after a restart.

A position is the offset that is read next. It moves with what is read; only seeking moves it back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP, ConsumerMessage
from mode.utils.times import Seconds

from stream.broker.local.appended import Appended
from stream.broker.local.frame import StoredRecord
from stream.config import ConfigError
from stream.worker.faust.local.assignment import assign_all
from stream.worker.faust.local.shared import SharedLog

POLL_RECORDS: Final = 1_000  # where broker_max_poll_records says nothing


class Consumer(FaustConsumer):
    """Faust's consumer over the local log."""

    transport: SharedLog  # type: ignore[assignment]  # Faust's transport, which it is, too

    def __post_init__(self) -> None:
        """Start without an assignment."""
        self._positions: dict[TP, int] = {}
        self._generation = 0
        self._one_rebalance = asyncio.Lock()
        self._appended: Appended | None = None

    async def on_start(self) -> None:
        """Open the log and listen to it."""
        await asyncio.to_thread(self.transport.hold, self)
        self._appended = self.exit_stack.enter_context(Appended(self.transport.log))
        await super().on_start()

    async def on_shutdown(self) -> None:
        """Let go of the log, after the last commit."""
        await self.transport.release(self)

    # ------------------------------------------------------------------------------------ reading

    async def _getmany(
        self, active_partitions: set[TP] | None, timeout: float
    ) -> dict[TP, list[StoredRecord]]:
        """Return the next records of partitions that have any, in order, and move on behind them.

        Every partition with records gets an equal share of ``broker_max_poll_records``, and at most
        about ``consumer_max_fetch_size`` bytes, so none starves another. It returns as soon as
        there is anything; while there is nothing it sleeps, until an append, a seek, resumed
        partitions or the timeout.

        Parameters
        ----------
        active_partitions
            Those that may be read; None is all that are assigned. Faust changes the set while
            this method waits.
        timeout
            Seconds after which it returns an empty dictionary.
        """
        appended = self._appended
        assert appended is not None, "not started"
        appended.clear()
        appended.topics = {tp.topic for tp in self._active(active_partitions)}
        records = self._read(active_partitions)
        if not records and await appended.wait(timeout):
            records = self._read(active_partitions)
        return records

    def _read(self, active_partitions: set[TP] | None) -> dict[TP, list[StoredRecord]]:
        if not self.flow_active:
            return {}
        log, conf, positions = self.transport.log, self.app.conf, self._positions
        ready = sorted(
            tp for tp in self._active(active_partitions) if positions[tp] < log.highwater(*tp)
        )
        records: dict[TP, list[StoredRecord]] = {}
        for tp in ready:
            share = max(1, (conf.broker_max_poll_records or POLL_RECORDS) // len(ready))
            self._skip_removed(tp)
            read = log.read(*tp, positions[tp], share, conf.consumer_max_fetch_size)
            positions[tp] = read[-1].offset + 1 if read else log.highwater(*tp)
            if read:
                records[tp] = read
        return records

    def _active(self, active_partitions: set[TP] | None) -> set[TP]:
        assigned = self._positions.keys()
        return set(assigned) if active_partitions is None else assigned & active_partitions

    def _skip_removed(self, tp: TP) -> None:
        earliest = self.transport.log.earliest(*tp)
        if self._positions[tp] < earliest:
            self.log.warning(
                "%s-%d: offsets %d to %d were not read before the topic's retention removed them",
                *(*tp, self._positions[tp], earliest - 1),
            )
            self._positions[tp] = earliest

    async def _wait_next_records(
        self, timeout: float
    ) -> tuple[dict[TP, list[StoredRecord]], set[TP] | None]:
        """As Faust's, without its sleep of a second while no partition may flow."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # as in Faust
        active = None if self.app.client_only else self._get_active_partitions()
        return await self._getmany(active, timeout), active

    def _to_message(self, tp: TP, record: StoredRecord) -> ConsumerMessage:
        return ConsumerMessage(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp / 1000.0,
            record.timestamp_type,
            record.headers,  # type: ignore[arg-type]  # a tuple, as aiokafka's are
            record.key,
            record.value,
            record.checksum,
            record.serialized_key_size,
            record.serialized_value_size,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    # ------------------------------------------------------------------------------------ commits

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Remember where the group goes on: the offset behind the last one that is done.

        All of them are remembered or none. A commit that a power cut undoes costs a repetition,
        never an event.
        """
        self.transport.log.commit(
            self.app.conf.id, {(*tp,): offset for tp, offset in offsets.items()}
        )
        return True

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Move every partition to where the group goes on, and return where that is."""
        self._positions = {tp: self._start(tp) for tp in self._positions}
        self._wake()
        return dict(self._positions)

    def _start(self, tp: TP) -> int:
        log = self.transport.log
        committed = log.committed(self.app.conf.id, *tp)
        if committed is not None:
            return committed
        latest = self.app.conf.consumer_auto_offset_reset == "latest"
        return log.highwater(*tp) if latest else log.earliest(*tp)

    # ------------------------------------------------------------------------------------ seeking

    async def position(self, tp: TP) -> int | None:
        """Return the offset that is read next."""
        return self._positions.get(tp)

    async def _seek(self, partition: TP, offset: int) -> None:
        self._positions[partition] = offset
        self._wake()

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Move some partitions."""
        for tp, offset in partitions.items():
            await self._seek(tp, offset)
            if offset > 0:
                self._read_offset[tp] = offset
            else:
                self._read_offset.pop(tp, None)

    def resume_flow(self) -> None:
        """Allow messages to flow, and look for them at once."""
        super().resume_flow()
        self._wake()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Allow partitions to be read, and look into them at once."""
        super().resume_partitions(tps)
        self._wake()

    def on_buffer_drop(self, tp: TP) -> None:
        """Allow a partition to be read whose buffer has room again."""
        super().on_buffer_drop(tp)
        self._wake()

    def _wake(self) -> None:
        if self._appended is not None:
            self._appended.set()

    # --------------------------------------------------------------------------------- assignment

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Subscribe to topics, creating those that are missing; the rebalance follows later.

        Faust's rebalance waits for the subscription, so this must return first.
        """
        wanted = sorted(topics)
        for topic in wanted:
            self.transport.ensure_topic(topic)
        self.add_future(self._rebalance(wanted))

    async def _rebalance(self, topics: list[str]) -> None:
        async with self._one_rebalance:
            self.app.on_rebalance_start()
            await self.on_partitions_revoked(self.assignment())
            assigned = assign_all(self.app, self.transport.log, topics)
            self._generation += 1
            self.app.consumer_generation_id = self._generation
            self._positions = {tp: self._start(tp) for tp in assigned}
            await self.on_partitions_assigned(assigned, self._generation)

    def assignment(self) -> set[TP]:
        """Return the partitions that are assigned."""
        return set(self._positions)

    # ---------------------------------------------------------------------------- what there is

    def highwater(self, tp: TP) -> int:
        """Return the offset that the partition's next record gets."""
        return self.transport.log.highwater(*tp)

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the offset that the next record gets, of each partition.

        Raises
        ------
        ConfigError
            When a table's store holds more than its changelog does.
        """
        self._check_stores(partitions)
        return {tp: self.highwater(tp) for tp in partitions}

    def _check_stores(self, partitions: Iterable[TP]) -> None:
        """Tell the way out where Faust would only say that something is inconsistent."""
        changelogs = {t.changelog_topic.get_topic_name(): t for t in self.app.tables.values()}
        for tp in partitions:
            table: Any = changelogs.get(tp.topic)
            stored = None if table is None else table.persisted_offset(tp)
            if stored is not None and stored >= self.highwater(tp):
                locate = getattr(table.data, "partition_path", None)
                place = "" if locate is None else f" at {locate(tp.partition)}"
                raise ConfigError(
                    f"table {table.name}: its store{place} holds {tp.topic}-{tp.partition} up to "
                    f"offset {stored}, but the log ends before {self.highwater(tp)}: it lost its "
                    "tail; delete the store and start again, it is rebuilt from the log"
                )

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Return the first offset that may be read, of each partition."""
        return {tp: self.transport.log.earliest(*tp) for tp in partitions}

    def topic_partitions(self, topic: str) -> int | None:
        """Return the number of partitions, None if there is no such topic."""
        return self.transport.log.partitions(topic)

    def key_partition(
        self, topic: str, key: bytes | None, partition: int | None = None
    ) -> int | None:
        """Return the partition that a key's records go to, None if there is no such topic."""
        if partition is not None or self.topic_partitions(topic) is None:
            return partition
        return self.app.producer.key_partition(topic, key).partition  # type: ignore[arg-type]

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: Seconds = 30.0,
        retention: Seconds | None = None,
        compacting: bool | None = None,
        deleting: bool | None = None,
        ensure_created: bool = False,
    ) -> None:
        """Create a topic, unless it exists."""
        await self.app.producer.create_topic(
            topic,
            partitions,
            replication,
            config=config,
            retention=retention,
            compacting=compacting,
        )
