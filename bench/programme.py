"""The programme: what is measured, in which order, how often and how large.

Rules: the systems of a job are up together, warmed on the same events, and then take short turns,
in one order and back in the other, so that what slows the machine down slows all of them; nobody
else works meanwhile. Rounds are as many as the plan's time allows. A system that fails is told and
left out of the rounds to come; nothing else of the bench is lost by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from math import inf
from statistics import median
from time import monotonic
from typing import Protocol, TypeVar

from bench.books import counted
from bench.floor import floor
from bench.lab import Lab, Stuck
from bench.latency import latencies
from bench.learning import recommendation_cost
from bench.live import REST, Live, live
from bench.memory import memory
from bench.results import RATE, Results, Throughput, Workers
from bench.scaling import Alone, alone
from bench.systems import CONTENDERS, OFFERSTREAM, QUIX_STATE
from bench.told import Job
from bench.workload import Shape

T = TypeVar("T")
SHARES = (0.25, 0.5, 0.75)  # of what the worker can do
START = 8.0  # seconds: a process, its imports, its group
LATE = 0.4  # of the time: what is measured alone is not begun after that
BETWEEN = 1.5  # seconds around a turn: events are made, offers read
FAILURES = (Stuck, ValueError, TimeoutError, OSError, AssertionError)


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes: numbers of events and customers, and seconds.

    Attributes
    ----------
    stream
        The events: more than anyone does.
    rounds
        At most so many are made of a job's turns, and at least one.
    turn
        Seconds for which a system should work in one turn.
    warm
        Events that each system does before its first turn.
    alone
        Turns of a worker that is measured by itself.
    deadline
        When all should be done; rounds are fewer on a slow machine.
    """

    stream: Shape
    rounds: int
    turn: Mapping[Job, float]
    warm: Mapping[Job, int]
    alone: int
    floor_events: int
    questions: int
    latency_rounds: int
    latency_seconds: float
    customers: tuple[int, ...]
    memory_rounds: int
    memory_events: int
    deadline: float = inf


