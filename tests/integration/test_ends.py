"""How a worker ends: at any moment of its start, without a broker, beside a learner that hangs."""

from __future__ import annotations

import asyncio
import math
import operator
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stream.codec.events.decoding import encode
from stream.codec.partition import partition_for
from tests import waiting
from tests.builders import a_click
from tests.kafka.broker import Broker

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "stream")
Start = Callable[..., "Worker"]


def as_in_a_terminal() -> None:
    """Ignore no signal that the tests' own starter ignored, as ``nohup`` and ``&`` do."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


class Worker:
    """A worker's process; what it says goes to a file."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "worker"],
                env=environ,
                cwd=folder,
                stderr=log,
                stdout=log,
                preexec_fn=as_in_a_terminal,
            )

    def words(self) -> str:
        return self.log.read_text()

    def get(self, path: str) -> tuple[int, str]:
        address = re.findall(r"health and metrics at (\S+)", self.words())
        if not address:
            return 0, ""
        try:
            with urllib.request.urlopen(address[0] + path, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except OSError:
            return 0, ""

    def until(self, hold: Callable[[], bool]) -> None:
        """Wait for something to hold."""

        def look() -> tuple[bool, str]:
            assert self.process.poll() is None, self.words()
            holds = hold()
            seen = "" if holds else self.words() + self.get("/readyz")[1] + self.get("/metrics")[1]
            return holds, seen

        waiting.until("what the test asks for", look, operator.itemgetter(0))

    def ready(self) -> None:
        self.until(lambda: self.get("/readyz")[0] == 200)


@pytest.fixture
def start(topic_prefix: str, tmp_path: Path) -> Iterator[Start]:
    """Start a worker on a broker, with settings by variable."""
    started: list[Worker] = []

    def begin(address: str, **settings: str) -> Worker:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("OFFERSTREAM_")}
        environ = clean | {
            "PYTHONPATH": str(ROOT),
            "OFFERSTREAM_BROKER": f"kafka://{address}",
            "OFFERSTREAM_APP_ID": topic_prefix,
            "OFFERSTREAM_TOPICS__PREFIX": topic_prefix,
            "OFFERSTREAM_PARTITIONS": "2",
            "OFFERSTREAM_METRICS_PORT": "0",
            "OFFERSTREAM_CORE__POLICY__CONSENT_DEFAULT": "true",
            "OFFERSTREAM_WORKER__COMMIT_INTERVAL": "3600",  # nothing is committed but at the end
            **{f"OFFERSTREAM_{name}": value for name, value in settings.items()},
        }
        if not started:
            applied = [*COMMAND, "topics", "apply"]
            subprocess.run(applied, env=environ, cwd=tmp_path, check=True, capture_output=True)
        started.append(Worker(environ, tmp_path / f"worker-{len(started)}"))
        return started[-1]

    yield begin
    for worker in started:
        worker.process.kill()
        worker.process.wait()


def publish(address: str, prefix: str, count: int) -> None:
    """Publish clicks of today."""

    async def send() -> None:
        now = time.time_ns() // 1_000_000
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            for n in range(count):
                click = a_click(n, f"c{n % 7}", time=now + n)
                key = click.customer_id.encode()
                shard = partition_for(key, 2)
                await producer.send(f"{prefix}clicks", encode(click), key=key, partition=shard)

    asyncio.run(send())


def applied(worker: Worker) -> float:
    """How many events a worker has applied; NaN while one of them is not durable."""
    told = worker.get("/metrics")[1]
    found = re.search(r"^offerstream_events_applied_total (\S+)", told, re.M)
    if re.search(r"^offerstream_oldest_unacked_seconds\{", told, re.M):
        return math.nan
    return float(found[1]) if found else 0.0


def shown(worker: Worker, name: str) -> set[float]:
    """The values of a metric of a worker's."""
    told = re.findall(rf"^offerstream_{name}(?:{{.*}})? (\S+)", worker.get("/metrics")[1], re.M)
    return {float(value) for value in told}


@pytest.mark.timeout(400)
def test_a_worker_told_to_end_at_any_moment_of_its_start_ends_well(
    kafka: str, start: Start, seed: int
) -> None:
    chance = random.Random(seed)
    for after in (0.3, 0.6, 1.0, *(chance.uniform(0.3, 6.0) for _ in range(5))):
        worker = start(kafka)
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(after)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(60) == 0, (after, worker.words())
        assert "Traceback" not in worker.words()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("number", "codes"), [(signal.SIGINT, {0, 130}), (signal.SIGHUP, {0})], ids=["INT", "HUP"]
)
def test_ctrl_c_and_a_closed_terminal_end_it_as_well(
    number: signal.Signals, codes: set[int], kafka: str, start: Start, seed: int
) -> None:
    chance = random.Random(seed)
    for after in (0.3, chance.uniform(0.3, 2.0), chance.uniform(2.0, 6.0)):
        worker = start(kafka)
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(after)
        while worker.process.poll() is None:  # nor does it matter how often one is told
            worker.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(0.03)
        assert worker.process.returncode in codes, (after, worker.words())
        assert "Traceback" not in worker.words()


