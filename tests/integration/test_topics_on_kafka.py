"""Topics on a real Kafka: what is planned is made, what is made is as planned."""

from __future__ import annotations

import asyncio
import json

import pytest
from click.testing import CliRunner

from stream.broker.opening import open_cluster
from stream.broker.topics import Kind
from stream.cli import main
from stream.config import ConfigError, Settings, Topics
from stream.worker.checks.topics import MAX_SNAPSHOT, apply, plan, verify

WRITTEN = (
    "offers",
    "dead_letters",
    "late",
    "examples",
    "models",
    "rules",
    "budgets",
    "evidence",
    "decisions",
)


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> Settings:
    topics = Topics(prefix=topic_prefix)
    return Settings(broker=f"kafka://{kafka}", app_id=topic_prefix, partitions=2, topics=topics)


async def test_what_apply_makes_is_what_plan_asks_for(settings: Settings) -> None:
    async with open_cluster(settings) as cluster:
        first = await plan(cluster, settings)
        assert {change.kind for change in first.changes} == {Kind.MISSING}
        await apply(cluster, first)
        assert (await plan(cluster, settings)).changes == ()
        models = (await cluster.describe([settings.topics.models]))[settings.topics.models]
    assert models.config["max.message.bytes"] == str(MAX_SNAPSHOT)
    assert models.partitions == 1


async def test_apply_mends_what_differs_and_leaves_what_others_set(settings: Settings) -> None:
    models = settings.topics.models
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
        await cluster.alter(models, {"cleanup.policy": "delete", "retention.bytes": "12345678"})
        (change,) = (await plan(cluster, settings)).changes
        assert change == (models, Kind.CONFIG, "cleanup.policy", "delete", "compact")
        await apply(cluster, await plan(cluster, settings))
        assert (await plan(cluster, settings)).changes == ()
        config = (await cluster.describe([models]))[models].config
    assert config["retention.bytes"] == "12345678"
    assert config["max.message.bytes"] == str(MAX_SNAPSHOT)


async def test_applying_twice_at_once_is_no_fault(settings: Settings) -> None:
    async with open_cluster(settings) as cluster:
        found = await plan(cluster, settings)
        await apply(cluster, found)
        await apply(cluster, found)
        assert (await plan(cluster, settings)).changes == ()


async def configured(settings: Settings, topic: str, key: str, value: str) -> None:
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
        await cluster.alter(topic, {key: value})


@pytest.mark.parametrize(
    ("kind", "key", "value", "because"),
    [
        ("changelog", "cleanup.policy", "delete", "is deleted when it is old"),
        ("changelog", "cleanup.policy", "compact,delete", "is deleted when it is old"),
        ("changelog", "max.message.bytes", "1048588", "are written"),
        *((name, "max.message.bytes", "200", "are written") for name in WRITTEN),
        ("models", "cleanup.policy", "delete", "is deleted when it is old"),
        ("catalog", "cleanup.policy", "delete", "is deleted when it is old"),
        ("clicks", "cleanup.policy", "compact", "every record counts"),
        ("clicks", "retention.ms", "1000", "within 1 s is lost"),
        ("customers", "retention.ms", "0", "within 0 s is lost"),
        ("examples", "retention.ms", "60000", "within 60 s is lost"),
        ("dead_letters", "cleanup.policy", "compact", "every record counts"),
        ("offers", "min.insync.replicas", "2", "no write is accepted"),
    ],
)
async def test_settings_that_lose_state_are_refused_and_apply_mends_them(
    settings: Settings, kind: str, key: str, value: str, because: str
) -> None:
    changelog = settings.customers_changelog
    topic = changelog if kind == "changelog" else getattr(settings.topics, kind)
    await configured(settings, topic, key, value)
    with pytest.raises(ConfigError, match=f"topic {topic} has {key} = {value}.*{because}") as no:
        await asyncio.to_thread(verify, settings)
    assert "`offerstream topics apply`" in str(no.value) and "\n" not in str(no.value)
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
    await asyncio.to_thread(verify, settings)


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("clicks", "retention.ms", "86400000"),
        ("clicks", "retention.bytes", "1000000"),
        ("clicks", "message.timestamp.type", "CreateTime"),
        ("changelog", "max.compaction.lag.ms", "999999999"),
        ("models", "unclean.leader.election.enable", "true"),
    ],
)
async def test_settings_that_are_odd_are_remarked_on(
    settings: Settings, caplog: pytest.LogCaptureFixture, kind: str, key: str, value: str
) -> None:
    changelog = settings.customers_changelog
    topic = changelog if kind == "changelog" else getattr(settings.topics, kind)
    await configured(settings, topic, key, value)
    await asyncio.to_thread(verify, settings)
    assert f"topic {topic} has {key} = {value}" in caplog.text


async def test_settings_that_keep_more_are_nobodys_business(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    await configured(settings, settings.topics.clicks, "retention.ms", "-1")
    await configured(settings, settings.topics.models, "max.message.bytes", "20000000")
    async with open_cluster(settings) as cluster:
        await cluster.alter(settings.topics.clicks, {"retention.ms": "-1"})
    await asyncio.to_thread(verify, settings)
    assert " has " not in caplog.text


def run(settings: Settings, *arguments: str, partitions: int = 2) -> tuple[int, str, str]:
    environ = {
        "OFFERSTREAM_BROKER": settings.broker,
        "OFFERSTREAM_APP_ID": settings.app_id,
        "OFFERSTREAM_TOPICS__PREFIX": settings.topics.prefix,
        "OFFERSTREAM_PARTITIONS": str(partitions),
    }
    result = CliRunner().invoke(main, arguments, env=environ)
    return result.exit_code, result.stdout, result.stderr


def test_the_commands_show_make_and_refuse(settings: Settings) -> None:
    code, out, _ = run(settings, "topics", "plan", "--json")
    document = json.loads(out)
    assert code == 0
    assert all(topic["changes"] for topic in document["topics"])
    code, out, _ = run(settings, "topics", "apply", "--replication", "1")
    assert code == 0
    assert f"created {settings.topics.clicks}: 2 partitions, 1 replica(s)" in out
    code, out, _ = run(settings, "topics", "plan")
    assert out.endswith("topics are as they should be\n")
    code, out, err = run(settings, "topics", "apply", partitions=5)
    assert (code, out) == (2, "")
    assert err.startswith(f"offerstream: topic {settings.topics.clicks} has 2 partitions")
    assert err.count("\n") == 1


def test_a_worker_is_told_of_missing_topics_and_wrong_partitions(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"and 15 more are missing.*`offerstream topics apply`"):
        verify(settings)
    assert run(settings, "topics", "apply")[0] == 0
    verify(settings)
    with pytest.raises(ConfigError, match="has 2 partitions, and the settings ask for 3"):
        verify(Settings(settings.broker, settings.app_id, 3, topics=settings.topics))
