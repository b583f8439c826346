"""Topics as they should be and as they are, and who sees to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from stream.config import Settings

DAY: Final = 24 * 3_600_000
DELETIONS: Final = "delete.retention.ms"
"""How long a compacted topic keeps deletions: a setting of its own."""


class TopicSpec(NamedTuple):
    """A topic as it should be; ``config`` by Kafka's own names.

    One that is ``shared`` is read whole by every worker.
    """

    name: str
    partitions: int
    config: Mapping[str, str]
    shared: bool = False


class TopicState(NamedTuple):
    """A topic as it is; ``config`` holds every value in force."""

    partitions: int
    replication: int
    config: Mapping[str, str]


class Cluster(Protocol):
    """Where topics are: Kafka, or a local log."""

    compared: frozenset[str] | None
    """The configuration that can differ here; None: all of it."""
    makes_topics: bool
    """Whether a worker makes what is missing itself."""

    async def brokers(self) -> int:
        """How many brokers are up."""

    async def describe(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        """The topics that are there."""

    async def create(self, specs: Sequence[TopicSpec], replication: int) -> None:
        """Create topics; return when they can be used."""

    async def alter(self, name: str, config: Mapping[str, str]) -> None:
        """Set these values, and leave a topic's others as they are."""

    async def refuse_without_access(self, settings: Settings) -> None:
        """Raise a `ConfigError` that names what the login lacks of what a worker needs."""


class Kind(StrEnum):
    """In what way a topic is not as it should be."""

    MISSING = "missing"
    PARTITIONS = "partitions"
    CONFIG = "config"


class Change(NamedTuple):
    """One difference: ``key`` is ``have`` and should be ``want``."""

    topic: str
    kind: Kind
    key: str
    have: str
    want: str
