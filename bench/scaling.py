"""Scaling: cost per event with ten times the items or partitions, and two workers against one."""

from __future__ import annotations

from dataclasses import replace

from bench.contenders import OFFERSTREAM
from bench.figures import window
from bench.lab import Child, Lab
from bench.results import Workers
from bench.run import Run
from bench.scrape import steady
from bench.throughput import watched
from bench.workload import Load
from tests.kafka.broker import free_ports


async def workers(lab: Lab, load: Load, limit: float) -> Workers:
    """Measure one worker, then two, in the state job; events come when all are ready."""
    return Workers(await _together(lab, load, limit, 1), await _together(lab, load, limit, 2))


async def _together(lab: Lab, load: Load, limit: float, count: int) -> float:
    async with lab.run("workers", "state") as first:
        runs = [first, *(_beside(first, number) for number in range(1, count))]
        children = [Child(OFFERSTREAM.command(run), run.path) for run in runs]
        try:
            await steady(runs, children)
            await lab.load(first.settings().topics.clicks, load.clicks)
            return window(await watched(lab, first, children, load.shape.events, limit)).rate
        finally:
            for child in children:
                child.stop()


def _beside(run: Run, number: int) -> Run:
    """The same run for another worker, with a directory and a port of its own."""
    directory = run.path / f"worker-{number}"
    directory.mkdir()
    return replace(run, directory=str(directory), port=free_ports(1)[0])
