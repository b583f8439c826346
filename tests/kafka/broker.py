"""Real Kafka brokers under a test's control: started, stopped, killed, paused, brought back.

Rules:

- A broker listens on loopback only and keeps its data in its own folder, so that it comes back with
  them. Its ports lie below the ephemeral range: while it is down no outgoing connection takes them.
- ``start`` returns when the broker answers a request for metadata, or raises :class:`BrokerFailed`
  with the end of its log.
- A broker dies with the process that started it, however that ends: a watcher waits for the end of
  a pipe which only that process holds open.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from tests.kafka import install
from tests.waiting import InVain, eventually

CLUSTER_ID: Final = "b2ZmZXJzdHJlYW0tdGVzdA"  # any 16 bytes in base64
PORTS: Final = range(20_000, 32_000)
STOP_SECONDS: Final = 120  # with two of three nodes away it never ends in good order
JVM: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")  # starts fast

SETTINGS: Final = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",  # a test of a dead worker need not wait for 6 s
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.num.partitions": "3",
    "share.coordinator.state.topic.num.partitions": "3",
    "broker.session.timeout.ms": "3000",  # a killed broker may come back once this has passed
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.backoff.ms": "500",  # compaction is to be seen within a test
    "log.cleaner.dedupe.buffer.size": "4194304",  # the default is half of the heap
    "num.network.threads": "2",
    "num.io.threads": "4",
}


class BrokerFailed(Exception):
    """A broker ended, or never answered; holds the end of its log."""


@dataclass(frozen=True)
class Node:
    """A node's identity and ports, all on loopback."""

    id: int
    port: int
    controller: int

    @classmethod
    def free(cls, id: int = 1, port: int | None = None) -> Self:
        """Take free ports; the clients' may be given."""
        free = free_ports(2)
        return cls(id, port or free[0], free[1])

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        return f"127.0.0.1:{self.port}"


class Broker:
    """One Kafka node, broker and controller in one.

    Parameters
    ----------
    directory
        Where settings, data and log file go; made if absent.
    node
        Its identity and ports; a free one by default.
    voters
        All the controllers of its cluster, if it isn't alone.
    heap
        The Java heap's upper bound.
    jvm
        Further options for Java; the default starts fast, ``()`` runs fast.
    settings
        Broker settings beside :data:`SETTINGS`, or instead of them.
    """

    def __init__(
        self,
        directory: Path,
        node: Node | None = None,
        *,
        voters: Sequence[Node] = (),
        heap: str = "256m",
        jvm: Sequence[str] = JVM,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / "broker.log"
        self.node = node or Node.free()
        self._settings = _settings(self.node, voters or [self.node], self.directory / "data")
        self._settings |= settings or {}
        self._options = [f"-Xmx{heap}", *jvm]
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """``host:port``, for a client's ``bootstrap_servers``."""
        return self.node.address

    @property
    def pid(self) -> int:
        """The process id of the running broker."""
        assert self._process, "the broker is not running"
        return self._process.pid

    def start(self) -> Self:
        """Start, and return when the broker answers."""
        self.launch()
        self.wait()
        return self

    def launch(self) -> None:
        """Start without waiting for an answer."""
        assert self._process is None, "the broker is running"
        self._format()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._java(*self._options), "kafka.Kafka", self._file], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._watcher = subprocess.Popen(
            ["sh", "-c", f"read _; kill -9 {self._process.pid}"], stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def wait(self, brokers: int = 1) -> None:
        """Return when the broker answers, and knows as many live brokers as named."""
        with ThreadPoolExecutor(1) as thread:  # the caller may have an event loop of its own
            thread.submit(asyncio.run, self._answer(brokers)).result()

    def stop(self) -> None:
        """Shut down in good order; does nothing if not running."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._ended()

    def kill(self) -> None:
        """Kill -9: no shutdown, no flush, no word to anyone; does nothing if not running."""
        if self._process is not None:
            self._process.kill()
            self._ended()

    def restart(self) -> Self:
        """Stop in good order, if running, and start again with the same data and port."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Stop it in its tracks (SIGSTOP): connections stay open, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused broker go on."""
        os.kill(self.pid, signal.SIGCONT)

    def tail(self, lines: int = 40) -> str:
        """Return the end of the broker's log."""
        if not self.log.exists():
            return "(the broker wrote no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def _file(self) -> str:
        return str(self.directory / "server.properties")

    def _java(self, *options: str) -> list[str]:
        classes = install.archive()
        if classes.exists() and not any("ArchiveClassesAtExit" in option for option in options):
            options = (*options, f"-XX:SharedArchiveFile={classes}")
        logs = f"-Dlog4j2.configurationFile={install.HERE / 'log4j2.properties'}"
        return [str(install.java()), *options, logs, "-cp", f"{install.jars()}/*"]

    def _format(self) -> None:
        """Write the settings, and lay out the data folder on first use."""
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}\n" for name, value in self._settings.items()]
        Path(self._file).write_text("".join(lines))
        if (self.directory / "data" / "meta.properties").exists():
            return
        command = [*self._java(*JVM), "kafka.tools.StorageTool", "format"]
        command += ["--cluster-id", CLUSTER_ID, "--config", self._file]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise BrokerFailed(f"could not lay out {self.directory}:\n{done.stdout}{done.stderr}")

    async def _answer(self, brokers: int) -> None:
        async def look() -> int:
            if self._process is None or self._process.poll() is not None:
                raise BrokerFailed(f"the broker ended; its log:\n{self.tail()}")
            return await _live_brokers(self.address)

        try:
            await eventually("all brokers, alive", look, lambda alive: alive >= brokers, every=0.1)
        except InVain as vain:
            raise BrokerFailed(f"{vain}; its log:\n{self.tail()}") from None

    def _ended(self) -> None:
        """Forget the process; first its watcher, which must not outlive the process id."""
        assert self._process and self._watcher
        self._watcher.kill()
        self._watcher.communicate()
        self._process.wait()
        self._process = self._watcher = None


