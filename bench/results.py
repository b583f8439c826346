"""What was measured, repetition by repetition, and how a run is judged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bench.costs import Cost
from bench.figures import stage_costs
from bench.quiet import Quietness
from bench.told import Job

RATE = 2_000.0  # events/s at which latency is compared
KEPT_UP_SECONDS = 1.5  # publications come twice a second: so much behind is normal


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one turn came to; ``cpu`` in µs per event, of all of the system's processes.

    ``learner`` is how much of ``cpu`` a learner's own process took, ``stages`` are µs per event
    that the worker itself reports, ``learner_behind`` the seconds that its learner needed after the
    last offer for what had been taught until then, ``quiet`` what else the machine did.
    """

    events_per_second: float
    cpu: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    learner_behind: float = 0.0
    learner: float = 0.0
    quiet: Quietness | None = None

    def costing(self, cost: Cost) -> Throughput:
        """The same, with what it cost."""
        return replace(self, cpu=cost.cpu, learner=cost.learner)


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
    """Everything that was measured, repetition by repetition; None is a turn that failed.

    ``starts`` are seconds from a worker's start until it was ready, ``left_out`` says why a system
    is not there.
    """

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
    starts: list[float] = field(default_factory=list)
    recommend_us: Mapping[str, float] | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def judged(
    events: int,
    seconds: float,
    behind: float,
    stages: Mapping[str, float],
    quiet: Quietness | None = None,
) -> Throughput:
    """Reckon a turn's throughput, but for its CPU.

    A system whose learner lags is as fast as both together: the job is done when all is learned.

    Parameters
    ----------
    events
        How many were done.
    seconds
        From the first event to the last offer.
    behind
        Seconds from the last offer until all was learned.
    stages
        Seconds in each of the worker's stages.

    >>> judged(1_000, 2.0, 3.0, {}).events_per_second
    200.0
    """
    lag = behind if behind > KEPT_UP_SECONDS else 0.0
    costs = stage_costs(stages, events)
    return Throughput(events / (seconds + lag), stages=costs, learner_behind=lag, quiet=quiet)
