"""Topics: what a worker needs, how that differs from what is there, and making it so.

Rules:

- Events, what they cause and the tables' changelogs have ``partitions`` partitions, so that a
  customer's events, state and offers stay together; what every worker reads whole has one.
- Creating what is missing and setting what is configured is safe and ``apply`` does it; what keeps
  or takes more than it must stays so. Changing a number of partitions would tear customers apart
  and is refused.
- Retention counts from arrival: history that is replayed must not be deleted before it is read.
- A worker verifies before it starts; a local log, which belongs to it alone, it sets up itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final, NamedTuple

from stream.broker.opening import open_cluster
from stream.broker.topics import DAY, Change, Cluster, Kind, TopicSpec, TopicState
from stream.config import ConfigError, Settings
from stream.worker.checks.topic_faults import (
    absent,
    settings_odd,
    settings_refused,
    suffices,
    widths_differ,
)

log = logging.getLogger(__name__)
HOUR: Final = 3_600_000
MAX_SNAPSHOT: Final = 8 << 20
"""Bytes of the largest record on the ``models`` topic: its ``max.message.bytes``."""
MAX_CHANGELOG_BATCH: Final = 8 << 20
"""Bytes of the largest record batch on a changelog: what a batch of events changed, all of it."""
MAX_DEAD_LETTER: Final = 2 << 20
"""Bytes of the largest dead letter: the largest of records, and some 400 bytes of why."""
MAX_BATCH: Final = 1_048_588
"""Bytes of the largest record batch on any other topic: Kafka's own default."""

_WANTED_REPLICAS: Final = 3  # one broker may fail while another is down for an upgrade


class Plan(NamedTuple):
    """What there should be, what differs, the replicas that new topics get, and what there is."""

    specs: tuple[TopicSpec, ...]
    changes: tuple[Change, ...]
    replication: int
    states: Mapping[str, TopicState] = {}

    @property
    def widths(self) -> dict[str, int]:
        """How many partitions there are."""
        return {name: state.partitions for name, state in self.states.items()}


def topic_specs(settings: Settings) -> tuple[TopicSpec, ...]:
    """Every topic that a worker reads or writes; of what it writes, the largest batch, too."""
    topics, spread = settings.topics, settings.partitions
    week, month, copies = _kept(7), _kept(30), {"message.timestamp.type": "CreateTime"}
    compacted = {"cleanup.policy": "compact"}
    written = _taken(max(MAX_BATCH, settings.kafka.batch_bytes))
    # A changelog holds customers. The record of an erased one is gone with a compaction, within six
    # hours; the key a day later, with the next compaction but one.
    changelog = compacted | {
        "max.compaction.lag.ms": str(6 * HOUR),
        "delete.retention.ms": str(DAY),
        **_taken(MAX_CHANGELOG_BATCH),
    }
    # Deltas come each second: small segments, soon compacted, keep a new worker's start short.
    models = compacted | {
        **_taken(MAX_SNAPSHOT),
        "segment.bytes": str(64 << 20),
        "max.compaction.lag.ms": str(HOUR),
    }
    return (
        *(TopicSpec(name, spread, week) for name in topics.events),
        TopicSpec(topics.catalog, 1, compacted, shared=True),
        TopicSpec(topics.campaigns, 1, compacted, shared=True),
        TopicSpec(topics.offers, spread, week | written),
        TopicSpec(topics.dead_letters, spread, month | copies | _taken(MAX_DEAD_LETTER)),
        TopicSpec(topics.evidence, spread, week | written),
        TopicSpec(topics.decisions, spread, week | written),
        TopicSpec(topics.late, spread, month | copies | written),
        TopicSpec(topics.examples, 1, month | written, shared=True),
        TopicSpec(topics.models, 1, models, shared=True),
        TopicSpec(topics.rules, 1, compacted | written, shared=True),
        TopicSpec(topics.budgets, 1, _kept(3_650) | written, shared=True),
        TopicSpec(settings.customers_changelog, spread, changelog),
    )


