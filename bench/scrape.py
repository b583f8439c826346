"""What a worker says of itself: its metrics, and whether it is ready."""

from __future__ import annotations

import asyncio
import re
from time import monotonic
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from bench.lab import Child
from bench.run import Run

READY = "ready"
_READY_SECONDS = 600
_STEADY_SECONDS = 2.0


class Examples(NamedTuple):
    """How many examples a worker has sent to its learner, and how many that has published."""

    taught: int
    learned: int


def stage_seconds(run: Run) -> dict[str, float]:
    """The seconds that a worker has spent in each stage, of all batches together."""
    pattern = r'^offerstream_stage_seconds_sum\{stage="(\w+)"\} (\S+)$'
    found = re.findall(pattern, _get(run, "metrics"), re.MULTILINE)
    return {stage: float(seconds) for stage, seconds in found}


def examples(run: Run) -> Examples:
    """What a worker has taught and learned until now."""
    pattern = r"^offerstream_(examples_\w+) (\S+)$"
    found = dict(re.findall(pattern, _get(run, "metrics"), re.MULTILINE))
    taught, learned = found["examples_emitted_total"], found["examples_learned_total"]
    return Examples(int(float(taught)), int(float(learned)))


def readiness(run: Run) -> str:
    """What a worker says to ``/readyz``; empty before it answers at all."""
    try:
        return _get(run, "readyz").strip()
    except HTTPError as refusal:
        return refusal.read().decode().strip()
    except URLError:
        return ""


async def recovery_seconds(run: Run, child: Child) -> float:
    """Wait until a worker is ready; the seconds for which it said that it recovers."""
    began = 0.0
    deadline = monotonic() + _READY_SECONDS
    while (said := await asyncio.to_thread(readiness, run)) != READY:
        child.cpu()
        if said == "recovering" and not began:
            began = monotonic()
        if monotonic() > deadline:
            raise TimeoutError(f"a worker still says {said!r}:\n{child.tail()}")
        await asyncio.sleep(0.02)
    return monotonic() - began if began else 0.0


async def readiness_seconds(run: Run, child: Child) -> float:
    """Wait until a worker is ready, and stays it for a while; the seconds that it took at first."""
    began = since = monotonic()
    first = 0.0
    while not first or monotonic() - since < _STEADY_SECONDS:
        child.cpu()
        if await asyncio.to_thread(readiness, run) == READY:
            first = first or monotonic() - began
        else:
            since = monotonic()
        if monotonic() > began + _READY_SECONDS:
            raise TimeoutError(f"a worker is not ready:\n{child.tail()}")
        await asyncio.sleep(0.02)
    return first


def _get(run: Run, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{run.port}/{path}", timeout=10) as answer:
        text: str = answer.read().decode()
    return text
