"""A Kafka that asks who one is and what one may: what is missing is named as such."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.protocol.admin import CreateAclsRequest

from stream.config import ConfigError, KafkaSettings, Secret, Settings, Topics
from stream.worker.checks.topics import verify
from stream.worker.engine import Engine
from tests.builders import a_click
from tests.integration.shops import Shop, views
from tests.kafka.broker import Broker, Node, free_ports
from tests.kafka.topics import admin_of
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(300)

TOPIC, GROUP, TRANSACTIONAL_ID = 2, 3, 5  # Kafka's ResourceType
LITERAL, PREFIXED, ALLOW = 3, 4, 3
READ, WRITE, DESCRIBE_CONFIGS = 3, 4, 10  # AclOperation
APP = "shop-app"
LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_worker="right";'


@pytest.fixture
def guarded(kafka_install: None, tmp_path: Path) -> Iterator[tuple[Broker, str]]:
    """A broker with a door for its operator, and one at which workers log in: its address."""
    node, (door,) = Node.free(), free_ports(1)
    settings = {
        "listeners": f"PLAINTEXT://{node.address},LOGIN://127.0.0.1:{door},"
        f"CONTROLLER://127.0.0.1:{node.controller}",
        "advertised.listeners": f"PLAINTEXT://{node.address},LOGIN://127.0.0.1:{door}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,"
        "CONTROLLER:PLAINTEXT",
        "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.login.plain.sasl.jaas.config": LOGIN,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    with Broker(tmp_path / "guarded", node, settings=settings) as broker:
        yield broker, f"127.0.0.1:{door}"


async def allow(broker: Broker, kind: int, name: str, pattern: int, *operations: int) -> None:
    async with admin_of(broker.address) as admin:
        for operation in operations:
            request = CreateAclsRequest(kind, name, pattern, "User:worker", "*", operation, ALLOW)
            response = await admin._send_request(request)
            assert [code for code, _ in response.creation_responses] == [0], response


async def said(settings: Settings) -> str:
    """What a worker is told at its start, nothing if it may start."""
    try:
        await asyncio.to_thread(verify, settings)
    except ConfigError as no:
        assert "\n" not in str(no)
        return str(no)
    return ""


async def refused(settings: Settings, part: str) -> str:
    """The refusal with that part: a broker heeds a new ACL a moment after it confirmed it."""
    return await eventually(
        f"a refusal with {part!r}", lambda: said(settings), lambda line: part in line, every=0.2
    )


async def test_what_a_login_lacks_is_named_until_it_lacks_nothing(
    guarded: tuple[Broker, str], tmp_path: Path
) -> None:
    broker, door = guarded
    opened = await Shop.opened(broker.address, APP, tmp_path)
    login = KafkaSettings(
        sasl_mechanism="PLAIN",
        sasl_username="worker",
        sasl_password=Secret("right"),
        sasl_without_tls=True,
    )
    settings = replace(
        opened.settings, broker=f"kafka://{door}", kafka=login, topics=Topics(prefix=APP)
    )
    wrong = replace(settings, kafka=replace(login, sasl_password=Secret("wrong")))
    line = await refused(wrong, "refused the login of user worker")
    assert "kafka.sasl_password" in line and "wrong" not in line
    clicks = settings.topics.clicks
    line = await refused(settings, f"user worker lacks Read and DescribeConfigs on topic {clicks}")
    assert "missing" not in line and "Access" in line
    await allow(broker, TOPIC, APP, PREFIXED, READ, WRITE)
    await refused(settings, "lacks DescribeConfigs on topic")
    await allow(broker, TOPIC, APP, PREFIXED, DESCRIBE_CONFIGS)
    changelog = f"{APP}-{APP}-customers-changelog-0"
    line = await refused(settings, f"lacks Write on transactional id {changelog}")
    assert "on topic" not in line
    await allow(broker, TRANSACTIONAL_ID, f"{APP}-", PREFIXED, WRITE)
    await refused(settings, f"user worker lacks Read on group {APP}")
    await allow(broker, GROUP, APP, LITERAL, READ)
    await eventually("a start that nothing refuses", lambda: said(settings), lambda line: not line)
    await opened.publish([a_click(n) for n in range(9)])
    async with Engine(settings) as engine:
        await engine.settle()
        assert views(engine) == {"c1": 9}
