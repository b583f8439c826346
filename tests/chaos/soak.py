"""Soak (R15): constant load of customers who return and new ones; does anything grow for ever?

Rules: what grows while caches fill is no leak, so caches are small, and the first part of the time
does not count; what is fitted are means of blocks, which depend on each other less than samples
do; a slope counts as growth where it exceeds its limit by more than twice its standard error.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from stream.insight.plot import line_chart
from tests.chaos.faults import Figures, Load
from tests.chaos.lab import Lab
from tests.chaos.lives import Life
from tests.chaos.shop import events, with_new_customers

EVERY = 2.0  # seconds between samples
WARM_UP = 0.4  # of the time: caches fill, the allocator finds its size
BLOCKS = 12  # means that the line is fitted to
LIMIT = 1.0  # MiB an hour
SMALL = {  # each is full long before the warm-up ends
    "OFFERSTREAM_WORKER__CACHED_CUSTOMERS": "200",
    "OFFERSTREAM_WORKER__STORE_CACHE": str(4 << 20),
    "OFFERSTREAM_WORKER__STORE_BUFFERS": str(4 << 20),
    "OFFERSTREAM_LEARNING__SESSIONS": "500",
    "OFFERSTREAM_LEARNING__BASKETS": "500",
}
SLACK = 3  # descriptors, threads or tasks by which the least may differ: a fetch, a scrape
FILES = 4  # of a store, which come and go: RocksDB merges them when there are so many


class Sample(NamedTuple):
    """What a process holds at a time (s since the start): MiB, and numbers of things."""

    at: float
    memory: float
    descriptors: int
    threads: int
    tasks: int = 0


class Slope(NamedTuple):
    """MiB an hour, and its standard error."""

    value: float
    error: float

    @property
    def grows(self) -> bool:
        """Whether it is beyond the limit, and that beyond doubt."""
        return self.value - 2 * self.error > LIMIT


def settled(samples: Sequence[Sample]) -> list[Sample]:
    """The samples after the warm-up."""
    begin = samples[0].at + WARM_UP * (samples[-1].at - samples[0].at)
    return [sample for sample in samples if sample.at >= begin]


def slope(samples: Sequence[Sample]) -> Slope:
    """How memory grows, by least squares over means of blocks."""
    size = max(len(samples) // BLOCKS, 1)
    blocks = [samples[at : at + size] for at in range(0, len(samples) - size + 1, size)]
    hours = [fmean(s.at for s in block) / 3600 for block in blocks]
    held = [fmean(s.memory for s in block) for block in blocks]
    x, y = fmean(hours), fmean(held)
    spread = sum((hour - x) ** 2 for hour in hours)
    value = sum((a - x) * (b - y) for a, b in zip(hours, held, strict=True)) / spread
    rest = sum((b - y - value * (a - x)) ** 2 for a, b in zip(hours, held, strict=True))
    return Slope(value, (rest / (len(blocks) - 2) / spread) ** 0.5)


def grown(samples: Sequence[Sample]) -> dict[str, int]:
    """By how much the least descriptors, threads and tasks differ, half against half.

    The least of each half: what piles up never goes, and what is under way comes with the load.
    """
    half = max(len(samples) // 2, 1)
    return {
        name: min(getattr(s, name) for s in samples[-half:])
        - min(getattr(s, name) for s in samples[:half])
        for name in ("descriptors", "threads", "tasks")
    }


async def soak(lab: Lab, load: Load, seconds: float, output: Path) -> Figures:
    """Load one worker for so long; write the samples and a chart beside ``output``."""
    fleet, found = lab.fleet(1, SMALL), dict[str, list[Sample]]()
    life, began = fleet.lives[0], time.monotonic()
    try:
        await life.ready()
        source = with_new_customers(events(load.seed, load.customers))
        async with lab.under_load(load.seed, load.rate, source=source):
            while (now := time.monotonic() - began) < seconds:
                for name, sample in (await _samples(life, now)).items():
                    found.setdefault(name, []).append(sample)
                await asyncio.sleep(EVERY)
        await lab.all_done(fleet)
    finally:
        fleet.end()
    files = FILES * lab.settings.partitions
    return _written(found, output, files) | {"seconds": seconds, "crashes": fleet.crashes}


async def _samples(life: Life, now: float) -> dict[str, Sample]:
    assert life.code is None, life.words()
    page = await life.page("/metrics")
    tasks = re.search(r"^offerstream_event_loop_tasks (\S+)", page, re.M)
    pid = life.process.pid
    assert pid is not None
    found = {"worker": _sample(pid, now)._replace(tasks=int(float(tasks[1])) if tasks else 0)}
    children = await asyncio.to_thread(Path(f"/proc/{pid}/task/{pid}/children").read_text)
    for child in children.split():
        with suppress(OSError):
            found["trainer"] = _sample(int(child), now)
    return found


def _sample(pid: int, now: float) -> Sample:
    status = Path(f"/proc/{pid}/status").read_text()
    numbers = dict(re.findall(r"^(VmRSS|Threads):\s+(\d+)", status, re.M))
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(now, int(numbers["VmRSS"]) / 1024, descriptors, int(numbers["Threads"]))


def _written(found: dict[str, list[Sample]], output: Path, files: int) -> Figures:
    output.parent.mkdir(parents=True, exist_ok=True)
    chart = {name: [(s.at / 60, s.memory) for s in samples] for name, samples in found.items()}
    output.with_suffix(".svg").write_text(
        line_chart(chart, "Resident memory under constant load", "minutes", "MiB")
    )
    samples_file = output.with_name(f"{output.stem}-samples.json")
    samples_file.write_text(json.dumps(found))
    told: Figures = {"growing": 0, "piling_up": 0}
    for name, samples in found.items():
        rest = settled(samples)
        line, others = slope(rest), grown(rest)
        told |= {f"{name}_mib_an_hour": line.value, f"{name}_error": line.error}
        told |= {f"{name}_mib": rest[-1].memory}
        told |= {f"{name}_{kind}_more": number for kind, number in others.items()}
        told["growing"] += line.grows
        others["descriptors"] -= files
        told["piling_up"] += max(others.values()) > SLACK
    return told
