"""What was measured, repetition by repetition, and how a run is judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.figures import Sample, stage_costs, window
from bench.run import Job
from bench.workload import Load

RATE = 2_000.0  # events/s at which latency is compared
KEPT_UP_SECONDS = 1.5  # publications come twice a second: so much behind is normal


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one run came to; ``cpu`` in µs per event, of the contender's own processes.

    ``stages`` are µs per event that the worker itself reports, ``learner_behind`` the seconds that
    its learner needed, after the last offer that counts, for what had been taught until then.
    """

    events_per_second: float
    cpu: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    learner_behind: float = 0.0


class CaughtUp(NamedTuple):
    """How a learner came to know all that it had been taught when the last offer was out.

    ``known`` of what was ``taught`` it knew at that time, and the rest so many ``seconds`` later.
    """

    taught: int
    known: int
    seconds: float

    def rate(self, events: int) -> float:
        """At how many events a second it learned, if ``events`` taught all that was taught.

        >>> CaughtUp(taught=300, known=100, seconds=4.0).rate(600)
        100.0
        """
        return (self.taught - self.known) / self.taught * events / self.seconds


@dataclass(frozen=True, slots=True)
class Memory:
    """What a number of customers costs; ``resident_mb`` in 10^6 bytes, ``cpu`` in µs per event."""

    customers: int
    changelog_records: int
    record_bytes: float
    recovery_per_second: float
    resident_mb: float
    events_per_second: float
    cpu: float
    store_equals_log: bool


@dataclass(frozen=True, slots=True)
class Workers:
    """Events per second of one worker and of two that share the partitions."""

    one: float
    two: float

    @property
    def gain(self) -> float:
        """How many times one worker's rate two have."""
        return self.two / self.one


@dataclass(slots=True)
class Results:
    """Everything that was measured, repetition by repetition; None is a run that failed."""

    runs: dict[Job, defaultdict[str, list[Throughput | None]]] = field(
        default_factory=lambda: {"state": defaultdict(list), "whole": defaultdict(list)}
    )
    floor: list[Throughput | None] = field(default_factory=list)
    latency: defaultdict[str, list[Mapping[str, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    latency_at_load: dict[float, Mapping[str, float]] = field(default_factory=dict)
    memory: defaultdict[int, list[Memory]] = field(default_factory=lambda: defaultdict(list))
    scaled: dict[str, Throughput] = field(default_factory=dict)
    workers: Workers | None = None
    failures: list[str] = field(default_factory=list)


def judged(
    samples: Sequence[Sample],
    load: Load,
    job: Job,
    stages: Mapping[str, float],
    caught_up: CaughtUp | None = None,
) -> Throughput:
    """Reckon a run's throughput from the offers that were counted.

    ``stages`` are seconds, of the whole run; ``caught_up`` tells of its learner, if it has one.

    Raises
    ------
    ValueError
        If there were more offers than there should be, or too few to measure.
    """
    expected, last = load.outputs(job), samples[-1]
    if last.outputs > expected:
        raise ValueError(f"{last.outputs} offers, of {expected} events that should have one")
    done = [s._replace(outputs=load.events_behind(job, s.outputs)) for s in samples]
    found = window(done, load.warm_up)
    rate, behind = found.rate, 0.0
    if caught_up is not None and caught_up.seconds > KEPT_UP_SECONDS:
        rate, behind = min(rate, caught_up.rate(done[-1].outputs)), caught_up.seconds
    return Throughput(rate, found.cpu, stage_costs(stages, done[-1].outputs), behind)
