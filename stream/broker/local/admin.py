"""The topics of a local log.

Rules: opening takes the log's lock, so a worker that runs on the directory keeps everybody else
out, with a line that names it. What a topic is, it is for good: of its configuration only the
compaction is compared.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from stream.broker.local.log import Log, TopicConfig
from stream.broker.local.opening import open_log
from stream.broker.topics import DAY, TopicSpec, TopicState
from stream.config import ConfigError, Settings


class LocalCluster:
    """The topics of an open log."""

    compared: frozenset[str] | None = frozenset({"cleanup.policy"})
    makes_topics = True

    def __init__(self, log: Log) -> None:
        self._log = log

    async def brokers(self) -> int:
        """One: this directory."""
        return 1

    async def describe(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        """The topics that are there."""
        return {n: _state(c) for n, c in self._log.topics().items() if n in set(names)}

    async def create(self, specs: Sequence[TopicSpec], replication: int) -> None:
        """Create topics; there is one copy, whatever ``replication`` says."""
        for spec in specs:
            config = spec.config
            self._log.create_topic(
                spec.name,
                spec.partitions,
                config["cleanup.policy"] == "compact",
                retention_ms=_number(config.get("retention.ms")),
                tombstone_ms=int(config.get("delete.retention.ms", DAY)),
                compaction_ms=int(config.get("max.compaction.lag.ms", DAY // 4)),
            )

    async def refuse_without_access(self, settings: Settings) -> None:
        """Do nothing: whoever may open the directory may do all."""

    async def alter(self, name: str, config: Mapping[str, str]) -> None:
        """Refuse: a local topic is what it is."""
        raise ConfigError(
            f"topic {name} was made with another cleanup.policy than {config['cleanup.policy']}, "
            "and a local log's topics can't be changed; start with a new directory"
        )


@asynccontextmanager
async def open_local(settings: Settings) -> AsyncIterator[LocalCluster]:
    """Open the local log that the settings name.

    Raises
    ------
    ConfigError
        If the directory can't be used, another process has it open, or a file of it is damaged.
    """
    with open_log(settings, make=True) as log:
        yield LocalCluster(log)


def _state(config: TopicConfig) -> TopicState:
    policy = "compact" if config.compacted else "delete"
    return TopicState(config.partitions, 1, {"cleanup.policy": policy})


def _number(text: str | None) -> int | None:
    return int(text) if text else None
