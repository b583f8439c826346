"""A Faust table that is read by key and written by batch.

Rules: only the latest owner of a partition can write it. What is written goes to the standard
changelog topic first, as one record batch, and into the store when that is durable; so the store
never holds what the changelog does not. Recovery, standbys and rebalances are Faust's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, cast

import faust
from faust.stores.memory import Store as MemoryStore
from faust.tables.manager import TableManager
from faust.types import TP

from stream.runtime.batching.records import BatchProducer, Outgoing, Record

Write: TypeAlias = tuple[bytes, bytes | None]
ESTIMATE = "rocksdb.estimate-num-keys"
FENCE = b"\0fence-%d"  # the key of what a new owner writes first; no id of anyone's has a NUL


class PromptTables(TableManager):
    """Faust's table manager without its second of waiting for tables: ours are declared before."""

    async def on_start(self) -> None:
        """Recover at once."""
        await self._update_channels()
        await self.recovery.start()


class BatchTable(faust.Table[bytes, bytes]):
    """Bytes by bytes, partitioned; a value of None deletes.

    ``on_recovered`` is called when recovery is complete and the store may have changed.
    """

    on_recovered: Callable[[], None] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._owned: set[TP] = set()

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The value that the store holds for a key."""
        store: Any = self.data
        if isinstance(store, MemoryStore):
            value: bytes | None = store.data.get(key)
            return value
        found: bytes | None = store._db_for_partition(partition).get(key)
        return found

    async def send(self, partition: int, writes: Sequence[Write]) -> Awaitable[Any]:
        """Append writes to the changelog; the awaitable is done when they are durable."""
        records: list[Outgoing] = [(key, value, None, ()) for key, value in writes]
        return await self._producer.send_batch(self.changelog_topic_name, partition, records)

    def store(self, partition: int, writes: Sequence[Write], offset: int) -> None:
        """Put durable writes into the store; ``offset`` is the last one's in the changelog."""
        store: Any = self.data
        if isinstance(store, MemoryStore):
            for key, value in writes:
                if value is None:
                    store.data.pop(key, None)
                    store._key_partition.pop(key, None)
                else:
                    store.data[key] = value
                    store._key_partition[key] = partition
        else:
            self._store_on_disk(partition, writes, offset)

    def absorb(self, partition: int, records: Sequence[Record]) -> Sequence[Record]:
        """Apply what recovery fetched of a changelog at once; return what Faust is to see of it.

        Stock: an event, a queue and a buffer for each record. Faust's recovery sees only the last
        record of each fetch, and follows the offsets by it.
        """
        recovery = self.app.tables.recovery  # type: ignore[attr-defined]  # not in Faust's types
        tp = TP(self.changelog_topic_name, partition)
        active = tp in recovery.active_tps
        offsets = recovery.active_offsets if active else recovery.standby_offsets
        seen = offsets.get(tp)
        fresh = [record for record in records if seen is None or record.offset > seen]
        if fresh:
            last = fresh[-1].offset
            writes = [(record.key, record.value) for record in fresh if record.key is not None]
            self.store(partition, writes, last)
            offsets[tp] = last - 1
        return fresh[-1:]

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Do nothing: what Faust has seen was absorbed, and newer records with it."""

    def items_of(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value that the store holds of a partition."""
        store: Any = self.data
        if isinstance(store, MemoryStore):
            for key, value in list(store.data.items()):
                if store._key_partition.get(key) == partition:
                    yield key, value
        else:
            yield from store._visible_items(store._db_for_partition(partition))

    def keys_held(self) -> int:
        """About how many keys the store holds on this worker: RocksDB estimates."""
        store: Any = self.data
        if isinstance(store, MemoryStore):
            return len(store.data)
        estimates = (db.property_int_value(ESTIMATE) for db in store._dbs.values())
        return sum(estimate or 0 for estimate in estimates)

    def _store_on_disk(self, partition: int, writes: Sequence[Write], offset: int) -> None:
        from rocksdict import WriteBatch

        store: Any = self.data
        batch = WriteBatch(raw_mode=True)
        for key, value in writes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(store.offset_key, str(offset).encode())
        store._db_for_partition(partition).write(batch)

    @property
    def _producer(self) -> BatchProducer:
        return cast(BatchProducer, self.app.producer)

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Fence the partitions that are ours now, before recovery asks where their logs end."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        topic = self.changelog_topic_name
        ours = {tp for tp in self.app.assignor.assigned_actives() if tp.topic == topic}
        for tp in self._owned - ours:
            await self._producer.disown(tp)
        await asyncio.gather(*(self._own(tp) for tp in ours - self._owned))
        self._owned = ours

    async def _own(self, tp: TP) -> None:
        await self._producer.own(tp)
        fence = (FENCE % tp.partition, b"", None, ())
        await (await self._producer.send_batch(tp.topic, tp.partition, [fence]))

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Tell the owner that what it cached of the store is void."""
        await super().on_recovery_completed(active_tps, standby_tps)
        if self.on_recovered is not None:
            self.on_recovered()
