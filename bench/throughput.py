"""Throughput: preload the events, start the contender, count its outputs from outside.

Rules: same events, partitions and machine for all; contenders take turns, round by round. The
warm-up does not count. Who is slow is watched for a while only. The whole job is done when its
learner has kept up: when the last offer that counts is out, the clock runs until everything is
learned that was taught until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic

import orjson

from bench.contenders import FLOOR, OFFERSTREAM, Contender
from bench.figures import Sample
from bench.lab import Child, Lab
from bench.results import Throughput, judged
from bench.run import Job, Run
from bench.scrape import examples, stage_seconds
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
            behind = await _learner_behind(lab, contender, run, child) if learns else 0.0
    return judged(samples, load, job, stages, behind)


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


async def _learner_behind(lab: Lab, contender: Contender, run: Run, child: Child) -> float:
    """Seconds until all is learned that was taught until now."""
    began = monotonic()
    if contender is OFFERSTREAM:
        end, learned = examples(run).taught, lambda: _learned(run)
    else:
        topic, group = run.settings().topics.examples, f"{run.group}-learner"
        end, learned = await lab.count(topic, 1), lambda: lab.committed(group, topic)
    await lab.watch(learned, [child], lambda sample: sample.outputs >= end)
    return monotonic() - began


async def _learned(run: Run) -> int:
    return (await asyncio.to_thread(examples, run)).learned
