"""What a worker has counted, asked through the command that everybody has."""

from __future__ import annotations

import asyncio
import sys

import orjson

from bench.live import Live
from bench.told import ROOT


async def counted(system: Live) -> int:
    """See that each customer's record counts each click once; the number of customers.

    Raises
    ------
    ValueError
        If one counts otherwise.
    """
    settings = [f"--set={name}={value}" for name, value in system.run.options().items()]
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream", "customers", "--json", *settings,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await command.communicate()
    found = {
        record["customer_id"]: record["views"] + record["carts"]
        for record in map(orjson.loads, out.splitlines())
    }
    if found != system.feed.counts:
        wrong = sum(found.get(name) != count for name, count in system.feed.counts.items())
        raise ValueError(f"{wrong} of {len(system.feed.counts)} customers' counts differ")
    return len(found)
