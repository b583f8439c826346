"""RocksDB as the table's store: a cache of the changelog, which may be lost and never lies.

Rules:

- Whatever goes wrong with a store is a `StoreFault` that names its partition: no record's fault.
- A damaged store is emptied, and only that one; Faust's recovery fills it from the changelog. One
  that is damaged again soon is not: its disk is failing.
- There is no write-ahead log. What a crash takes off the store's end the changelog brings back, and
  damage to RocksDB's list of files leaves an older whole state or an error, never a gap.
- What was deleted leaves the files when `DiskStore.purge` rewrites them.
- With its offset goes its `StoreOrigin`, in the same write: whose changelog it is, and how old.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from faust.stores import rocksdb
from faust.types import TP
from mode import get_logger
from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    BottommostLevelCompaction,
    Cache,
    CompactOptions,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from stream.broker.directory import make_private
from stream.decide.ledger import UnreadableState
from stream.worker.faust.origin import StoreOrigin, decode_origin, encode_origin

logger = get_logger(__name__)

Write: TypeAlias = tuple[bytes, bytes | None]
AGAIN: Final = 3_600.0  # seconds: a store damaged twice within them lies on a failing disk
ERASED: Final = b"\0erased"  # the key of a note that what was deleted is still in the files
ORIGIN: Final = b"\0origin"  # the key of what the store was filled from
OWN: Final = b"\0"  # what keys that are no customer's begin with
ESTIMATE: Final = "rocksdb.estimate-num-keys"
HELD_HERE: Final = "lock hold by current process"
_DAMAGE: Final = ("Corruption", "No such file or directory", "Input/output error")
_TRIES: Final = 30
_PAUSE: Final = 1.0  # seconds


class StoreFault(UnreadableState, OSError):
    """A partition's store could not be opened, read or written, or holds what makes no sense.

    ``damaged`` says that to empty it may help: not where the disk is full or out of reach;
    ``outdated`` that nothing is wrong with it but its age.
    """

    def __init__(
        self, partition: int, path: Path, reason: str, *, damaged: bool, outdated: bool = False
    ) -> None:
        super().__init__(f"the store of partition {partition} in {path}: {reason}")
        self.partition, self.path, self.reason = partition, path, reason
        self.damaged, self.outdated = damaged, outdated


class Rebuilds:
    """Which stores this process has emptied, and when, and what even the changelog had lost.

    Parameters
    ----------
    rebuilt, unreadable
        Called for each store that was emptied, and for each record that was lost: counters.
    clock
        A monotonic clock, in seconds.
    """

    def __init__(
        self,
        rebuilt: Callable[[], None],
        unreadable: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rebuilt, self._unreadable, self._clock = rebuilt, unreadable, clock
        self._emptied: dict[int, float] = {}
        self._told: set[int] = set()

    def has_emptied(self, partition: int) -> bool:
        """Whether all that a partition's store holds came from the changelog to this process."""
        return partition in self._emptied

    def empty(self, fault: StoreFault) -> None:
        """Remove a damaged or outdated store: its partition is recovered from the changelog.

        Raises
        ------
        StoreFault
            If that would not help: its disk is failing.
        """
        if fault.outdated:
            _remove(fault)
            logger.warning("%s; it was emptied, and is filled again from the changelog", fault)
            return
        number, now = fault.partition, self._clock()
        last = self._emptied.get(number)
        if not fault.damaged:
            raise fault
        if last is not None and now - last < AGAIN:
            raise StoreFault(
                number,
                fault.path,
                f"{fault.reason}; it was rebuilt {now - last:.0f} s ago: the disk is failing, "
                "check it or set data_dir to another one",
                damaged=False,
            ) from fault
        _remove(fault)
        self._emptied[number] = now
        self._rebuilt()
        logger.error("%s; it was emptied, and is filled again from the changelog", fault)

    def lost(self, partition: int, reason: str) -> None:
        """Tell of a record of the changelog that cannot be read: once a partition, and counted."""
        self._unreadable()
        if partition not in self._told:
            self._told.add(partition)
            logger.error(
                "the changelog of partition %d holds a record that cannot be read (%s): its "
                "customer is nobody's until the next yes; `offerstream customers` names it, and "
                "more of them are counted in state_records_unreadable_total",
                *(partition, reason),
            )


def _remove(fault: StoreFault) -> None:
    try:
        if fault.path.exists():
            shutil.rmtree(fault.path)
    except OSError as error:
        raise StoreFault(
            fault.partition, fault.path, f"cannot be removed: {error.strerror}", damaged=False
        ) from fault