class Cluster:
    """Several nodes that replicate to each other: three copies, two of them in sync to accept."""

    def __init__(self, directory: Path, n: int = 3, *, heap: str = "192m") -> None:
        voters = [Node.free(id) for id in range(1, n + 1)]
        self.brokers = [
            Broker(directory / f"node-{node.id}", node, voters=voters, heap=heap) for node in voters
        ]

    @property
    def address(self) -> str:
        """All addresses, for a client's ``bootstrap_servers``."""
        return ",".join(broker.address for broker in self.brokers)

    def start(self) -> Self:
        """Start all, and return when each sees all."""
        for broker in self.brokers:
            broker.launch()
        for broker in self.brokers:
            broker.wait(len(self.brokers))
        return self

    def kill(self) -> None:
        """Kill -9 all that run."""
        for broker in self.brokers:
            broker.kill()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback on which nothing listens."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in random.sample(PORTS, len(PORTS)):
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                break
        return found


def _settings(node: Node, voters: Sequence[Node], data: Path) -> dict[str, str]:
    copies = str(min(len(voters), 3))
    in_sync = str(min(len(voters), 2))
    clients, controller = f"PLAINTEXT://{node.address}", f"CONTROLLER://127.0.0.1:{node.controller}"
    return SETTINGS | {
        "node.id": str(node.id),
        "controller.quorum.voters": ",".join(f"{v.id}@127.0.0.1:{v.controller}" for v in voters),
        "listeners": f"{clients},{controller}",
        "advertised.listeners": clients,
        "log.dirs": str(data),
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


async def _live_brokers(address: str) -> int:
    """Return how many brokers the one at ``address`` knows to be alive; 0 without an answer."""
    host, port = address.split(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        client = AIOKafkaClient(bootstrap_servers=address, request_timeout_ms=30_000)
        try:
            await client.bootstrap()
            return len(client.cluster.brokers())
        finally:
            await client.close()
    except (OSError, KafkaError):
        return 0
