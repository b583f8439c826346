"""What metrics and health are told of where a worker stands."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from stream.config import MetricsSettings
from stream.worker.telemetry.health import Health
from stream.worker.telemetry.metrics import Metrics
from stream.worker.telemetry.watching import Arrivals, Watch, WorkerSensor
from tests.waiting import within

CLICKS, PURCHASES, EXAMPLES = TP("clicks", 0), TP("purchases", 0), TP("examples", 0)


@dataclass
class Worker:
    """A worker as the watch sees it; a test sets where it stands."""

    now: float = 1000.0
    ends: dict[TP, int | None] = field(default_factory=dict)
    stable: dict[TP, int] = field(default_factory=dict)
    done: dict[TP, int] = field(default_factory=dict)
    passed: dict[TP, int] = field(default_factory=dict)
    remaining: int = 0
    commits: int = 0
    silent: float = 0.0

    def __post_init__(self) -> None:
        settings = MetricsSettings(stall_timeout=60)
        self.metrics = Metrics(CollectorRegistry(), clock=lambda: self.now)
        self.health = Health(settings, self.metrics, lambda: self.now)
        self.watch = Watch(
            ("clicks", "purchases"),
            ("examples",),
            self,
            lambda: self.done,
            lambda: self.remaining,
            lambda: 7,
            self.health,
            lambda: self.now,
        )

    def assignment(self) -> set[TP]:
        return set(self.ends)

    def highwater(self, tp: TP) -> int | None:
        return self.ends[tp]

    def readable(self, tp: TP) -> int | None:
        return self.stable.get(tp, self.ends[tp])

    def reached(self, tp: TP, done: int) -> int:
        return max(done, self.passed.get(tp, 0))

    def silence(self) -> float:
        return self.silent

    def look(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.watch.look()

    def shown(self, name: str, tp: TP = CLICKS, **more: str) -> float | None:
        labels = {"topic": tp.topic, "partition": str(tp.partition), **more}
        return self.metrics.registry.get_sample_value(name, labels)

    def alone(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_what_is_no_record_does_not_wait(worker: Worker) -> None:
    """A transaction's marker takes an offset, and may be the last."""
    worker.ends, worker.done, worker.passed = {CLICKS: 11}, {CLICKS: 10}, {CLICKS: 11}
    worker.look()
    worker.look(100.0)
    assert worker.shown("offerstream_consumer_lag_records") == 0
    assert worker.health.liveness()[0]


def test_lag_is_the_end_less_what_is_done(worker: Worker) -> None:
    worker.ends = {CLICKS: 10, PURCHASES: 5, TP("other", 0): 99}
    worker.done = {CLICKS: 4, PURCHASES: 5, TP("other", 0): 0}
    worker.look()
    assert worker.shown("offerstream_consumer_lag_records") == 6
    assert worker.shown("offerstream_consumer_lag_records", PURCHASES) == 0
    assert worker.shown("offerstream_consumer_lag_records", TP("other", 0)) is None
    worker.look(3)
    seconds = worker.shown("kafka_consumergroup_group_lag_seconds", group="offerstream")
    assert seconds == 3


def test_an_end_that_is_not_known_yet_is_no_lag(worker: Worker) -> None:
    worker.ends = {CLICKS: None}
    worker.look()
    assert worker.shown("offerstream_consumer_lag_records") is None


def test_a_group_that_begins_shows_all_as_lag_but_may_find_nothing_left(worker: Worker) -> None:
    worker.ends = {CLICKS: 7}
    worker.look()
    assert worker.shown("offerstream_consumer_lag_records") == 7
    worker.look(61)
    assert worker.health.liveness().ok


def test_a_worker_that_stands_still_while_records_wait_is_not_alive(worker: Worker) -> None:
    worker.ends, worker.done = {CLICKS: 10}, {CLICKS: 4}
    worker.look()
    worker.look(61)
    assert not worker.health.liveness().ok
    worker.done[CLICKS] = 5
    worker.look()
    assert worker.health.liveness().ok


def test_a_worker_with_nothing_to_do_is_alive(worker: Worker) -> None:
    worker.ends, worker.done = {CLICKS: 10}, {CLICKS: 10}
    worker.look()
    worker.look(3600)
    assert worker.health.liveness().ok


def test_recovery_that_goes_on_is_progress_and_one_that_hangs_is_not(worker: Worker) -> None:
    for worker.remaining in (500, 400, 300):
        worker.look(50)
        assert worker.health.liveness().ok
        assert worker.alone("offerstream_recovery_remaining_records") == worker.remaining
    worker.look(61)
    assert not worker.health.liveness().ok


