"""Throughput: preload the events, start the contender, count its outputs from outside.

Rules: same events, partitions and machine for all; contenders take turns, round by round. The
warm-up does not count. Who is slow is watched for a while only. The whole job is done when its
learner has kept up: if it is behind when the last offer that counts is out, it is watched until it
has learned what was taught until then, and the pace of that is the job's, if it is the lower one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic

import orjson

from bench.contenders import FLOOR, OFFERSTREAM, Contender
from bench.figures import Sample
from bench.lab import PATIENCE, Child, Lab, Stuck
from bench.results import CaughtUp, Throughput, judged
from bench.run import Job, Run
from bench.scrape import Examples, examples, stage_seconds
from bench.workload import Load


async def throughput(
    lab: Lab, contender: Contender, job: Job, load: Load, limit: float, partitions: int = 4
) -> Throughput:
    """Run one contender once; it is watched for at most ``limit`` seconds after its first output.

    Raises
    ------
    Stuck, ValueError
        If it ends, stands still, or makes more offers than it should.
    """
    async with lab.run(contender.name, job, partitions) as run:
        topics = run.settings().topics
        if job == "whole":
            await lab.load(topics.catalog, load.catalog)
        await lab.load(topics.clicks, load.clicks)
        with Child(contender.command(run), run.path) as child:
            if contender is FLOOR:
                return await _floor(lab, run, child)
            samples = await watched(lab, run, [child], load.outputs(job), limit)
            stages = stage_seconds(run) if contender is OFFERSTREAM else {}
            learns = job == "whole" and contender.learns
            caught_up = await _caught_up(lab, contender, run, child) if learns else None
    return judged(samples, load, job, stages, caught_up)


async def watched(
    lab: Lab, run: Run, children: Sequence[Child], expected: int, limit: float
) -> list[Sample]:
    """Count offers until all are there, or the time since the first is over."""
    offers = run.settings().topics.offers
    return await lab.watch(
        lambda: lab.count(offers, run.partitions), children, _enough(expected, limit)
    )


def _enough(expected: int, limit: float) -> Callable[[Sample], bool]:
    first: list[float] = []

    def enough(sample: Sample) -> bool:
        if sample.outputs and not first:
            first.append(sample.time)
        return sample.outputs >= expected or bool(first and sample.time > first[0] + limit)

    return enough


async def _floor(lab: Lab, run: Run, child: Child) -> Throughput:
    offers = run.settings().topics.offers
    await lab.watch(lambda: lab.count(offers, run.partitions), [child], lambda s: s.outputs > 0)
    async for _, _, value in lab.records(offers, run.partitions):
        return Throughput(orjson.loads(value or b"")["rate"])
    raise ValueError("the floor said nothing")


async def _caught_up(lab: Lab, contender: Contender, run: Run, child: Child) -> CaughtUp:
    """Wait until all is learned that was taught until now."""
    began = monotonic()
    first = now = await _examples(lab, contender, run)
    while now.learned < first.taught:
        child.cpu()
        if monotonic() > began + PATIENCE:
            raise Stuck(f"{now.learned} of {first.taught} examples are learned:\n{child.tail()}")
        await asyncio.sleep(0.2)
        now = await _examples(lab, contender, run)
    return CaughtUp(first.taught, first.learned, monotonic() - began)


async def _examples(lab: Lab, contender: Contender, run: Run) -> Examples:
    """What is taught and learned; of the bare loop in records of the log of examples."""
    if contender is OFFERSTREAM:
        return await asyncio.to_thread(examples, run)
    topic, group = run.settings().topics.examples, f"{run.group}-learner"
    return Examples(await lab.count(topic, 1), await lab.committed(group, topic))
