"""What probes and scrapes are told, and when."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from stream.config import ConfigError, MetricsSettings
from stream.worker.telemetry.health import Health, HealthServer, heartbeat
from stream.worker.telemetry.metrics import Metrics
from tests.waiting import PATIENCE, within

SETTINGS = MetricsSettings(port=0, loop_timeout=10, stall_timeout=120)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def health(metrics: Metrics, clock: Clock) -> Health:
    return Health(SETTINGS, metrics, clock)


@pytest.fixture
def server(health: Health, metrics: Metrics) -> Iterator[HealthServer]:
    with HealthServer(SETTINGS, health, metrics) as server:
        yield server


def get(server: HealthServer, path: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def test_a_worker_is_unready_from_the_start_and_says_why(
    health: Health, server: HealthServer, metrics: Metrics
) -> None:
    assert get(server, "/readyz") == (503, "starting\n")
    health.unready("recovering")
    assert get(server, "/readyz") == (503, "recovering\n")
    health.ready()
    assert get(server, "/readyz") == (200, "ready\n")
    assert metrics.registry.get_sample_value("offerstream_ready") == 1
    health.unready("draining")
    assert get(server, "/readyz") == (503, "draining\n")
    assert metrics.registry.get_sample_value("offerstream_ready") == 0


def test_metrics_are_served_as_prometheus_wants_them(server: HealthServer) -> None:
    status, text = get(server, "/metrics?x=1")
    assert status == 200
    assert "# TYPE offerstream_ready gauge" in text


def test_other_paths_are_not_found_and_head_has_no_body(server: HealthServer) -> None:
    assert get(server, "/table/customers") == (404, "not found\n")
    assert get(server, "/livez", "HEAD") == (200, "")
    assert get(server, "/livez", "POST")[0] == 501


def test_a_worker_lives_before_its_loop_has_begun(health: Health, clock: Clock) -> None:
    clock.now += 3600
    assert health.liveness().ok


def test_a_silent_event_loop_is_not_alive(
    health: Health, server: HealthServer, clock: Clock
) -> None:
    health.beat(0.0)
    clock.now += 10
    assert get(server, "/livez") == (200, "alive\n")
    clock.now += 1
    assert get(server, "/livez") == (503, "the event loop has not answered for 11 s\n")
    health.beat(11.0)
    assert get(server, "/livez")[0] == 200


def test_standing_still_is_a_fault_only_while_records_wait(health: Health, clock: Clock) -> None:
    clock.now += 1000
    assert health.liveness().ok
    health.backlog(5)
    clock.now += 120
    assert health.liveness().ok
    clock.now += 1
    assert health.liveness() == (False, "5 records wait and nothing moved for 121 s")
    health.moved()
    assert health.liveness().ok
    clock.now += 121
    health.backlog(0)
    assert health.liveness().ok


def test_a_backlog_that_only_changes_size_does_not_look_like_progress(
    health: Health, clock: Clock
) -> None:
    for records in (5, 50, 500):
        health.backlog(records)
        clock.now += 61
    assert not health.liveness().ok


def test_a_schema_that_is_waited_for_is_told_and_the_worker_is_not_restarted_for_it(
    health: Health, clock: Clock, metrics: Metrics
) -> None:
    health.ready()
    health.schemas(9.0, "the Schema Registry does not give schema 7: HTTP 503")
    assert health.readiness().ok
    health.schemas(11.0, "the Schema Registry does not give schema 7: HTTP 503")
    assert health.readiness() == (
        False,
        "partitions have waited for 11 s: the Schema Registry does not give schema 7: HTTP 503",
    )
    assert metrics.registry.get_sample_value("offerstream_schema_wait_seconds") == 11.0
    health.backlog(5)
    clock.now += 100_000
    health.beat(0.0)
    assert health.liveness().ok
    health.schemas(0.0, "")
    assert health.readiness().ok and not health.liveness().ok


def test_a_learner_that_owes_an_answer_for_long_is_told_and_the_worker_lives(
    health: Health, metrics: Metrics
) -> None:
    health.ready()
    health.learner(10.0)
    assert health.readiness() == (True, "ready")
    health.learner(10.6)
    assert health.readiness() == (False, "the learner has not answered for 11 s")
    assert health.liveness().ok
    assert metrics.registry.get_sample_value("offerstream_learner_unanswered_seconds") == 10.6
    health.learner(0.0)
    assert health.readiness().ok


async def test_the_heartbeat_beats_while_the_loop_runs(metrics: Metrics) -> None:
    beats: list[float] = []
    seen = asyncio.Event()

    class Listener(Health):
        def beat(self, late: float) -> None:
            super().beat(late)
            beats.append(late)
            if len(beats) == 3:
                seen.set()

    task = asyncio.create_task(heartbeat(Listener(SETTINGS, metrics), interval=0.001))
    await within("three beats", seen.wait(), lambda: beats)
    task.cancel()
    assert all(late >= 0 for late in beats)
    assert metrics.registry.get_sample_value("offerstream_event_loop_lag_seconds") is not None


async def test_probes_are_answered_while_the_event_loop_is_busy(server: HealthServer) -> None:
    assert get(server, "/livez") == (200, "alive\n")  # blocks this loop; the thread answers


def test_a_port_in_use_is_one_line_that_says_what_to_set(health: Health, metrics: Metrics) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = HealthServer(MetricsSettings(port=port), health, metrics)
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}: the port is in use") as taken:
            server.start()
    assert "metrics.port" in str(taken.value)
    assert server.port == 0


@pytest.mark.parametrize("host", ["203.0.113.9", "no such host", "x" * 300])
def test_an_address_that_is_not_this_machines_is_refused(
    host: str, health: Health, metrics: Metrics
) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.host"):
        HealthServer(MetricsSettings(host=host, port=0), health, metrics).start()


def test_the_default_is_loopback() -> None:
    assert MetricsSettings().host == "127.0.0.1"


def test_a_closed_server_gives_its_port_back(health: Health, metrics: Metrics) -> None:
    with HealthServer(SETTINGS, health, metrics) as first:
        port = first.port
    with HealthServer(MetricsSettings(port=port), health, metrics) as second:
        assert second.port == port
