"""A small audit: what ``python -m tests.auditor`` does at length, with two kills."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.auditor.run import Audit, Plan


def test_a_checker_from_outside_finds_nothing_to_object_to(
    kafka: str, topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    plan = Plan(
        kafka, topic_prefix, tmp_path, seed, events=4_000, customers=200, cycles=2, partitions=4
    )
    result = asyncio.run(Audit(plan).run())
    found = {name: count for name, count in result["faults"].items() if count}
    assert found == {}, result["told"]
    assert result["kills"] == 2
    assert result["events"] > 4_000
    assert result["offers"] > 100
    assert result["recalls"] > 20
