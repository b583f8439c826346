"""The programme: what is measured, in which order, how often and how large.

Rules: contenders take turns within a round, so that what slows the machine down slows all; a run
that does not count comes before, or the first of them would pay for a cold broker. Rounds after the
first come last, and only as many as the plan's time allows. What fails is tried once more, and
said; nothing else of the bench is lost by it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from math import inf
from statistics import median
from time import monotonic
from typing import Protocol, TypeVar

from bench.contenders import CONTENDERS, FLOOR, OFFERSTREAM, QUIX_STATE, Contender
from bench.lab import Lab, Stuck
from bench.latency import latencies
from bench.memory import memory
from bench.results import RATE, Results, Throughput
from bench.run import Job
from bench.scaling import workers
from bench.throughput import throughput
from bench.workload import Load, Shape

T = TypeVar("T")
SHARES = (0.25, 0.5, 0.75)  # of what the worker can do
SLOW_START = 6.0  # seconds: a process, its imports, its group


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes: numbers of events and customers, and seconds.

    ``rounds`` are at most made, ``watched`` is for how long one run of a job is, and ``deadline``
    is when no further round is begun that would not end before it.
    """

    rounds: int
    events: int
    watched: Mapping[Job, float]
    latency_rounds: int
    latency_seconds: float
    customers: tuple[int, ...]
    memory_rounds: int
    memory_events: int
    deadline: float = inf
    items: int = 1_000


FULL = Plan(
    rounds=5,
    events=300_000,
    watched={"state": 20.0, "whole": 20.0},
    latency_rounds=5,
    latency_seconds=10.0,
    customers=(10_000, 100_000, 1_000_000),
    memory_rounds=3,
    memory_events=100_000,
)
QUICK = Plan(
    rounds=5,
    events=40_000,
    watched={"state": 3.0, "whole": 8.0},  # what is slow at first learns first
    latency_rounds=3,
    latency_seconds=2.0,
    customers=(10_000, 100_000),
    memory_rounds=1,
    memory_events=20_000,
    deadline=340.0,
)


class Progress(Protocol):
    """Who is told how far the bench is, in seconds of the plan."""

    def begin(self, what: str, seconds: float) -> None:
        """Something begins that takes about so long."""


class Programme:
    """The bench itself, over a laboratory."""

    def __init__(self, lab: Lab, plan: Plan, progress: Progress) -> None:
        self._lab, self._plan, self._progress = lab, plan, progress
        self._began = monotonic()
        self.results = Results()

    async def run(self) -> Results:
        """Measure everything."""
        plan = self._plan
        load = Load.of(Shape(plan.events, items=plan.items))
        await self._throughput(OFFERSTREAM, "state", load)  # not counted
        longest = await self._round(load)
        await self._scaling(load)
        await self._latency()
        await self._memory()
        for _ in range(plan.rounds - 1):
            if monotonic() - self._began + longest > plan.deadline:
                break
            longest = max(longest, await self._round(load))
        return self.results

    async def _round(self, load: Load) -> float:
        began = monotonic()
        for job, contenders in CONTENDERS.items():
            for contender in contenders:
                found = await self._throughput(contender, job, load)
                self.results.runs[job][contender.name].append(found)
        self.results.floor.append(await self._throughput(FLOOR, "state", load))
        return monotonic() - began

    async def _throughput(
        self, contender: Contender, job: Job, load: Load, partitions: int = 4
    ) -> Throughput | None:
        limit = self._plan.watched[job]
        return await self._tried(
            f"{job}: {contender.name}",
            SLOW_START + limit / 2,
            lambda: throughput(self._lab, contender, job, load, limit, partitions),
        )

    async def _scaling(self, load: Load) -> None:
        base, lab, limit = load.shape, self._lab, 2 * self._plan.watched["state"]
        more = Load.of(replace(base, items=10 * base.items))
        for name, found in (
            ("items", await self._throughput(OFFERSTREAM, "whole", more)),
            ("partitions", await self._throughput(OFFERSTREAM, "whole", load, partitions=40)),
        ):
            if found is not None:
                self.results.scaled[name] = found
        self.results.workers = await self._tried(
            "two workers", 2 * (SLOW_START + limit / 2), lambda: workers(lab, load, limit)
        )

    async def _latency(self) -> None:
        seconds = self._plan.latency_seconds
        for _ in range(self._plan.latency_rounds):
            for contender in (OFFERSTREAM, QUIX_STATE):
                found = await self._latencies(contender, (RATE,), seconds)
                if found is not None:
                    self.results.latency[contender.name].append(found[RATE])
        rates = [run.events_per_second for run in self.results.runs["state"]["offerstream"] if run]
        if rates:
            full = median(rates)
            shares = {share * full: share for share in SHARES}
            found = await self._latencies(OFFERSTREAM, tuple(shares), seconds)
            for rate, figures in (found or {}).items():
                self.results.latency_at_load[shares[rate]] = figures

    async def _latencies(
        self, contender: Contender, rates: tuple[float, ...], seconds: float
    ) -> dict[float, dict[str, float]] | None:
        return await self._tried(
            f"latency: {contender.name}",
            SLOW_START + len(rates) * (seconds + 2),
            lambda: latencies(self._lab, contender, rates, seconds),
        )

    async def _memory(self) -> None:
        for _ in range(self._plan.memory_rounds):
            for customers in self._plan.customers:
                await self._customers(customers)

    async def _customers(self, customers: int) -> None:
        found = await self._tried(
            f"memory: {customers:,} customers",
            _memory_seconds(customers),
            lambda: memory(self._lab, customers, self._plan.memory_events),
        )
        if found is not None:
            self.results.memory[customers].append(found)

    async def _tried(
        self, what: str, seconds: float, measure: Callable[[], Awaitable[T]]
    ) -> T | None:
        self._progress.begin(what, seconds)
        for _ in range(2):
            try:
                return await measure()
            except (Stuck, ValueError, TimeoutError, OSError) as error:
                self.results.failures.append(f"{what}: {error}")
        return None


def seconds_of(plan: Plan) -> float:
    """About how long a plan takes."""
    run = {job: SLOW_START + limit / 2 for job, limit in plan.watched.items()}
    a_round = run["state"] + sum(run[job] * len(each) for job, each in CONTENDERS.items())
    scaling = 2 * (run["whole"] + SLOW_START + plan.watched["state"])
    latency = (2 * plan.latency_rounds + 1) * SLOW_START + (plan.latency_seconds + 2) * (
        2 * plan.latency_rounds + len(SHARES)
    )
    kept = plan.memory_rounds * sum(map(_memory_seconds, plan.customers))
    everything = run["state"] + plan.rounds * a_round + scaling + latency + kept
    return min(everything, plan.deadline)


def _memory_seconds(customers: int) -> float:
    return SLOW_START + 4 + customers / 20_000