def test_a_partition_that_moved_away_takes_its_numbers_along(worker: Worker) -> None:
    worker.ends = {CLICKS: 10, PURCHASES: 10, EXAMPLES: 10}
    worker.done = dict.fromkeys(worker.ends, 1)
    worker.metrics.watermark(0, 1)
    worker.look()
    del worker.ends[EXAMPLES]
    worker.look()
    assert worker.shown("offerstream_consumer_lag_records", EXAMPLES) is None
    watermark = "offerstream_watermark_lag_seconds"
    assert worker.metrics.registry.get_sample_value(watermark, {"partition": "0"}) is not None
    worker.ends = {}
    worker.look()
    assert worker.shown("offerstream_consumer_lag_records") is None
    assert worker.metrics.registry.get_sample_value(watermark, {"partition": "0"}) is None


async def test_a_look_that_fails_is_followed_by_another(worker: Worker) -> None:
    looks = iter([AssertionError("the partition moved"), None])
    seen = asyncio.Event()

    def recovery() -> int:
        if error := next(looks, None):
            raise error
        seen.set()
        return 0

    worker.watch._recovery = recovery
    task = asyncio.create_task(worker.watch.run(interval=0.001))
    await within("a second look", seen.wait())
    task.cancel()


def test_what_waits_for_an_open_transaction_is_lag_and_no_standstill(worker: Worker) -> None:
    worker.ends, worker.stable, worker.done = {CLICKS: 10}, {CLICKS: 4}, {CLICKS: 4}
    for _ in range(4):
        worker.look(50)
    assert worker.shown("offerstream_consumer_lag_records") == 6
    assert worker.health.liveness().ok


def test_the_oldest_waiting_record_sets_the_time_however_many_come_after_it() -> None:
    arrivals = Arrivals()
    for second in range(2000):
        waited = arrivals.waited(end=10 + second, done=9, now=float(second))
        assert waited == second
    assert arrivals.waited(end=2010, done=2010, now=2000.0) == 0.0


def an_app(partitions: set[int]) -> SimpleNamespace:
    assigned = {TP("clicks", n) for n in partitions} | {TP("examples", 9)}
    return SimpleNamespace(
        should_stop=False,
        settings=SimpleNamespace(topics=SimpleNamespace(events=("clicks", "purchases"))),
        consumer=SimpleNamespace(assignment=lambda: assigned),
    )


def test_which_partitions_came_and_went_is_told(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    sensor = WorkerSensor(worker.health)
    for partitions in ({0, 1, 2, 5}, {0, 1, 2, 5}, {1, 2, 7}, set[int]()):
        app = an_app(partitions)
        sensor.on_rebalance_end(app, sensor.on_rebalance_start(app))
    assert caplog.messages == [
        "ready: takes partitions 0-2, 5",
        "partitions moved: gained partition 7, lost partitions 0, 5; takes partitions 1-2, 7",
        "partitions moved: gained no partition, lost partitions 1-2, 7; takes no partition",
    ]


def test_a_rebalance_is_timed_and_makes_unready_until_tables_are_whole(worker: Worker) -> None:
    app = an_app({0, 1, 2})
    sensor = WorkerSensor(worker.health, lambda: worker.now)
    worker.health.ready()
    state = sensor.on_rebalance_start(app)
    assert worker.health.readiness() == (False, "recovering")
    worker.now += 4
    sensor.on_rebalance_end(app, state)
    assert worker.health.readiness().ok
    assert worker.alone("offerstream_rebalances_total") == 1
    assert worker.alone("offerstream_rebalance_duration_seconds_sum") == 4


def test_a_rebalance_while_stopping_does_not_make_ready(worker: Worker) -> None:
    app = SimpleNamespace(should_stop=True)
    sensor = WorkerSensor(worker.health, lambda: worker.now)
    worker.health.unready("draining")
    sensor.on_rebalance_end(app, sensor.on_rebalance_start(app))
    assert worker.health.readiness() == (False, "draining")


def test_a_commit_is_noted(worker: Worker) -> None:
    worker.look()
    assert worker.alone("offerstream_commit_age_seconds") is None
    worker.commits = 1
    worker.look()
    worker.look(7)
    assert worker.alone("offerstream_commit_age_seconds") == 7


def test_what_a_broker_that_is_away_knows_is_shown_as_unknown(worker: Worker) -> None:
    worker.ends, worker.done = {CLICKS: 10}, {CLICKS: 10}
    worker.health.ready()
    worker.look()
    assert worker.alone("offerstream_broker_connected") == 1
    worker.silent = 11.0
    worker.look()
    assert worker.health.readiness() == (False, "no broker has answered for 11 s")
    assert worker.health.liveness().ok  # a restart would not help
    assert worker.alone("offerstream_broker_connected") == 0
    assert worker.alone("offerstream_broker_silent_seconds") == 11
    assert math.isnan(worker.shown("offerstream_consumer_lag_records") or 0.0)
    worker.silent = 0.0
    worker.look()
    assert worker.health.readiness().ok
    assert worker.shown("offerstream_consumer_lag_records") == 0