FULL = Plan(
    stream=Shape(3_000_000),
    rounds=10,
    turn={"state": 6.0, "whole": 6.0},  # as long as anyone puts durability off
    warm={"state": 20_000, "whole": 60_000},
    alone=5,
    floor_events=300_000,
    questions=3_000,
    latency_rounds=5,
    latency_seconds=10.0,
    customers=(10_000, 100_000, 1_000_000),
    memory_rounds=3,
    memory_events=100_000,
)
QUICK = Plan(
    stream=Shape(1_000_000, customers=3_000, active=1_000),  # who is warm sooner
    rounds=8,
    turn={"state": 1.0, "whole": 1.5},
    warm={"state": 3_000, "whole": 20_000},
    alone=2,
    floor_events=40_000,
    questions=1_000,
    latency_rounds=3,
    latency_seconds=2.0,
    customers=(10_000, 100_000),
    memory_rounds=1,
    memory_events=20_000,
    deadline=310.0,  # and half a minute for the broker and for ends
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
        found = await self._tried("floor", START, self._floor)
        self.results.floor.append(found)
        self.results.recommend_us = await self._tried("recommendations", START, self._recommend)
        await self._memory()
        await self._scaling()
        left = plan.deadline - (monotonic() - self._began)
        await self._job("state", self._began + plan.deadline - left / 2)
        await self._job("whole", self._began + plan.deadline)
        return self.results

    async def _job(self, job: Job, deadline: float) -> None:
        """All systems of a job, up together, in turns until the deadline."""
        async with AsyncExitStack() as stack:
            systems = await self._up(stack, job)
            if job == "state":
                deadline -= _latency_seconds(self._plan)
            await self._rounds(job, systems, deadline - REST)
            await self._costs(job, systems)
            if job == "state":
                await self._latency(systems)
                await self._counted(systems)

    async def _up(self, stack: AsyncExitStack, job: Job) -> list[Live]:
        """Start the systems that are installed, and warm them all at once."""
        self._progress.begin(f"{job}: start and warm up", _warm_seconds(self._plan, job))
        systems = []
        for contender in CONTENDERS[job]:
            if contender.installed:
                system = live(self._lab, contender, job, self._shape(job))
                systems.append(await stack.enter_async_context(system))
            else:
                self.results.left_out[contender.name] = f"{contender.home} is not installed"
        warmed = [self._once(f"{job}: {s.contender.name}", self._warmed(s)) for s in systems]
        return [system for system in await asyncio.gather(*warmed) if system is not None]

    async def _warmed(self, system: Live) -> Live:
        await system.warm(self._plan.warm[system.run.job])
        return system

    async def _rounds(self, job: Job, systems: Sequence[Live], deadline: float) -> None:
        longest, order = 0.0, list(systems)
        for number in range(self._plan.rounds):
            began = monotonic()
            if number and began + longest > deadline:
                break
            order = await self._round(job, order)
            longest = max(longest, monotonic() - began)

    async def _round(self, job: Job, order: Sequence[Live]) -> list[Live]:
        """One turn for each; who is still there, in the order of the next round."""
        seconds, runs, left = self._plan.turn[job], self.results.runs[job], []
        for contender in CONTENDERS[job]:
            runs[contender.name].append(None)
        for system in order:
            what = f"{job}: {system.contender.name}"
            self._progress.begin(what, seconds + BETWEEN)
            found = await self._once(what, system.turn(seconds))
            runs[system.contender.name][-1] = found
            if found is not None:
                left.append(system)
        return left[::-1]

    async def _costs(self, job: Job, systems: Sequence[Live]) -> None:
        """All rest together, and what their turns cost is known."""
        self._progress.begin(f"{job}: rest", REST)
        found = await asyncio.gather(*(system.costs() for system in systems))
        for system, costs in zip(systems, map(iter, found), strict=True):
            runs = self.results.runs[job][system.contender.name]
            runs[:] = [run and run.costing(next(costs)) for run in runs]

    async def _scaling(self) -> None:
        base = self._plan.stream
        many = replace(base, items=10 * base.items)
        one = await self._alone("one worker", "state", base)
        two = await self._alone("two workers", "state", base, workers=2)
        if one and two:
            rates = one.middle.events_per_second, two.middle.events_per_second
            self.results.workers = Workers(*rates)
        for name, found in (
            ("items", await self._alone("ten times the items", "whole", many)),
            ("partitions", await self._alone("40 partitions", "whole", base, partitions=40)),
        ):
            if found is not None:
                self.results.scaled[name] = found.middle

    async def _alone(
        self, what: str, job: Job, shape: Shape, partitions: int = 4, workers: int = 1
    ) -> Alone | None:
        plan = self._plan
        if monotonic() - self._began > LATE * plan.deadline:
            self.results.left_out[what] = "no time was left for it"
            return None
        turns = [plan.turn[job]] * plan.alone
        found = await self._tried(
            what,
            START + plan.warm[job] / 5_000 + sum(turns),
            lambda: alone(
                self._lab, job, shape, plan.warm[job], turns, partitions=partitions, workers=workers
            ),
        )
        if found is not None and partitions == 4 and workers == 1:
            self.results.starts.append(found.start)
        return found

    async def _latency(self, systems: Sequence[Live]) -> None:
        seconds = self._plan.latency_seconds
        compared = [s for s in systems if s.contender in (OFFERSTREAM, QUIX_STATE)]
        for _ in range(self._plan.latency_rounds):
            for system in compared:
                found = await self._latencies(system, (RATE,), seconds)
                if found is not None:
                    self.results.latency[system.contender.name].append(found[RATE])
        rates = [run.events_per_second for run in self.results.runs["state"]["offerstream"] if run]
        for system in compared:
            if system.contender is OFFERSTREAM and rates:
                shares = {share * median(rates): share for share in SHARES}
                found = await self._latencies(system, tuple(shares), seconds)
                for rate, figures in (found or {}).items():
                    self.results.latency_at_load[shares[rate]] = figures

    async def _latencies(
        self, system: Live, rates: tuple[float, ...], seconds: float
    ) -> dict[float, dict[str, float]] | None:
        what = f"latency: {system.contender.name}"
        self._progress.begin(what, len(rates) * (seconds + 1.5))
        return await self._once(what, latencies(system, rates, seconds))

    async def _counted(self, systems: Sequence[Live]) -> None:
        """Our offers tell no count: see that our customers' records have it."""
        for system in systems:
            if system.contender is OFFERSTREAM:
                await self._once("state: counts of offerstream", counted(system))

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
            if not found.store_equals_log:
                self.results.failures.append(f"memory: {customers:,} customers: a store differs")

    async def _floor(self) -> Throughput:
        return await floor(self._lab, self._plan.stream, self._plan.floor_events)

    async def _recommend(self) -> dict[str, float]:
        return await asyncio.to_thread(recommendation_cost, self._plan.questions)

    def _shape(self, job: Job) -> Shape:
        """In the state job one click in fifty is told twice."""
        return replace(self._plan.stream, repeats=50 if job == "state" else 0)

    async def _tried(
        self, what: str, seconds: float, measure: Callable[[], Awaitable[T]]
    ) -> T | None:
        """What can be begun anew is tried twice."""
        self._progress.begin(what, seconds)
        found = await self._once(what, measure())
        return found if found is not None else await self._once(what, measure())

    async def _once(self, what: str, measuring: Awaitable[T]) -> T | None:
        try:
            return await measuring
        except FAILURES as error:
            self.results.failures.append(f"{what}: {error}")
            return None


def seconds_of(plan: Plan) -> float:
    """About how long a plan takes."""
    jobs = sum(
        _warm_seconds(plan, job) + REST + plan.rounds * len(systems) * (plan.turn[job] + BETWEEN)
        for job, systems in CONTENDERS.items()
    )
    scaling = 2 * sum(
        START + plan.warm[job] / 5_000 + plan.alone * (seconds + BETWEEN)
        for job, seconds in plan.turn.items()
    )
    kept = plan.memory_rounds * sum(map(_memory_seconds, plan.customers))
    return min(2 * START + jobs + scaling + kept + _latency_seconds(plan), plan.deadline)


def _warm_seconds(plan: Plan, job: Job) -> float:
    """They share the cores; stock Faust takes longest."""
    return 2 * START + plan.warm[job] / 700


def _latency_seconds(plan: Plan) -> float:
    return (2 * plan.latency_rounds + len(SHARES)) * (plan.latency_seconds + 2)


def _memory_seconds(customers: int) -> float:
    return START + 4 + customers / 20_000
