"""A Faust table that is read by key and written by batch.

Rules: what is written goes to the standard changelog topic first, as one record batch, and into
the store when that is durable; so the store never holds what the changelog does not. Recovery,
standbys and rebalances are Faust's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeAlias, cast

import faust
from faust.stores.memory import Store as MemoryStore
from faust.types import TP

from stream.runtime.batching.records import BatchProducer, Outgoing

Write: TypeAlias = tuple[bytes, bytes | None]


class BatchTable(faust.Table[bytes, bytes]):
    """Bytes by bytes, partitioned; a value of None deletes.

    ``on_recovered`` is called when recovery is complete and the store may have changed.
    """

    on_recovered: Callable[[], None] | None = None

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
        app = cast(BatchProducer, self.app)
        return await app.send_batch(self.changelog_topic_name, partition, records)

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

    def items_of(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value that the store holds of a partition."""
        store: Any = self.data
        if isinstance(store, MemoryStore):
            for key, value in list(store.data.items()):
                if store._key_partition.get(key) == partition:
                    yield key, value
        else:
            yield from store._visible_items(store._db_for_partition(partition))

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

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Tell the owner that what it cached of the store is void."""
        await super().on_recovery_completed(active_tps, standby_tps)
        if self.on_recovered is not None:
            self.on_recovered()
