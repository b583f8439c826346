"""The floor: how fast a fresh process fetches and decodes what is there."""

from __future__ import annotations

import orjson

from bench.feed import Feed
from bench.lab import Child, Lab
from bench.results import Throughput
from bench.systems import FLOOR
from bench.workload import Shape


async def floor(lab: Lab, shape: Shape, events: int) -> Throughput:
    """How many events a second can be fetched and decoded, and nothing else."""
    async with lab.run(FLOOR.name, "state") as run:
        burst = Feed(shape, "state", run.partitions).take(events)
        await lab.load(f"{run.prefix}clicks", burst.records)
        with Child(FLOOR.command(run), run.path) as child:
            await lab.watch(lambda: lab.offers(run), [child], lambda s: s.outputs > 0)
            async for _, _, value in lab.records(f"{run.prefix}offers", run.partitions):
                return Throughput(orjson.loads(value or b"")["rate"])
    raise ValueError("the floor said nothing")