def test_a_broker_that_goes_away_before_it_works_is_waited_for(
    broker: Broker, start: Start
) -> None:
    worker = start(broker.address)
    worker.until(lambda: "health and metrics at" in worker.words())
    broker.kill()
    worker.until(lambda: "Unable connect to" in worker.words())
    broker.start()
    worker.ready()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(60) == 0, worker.words()
    assert "Traceback" not in worker.words()


def test_a_broker_that_is_away_is_seen_until_it_is_back(
    broker: Broker, start: Start, topic_prefix: str
) -> None:
    worker = start(broker.address, METRICS__BROKER_TIMEOUT="4", WORKER__COMMIT_INTERVAL="1")
    worker.ready()
    publish(broker.address, topic_prefix, 10)
    worker.until(lambda: bool(shown(worker, "commit_age_seconds")))
    worker.until(lambda: shown(worker, "consumer_lag_records") == {0.0})
    broker.pause()
    worker.until(lambda: "no broker has answered for" in worker.get("/readyz")[1])
    worker.until(lambda: shown(worker, "broker_connected") == {0.0})
    assert all(map(math.isnan, shown(worker, "consumer_lag_records")))
    assert worker.get("/livez")[0] == 200
    assert min(shown(worker, "broker_silent_seconds")) > 4.0
    assert min(shown(worker, "commit_age_seconds")) > 3.0
    broker.resume()
    worker.ready()
    publish(broker.address, topic_prefix, 20)
    worker.until(lambda: shown(worker, "consumer_lag_records") == {0.0})


@pytest.mark.timeout(400)
@pytest.mark.parametrize("away", ["killed", "paused"])
def test_without_a_broker_it_ends_at_once_and_says_what_is_left(
    away: str, broker: Broker, start: Start, topic_prefix: str
) -> None:
    worker = start(broker.address)
    worker.ready()
    publish(broker.address, topic_prefix, 700)
    worker.until(lambda: applied(worker) == 700)
    if away == "killed":
        broker.kill()
    else:
        broker.pause()
    before = len(worker.words().splitlines())
    began = time.monotonic()
    with suppress(subprocess.TimeoutExpired):
        worker.process.wait(5)  # it meets what a worker without a broker meets
    assert worker.process.poll() is None, worker.words()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(60) == 3, worker.words()
    lines, seconds = worker.words().splitlines()[before:], time.monotonic() - began
    (last,) = [line for line in lines if "leaving" in line]
    told = re.search(r"no broker answers: leaving; (\d+) records that were read are not comm", last)
    assert told is not None and int(told[1]) >= 700, last  # and lessons of theirs
    print(f"{len(lines)} lines in {seconds:.1f} s")
    assert len(lines) < 100
    if away == "killed":
        broker.start()
    else:
        broker.resume()
    worker = start(broker.address)
    worker.ready()
    publish(broker.address, topic_prefix, 1)
    worker.until(lambda: applied(worker) == 1)  # this one alone: the others were accounted for
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(60) == 0, worker.words()


def learner_of(worker: Worker) -> int:
    """The process in which a worker learns; 0 while there is none."""
    for about in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # one that has just ended
            parent = int((about / "stat").read_text().rpartition(")")[2].split()[1])
            command = (about / "cmdline").read_bytes()
            if parent == worker.process.pid and b"stream.worker.learning.process" in command:
                return int(about.name)
    return 0


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
def test_a_learner_that_hangs_is_seen_and_ends_its_worker(
    kafka: str, start: Start, topic_prefix: str
) -> None:
    worker = start(kafka, METRICS__LOOP_TIMEOUT="1.5", LEARNING__ANSWER_TIMEOUT="8")
    worker.ready()
    publish(kafka, topic_prefix, 50)
    worker.until(lambda: learner_of(worker) != 0)
    worker.until(lambda: "offerstream_learner_unanswered_seconds 0.0" in worker.get("/metrics")[1])
    worker.until(
        lambda: re.search(r"examples_learned_total [1-9]", worker.get("/metrics")[1]) is not None
    )
    os.kill(learner_of(worker), signal.SIGSTOP)
    worker.until(lambda: "the learner has not answered for" in worker.get("/readyz")[1])
    assert re.search(r"learner_unanswered_seconds [1-9]", worker.get("/metrics")[1])
    assert worker.process.wait(60) == 1
    assert "the trainer's process has not answered for 8 s, and is killed" in worker.words()
    assert "Traceback" not in worker.words()
