"""The assignment of a consumer group with one member: everything, as Faust's assignor puts it.

Faust finds its active and standby tables in the assignor's state, so the assignor has to run, even
though there is nothing to share out.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from faust.types import TP, AppT

from stream.broker.local.log import Log

_MEMBER = "local"


class _Cluster:
    """As much of aiokafka's cluster metadata as the assignor asks for."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self._log.partitions(topic) or 0))


def assign_all(app: AppT, log: Log, topics: Collection[str]) -> set[TP]:
    """Run the app's assignor for its only member and return all partitions of ``topics``."""
    assignor: Any = app.assignor
    metadata = assignor.metadata(set(topics))
    assignment = assignor.assign(_Cluster(log), {_MEMBER: metadata})[_MEMBER]
    assignor.on_assignment(assignment)
    return {
        TP(topic, partition)
        for topic, partitions in assignment.assignment
        for partition in partitions
    }
