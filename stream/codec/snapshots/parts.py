"""Snapshots in parts that fit into Kafka records, and back again.

A part is a header and a slice of the snapshot, integers little-endian::

    0   4  magic "OSPT"
    4   4  CRC-32 of all that follows
    8   4  number of this part, from 0
    12  4  count of parts
    16  8  length of the whole snapshot
    24  16 first half of the whole snapshot's SHA-256: the same in all its parts
    40  …  the slice

Rules
-----
- Parts may arrive in any order and more than once; missing, mixed or damaged ones are refused.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable
from typing import NamedTuple

PART_BYTES = 512 * 1024  # below Kafka's default of 1 MiB a record, with room for a batch's head

_MAGIC = b"OSPT"
_HEADER = struct.Struct("<4sIIIQ16s")
_CRC_END = 8


class PartError(Exception):
    """Parts that do not make a whole snapshot."""


class Part(NamedTuple):
    """One part, taken apart: which it is, of which snapshot of how many, and its slice."""

    number: int
    parts: int
    length: int
    digest: bytes
    piece: bytes


def split(data: bytes, part_bytes: int = PART_BYTES) -> list[bytes]:
    """Return a snapshot's parts.

    Parameters
    ----------
    data
        The snapshot.
    part_bytes
        Size of a part, header included; over 40.

    Examples
    --------
    >>> [len(part) for part in split(bytes(100), part_bytes=90)]
    [90, 90]
    >>> join(split(b"abc")) == b"abc"
    True
    """
    room = part_bytes - _HEADER.size
    if room <= 0:
        raise ValueError(f"part_bytes must be over {_HEADER.size}")
    digest = hashlib.sha256(data).digest()[:16]
    pieces = [data[at : at + room] for at in range(0, len(data), room)] or [b""]
    return [_seal(i, len(pieces), len(data), digest, piece) for i, piece in enumerate(pieces)]


def read_part(data: bytes) -> Part:
    """Return what a part's bytes say, checked.

    Raises
    ------
    PartError
        If the bytes are damaged or are no part.
    """
    if len(data) < _HEADER.size or not data.startswith(_MAGIC):
        raise PartError("not a part of a snapshot")
    _, crc, number, count, length, digest = _HEADER.unpack_from(data)
    if zlib.crc32(data[_CRC_END:]) != crc:
        raise PartError("a part is damaged")
    if number >= count:
        raise PartError(f"part {number} of {count}")
    return Part(number, count, length, digest, data[_HEADER.size :])


def join(parts: Iterable[bytes]) -> bytes:
    """Return the snapshot that these parts make.

    Raises
    ------
    PartError
        If a part is missing, damaged, or of another snapshot.
    """
    read = [read_part(part) for part in parts]
    if not read:
        raise PartError("no parts")
    first = read[0]
    if any(part[1:4] != first[1:4] for part in read):
        raise PartError("parts of different snapshots")
    pieces = {part.number: part.piece for part in read}
    if len(pieces) != first.parts:
        raise PartError(f"{first.parts - len(pieces)} of {first.parts} parts are missing")
    whole = b"".join(pieces[number] for number in range(first.parts))
    if len(whole) != first.length or hashlib.sha256(whole).digest()[:16] != first.digest:
        raise PartError("the parts do not make the whole that they declare")
    return whole


def _seal(number: int, count: int, length: int, digest: bytes, piece: bytes) -> bytes:
    part = _HEADER.pack(_MAGIC, 0, number, count, length, digest) + piece
    return part[:4] + struct.pack("<I", zlib.crc32(part[_CRC_END:])) + part[_CRC_END:]
