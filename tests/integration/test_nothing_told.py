"""A worker at ``debug``, behind a login, with poison, bugs and a crash, tells nobody's data.

What it writes, serves and shows of itself and its learner is scanned for the password, the
models' key, and what stands in the events.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from stream.codec.partition import partition_for
from tests.kafka.broker import Broker, Node, free_ports
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
PASSWORD, KEY = "hush-5521-xyzzy", "plugh-8870-models"
MARK = "zzsecretzz"  # stands in every id, name, key and header of a person's events
SECRETS = (PASSWORD, KEY, MARK)

# A worker that meets, beside its own debug lines, those of whatever logs under it; bugs whose words
# hold what they failed on; and in the end, when told, a crash.
WORKER = """
import asyncio, logging, os, sys, warnings, zlib
sys.argv = ["/stream/__main__.py", *sys.argv[1:]]
import stream.decide.decide as core
from stream.worker.faust.table import BatchTable

packed, store = core.packed, BatchTable.store

def packing(event, *more):
    if event.time < 1_000:  # the start has kernels take some events of its own
        return packed(event, *more)
    kind = zlib.crc32(event.event_id.encode()) % 10
    logger = ("faust", "mode", "aiokafka", "asyncio", "rocksdict")[kind % 5]
    logging.getLogger(logger).debug("event %r of %s", event, event.customer_id)
    logging.getLogger(logger).warning(f"an event {event!r}")
    if kind == 3:
        warnings.warn(f"odd: {event!r}")
        asyncio.get_running_loop().call_soon(fail, event.customer_id)
    if kind == 7:
        fail(event.customer_id)
    return packed(event, *more)

def fail(who):
    raise ValueError(f"no age of {who}")

def storing(self, partition, writes, offset):
    if os.path.exists("crash"):
        fail(repr(writes))
    store(self, partition, writes, offset)

core.packed, BatchTable.store = packing, storing
from stream.cli import main
main()
"""


@pytest.fixture
def guarded(kafka_install: None, tmp_path: Path) -> Iterator[tuple[Broker, str]]:
    """A broker with a second listener, for which one has to log in; and that one's address."""
    node, (port,) = Node.free(), free_ports(1)
    plain, login = f"PLAINTEXT://{node.address}", f"LOGIN://127.0.0.1:{port}"
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    settings = {
        "listeners": f"{plain},{login},CONTROLLER://127.0.0.1:{node.controller}",
        "advertised.listeners": f"{plain},{login}",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
        "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.login.plain.sasl.jaas.config": f'{module} required user_shop="{PASSWORD}";',
    }
    with Broker(tmp_path / "broker", node, settings=settings) as started:
        yield started, f"127.0.0.1:{port}"


def environ_of(address: str, prefix: str, password: str = PASSWORD) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("OFFERSTREAM_")}
    return clean | {
        "PYTHONPATH": str(ROOT),
        "PYTHONASYNCIODEBUG": "1",  # asyncio then logs what it calls, and with what
        "OFFERSTREAM_BROKER": f"kafka://{address}",
        "OFFERSTREAM_APP_ID": prefix,
        "OFFERSTREAM_TOPICS__PREFIX": prefix,
        "OFFERSTREAM_PARTITIONS": "2",
        "OFFERSTREAM_METRICS_PORT": "0",
        "OFFERSTREAM_LOG_LEVEL": "debug",
        "OFFERSTREAM_CORE__POLICY__CONSENT_DEFAULT": "true",
        "OFFERSTREAM_LEARNING__SNAPSHOT_KEY": KEY,
        "OFFERSTREAM_KAFKA__SASL_MECHANISM": "PLAIN",
        "OFFERSTREAM_KAFKA__SASL_USERNAME": "shop",
        "OFFERSTREAM_KAFKA__SASL_PASSWORD": password,
        "OFFERSTREAM_KAFKA__SASL_WITHOUT_TLS": "true",
        "OFFERSTREAM_KAFKA__REQUEST_TIMEOUT": "20",
    }


