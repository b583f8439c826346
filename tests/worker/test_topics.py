"""Topics as they should be, how a cluster differs, and what is done about it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from stream.broker.opening import open_cluster
from stream.broker.topics import DAY, Change, Kind, TopicSpec, TopicState
from stream.config import ConfigError, KafkaSettings, Settings, Topics
from stream.worker.checks.topics import apply, plan, topic_specs, verify

SETTINGS = Settings(broker="kafka://127.0.0.1:9092", partitions=3)


class FakeCluster:
    """Topics in memory, with values of its own where nothing was set; notes what is done."""

    compared: frozenset[str] | None = None

    def __init__(self, brokers: int = 1) -> None:
        self.up = brokers
        self.topics: dict[str, TopicState] = {}
        self.done: list[str] = []

    async def brokers(self) -> int:
        return self.up

    async def describe(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        return {name: state for name, state in self.topics.items() if name in names}

    async def create(self, specs: Sequence[TopicSpec], replication: int) -> None:
        for spec in specs:
            self.topics[spec.name] = TopicState(spec.partitions, replication, dict(spec.config))
            self.done.append(f"create {spec.name}")

    async def alter(self, name: str, config: Mapping[str, str]) -> None:
        state = self.topics[name]
        self.topics[name] = state._replace(config={**state.config, **config})
        self.done.append(f"alter {name} {sorted(config)}")


async def made(brokers: int = 1, settings: Settings = SETTINGS) -> FakeCluster:
    cluster = FakeCluster(brokers)
    await apply(cluster, await plan(cluster, settings))
    cluster.done.clear()
    return cluster


def test_events_and_what_they_cause_share_partitions_and_what_all_read_has_one() -> None:
    wide = {spec.name: spec.partitions for spec in topic_specs(SETTINGS)}
    assert wide == {
        **dict.fromkeys(("clicks", "purchases", "feedback", "customers"), 3),
        **dict.fromkeys(("offers", "evidence", "decisions"), 3),
        **dict.fromkeys(("dead-letters", "late", "offerstream-customers-changelog"), 3),
        **dict.fromkeys(("catalog", "campaigns", "examples", "models", "rules", "budgets"), 1),
    }


def test_what_is_state_is_compacted_and_the_rest_is_kept_from_its_arrival() -> None:
    for spec in topic_specs(SETTINGS):
        if spec.name in {
            "catalog",
            "campaigns",
            "models",
            "rules",
            "offerstream-customers-changelog",
        }:
            assert spec.config["cleanup.policy"] == "compact"
            assert "retention.ms" not in spec.config
        else:
            assert spec.config["cleanup.policy"] == "delete"
            assert int(spec.config["retention.ms"]) >= 7 * DAY
            untouched = spec.name in {"dead-letters", "late"}
            kind = "CreateTime" if untouched else "LogAppendTime"
            assert spec.config["message.timestamp.type"] == kind


def test_an_erased_customer_leaves_the_changelog_within_two_days() -> None:
    config = topic_specs(SETTINGS)[-1].config
    assert int(config["max.compaction.lag.ms"]) + int(config["delete.retention.ms"]) <= 2 * DAY


def test_names_follow_the_prefix_and_the_app() -> None:
    settings = Settings(app_id="shop1", topics=Topics(prefix="shop1."))
    assert all(spec.name.startswith("shop1") for spec in topic_specs(settings))


async def test_on_an_empty_cluster_everything_is_missing_and_then_nothing() -> None:
    cluster = FakeCluster()
    found = await plan(cluster, SETTINGS)
    assert {change.kind for change in found.changes} == {Kind.MISSING}
    assert len(found.changes) == len(topic_specs(SETTINGS))
    await apply(cluster, found)
    assert (await plan(cluster, SETTINGS)).changes == ()


@pytest.mark.parametrize(
    ("brokers", "replicas", "insured"), [(1, 1, "1"), (2, 2, "1"), (3, 3, "2"), (9, 3, "2")]
)
async def test_there_are_three_replicas_or_as_many_as_brokers(
    brokers: int, replicas: int, insured: str
) -> None:
    cluster = await made(brokers)
    assert {state.replication for state in cluster.topics.values()} == {replicas}
    insurances = {state.config["min.insync.replicas"] for state in cluster.topics.values()}
    assert insurances == {insured}


async def test_replicas_that_are_asked_for_are_made_or_refused() -> None:
    settings = Settings(broker=SETTINGS.broker, kafka=KafkaSettings(replication_factor=2))
    assert (await plan(FakeCluster(3), settings)).replication == 2
    assert (await plan(FakeCluster(3), settings, replication=1)).replication == 1
    with pytest.raises(ConfigError, match=r"--replication 1\)"):
        await plan(FakeCluster(1), settings)


async def test_a_topic_with_one_replica_is_not_asked_to_confirm_two() -> None:
    cluster = await made(brokers=1)
    cluster.up = 3
    assert (await plan(cluster, SETTINGS)).changes == ()


async def test_only_what_differs_is_changed() -> None:
    cluster = await made()
    del cluster.topics["offers"]
    state = cluster.topics["models"]
    config = {**state.config, "cleanup.policy": "delete", "retention.bytes": "5"}
    cluster.topics["models"] = state._replace(config=config)
    found = await plan(cluster, SETTINGS)
    assert found.changes == (
        Change("offers", Kind.MISSING, "topic", "missing", "3 partitions"),
        Change("models", Kind.CONFIG, "cleanup.policy", "delete", "compact"),
    )
    await apply(cluster, found)
    assert cluster.done == ["create offers", "alter models ['cleanup.policy']"]
    assert cluster.topics["models"].config["retention.bytes"] == "5"


@pytest.mark.parametrize(
    ("topic", "key", "value"),
    [
        ("clicks", "retention.ms", "-1"),
        ("examples", "retention.ms", str(90 * DAY)),
        ("models", "max.message.bytes", "20000000"),
        ("offers", "min.insync.replicas", "3"),
    ],
)
async def test_what_keeps_or_takes_more_than_it_must_is_left_alone(
    topic: str, key: str, value: str
) -> None:
    cluster = await made(brokers=3)
    await cluster.alter(topic, {key: value})
    cluster.done.clear()
    found = await plan(cluster, SETTINGS)
    assert found.changes == ()
    await apply(cluster, found)
    assert cluster.done == []


@pytest.mark.parametrize(
    ("topic", "key", "value"),
    [
        ("clicks", "retention.ms", "1000"),
        ("models", "max.message.bytes", "1000"),
        ("offers", "min.insync.replicas", "4"),  # of three replicas: no write is accepted
        ("offers", "min.insync.replicas", "1"),
        ("clicks", "segment.ms", "-1"),
        ("catalog", "cleanup.policy", "delete"),
    ],
)
async def test_what_keeps_or_takes_less_is_set(topic: str, key: str, value: str) -> None:
    cluster = await made(brokers=3)
    await cluster.alter(topic, {key: value})
    await apply(cluster, await plan(cluster, SETTINGS))
    assert (await plan(cluster, SETTINGS)).changes == ()
    assert cluster.topics[topic].config[key] != value


def test_every_topic_that_a_worker_writes_takes_what_it_writes() -> None:
    settings = Settings(broker=SETTINGS.broker, kafka=KafkaSettings(batch_bytes=3_000_000))
    read_alone = {*settings.topics.events, "catalog", "campaigns"}
    for spec in topic_specs(settings):
        if spec.name not in read_alone:
            least = 2 << 20 if spec.name == "dead-letters" else 3_000_000
            assert int(spec.config["max.message.bytes"]) >= least, spec


async def test_partitions_are_never_changed_and_nothing_else_is_then() -> None:
    cluster = await made()
    del cluster.topics["offers"]
    wider = Settings(broker=SETTINGS.broker, partitions=5)
    found = await plan(cluster, wider)
    assert Change("clicks", Kind.PARTITIONS, "partitions", "3", "5") in found.changes
    with pytest.raises(ConfigError, match=r"topic clicks has 3 partitions.*ask for 5.*= 3") as no:
        await apply(cluster, found)
    assert "\n" not in str(no.value)
    assert cluster.done == []


async def test_a_shared_topic_with_several_partitions_is_to_be_made_anew() -> None:
    cluster = await made()
    cluster.topics["catalog"] = cluster.topics["catalog"]._replace(partitions=4)
    with pytest.raises(ConfigError, match=r"topic catalog has 4 partitions.*delete it"):
        await apply(cluster, await plan(cluster, SETTINGS))


# On a local log.


@pytest.fixture
def local(tmp_path: Path) -> Settings:
    return Settings(broker=f"local://{tmp_path}/log", partitions=2)


async def test_a_local_log_gets_the_same_topics(local: Settings) -> None:
    async with open_cluster(local) as cluster:
        found = await plan(cluster, local)
        assert len(found.changes) == len(found.specs)
        await apply(cluster, found)
    async with open_cluster(local) as cluster:
        assert (await plan(cluster, local)).changes == ()
        states = await cluster.describe([spec.name for spec in found.specs])
    assert {name: state.partitions for name, state in states.items()} == {
        spec.name: spec.partitions for spec in found.specs
    }


def test_a_worker_sets_its_local_log_up_by_itself(local: Settings) -> None:
    verify(local)
    verify(local)
    with pytest.raises(ConfigError, match="partitions"):
        verify(Settings(broker=local.broker, partitions=7))


async def test_a_local_log_that_is_in_use_names_the_process(local: Settings) -> None:
    async with open_cluster(local):
        with pytest.raises(ConfigError, match=f"process {os.getpid()}"):
            async with open_cluster(local):
                pass


def test_a_damaged_local_log_is_one_line_that_names_the_file(local: Settings) -> None:
    verify(local)
    description = next(local.embedded_log.glob("topics/clicks/*.json"))
    description.write_text("{")
    with pytest.raises(ConfigError, match=rf"{description} is corrupt.*restore") as damaged:
        verify(local)
    assert "\n" not in str(damaged.value)


async def test_a_local_topic_is_never_altered(local: Settings) -> None:
    async with open_cluster(local) as cluster:
        with pytest.raises(ConfigError, match="new directory"):
            await cluster.alter("models", {"cleanup.policy": "compact"})


def test_a_broker_that_is_away_is_one_line_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r"kafka://127\.0\.0\.1:1 doesn't answer") as away:
        verify(Settings(broker="kafka://127.0.0.1:1"))
    message = str(away.value)
    assert "Connect call failed" in message
    assert "--broker" in message
    assert "\n" not in message


def test_a_certificate_file_that_is_not_there_is_named() -> None:
    kafka = KafkaSettings(tls=True, ca_file="/nowhere/ca.pem")
    with pytest.raises(ConfigError, match=r"kafka\.ca_file /nowhere/ca\.pem"):
        verify(Settings(broker="kafka://127.0.0.1:1", kafka=kafka))
