"""Record batches built byte by byte, as no well-behaved producer would build them (KIP-98)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple
from zlib import crc32

import cramjam
from aiokafka import TopicPartition
from aiokafka import codec as codecs
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import NotLeaderForPartitionError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c

from stream.codec.batches.recordbatch import HEADER

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
PACK: dict[int, Any] = {
    NONE: bytes,
    GZIP: codecs.gzip_encode,
    SNAPPY: codecs.snappy_encode,
    LZ4: codecs.lz4_encode,
    ZSTD: codecs.zstd_encode,
}
PACKING: dict[int, Any] = {
    GZIP: cramjam.gzip.Compressor,
    LZ4: cramjam.lz4.Compressor,
    ZSTD: cramjam.zstd.Compressor,
}
NAMELESS = (b"\xff\xfe trace", b"1")
"""A header whose name is not UTF-8."""
T0 = 1_700_000_000_000
MIB = 1 << 20


def varint(number: int) -> bytes:
    """Zigzag, in groups of seven bits."""
    zigzag, groups = (number << 1 ^ number >> 63) & 2**64 - 1, bytearray()
    while zigzag > 0x7F:
        groups.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*groups, zigzag])


def sized(data: bytes | None) -> bytes:
    """Bytes behind their length."""
    return varint(-1) if data is None else varint(len(data)) + data


def body(
    delta: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[bytes, bytes | None]] = (),
    time: int = 0,
) -> bytes:
    """A record without its length."""
    return _start(delta, key, time) + sized(value) + _end(headers)


def _start(delta: int, key: bytes | None, time: int = 0) -> bytes:
    """What of a record comes before its value."""
    return b"\0" + varint(time) + varint(delta) + sized(key)


def _end(headers: Sequence[tuple[bytes, bytes | None]]) -> bytes:
    """What comes behind it."""
    told = b"".join(sized(name) + sized(raw) for name, raw in headers)
    return varint(len(headers)) + told


class Zeros(NamedTuple):
    """A record whose value is so many zeros, which nobody need hold in memory."""

    delta: int
    key: bytes
    size: int
    headers: Sequence[tuple[bytes, bytes | None]] = ()

    def pieces(self) -> Iterator[bytes]:
        """The record behind its length, piece by piece."""
        start, end = _start(self.delta, self.key) + varint(self.size), _end(self.headers)
        yield varint(len(start) + self.size + len(end)) + start
        yield from self.value()
        yield end

    def value(self) -> Iterator[bytes]:
        """Its value, piece by piece."""
        whole, rest = divmod(self.size, MIB)
        yield from repeat(bytes(MIB), whole)
        yield bytes(rest)


def bomb(records: Sequence[bytes | Zeros], codec: int = ZSTD) -> bytes:
    """A batch of bodies and of zeros, compressed as a stream by gzip, LZ4 or zstd."""
    packing = PACKING[codec]()
    for record in records:
        for piece in record.pieces() if isinstance(record, Zeros) else (sized(record),):
            packing.compress(piece)
    return batch([b""] * len(records), 0, codec, packed=bytes(packing.finish()))


def batch(
    records: Sequence[bytes],
    base: int = 0,
    codec: int = NONE,
    *,
    packed: bytes | None = None,
    count: int | None = None,
    last: int | None = None,
    attributes: int = 0,
    damage: int = 0,
    producer: int = -1,
) -> bytes:
    """A batch of records' bodies; ``damage`` is added to its checksum."""
    inside = PACK[codec](b"".join(sized(each) for each in records)) if packed is None else packed
    head = [
        *(base, len(inside) + HEADER.size - 12, 0, 2, 0, attributes | codec),
        *(len(records) - 1 if last is None else last, T0, T0, producer, -1, -1),
        len(records) if count is None else count,
    ]
    whole = bytearray(HEADER.pack(*head) + inside)
    crc = (calc_crc32c(bytes(whole[21:])) + damage) % 2**32
    struct.pack_into(">I", whole, 17, crc)
    return bytes(whole)


def sealed(damaged: bytearray) -> bytearray:
    """A batch with the checksum that fits what it is now."""
    damaged[17:21] = calc_crc32c(bytes(damaged[21:])).to_bytes(4)
    return damaged


def old_message(
    offset: int,
    key: bytes | None,
    value: bytes | None,
    magic: int = 1,
    codec: int = NONE,
    time: int = T0,
) -> bytes:
    """A message of format 0 or 1."""
    inside = struct.pack(">bb", magic, codec) + (struct.pack(">q", time) if magic else b"")
    inside += _old_sized(key) + _old_sized(value)
    return struct.pack(">qiI", offset, len(inside) + 4, crc32(inside)) + inside


def old_wrapper(offset: int, messages: Sequence[bytes], magic: int, codec: int) -> bytes:
    """Messages of format 0 or 1, compressed together."""
    return old_message(offset, None, PACK[codec](b"".join(messages)), magic, codec)


def _old_sized(data: bytes | None) -> bytes:
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


async def put(address: str, topic: str, partition: int, *batches: bytes) -> list[int]:
    """Have a broker append batches as they are; the error codes that it answers with."""
    client = AIOKafkaClient(bootstrap_servers=address)
    await client.bootstrap()
    try:
        client.add_topic(topic)
        await client.force_metadata_update()
        node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        codes: list[int] = []
        for each in batches:
            request = ProduceRequest(None, -1, 30_000, [(topic, [(partition, each)])])
            code = NotLeaderForPartitionError.errno  # a new topic's leader is not at once one
            while code == NotLeaderForPartitionError.errno:
                response = await client.send(node, request)
                code = response.topics[0][1][0][1]
            codes.append(code)
        return codes
    finally:
        await client.close()
