"""What docker-compose.yml says, done without Docker: the same commands as plain processes.

The containers' environment is taken from the file; only what a container's own network and disk
stand for is replaced: host names become loopback, fixed ports free ones, ``/data`` a folder.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import yaml
from aiokafka import AIOKafkaConsumer
from prometheus_client.parser import text_string_to_metric_families

from stream.host.environment import load
from tests.deploy.dashboards import asked, of_rules, panels
from tests.deploy.monitors import MISSING, Monitors, monitors
from tests.kafka import install
from tests.kafka.broker import Broker, free_ports
from tests.waiting import PATIENCE, ended, eventually, run, within

ROOT: Final = install.ROOT
COMMAND: Final = Path(sys.executable).with_name("offerstream")
COMPOSE: Final = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROMETHEUS: Final = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
SERVICES: Final = COMPOSE["services"]
OURS: Final = [name for name, service in SERVICES.items() if "build" in service]
WORKERS: Final = [name for name in OURS if SERVICES[name]["command"] == ["worker"]]
TARGETS: Final = [
    target
    for job in PROMETHEUS["scrape_configs"]
    for group in job["static_configs"]
    for target in group["targets"]
]

ALWAYS: Final = {
    "Workers ready",
    "Events a second, by topic",
    "From event to durable offer",
    "CPU",
    "Age of the models in use",
    "Offers a minute, by campaign",
}
"""Panels that show something of every shop at work."""


def test_the_compose_file_runs_the_kafka_that_the_tests_run() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{install.version()}"


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_a_setting(service: str) -> None:
    settings = load(environ=SERVICES[service]["environment"]).settings
    assert settings.bootstrap_servers == ("kafka:9092",)


def test_prometheus_scrapes_every_worker_where_it_listens() -> None:
    listening = {f"{name}:{SERVICES[name]['environment'][PORT]}" for name in WORKERS}
    assert set(TARGETS) == listening
    assert len(WORKERS) == 2


def test_the_image_runs_as_a_user_without_rights() -> None:
    stages = (ROOT / "deploy/Dockerfile").read_text().split("\nFROM ")
    assert (user := re.search(r"^USER (\d+)", stages[-1], re.M))
    assert int(user[1]) >= 10_000
    assert "gcc" not in stages[-1]


HOST, PORT, DATA = "OFFERSTREAM_METRICS_HOST", "OFFERSTREAM_METRICS_PORT", "OFFERSTREAM_DATA_DIR"


class Machine:
    """The containers of the compose file as processes, their names resolved to loopback."""

    def __init__(self, directory: Path, kafka: str) -> None:
        self._directory = directory
        ports = free_ports(len(TARGETS))
        self._addresses = {"kafka:9092": kafka}
        self._addresses |= {t: f"127.0.0.1:{p}" for t, p in zip(TARGETS, ports, strict=True)}

    def address(self, name: str) -> str:
        """Where ``host:port`` of the compose network is on this machine."""
        return self._addresses[name]

    def environment(self, service: str) -> dict[str, str]:
        """The container's environment, as it must be here."""
        given = dict(SERVICES[service]["environment"])
        given["OFFERSTREAM_BROKER"] = self._resolved(given["OFFERSTREAM_BROKER"])
        if DATA in given:
            given[DATA] = str(self._directory / service)
        if PORT in given:
            address = self.address(f"{service}:{given[PORT]}")
            given[HOST], _, given[PORT] = address.partition(":")
        return given | {
            "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
            "HOME": os.environ["HOME"],
        }

    @contextmanager
    def running(self, service: str) -> Iterator[None]:
        """Run a service until the end of the block, then stop it as Docker does."""
        with self._log(service).open("wb") as log:
            process = subprocess.Popen(
                [COMMAND, *SERVICES[service]["command"]],
                env=self.environment(service),
                stdout=log,
                stderr=log,
            )
        try:
            yield
            process.send_signal(signal.SIGTERM)
            assert ended(process) == 0, f"{service} did not stop in good order"
        except BaseException:
            print(f"--- {service}:\n{self._log(service).read_text()[-5000:]}")
            raise
        finally:
            process.kill()
            process.wait()

    def run(self, service: str) -> None:
        """Run a service that ends by itself."""
        command = [COMMAND, *SERVICES[service]["command"]]
        done = run(command, env=self.environment(service))
        assert done.returncode == 0, done.stderr

    def healthy(self, service: str) -> bool:
        """Run the container's own health check."""
        kind, program, *arguments = SERVICES[service]["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "python")
        return run([sys.executable, *arguments], env=self.environment(service)).returncode == 0

    def _resolved(self, url: str) -> str:
        scheme, _, address = url.partition("://")
        return f"{scheme}://{self.address(address)}"

    def _log(self, service: str) -> Path:
        return self._directory / f"{service}.log"


async def test_shoppers_get_offers_and_every_worker_is_seen_at_work(
    broker: Broker, tmp_path: Path
) -> None:
    machine = Machine(tmp_path, broker.address)
    await asyncio.to_thread(machine.run, "topics")
    with ExitStack() as running, ExitStack() as leaving:
        for service in WORKERS:
            stack = leaving if service == WORKERS[0] else running
            stack.enter_context(machine.running(service))
        for service in WORKERS:
            await eventually(
                f"{service} to be healthy", partial(asyncio.to_thread, machine.healthy, service)
            )
        running.enter_context(machine.running("simulate"))
        offers = await some_offers(broker.address, 10)
        assert all(offer["items"] and offer["customer_id"] for offer in offers)
        for target in TARGETS:
            taken = partial(asyncio.to_thread, consumed, machine.address(target))
            await eventually(f"events taken by {target}", taken)
        if not MISSING:
            await watched(machine, tmp_path, leaving)


async def watched(machine: Machine, folder: Path, leaving: ExitStack) -> None:
    """See the workers through Prometheus, and through Alertmanager that one of them is gone."""
    with monitors(folder, machine.address) as seen:
        for panel in (panel for panel in panels() if panel["title"] in ALWAYS):
            for expression in asked(panel):
                found = partial(asyncio.to_thread, answered, seen, expression)
                await eventually(f"an answer to {expression}", found)
        for expression in [*of_rules(), *(one for panel in panels() for one in asked(panel))]:
            await asyncio.to_thread(seen.ask, expression)
        alerts = partial(asyncio.to_thread, seen.alerts)
        page = (machine.address(TARGETS[0]), "OfferstreamWorkerDown", "pages")
        assert page not in await alerts()
        await asyncio.to_thread(leaving.close)
        await eventually("a page", alerts, lambda sent: page in sent)


def answered(seen: Monitors, expression: str) -> list[Any]:
    """What Prometheus answers, once it does."""
    with suppress(OSError):  # it starts
        return seen.ask(expression)
    return []


async def some_offers(address: str, count: int) -> list[dict[str, Any]]:
    """Read the first offers."""
    consumer = AIOKafkaConsumer(
        "offers", bootstrap_servers=address, auto_offset_reset="earliest", group_id=None
    )
    async with consumer:
        offers = [await within("an offer", consumer.getone()) for _ in range(count)]
        return [orjson.loads(offer.value) for offer in offers]


def consumed(address: str) -> float:
    """Scrape a worker: how many events it has taken in."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "offerstream_events_consumed_total"
        )