class DiskStore(rocksdb.Store):
    """One RocksDB for each partition.

    ``rebuilds`` is who empties a store that is damaged when it is opened.
    """

    rebuilds: Rebuilds

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._without_log = _without_log()
        self._origins: dict[int, StoreOrigin] = {}  # of stores that are open
        self._rewriting: asyncio.Future[None] | None = None  # lest a store be closed meanwhile

    def read(self, partition: int, key: bytes) -> bytes | None:
        """The value of a key.

        Raises
        ------
        StoreFault
            If the store cannot be read.
        """
        try:
            value: bytes | None = self._db_for_partition(partition).get(key)
        except Exception as error:
            raise self._fault(partition, error) from error
        return value

    def origin(self, partition: int) -> StoreOrigin | None:
        """What the store was filled from; None of one that is empty, or an older release's.

        Raises
        ------
        StoreFault
            If the store cannot be read, or makes no sense.
        """
        known = self._origins.get(partition)
        if known is not None:
            return known
        stored = self.read(partition, ORIGIN)
        if stored is None:
            return None
        try:
            found = self._origins[partition] = decode_origin(stored)
        except ValueError as error:
            raise self.doubt(partition, str(error)) from error
        return found

    def has(self, partition: int) -> bool:
        """Whether the store of a partition is open."""
        return partition in self._dbs

    def begin(self, partition: int, origin: StoreOrigin) -> None:
        """Say what an empty store will be filled from, or of a full one what is known now.

        Raises
        ------
        StoreFault
            If the store cannot be written.
        """
        batch = WriteBatch(raw_mode=True)
        batch.put(ORIGIN, encode_origin(origin))
        self._write(partition, batch)
        self._origins[partition] = origin

    def empty(self, fault: StoreFault) -> None:
        """Close a store and remove it.

        Raises
        ------
        StoreFault
            If it cannot be removed.
        """
        self._close([fault.partition])
        self.rebuilds.empty(fault)

    def write(
        self,
        partition: int,
        writes: Sequence[Write],
        offset: int,
        time: int = 0,
        mark: int = -1,
    ) -> None:
        """Put all of the writes and the offset that they reach to, or nothing.

        ``time`` is when the changelog held no more than what the store holds then, in ms; ``mark``
        the offset of a ledger among the writes.

        Raises
        ------
        StoreFault
            If the store cannot be written.
        """
        batch = WriteBatch(raw_mode=True)
        erased = False
        for key, value in writes:
            if value is None:
                batch.delete(key)
                erased = erased or not key.startswith(OWN)
            else:
                batch.put(key, value)
        if erased:
            batch.put(ERASED, b"%d" % offset)
        batch.put(self.offset_key, b"%d" % offset)
        origin = self.origin(partition)
        if origin is not None:
            origin = origin.reaching(time, mark)
            batch.put(ORIGIN, encode_origin(origin))
        self._write(partition, batch)
        if origin is not None:
            self._origins[partition] = origin

    def items_of(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Every key and value of a partition.

        Raises
        ------
        StoreFault
            If the store cannot be read to its end, which RocksDB's iterators pass over in silence.
        """
        try:
            cursor = self._db_for_partition(partition).iter()
            cursor.seek_to_first()
            while cursor.valid():
                if (key := cursor.key()) not in (self.offset_key, ERASED, ORIGIN):
                    yield key, cursor.value()
                cursor.next()
            cursor.status()
        except Exception as error:
            raise self._fault(partition, error) from error

    def keys_held(self) -> int:
        """About how many keys there are: RocksDB estimates."""
        return sum(db.property_int_value(ESTIMATE) or 0 for db in self._dbs.values())

    def persisted_offset(self, tp: TP) -> int | None:
        """The offset in the changelog that the store reaches to."""
        found = self.read(tp.partition, self.offset_key)
        if found is None:
            return None
        try:
            return int(found)
        except ValueError as error:
            raise self.doubt(tp.partition, "its offset is no number") from error

    def doubt(self, partition: int, reason: str) -> StoreFault:
        """The fault of a store that holds what was never written."""
        return StoreFault(partition, self.partition_path(partition), reason, damaged=True)

    def outdated(self, partition: int, reason: str) -> StoreFault:
        """The fault of a store that may lack deletions which its changelog has forgotten."""
        path = self.partition_path(partition)
        return StoreFault(partition, path, reason, damaged=True, outdated=True)

    async def purge(self) -> None:
        """Rewrite the stores in which a customer was deleted, so that no file holds the id.

        In a thread, and one after the other: RocksDB does it without Python's lock.

        Raises
        ------
        StoreFault
            If a store cannot be read or written.
        """
        for partition in list(self._dbs):
            db = self._dbs.get(partition)
            noted = None if db is None else self.read(partition, ERASED)
            if noted is None:
                continue
            await self._rewrite(partition, db, _compact)
            if self._dbs.get(partition) is db and self.read(partition, ERASED) == noted:
                note = WriteBatch(raw_mode=True)
                note.delete(ERASED)
                self._write(partition, note)
            await self._rewrite(partition, db, _flush)  # the list of files names the old ones yet

    async def _rewrite(self, partition: int, db: Any, work: Callable[[Any], None]) -> None:
        if self._dbs.get(partition) is not db:
            return  # it moved meanwhile
        self._rewriting = asyncio.ensure_future(asyncio.to_thread(work, db))
        try:
            await asyncio.shield(self._rewriting)
        except Exception as error:
            if self._dbs.get(partition) is db:
                raise self._fault(partition, error) from error

    async def stop(self) -> None:
        """Close the stores: whoever follows in this process opens them."""
        if self._rewriting is not None:
            await asyncio.wait([self._rewriting])
        self._close(list(self._dbs))

    def revoke_partitions(self, table: Any, tps: set[TP]) -> None:
        """Close the stores of partitions that are another worker's."""
        topics = table.changelog_topic.topics
        self._close([tp.partition for tp in tps if tp.topic in topics])

    def _close(self, partitions: Iterable[int]) -> None:
        # Stock: leaves it to the garbage collector, and so the lock.
        for partition in partitions:
            db = self._dbs.pop(partition, None)
            self._origins.pop(partition, None)
            if db is not None:
                with suppress(Exception):  # what a broken store could not write, recovery brings
                    db.close()

    def _write(self, partition: int, batch: WriteBatch) -> None:
        try:
            self._db_for_partition(partition).write(batch, self._without_log)
        except Exception as error:
            raise self._fault(partition, error) from error

    def _fault(self, partition: int, error: Exception) -> StoreFault:
        if isinstance(error, StoreFault):
            return error
        reason = " ".join(str(error).split())
        damaged = any(word in reason for word in _DAMAGE) and "No space left" not in reason
        return StoreFault(partition, self.partition_path(partition), reason, damaged=damaged)

    def _open_for_partition(self, partition: int) -> Any:
        path = self.partition_path(partition)
        self._origins.pop(partition, None)
        try:
            return self._open(path)
        except Exception as error:
            fault = self._fault(partition, error)
            if not fault.damaged:
                raise fault from error
            self.rebuilds.empty(fault)
        try:
            return self._open(path)
        except Exception as error:
            raise self._fault(partition, error) from error

    def _open(self, path: Path) -> Any:
        make_private(path)
        path.chmod(0o700)  # older releases let others in
        current = path / "CURRENT"
        if not current.exists() and any(path.glob("*.sst")):  # RocksDB would begin anew, silently
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(current))
        options = self.rocksdb_options.as_options()
        options.set_max_manifest_file_size(1)  # each change of files is a new list of them all …
        options.set_keep_log_file_num(2)  # … so that no list names the keys of files long gone
        options.set_block_based_table_factory(_tables(self.rocksdb_options))
        return Rdict(str(path), options=options)

    async def _try_open_db_for_partition(
        self,
        partition: int,
        max_retries: int = _TRIES,
        retry_delay: float = _PAUSE,
        generation_id: int = 0,
    ) -> Any:
        # Stock: any error with "lock" in it is waited for, so "block checksum mismatch", too.
        for _ in range(max_retries):
            try:
                return self._db_for_partition(partition)
            except StoreFault as fault:
                if HELD_HERE not in fault.reason:
                    raise
            await self.sleep(retry_delay)
        return self._db_for_partition(partition)


def _tables(options: rocksdb.RocksDBOptions) -> BlockBasedOptions:
    """How files are read: their indexes and filters are blocks, and cached as such.

    Stock: each open file holds its own in memory, ten bytes for each customer.
    """
    tables = BlockBasedOptions()
    tables.set_bloom_filter(options.bloom_filter_size, block_based=True)
    tables.set_block_cache(Cache(options.block_cache_size))
    tables.set_index_type(BlockBasedIndexType.two_level_index_search())  # in blocks of 4 KiB
    tables.set_partition_filters(True)
    tables.set_cache_index_and_filter_blocks(True)
    return tables


def _without_log() -> Any:
    options: Any = WriteOptions()  # its stubs call the property a method
    options.disable_wal = True
    return options


def _compact(db: Any) -> None:
    """Compact a store to its bottom, so that only what is there now is in its files."""
    options = CompactOptions()
    options.set_bottommost_level_compaction(BottommostLevelCompaction.force())
    db.flush()
    db.compact_range(None, None, options)


def _flush(db: Any) -> None:
    db.flush()
