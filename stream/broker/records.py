"""Records as brokers keep them, and the partitions that they are in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import msgspec
from aiokafka.structs import ConsumerRecord

from stream.codec.batches.recordbatch import SetAside

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
Outgoing: TypeAlias = tuple[bytes | None, bytes | None, int | None, Headers]
"""Key, value, timestamp in ms (None: now), headers."""


class Record(Protocol):
    """A record as both transports give it; ``timestamp`` in ms."""

    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Headers: ...  # noqa: D102


class Fetched(msgspec.Struct, gc=False):
    """A record that was fetched, with the attributes of aiokafka's ``ConsumerRecord``."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def checksum(self) -> None:
        """Always None: batches have checksums, records don't."""
        return

    @property
    def serialized_key_size(self) -> int:
        """Size of the key in bytes, -1 without one."""
        return -1 if self.key is None else len(self.key)

    @property
    def serialized_value_size(self) -> int:
        """Size of the value in bytes, -1 without one."""
        return -1 if self.value is None else len(self.value)


@dataclass
class Unreadable(ConsumerRecord):  # type: ignore[misc]  # aiokafka has no types
    """What stands for bytes that a broker keeps and that make no record; they are its value."""

    aside: SetAside


def value_of(record: Record) -> bytes | None:
    """A record's value; None of one that can't be read, which has none for anybody."""
    return None if isinstance(record, Unreadable) else record.value
