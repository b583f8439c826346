"""What workers and brokers go through under load: an oracle finds nothing lost or doubled.

Small runs of the experiments of ``python -m tests.chaos``, which takes any number of each.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.chaos import faults
from tests.chaos.faults import Figures, Load
from tests.chaos.judging import WRONG, judged
from tests.chaos.lab import Lab
from tests.chaos.points import POINTS
from tests.kafka.broker import Broker


@pytest.fixture
def lab(kafka: str, topic_prefix: str, tmp_path: Path) -> Lab:
    """A shop on the Kafka that all share."""
    return Lab.on(kafka, topic_prefix, tmp_path, partitions=4)


def assert_exact(lab: Lab, figures: Figures) -> None:
    """Nothing is lost, doubled, changed, unaccounted for or learned twice."""
    print(figures)
    found = judged(lab.settings)
    assert {name: found[name] for name in WRONG} == dict.fromkeys(WRONG, 0)
    assert found["events"] > 200
    assert found["offers"] > 0


def test_workers_killed_and_paused_at_random(lab: Lab, seed: int) -> None:
    figures = asyncio.run(faults.kills(lab, Load(seed), cycles=5, pause=3.0))
    assert figures["kills"] + figures["pauses"] == 5
    assert_exact(lab, figures)


def test_an_engine_killed_at_every_named_point(tmp_path: Path, seed: int) -> None:
    lab = Lab.embedded(tmp_path)
    figures = asyncio.run(faults.points_embedded(lab, Load(seed), times=1))
    assert_exact(lab, figures)


def test_a_worker_killed_at_some_of_the_named_points(lab: Lab, seed: int) -> None:
    some = random.Random(seed).sample([*POINTS], 3)
    assert_exact(lab, asyncio.run(faults.points(lab, Load(seed), 1, some)))


def test_a_broker_stopped_and_killed(
    broker: Broker, topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    lab = Lab.on(broker.address, topic_prefix, tmp_path, partitions=4)
    assert_exact(lab, asyncio.run(faults.restarts(lab, Load(seed), [broker], times=2)))


def test_workers_that_join_and_leave_all_the_time(lab: Lab, seed: int) -> None:
    assert_exact(lab, asyncio.run(faults.storm(lab, Load(seed), times=4, every=3.0)))


def test_a_worker_asked_to_end_leaves_nothing_to_do_again(lab: Lab, seed: int) -> None:
    figures = asyncio.run(faults.ends(lab, Load(seed), times=3))
    assert figures["replayed"] == 0
    assert_exact(lab, figures)
