"""Which partition a key belongs to, as every Kafka producer works it out."""

from __future__ import annotations

import struct
from typing import Final

_MULTIPLIER: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_MASK: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Hash bytes as Kafka does: MurmurHash2 with Kafka's seed, as an unsigned 32-bit number.

    References
    ----------
    ``org.apache.kafka.common.utils.Utils.murmur2``; Austin Appleby's MurmurHash2.

    >>> hex(murmur2(b"kafka"))
    '0xd067cf64'
    """
    size = len(data)
    whole = size & ~3
    hashed = _SEED ^ size
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        mixed = word * _MULTIPLIER & _MASK
        mixed = (mixed ^ mixed >> 24) * _MULTIPLIER & _MASK
        hashed = hashed * _MULTIPLIER & _MASK ^ mixed
    if whole < size:
        tail = int.from_bytes(data[whole:], "little")
        hashed = (hashed ^ tail) * _MULTIPLIER & _MASK
    hashed = (hashed ^ hashed >> 13) * _MULTIPLIER & _MASK
    return hashed ^ hashed >> 15


def partition_for(key: bytes | None, partitions: int) -> int:
    """Return the partition of a key, where Kafka's default partitioner puts it.

    A record without a key goes to the first: a producer would choose any.

    Parameters
    ----------
    key
        The record's key.
    partitions
        How many the topic has, at least 1.

    >>> [partition_for(b"customer-%d" % n, 4) for n in range(6)]
    [3, 1, 2, 2, 1, 2]
    """
    return 0 if key is None else (murmur2(key) & 0x7FFFFFFF) % partitions
