"""Scaling: cost per event with ten times the items or partitions, and two workers against one.

Rules: each is a fresh worker, alone; how long it takes to be ready is noted. Then come events that
do not count, and turns of which the median counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from bench.lab import Lab
from bench.live import live
from bench.results import Throughput
from bench.systems import OFFERSTREAM
from bench.told import Job
from bench.workload import Shape


class Alone(NamedTuple):
    """What a fresh worker did: seconds until it was ready, and its turns."""

    start: float
    turns: Sequence[Throughput]

    @property
    def middle(self) -> Throughput:
        """The turn with the median rate."""
        rate = median(turn.events_per_second for turn in self.turns)
        return min(self.turns, key=lambda turn: abs(turn.events_per_second - rate))


async def alone(
    lab: Lab,
    job: Job,
    shape: Shape,
    warm: int,
    turns: Sequence[float],
    *,
    partitions: int = 4,
    workers: int = 1,
) -> Alone:
    """Measure fresh workers over turns of so many seconds each."""
    async with live(lab, OFFERSTREAM, job, shape, partitions, workers) as system:
        start = await system.ready()
        await system.warm(warm)
        found = [await system.turn(seconds) for seconds in turns]
        costs = await system.costs(durable=0.0, idle=0.0)  # a worker puts nothing off
        return Alone(start, [turn.costing(cost) for turn, cost in zip(found, costs, strict=True)])
