"""The topics of a Kafka cluster, through aiokafka's admin client.

Rules: a broker that doesn't answer is the operator's to mend, and becomes one line that holds the
reason which the client would only have logged. The classic AlterConfigs request replaces all of a
topic's values, so those set by others are read and sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from stream.broker.facts import FORBIDDEN
from stream.broker.kafka.access import WAY, missing_access, needed, who
from stream.broker.kafka.connection import client_options
from stream.broker.kafka.failing import said_in_one_line
from stream.broker.kafka.metadata import ask_topics
from stream.broker.topics import TopicSpec, TopicState
from stream.config import ConfigError, Settings

_SET_ON_TOPIC: Final = 1  # DescribeConfigs' source of a value that was set for this very topic
_LOOKS: Final = 200  # for a change to be known to every broker: ten seconds of …
_BETWEEN: Final = 0.05  # … waiting, in seconds


class KafkaCluster:
    """The topics behind a started admin client."""

    compared: frozenset[str] | None = None
    makes_topics = False

    def __init__(self, client: AIOKafkaAdminClient, settings: Settings) -> None:
        self._client, self._settings = client, settings

    async def brokers(self) -> int:
        """How many brokers are up."""
        return len((await self._client.describe_cluster())["brokers"])

    async def describe(self, names: Sequence[str]) -> Mapping[str, TopicState]:
        """The topics that are there."""
        found = {
            name: fact
            for name, fact in (await ask_topics(self._client._client, names)).items()
            if not self._heeded(name, fact.error)
        }
        configs = await self._configs(list(found))
        return {
            name: TopicState(
                fact.partitions,
                fact.replicas,
                {key: value for key, (value, _) in configs[name].items()},
            )
            for name, fact in found.items()
        }

    async def refuse_without_access(self, settings: Settings) -> None:
        """Compare what a worker needs with what the login may do.

        Raises
        ------
        ConfigError
            If anything is missing; it is named.
        """
        client = self._client._client
        facts = await ask_topics(client, needed(settings))
        if missing := await missing_access(client, settings, facts):
            more = f", and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise ConfigError(f"{who(settings)} lacks {', '.join(missing[:3])}{more}; {WAY}")

    def _heeded(self, name: str, error: int) -> bool:
        """Whether a topic is not there, or just not ready.

        Raises
        ------
        ConfigError
            If one may not see it.
        """
        if error == FORBIDDEN:
            raise ConfigError(f"{who(self._settings)} may not describe topic {name}; {WAY}")
        return bool(error)

    async def create(self, specs: Sequence[TopicSpec], replication: int) -> None:
        """Create topics; return when they can be used."""
        topics = [
            NewTopic(spec.name, spec.partitions, replication, topic_configs=dict(spec.config))
            for spec in specs
        ]
        response = await self._client.create_topics(topics)
        for name, code, *message in response.topic_errors:
            if code and code != TopicAlreadyExistsError.errno:
                raise ConfigError(f"topic {name} can't be created: {_reason(code, message)}")
        await self._until([spec.name for spec in specs], lambda state: state.partitions > 0)

    async def alter(self, name: str, config: Mapping[str, str]) -> None:
        """Set these values, and leave a topic's others as they are; return when they hold."""
        values = (await self._configs([name]))[name]
        kept = {key: value for key, (value, source) in values.items() if source == _SET_ON_TOPIC}
        resource = ConfigResource(ConfigResourceType.TOPIC, name, {**kept, **config})
        for response in await self._client.alter_configs([resource]):
            for code, message, *_ in response.resources:
                if code:
                    reason = _reason(code, [message])
                    raise ConfigError(f"topic {name} can't be configured: {reason}")
        await self._until([name], lambda state: config.items() <= state.config.items())

    async def _configs(self, names: Sequence[str]) -> dict[str, dict[str, tuple[str, int]]]:
        """Each topic's values in force, with where Kafka says that each was set."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        configs: dict[str, dict[str, tuple[str, int]]] = {}
        for response in await self._client.describe_configs(resources) if resources else ():
            for resource in response.to_object()["resources"]:
                if resource["error_code"]:
                    reason = _reason(resource["error_code"], [resource["error_message"]])
                    raise ConfigError(
                        f"topic {resource['resource_name']}'s settings can't be read: {reason}; "
                        f"{who(self._settings)} needs DescribeConfigs: {WAY}"
                    )
                entries = resource["config_entries"]
                configs[resource["resource_name"]] = {
                    entry["config_names"]: (entry["config_value"] or "", _source(entry))
                    for entry in entries
                }
        return configs

    async def _until(self, names: Sequence[str], hold: Callable[[TopicState], bool]) -> None:
        """Wait until the broker shows what it was told: other brokers learn of it later."""
        for _ in range(_LOOKS):
            states = await self.describe(names)
            if len(states) == len(names) and all(map(hold, states.values())):
                return
            await asyncio.sleep(_BETWEEN)
        raise TimeoutError("what was changed is not to be seen")


@asynccontextmanager
async def open_kafka(settings: Settings) -> AsyncIterator[KafkaCluster]:
    """Connect to the cluster that the settings name.

    Raises
    ------
    ConfigError
        If no broker answers in ``kafka.request_timeout``, or the login fails.
    """
    client = AIOKafkaAdminClient(client_id=settings.app_id, **client_options(settings))
    with said_in_one_line(settings) as failing:
        try:
            async with asyncio.timeout(settings.kafka.request_timeout):
                await client.start()
            failing.began()
            yield KafkaCluster(client, settings)
        finally:
            await client.close()


def _source(entry: Mapping[str, Any]) -> int:
    if "config_source" in entry:
        return int(entry["config_source"])
    return 0 if entry["is_default"] else _SET_ON_TOPIC


def _reason(code: int, message: Sequence[str | None]) -> str:
    return next(filter(None, message), None) or for_code(code).__name__
