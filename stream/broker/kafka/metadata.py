"""Kafka's request for metadata in a version that tells topics' ids and what one may do to them.

aiokafka stops at version 5. Ids (KIP-516) came with version 10, rights (KIP-430) with 8. Where a
broker is older, ids and rights are not known, and nothing is told of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any, ClassVar, Final
from uuid import UUID

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from stream.broker.facts import TopicFacts

METADATA: Final = 3
NOT_TOLD: Final = -(2**31)
NOBODY: Final = UUID(int=0)


class Uuid(AbstractType[UUID]):  # type: ignore[misc]  # aiokafka has no types
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        """As they are."""
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        """As they are."""
        return UUID(bytes=data.read(16))


_Text = CompactString("utf-8")


class MetadataResponse_v10(Response):  # type: ignore[misc]  # noqa: N801  # as aiokafka does
    """With ids and rights."""

    API_KEY = METADATA
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", _Text),
                ("port", Int32),
                ("rack", _Text),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", _Text),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", _Text),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class MetadataRequest_v10(RequestStruct):  # type: ignore[misc]  # noqa: N801
    """With ids and rights."""

    FLEXIBLE_VERSION: ClassVar[bool] = True
    API_KEY = METADATA
    API_VERSION = 10
    RESPONSE_TYPE = MetadataResponse_v10
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", Uuid), ("topic", _Text), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicsRequest(Request[MetadataRequest_v5 | MetadataRequest_v10]):  # type: ignore[misc]
    """Asks for topics by name, and never creates one."""

    API_KEY = METADATA

    def __init__(self, names: Iterable[str]) -> None:
        self._names = sorted(names)

    def build(self, request_struct_class: Any) -> Any:
        """The newest version that the broker knows."""
        if request_struct_class is MetadataRequest_v5:
            return MetadataRequest_v5(self._names, False)
        named = [(NOBODY, name, dict[int, bytes]()) for name in self._names]
        return MetadataRequest_v10(named, False, False, True, {})


async def ask_topics(client: Any, names: Iterable[str]) -> Mapping[str, TopicFacts]:
    """What a started ``AIOKafkaClient`` is told of topics; one that is missing is told as such.

    Raises
    ------
    KafkaError
        If no broker answers.
    """
    response = await client.send(client.get_random_node(), TopicsRequest(names))
    return {topic["topic"]: _facts(topic) for topic in response.to_object()["topics"]}


def _facts(topic: Mapping[str, Any]) -> TopicFacts:
    told: UUID = topic.get("topic_id", NOBODY)
    partitions: Sequence[Any] = topic["partitions"] or ()
    rights = topic.get("authorized_operations", NOT_TOLD)
    may = None if rights == NOT_TOLD else frozenset(n for n in range(31) if rights >> n & 1)
    topic_id = "" if told == NOBODY else str(told)
    replicas = min((len(each["replicas"]) for each in partitions), default=0)
    return TopicFacts(topic_id, len(partitions), topic["error_code"], may, replicas)
