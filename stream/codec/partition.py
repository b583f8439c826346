"""Which partition a key belongs to: Kafka's default partitioner, so that any producer agrees."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key, in 0 … ``partitions - 1`` (murmur2, as Kafka's Java client).

    >>> [partition_for(key, 4) for key in (b"c1", b"c2", b"c3")]
    [3, 3, 3]
    """
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