def test_nothing_secret_and_nobodys_data_is_told(
    guarded: tuple[Broker, str], topic_prefix: str, tmp_path: Path
) -> None:
    broker, address = guarded
    environ = environ_of(address, topic_prefix)
    command = (sys.executable, "-m", "stream", "--debug")
    told = ran(*command, "topics", "apply", environ=environ, folder=tmp_path)
    wrong = environ_of(address, topic_prefix, PASSWORD[::-1])
    refused = ran(*command, "worker", environ=wrong, folder=tmp_path, code=1)
    assert "ConfigError" in refused
    assert PASSWORD[::-1] not in refused
    told += refused
    told += ran(
        *command, "worker", "--set=broker=kafka+tls://ann:hunter2@shop:1",
        environ=environ, folder=tmp_path, code=1,
    )  # fmt: skip
    assert "hunter2" not in told

    log = tmp_path / "log"
    with log.open("wb") as written:
        worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, "worker"],
            env=environ, cwd=tmp_path, stdout=written, stderr=written,
        )  # fmt: skip
    try:
        page = logged(log, r"health and metrics at (\S+)")
        publish(broker.address, topic_prefix, 0)
        until("an event", lambda: get(page, "/metrics"), re.compile(r"applied_total [1-9]").search)
        until("the learner", lambda: learner_of(worker.pid))
        told += shown(learner_of(worker.pid))
        for path in ("/metrics", "/readyz", "/livez", f"/{MARK}"):
            told += get(page, path)
        (tmp_path / "crash").touch()
        publish(broker.address, topic_prefix, 1)
        assert worker.wait(90) == 1
    finally:
        worker.kill()
        worker.wait()
    words = log.read_text()
    for line in ("a bug: ValueError", "the worker crashed", "in fail", "WARNING faust", "asyncio"):
        assert line in words, words
    for secret in SECRETS:
        found = [line for line in (told + words).splitlines() if secret in line]
        assert found == []


def ran(*command: str, environ: dict[str, str], folder: Path, code: int = 0) -> str:
    done = subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def publish(address: str, prefix: str, turn: int) -> None:
    """Publish events of people with recognisable ids, and poison of every kind that holds one."""
    now = time.time_ns() // 1_000_000

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            for n in range(60):
                customer = f"{MARK}-{n % 9}"
                click = {
                    "event_id": f"{MARK}-{turn}-{n}",
                    "event": "view",
                    "customer_id": customer,
                    "product_id": f"{MARK}-item-{n % 4}",
                    "timestamp": now + n,
                }
                good = json.dumps(click).encode()
                values = [
                    good,
                    good[: n % 50 + 1],
                    f'{{"{MARK}": "{MARK}"}}'.encode(),
                    b"\xff" + good,
                ]
                key = customer.encode()
                where = {"key": key, "partition": partition_for(key, 2)}
                headers = [(f"{MARK}-header", MARK.encode())]
                for value in values if n % 6 == 0 else [good]:
                    await producer.send(f"{prefix}clicks", value, headers=headers, **where)

    asyncio.run(send())


def shown(process: int) -> str:
    """What others can see of a process."""
    return "".join(
        Path(f"/proc/{process}/{name}").read_bytes().replace(b"\0", b"\n").decode()
        for name in ("environ", "cmdline")
    )


def learner_of(worker: int) -> int:
    for about in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((about / "stat").read_text().rpartition(")")[2].split()[1])
            if (
                parent == worker
                and b"stream.worker.learning.process" in (about / "cmdline").read_bytes()
            ):
                return int(about.name)
        except OSError:  # one that has just ended
            continue
    return 0


def get(page: str, path: str) -> str:
    try:
        with urllib.request.urlopen(page + path, timeout=30) as answer:
            read: str = answer.read().decode()
            return read
    except OSError as refused:
        return str(refused)


def logged(log: Path, pattern: str) -> str:
    written = until(f"{pattern} in the log", log.read_text, re.compile(pattern).search)
    found = re.search(pattern, written)
    assert found is not None
    return found[1]
