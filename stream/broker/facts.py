"""What is told of topics: their ids, their partitions, and what one may do to them."""

from __future__ import annotations

from typing import NamedTuple

READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS = 3, 4, 8, 10  # Kafka's AclOperation
MISSING, FORBIDDEN = 3, 29  # Kafka's error codes


class TopicFacts(NamedTuple):
    """What metadata tells of a topic: ``may`` holds the operations that are ours, if told."""

    topic_id: str
    partitions: int
    error: int = 0
    may: frozenset[int] | None = None
    replicas: int = 0