async def plan(cluster: Cluster, settings: Settings, replication: int | None = None) -> Plan:
    """Compare the topics with what the settings ask for.

    Raises
    ------
    ConfigError
        If there are fewer brokers than replicas asked for.
    """
    replicas = await _replicas(cluster, replication or settings.kafka.replication_factor)
    specs = topic_specs(settings)
    states = await cluster.describe([spec.name for spec in specs])
    specs = tuple(
        _insured(spec, states[spec.name].replication if spec.name in states else replicas)
        for spec in specs
    )
    changes = [
        change
        for spec in specs
        for change in _differences(spec, states.get(spec.name), cluster.compared)
    ]
    return Plan(specs, tuple(changes), replicas, states)


async def apply(cluster: Cluster, wanted: Plan) -> None:
    """Carry a plan out: create what is missing, configure what differs.

    Raises
    ------
    ConfigError
        If a topic has a wrong number of partitions; nothing is changed then.
    """
    if refused := widths_differ(wanted.specs, wanted.widths):
        raise ConfigError(refused)
    missing = {change.topic for change in wanted.changes if change.kind is Kind.MISSING}
    if missing:
        specs = [spec for spec in wanted.specs if spec.name in missing]
        await cluster.create(specs, wanted.replication)
    altered: dict[str, dict[str, str]] = {}
    for change in wanted.changes:
        if change.kind is Kind.CONFIG:
            altered.setdefault(change.topic, {})[change.key] = change.want
    for name, config in altered.items():
        await cluster.alter(name, config)


async def made(settings: Settings) -> None:
    """Make what is missing where a worker makes its topics itself."""
    async with open_cluster(settings) as cluster:
        if cluster.makes_topics:
            await apply(cluster, await plan(cluster, settings, replication=1))


def verify(settings: Settings) -> None:
    """See that a worker can start: each topic is there, as wide, and keeps what it is given.

    Raises
    ------
    ConfigError
        If not; it says what to do.
    """
    asyncio.run(_verify(settings))


async def _verify(settings: Settings) -> None:
    async with open_cluster(settings) as cluster:
        await cluster.refuse_without_access(settings)
        found = await plan(cluster, settings, replication=1)
        if cluster.makes_topics:
            await apply(cluster, found)
            return
    if refused := widths_differ(found.specs, found.widths):
        raise ConfigError(refused)
    missing = [change.topic for change in found.changes if change.kind is Kind.MISSING]
    if missing:
        raise ConfigError(absent(missing, f" on {settings.broker}"))
    differing = [change for change in found.changes if change.kind is Kind.CONFIG]
    if refused := settings_refused(differing, found.specs, found.states):
        raise ConfigError(refused)
    for line in settings_odd(differing, found.specs, found.states):
        log.warning("%s", line)


async def _replicas(cluster: Cluster, wanted: int) -> int:
    brokers = await cluster.brokers()
    if wanted > brokers:
        raise ConfigError(
            f"kafka.replication_factor is {wanted} and {brokers} broker(s) are up; start more, "
            f"or set it to at most {brokers} (--replication {brokers})"
        )
    return wanted or min(_WANTED_REPLICAS, brokers)


def _kept(days: int) -> dict[str, str]:
    """Keep records for so long after they arrived, whatever time their producer claims."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(days * DAY),
        "segment.ms": str(DAY),  # whole files are removed: a record goes a day later, and not seven
        "message.timestamp.type": "LogAppendTime",
    }


def _taken(size: int) -> dict[str, str]:
    """Take record batches of so many bytes."""
    return {"max.message.bytes": str(size)}


def _insured(spec: TopicSpec, replicas: int) -> TopicSpec:
    """Ask for two copies of each write where there are three: one broker may fail, none is lost."""
    insured = "2" if replicas >= _WANTED_REPLICAS else "1"
    return spec._replace(config={**spec.config, "min.insync.replicas": insured})


def _differences(
    spec: TopicSpec, state: TopicState | None, compared: frozenset[str] | None
) -> list[Change]:
    if state is None:
        return [
            Change(spec.name, Kind.MISSING, "topic", "missing", f"{spec.partitions} partitions")
        ]
    changes = [
        Change(spec.name, Kind.CONFIG, key, state.config.get(key, ""), value)
        for key, value in spec.config.items()
        if (compared is None or key in compared)
        and not suffices(key, state.config.get(key, ""), value, state.replication)
    ]
    if state.partitions != spec.partitions:
        have, want = str(state.partitions), str(spec.partitions)
        changes.insert(0, Change(spec.name, Kind.PARTITIONS, "partitions", have, want))
    return changes
