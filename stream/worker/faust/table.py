"""A Faust table that is read by key and written by batch.

Rules: only the latest owner of a partition can write it. What is written goes to the standard
changelog topic first, as one record batch, and into the store when that is durable; so the store
never holds what the changelog does not. Recovery, standbys and rebalances are Faust's own.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence, Set
from typing import Any, cast

from faust.stores.memory import Store as MemoryStore
from faust.tables.manager import TableManager
from faust.types import TP
from yarl import URL

import faust
from stream.broker.records import Outgoing, Record
from stream.worker.faust.origin import HOUR, StoreOrigin, wall_time
from stream.worker.faust.records import BatchProducer
from stream.worker.faust.store import DiskStore, Rebuilds, StoreFault, Write

FENCE = b"\0fence-%d"  # the key of what a new owner writes first; no id of anyone's has a NUL
LEDGER = b"\0ledger-"  # what the key of a partition's ledger begins with


class PromptTables(TableManager):
    """Faust's table manager without its second of waiting for tables: ours are declared before."""

    async def on_start(self) -> None:
        """Recover at once."""
        await self._update_channels()
        await self.recovery.start()


class BatchTable(faust.Table[bytes, bytes]):
    """Bytes by bytes, partitioned; a value of None deletes.

    ``on_recovered`` is called when recovery is complete and the store may have changed;
    ``restored`` says what records of the changelog come to; ``before_recovery`` is awaited with the
    changelog's partitions whose store is about to be filled; ``lasting`` is how long the changelog
    keeps deletions, in ms.
    """

    lasting: int = 0

    on_recovered: Callable[[], None] | None = None
    before_recovery: Callable[[Set[TP]], Awaitable[None]] | None = None

    def __init__(self, *args: Any, rebuilds: Rebuilds, **kwargs: Any) -> None:
        self.rebuilds = rebuilds
        super().__init__(*args, **kwargs)
        self._owned: set[TP] = set()
        self._sent: defaultdict[int, deque[int]] = defaultdict(deque)  # when, what is not stored
        self._fences: dict[int, tuple[int, int]] = {}  # the last ones in a row: first, last offset
        self.restored: Callable[[Sequence[Record]], Sequence[Write]] = _as_they_are

    def _new_store_by_url(self, url: str | URL) -> Any:
        # Stock: chosen from Faust's own registry, where rocksdb:// takes a fault for a lock.
        if URL(url).scheme == "memory":
            return super()._new_store_by_url(url)
        store = DiskStore(
            url,
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            value_type=self.value_type,
            loop=self.loop,
            options=self.options,
        )
        store.rebuilds = self.rebuilds
        return store

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The value that the store holds for a key.

        Raises
        ------
        StoreFault
            If the store cannot be read.
        """
        store: Any = self.data
        if isinstance(store, MemoryStore):
            value: bytes | None = store.data.get(key)
            return value
        found: bytes | None = store.read(partition, key)
        return found

    def doubt(self, partition: int, reason: str) -> StoreFault | None:
        """The fault of the store, if it may have made of a value what cannot be read.

        None where it is the changelog's own, as the store came from that in this process: the
        record is lost, and that is told.
        """
        store: Any = self.data
        if isinstance(store, MemoryStore) or self.rebuilds.has_emptied(partition):
            self.rebuilds.lost(partition, reason)
            return None
        fault: StoreFault = store.doubt(partition, reason)
        return fault

    async def send(self, partition: int, writes: Sequence[Write]) -> Awaitable[Any]:
        """Append writes to the changelog; the awaitable is done when they are durable."""
        self._sent[partition].append(wall_time())
        records: list[Outgoing] = [(key, value, None, ()) for key, value in writes]
        return await self._producer.send_batch(self.changelog_topic_name, partition, records)

    def store(self, partition: int, writes: Sequence[Write], offset: int) -> None:
        """Put durable writes into the store; ``offset`` is the last one's in the changelog.

        Raises
        ------
        StoreFault
            If the store cannot be written.
        """
        sent = self._sent[partition]
        mark = offset if writes and writes[-1][0].startswith(LEDGER) else -1
        self._put(partition, writes, offset, sent.popleft() if sent else 0, mark)

    def _put(
        self, partition: int, writes: Sequence[Write], offset: int, time: int, mark: int = -1
    ) -> None:
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
            store.write(partition, writes, offset, time, mark)

    def origin(self, partition: int) -> StoreOrigin | None:
        """What the store was filled from; None of one that does not know, as in memory.

        Raises
        ------
        StoreFault
            If the store cannot be read, or makes no sense.
        """
        return self.data.origin(partition) if isinstance(self.data, DiskStore) else None

    def begin(self, partition: int, origin: StoreOrigin) -> None:
        """Say what a store is filled from.

        Raises
        ------
        StoreFault
            If the store cannot be written.
        """
        if isinstance(self.data, DiskStore):
            self.data.begin(partition, origin)

    def empty(self, tp: TP, reason: str) -> None:
        """Empty the store of a changelog's partition; recovery fills it from the start.

        Raises
        ------
        StoreFault
            If it cannot be removed.
        """
        store = cast(DiskStore, self.data)
        store.empty(store.outdated(tp.partition, reason))
        recovery = self.app.tables.recovery  # type: ignore[attr-defined]  # not in Faust's types
        for offsets in (recovery.active_offsets, recovery.standby_offsets):
            offsets.pop(tp, None)  # stock: those of a partition that stays here are kept

    async def purge(self) -> None:
        """Rewrite what the store has on disk of deleted customers, so that no file holds them."""
        if isinstance(self.data, DiskStore):
            await self.data.purge()

    async def stir(self) -> None:
        """Write to each changelog: a broker closes and compacts a file no sooner."""
        for tp in list(self._owned):
            if tp in self._owned:
                await self._fence(tp)

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
            self._refuse_outdated(partition)
            last = fresh[-1]
            marks = (r.offset for r in reversed(fresh) if (r.key or b"").startswith(LEDGER))
            writes, mark = self.restored(fresh), next(marks, -1)
            self._put(partition, writes, last.offset, last.timestamp, mark)
            offsets[tp] = last.offset - 1
        return fresh[-1:]

    def _refuse_outdated(self, partition: int) -> None:
        """See that nothing was forgotten between what the store holds and what was fetched.

        To fill a store takes a while, however soon the changelog forgets.
        """
        origin = self.origin(partition)
        if origin is not None and (reason := origin.outdated(max(self.lasting, HOUR))):
            raise cast(DiskStore, self.data).outdated(partition, reason)

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Do nothing: what Faust has seen was absorbed, and newer records with it."""

    def items_of(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value that the store holds of a partition.

        Raises
        ------
        StoreFault
            If the store cannot be read to its end.
        """
        store: Any = self.data
        if isinstance(store, MemoryStore):
            for key, value in list(store.data.items()):
                if store._key_partition.get(key) == partition:
                    yield key, value
        else:
            yield from store.items_of(partition)

    def place(self, partition: int) -> str:
        """Where the store of a partition is, for people; empty for one in memory."""
        locate = getattr(self.data, "partition_path", None)
        return "" if locate is None else str(locate(partition))

    def keys_held(self) -> int:
        """About how many keys the store holds on this worker: RocksDB estimates."""
        store: Any = self.data
        if isinstance(store, MemoryStore):
            return len(store.data)
        held: int = store.keys_held()
        return held

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
        self._sent.clear()
        assignor = self.app.assignor
        actives, standbys = assignor.assigned_actives(), assignor.assigned_standbys()
        topic = self.changelog_topic_name
        ours = {tp for tp in actives if tp.topic == topic}
        if self.before_recovery is not None:
            filled = ours | {tp for tp in standbys if tp.topic == topic}
            await self.before_recovery(filled - self._owned)
        lost, self._owned = self._owned - ours, self._owned & ours
        for tp in lost:
            await self._producer.disown(tp)
        await asyncio.gather(*(self._own(tp) for tp in ours - self._owned))
        self._owned = ours

    async def _own(self, tp: TP) -> None:
        await self._producer.own(tp)
        await self._fence(tp)

    async def _fence(self, tp: TP) -> None:
        fence, sent = (FENCE % tp.partition, b"", None, ()), wall_time()
        written = await (await self._producer.send_batch(tp.topic, tp.partition, [fence]))
        self._passed(tp, written.offset, sent)

    def _passed(self, tp: TP, offset: int, sent: int) -> None:
        """Let a store that holds all but fences know that it lacked nothing when one was sent."""
        first, last = self._fences.get(tp.partition, (offset, -1))
        first = first if last == offset - 1 else offset
        self._fences[tp.partition] = (first, offset)
        store: Any = self.data
        if tp not in self._owned or not isinstance(store, DiskStore) or not store.has(tp.partition):
            return  # it moved, or was closed, meanwhile
        stored = store.persisted_offset(tp)
        if stored is not None and first <= stored + 1:
            self._put(tp.partition, [(FENCE % tp.partition, b"")], offset, sent)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Tell the owner that what it cached of the store is void."""
        await super().on_recovery_completed(active_tps, standby_tps)
        if self.on_recovered is not None:
            self.on_recovered()


def _as_they_are(records: Sequence[Record]) -> Sequence[Write]:
    return [(record.key, record.value) for record in records if record.key is not None]
