"""Access: what a worker must be allowed to do on Kafka, and what it is not.

Rules: what is missing is named as such, all of it at once, before the worker starts: a topic that
one may not see looks like a missing one else, and a name that one may not fence with ends a worker
that has begun.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    NoError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import HeartbeatRequest
from faust.types import TP

from stream.broker.facts import DESCRIBE_CONFIGS, FORBIDDEN, READ, WRITE, TopicFacts
from stream.broker.kafka.fencing import owner_name
from stream.config import ConfigError, Settings

WORDS: Final = {READ: "Read", WRITE: "Write", DESCRIBE_CONFIGS: "DescribeConfigs"}
GROUP, TRANSACTION = 0, 1  # kinds of coordinators
REFUSALS: Final = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
WAY: Final = "grant what docs/operations.md lists under Access"


def who(settings: Settings) -> str:
    """How an operator knows the worker's login."""
    name = settings.kafka.sasl_username
    return f"user {name}" if name else "the worker's login"


def needed(settings: Settings) -> Mapping[str, tuple[int, ...]]:
    """What a worker does to each topic."""
    topics = settings.topics
    learned = (topics.examples, topics.models, topics.rules)
    both = (*learned, topics.budgets, settings.customers_changelog)
    read = (*topics.events, topics.catalog, topics.campaigns)
    written = (topics.offers, topics.evidence, topics.decisions, topics.dead_letters, topics.late)
    return {
        **dict.fromkeys(read, (READ, DESCRIBE_CONFIGS)),
        **dict.fromkeys(written, (WRITE, DESCRIBE_CONFIGS)),
        **dict.fromkeys(both, (READ, WRITE, DESCRIBE_CONFIGS)),
    }


async def missing_access(
    client: Any, settings: Settings, facts: Mapping[str, TopicFacts]
) -> list[str]:
    """What a started ``AIOKafkaClient``'s login lacks of what a worker needs, in words."""
    missing = list(_missing_of_topics(settings, facts))
    missing += [each async for each in _missing_of_names(client, settings)]
    if not await _may_join(client, settings.app_id):
        missing.append(f"Read on group {settings.app_id}")
    return missing


def _missing_of_topics(settings: Settings, facts: Mapping[str, TopicFacts]) -> Iterator[str]:
    for topic, operations in needed(settings).items():
        fact = facts[topic]
        if fact.error == FORBIDDEN:
            yield f"{' and '.join(WORDS[each] for each in operations)} on topic {topic}"
        elif fact.may is not None and not fact.error:
            lacks = [WORDS[each] for each in operations if each not in fact.may]
            if lacks:
                yield f"{' and '.join(lacks)} on topic {topic}"


async def _missing_of_names(client: Any, settings: Settings) -> Any:
    """The names under which partitions are owned: Kafka sees transactional ids."""
    for topic in (settings.customers_changelog, settings.topics.models):
        name = owner_name(settings.app_id, TP(topic, 0))
        node = client.get_random_node()
        response = await client.send(node, FindCoordinatorRequest(name, TRANSACTION))
        if response.error_code == TransactionalIdAuthorizationFailed.errno:
            yield f"Write on transactional id {name} (all that begin with {settings.app_id}-)"


async def _may_join(client: Any, group: str) -> bool:
    node = client.get_random_node()
    found = await client.send(node, FindCoordinatorRequest(group, GROUP))
    if found.error_code == GroupAuthorizationFailedError.errno:
        return False
    if found.error_code != NoError.errno:
        return True  # no coordinator yet: whoever joins is told
    if not await client.ready(found.coordinator_id):
        return True
    # Nobody's heartbeat: it needs what joining needs, and changes nothing.
    beat = await client.send(found.coordinator_id, HeartbeatRequest(group, 0, ""))
    return bool(beat.error_code != GroupAuthorizationFailedError.errno)


def refused_access(error: BaseException | None, settings: Settings) -> ConfigError | None:
    """The line for an operator, if this is about what the login may do; else None."""
    if isinstance(error, AuthenticationFailedError | SaslAuthenticationFailed):
        return ConfigError(refused_login(settings))
    if isinstance(error, REFUSALS):
        return ConfigError(f"{who(settings)} may not do what it must: {error}; {WAY}")
    return None


def refused_login(settings: Settings) -> str:
    """The line for a login that the broker does not take."""
    return (
        f"broker {settings.broker} refused the login of {who(settings)}: see "
        "kafka.sasl_mechanism, kafka.sasl_username and kafka.sasl_password"
    )
