"""What is told of topics: their ids, their partitions, and what one may do to them."""

from __future__ import annotations

from typing import NamedTuple

from stream.config import ConfigError

READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS = 3, 4, 8, 10  # Kafka's AclOperation
MISSING, FORBIDDEN = 3, 29  # Kafka's error codes


class TopicFacts(NamedTuple):
    """What metadata tells of a topic: ``may`` holds the operations that are ours, if told."""

    topic_id: str
    partitions: int
    error: int = 0
    may: frozenset[int] | None = None
    replicas: int = 0


def refuse_absent(topic: str, fact: TopicFacts, broker: str) -> None:
    """Refuse a topic that is not there, or that one may not read.

    Raises
    ------
    ConfigError
        It says what to do.
    """
    if fact.error == FORBIDDEN:
        raise ConfigError(f"the login may not read topic {topic}: grant it Read")
    if not fact.partitions:
        raise ConfigError(f"topic {topic} is missing on {broker}; run `offerstream topics apply`")
