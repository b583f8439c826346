"""Snapshots of models: bytes that prove themselves, and never run code.

A snapshot is a header, a body and perhaps a signature, all integers little-endian::

    0   4  magic "OSNP"
    4   1  format version, 1
    5   1  flags: 1 = the state is compressed (Zstandard, RFC 8878), 2 = signed
    6   2  zero
    8   4  CRC-32 of bytes 0-8 and of all bytes from 12 on, without the signature
    12  8  length of the body as stored
    20  8  length of the state when inflated
    28  …  body: kind, version, learned_through and base as they are, then the state's entries
    -32 32 HMAC-SHA256 of all before it, if signed

Rules
-----
- Equal snapshots have equal bytes: entries are sorted by name.
- No pickle: a value is an integer, a float, a text, a list of these, or an array whose dtype is
  on a list. Nothing is allocated before its length was compared with what is there.
- Whatever the bytes are, `decode` returns a snapshot or raises `SnapshotError`.
- Who sets a key accepts nothing unsigned, and a signed snapshot is not read without its key.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import cramjam

from stream.codec.batches.recordbatch import Damaged
from stream.codec.batches.room import into_room
from stream.codec.snapshots.delta import apply, delta
from stream.codec.snapshots.entries import EntryError, pack_state, unpack_state
from stream.codec.snapshots.parts import PART_BYTES, PartError, join, split
from stream.models.base.state import State, StateValue

__all__ = [
    "PART_BYTES",
    "PartError",
    "Snapshot",
    "SnapshotError",
    "apply",
    "decode",
    "delta",
    "encode",
    "fingerprint",
    "head",
    "join",
    "split",
]

MAGIC = b"OSNP"
FORMAT = 1
MAX_BYTES = 256 * 2**20  # inflated; a larger model belongs into several snapshots
LEVEL: Final = 1  # of Zstandard: a tenth of what deflating costs, for a tenth more bytes

_HEADER = struct.Struct("<4sBBHIQQ")
_CRC_AT = 8
_AFTER_CRC = 12
_COMPRESSED, _SIGNED = 1, 2
_DIGEST = 32


class SnapshotError(Exception):
    """Bytes that are not a whole, true snapshot; the last good one stays in use."""


class Snapshot(NamedTuple):
    """A model's state at a point of the log.

    Parameters
    ----------
    kind
        Which estimator, e.g. ``propensity``.
    version
        Of the estimator's state layout.
    state
        What the estimator's ``from_state`` takes, or a delta to it.
    learned_through
        The last offset learned, by source partition.
    base
        Of a delta: ``learned_through`` of the snapshot that it changes. None for a full one.
    """

    kind: str
    version: int
    state: State
    learned_through: dict[str, int]
    base: dict[str, int] | None = None


def encode(
    kind: str,
    version: int,
    state: Mapping[str, StateValue],
    learned_through: Mapping[str, int],
    *,
    base: Mapping[str, int] | None = None,
    key: bytes | None = None,
    compress: bool = True,
) -> bytes:
    """Return the bytes of a snapshot.

    Parameters
    ----------
    kind, version, state, learned_through, base
        See `Snapshot`.
    key
        Signs the snapshot with HMAC-SHA256.
    compress
        Compress the state; new models are mostly zeros.

    Raises
    ------
    ValueError
        If the state holds what a snapshot cannot: that is our own mistake.
    """
    about = pack_state(
        {
            "kind": kind,
            "version": version,
            "through": _offsets(learned_through),
            "base": [] if base is None else [_offsets(base)],
        }
    )
    entries = pack_state(state)
    packed = bytes(cramjam.zstd.compress(entries, level=LEVEL)) if compress else entries
    stored = about + packed
    flags = (_COMPRESSED if compress else 0) | (_SIGNED if key else 0)
    head = _HEADER.pack(MAGIC, FORMAT, flags, 0, 0, len(stored), len(entries))
    crc = _checksum(head, stored)
    whole = head[:_CRC_AT] + struct.pack("<I", crc) + head[_AFTER_CRC:] + stored
    return whole + hmac.digest(key, whole, "sha256") if key else whole


def decode(data: bytes, *, key: bytes | None = None, max_bytes: int = MAX_BYTES) -> Snapshot:
    """Return the snapshot in these bytes.

    Parameters
    ----------
    data
        What `encode` returned.
    key
        With a key, only snapshots signed with it are accepted.
    max_bytes
        Of the inflated state: the most that hostile bytes can make us allocate.

    Raises
    ------
    SnapshotError
        If the bytes are damaged, cut, forged, of another format, or too big.
    """
    signed, stored, length = _frame(data)
    _check_signature(data, signed, key)
    if length > max_bytes:
        raise SnapshotError(f"of {length} bytes, over the limit of {max_bytes}")
    try:
        about, end = unpack_state(stored, 0)
        entries = stored[end:]
        if data[5] & _COMPRESSED:
            entries = _inflate(entries, length)
        if len(entries) != length:
            raise SnapshotError("the state's length is not the one declared")
        state, end = unpack_state(entries, 0)
        if end != length:
            raise EntryError("bytes after the last entry")
        return _named(about, state)
    except EntryError as error:
        raise SnapshotError(str(error)) from None


def head(data: bytes) -> Snapshot:
    """Return what a snapshot's bytes say of it, without its state; unsigned, and not inflated.

    Raises
    ------
    SnapshotError
        As `decode` does.
    """
    _, stored, _ = _frame(data)
    try:
        about, _ = unpack_state(stored, 0)
        return _named(about, {})
    except EntryError as error:
        raise SnapshotError(str(error)) from None


def fingerprint(state: Mapping[str, StateValue]) -> str:
    """Return the SHA-256 of a state, in hex: equal states, and only those, have equal ones."""
    return hashlib.sha256(pack_state(state)).hexdigest()


def _offsets(offsets: Mapping[str, int]) -> list[list[str | int]]:
    return [[name, offsets[name]] for name in sorted(offsets)]


def _checksum(head: bytes, stored: bytes) -> int:
    return zlib.crc32(stored, zlib.crc32(head[_AFTER_CRC:], zlib.crc32(head[:_CRC_AT])))


def _frame(data: bytes) -> tuple[bool, bytes, int]:
    """Check the frame; return whether it is signed, the stored body and its inflated length."""
    if len(data) < _HEADER.size:
        raise SnapshotError("shorter than a header")
    magic, form, flags, zero, crc, stored_length, length = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise SnapshotError("not a snapshot: wrong magic")
    if form != FORMAT or zero or flags & ~(_COMPRESSED | _SIGNED):
        raise SnapshotError(f"format {form} with flags {flags} is not known here")
    signed = bool(flags & _SIGNED)
    if len(data) != _HEADER.size + stored_length + (_DIGEST if signed else 0):
        raise SnapshotError("cut, or longer than declared")
    stored = data[_HEADER.size : _HEADER.size + stored_length]
    if _checksum(data[: _HEADER.size], stored) != crc:
        raise SnapshotError("damaged: the checksum does not fit")
    return signed, stored, length


def _check_signature(data: bytes, signed: bool, key: bytes | None) -> None:
    if key is None:
        if signed:
            raise SnapshotError("signed, and no key is set to check it with")
        return
    if not signed:
        raise SnapshotError("not signed, though a key is set")
    if not hmac.compare_digest(hmac.digest(key, data[:-_DIGEST], "sha256"), data[-_DIGEST:]):
        raise SnapshotError("forged: the signature does not fit the key")


def _inflate(packed: bytes, length: int) -> bytes:
    try:
        return bytes(into_room(cramjam.zstd.decompress_into, packed, max(length, 1)))
    except Damaged as error:
        raise SnapshotError(f"{error} to the length declared") from None


def _named(about: State, state: State) -> Snapshot:
    kind, version, base = about.get("kind"), about.get("version"), about.get("base")
    if not isinstance(kind, str) or type(version) is not int or not isinstance(base, list):
        raise EntryError("the head is not that of a snapshot")
    through = _read_offsets(about.get("through"))
    return Snapshot(kind, version, state, through, _read_offsets(base[0]) if base else None)


def _read_offsets(pairs: object) -> dict[str, int]:
    if not isinstance(pairs, list):
        raise EntryError("offsets are not a list")
    offsets: dict[str, int] = {}
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise EntryError("an offset is not a pair")
        name, offset = pair
        if not isinstance(name, str) or type(offset) is not int:
            raise EntryError("an offset is not a name and an integer")
        offsets[name] = offset
    return offsets
