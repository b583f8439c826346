"""``python -m tests.chaos --cycles 100``: three workers on a real Kafka, killed and paused.

An oracle counts the input by itself. In the end every customer's record must say the same, the
ledgers must account for every record, and no offer's id may have two contents. The result is
written to build/chaos.json; the exit code is 1 if anything was lost, doubled or changed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream.codec.partition import partition_for
from stream.config import KafkaSettings, Settings, Topics
from stream.runtime.archive import read_topic
from stream.runtime.batching.records import Record
from stream.runtime.changelog import Customers, read_customers
from tests.chaos.shop import Oracle, Sent, events
from tests.kafka.broker import Broker

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 6
WORKERS = 3
SESSION = 6.0  # seconds without a heartbeat after which a worker's partitions move
QUIET = 120.0  # seconds in which the workers must finish what is left, in the end


class Fleet:
    """Worker processes, each started again when it was killed."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self._environ, self._folder = environ, folder
        self.processes = [self._start(number) for number in range(WORKERS)]
        self.kills = self.pauses = 0

    def kill_one(self, chance: random.Random) -> None:
        """Kill a worker in the middle of whatever it does, and start it again."""
        number = chance.randrange(WORKERS)
        process = self.processes[number]
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.kills += 1
        self.processes[number] = self._start(number)

    async def pause_one(self, chance: random.Random) -> None:
        """Stop a worker's clock until its partitions have moved, and let it wake up as a zombie."""
        process = chance.choice(self.processes)
        process.send_signal(signal.SIGSTOP)
        self.pauses += 1
        try:
            await asyncio.sleep(SESSION + chance.uniform(1.0, 4.0))
        finally:
            process.send_signal(signal.SIGCONT)

    def revive(self) -> None:
        """Start again what ended by itself, as a supervisor would: a fenced worker does."""
        for number, process in enumerate(self.processes):
            if process.poll() is not None:
                self.processes[number] = self._start(number)

    def stop(self) -> None:
        """End all."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        with (self._folder / f"worker-{number}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "stream", "worker"],
                env=self._environ | {"OFFERSTREAM_DATA_DIR": str(self._folder / f"state-{number}")},
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )


async def publish(
    settings: Settings, source: Iterator[Sent], rate: float, stop: asyncio.Event
) -> None:
    """Publish at a rate until told to stop; every record is durable on return."""
    producer = AIOKafkaProducer(
        bootstrap_servers=list(settings.bootstrap_servers), enable_idempotence=True, linger_ms=5
    )
    await producer.start()
    began, sent = time.monotonic(), 0
    try:
        while not stop.is_set():
            while sent < (time.monotonic() - began) * rate:
                topic, key, value = next(source)
                name = f"{settings.topics.prefix}{topic}"
                shard = partition_for(key, PARTITIONS)
                await producer.send(name, value, key=key, partition=shard)
                sent += 1
            await asyncio.sleep(0.01)
        await producer.flush()
    finally:
        await producer.stop()


async def all_done(settings: Settings, fleet: Fleet) -> None:
    """Wait until the group has committed everything there is."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(settings.bootstrap_servers),
        group_id=settings.app_id,
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        tps = [TopicPartition(t, p) for t in settings.topics.events for p in range(PARTITIONS)]
        ends = await consumer.end_offsets(tps)
        deadline = time.monotonic() + QUIET
        while time.monotonic() < deadline:
            fleet.revive()
            left = {tp: end - (await consumer.committed(tp) or 0) for tp, end in ends.items()}
            if not any(left.values()):
                return
            await asyncio.sleep(0.5)
        raise TimeoutError(f"after {QUIET} s there is still lag: {left}")
    finally:
        await consumer.stop()


async def torment(settings: Settings, fleet: Fleet, options: argparse.Namespace) -> None:
    """Kill workers under load, as often as asked for; then let the work end."""
    chance, stop = random.Random(options.seed), asyncio.Event()
    source = events(options.seed, options.customers)
    load = asyncio.create_task(publish(settings, source, options.rate, stop))
    for cycle in range(options.cycles):
        await asyncio.sleep(chance.uniform(0.5, options.pause))
        fleet.revive()
        if chance.random() < options.pauses:
            await fleet.pause_one(chance)
        else:
            fleet.kill_one(chance)
        print(f"cycle {cycle + 1} of {options.cycles}", flush=True)
    await asyncio.sleep(options.pause)
    stop.set()
    await load
    await all_done(settings, fleet)


def judged(settings: Settings) -> dict[str, int]:
    """Compare what is kept, and what was offered, with what an oracle counts in the input."""
    oracle = Oracle()
    for topic in settings.topics.events:
        read_topic(settings, topic, PARTITIONS, lambda record: oracle.take(record.value or b""))
    customers = read_customers(settings)
    lost = doubled = 0
    for name in oracle.totals.keys() | customers.states.keys():
        differences = Counter(found(customers, name))
        differences.subtract(oracle.totals[name])
        lost -= sum(n for n in differences.values() if n < 0)
        doubled += sum(n for n in differences.values() if n > 0)
    counts: Counter[str] = Counter()
    for ledger in customers.ledgers:
        counts.update(ledger.counts)
    miscounted = sum(abs(counts[name] - n) for name, n in oracle.outcomes.items())
    if miscounted:
        print(f"counted {dict(counts)}, expected {dict(oracle.outcomes)}")
    contents: dict[str, set[bytes]] = {}
    offers: Counter[str] = Counter()
    total = 0

    def take(record: Record) -> None:
        nonlocal total
        total += 1
        offer = json.loads(record.value or b"{}")
        if offer["offer_id"] not in contents:
            offers[offer["customer_id"]] += 1
        contents.setdefault(offer["offer_id"], set()).add(record.value or b"")

    read_topic(settings, settings.topics.offers, PARTITIONS, take)
    missing = sum(
        abs(state.delivery.offers - offers[name]) for name, state in customers.states.items()
    )
    return {
        "events": oracle.outcomes.total(),
        "lost": lost,
        "double_counted": doubled,
        "miscounted": miscounted,
        "offers": len(contents),
        "missing_offers": missing,
        "conflicting_offers": sum(len(different) > 1 for different in contents.values()),
        "duplicate_offers": total - len(contents),
    }


def found(customers: Customers, name: str) -> dict[str, int]:
    """What a customer's record says."""
    state = customers.states.get(name)
    if state is None:
        return {}
    p = state.profile
    cents = dict(p.spent).get("EUR", 0)
    return {
        "views": p.views,
        "carts": p.carts,
        "orders": p.orders,
        "units": p.units,
        "cents": cents,
    }


def main() -> None:
    """Run, tell, and write build/chaos.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--cycles", type=int, default=5, help="workers killed")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--rate", type=float, default=300.0, help="events a second")
    parser.add_argument("--customers", type=int, default=2_000)
    parser.add_argument("--pause", type=float, default=6.0, help="most seconds between kills")
    parser.add_argument(
        "--pauses", type=float, default=0.2, help="share of cycles that pause instead of kill"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "chaos.json")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    name = f"chaos-{secrets.token_hex(4)}-"
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as folder,
        Broker(Path(folder) / "kafka") as broker,
    ):
        settings = Settings(
            broker=f"kafka://{broker.address}",
            app_id=name,
            topics=Topics(prefix=name),
            partitions=PARTITIONS,
            kafka=KafkaSettings(session_timeout=SESSION, heartbeat_interval=SESSION / 3),
        )
        environ = {k: v for k, v in os.environ.items() if not k.startswith("OFFERSTREAM_")} | {
            "PYTHONPATH": str(ROOT),
            "OFFERSTREAM_BROKER": settings.broker,
            "OFFERSTREAM_APP_ID": name,
            "OFFERSTREAM_TOPICS__PREFIX": name,
            "OFFERSTREAM_PARTITIONS": str(PARTITIONS),
            "OFFERSTREAM_METRICS_PORT": "0",
            "OFFERSTREAM_KAFKA__SESSION_TIMEOUT": str(SESSION),
            "OFFERSTREAM_KAFKA__HEARTBEAT_INTERVAL": str(SESSION / 3),
            "OFFERSTREAM_CORE__POLICY__CONSENT_DEFAULT": "true",
            "OFFERSTREAM_CORE__POLICY__EVENTS_BURST": "1000000",
            "OFFERSTREAM_CORE__POLICY__OFFER_GAP": "60",
        }
        subprocess.run([sys.executable, "-m", "stream", "topics", "apply"], env=environ, check=True)
        fleet = Fleet(environ, Path(folder))
        try:
            asyncio.run(torment(settings, fleet, options))
        finally:
            fleet.stop()
        told = {"cycles": options.cycles, "kills": fleet.kills, "pauses": fleet.pauses}
        result = told | {"seed": options.seed} | judged(settings)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    wrong = ("lost", "double_counted", "miscounted", "missing_offers", "conflicting_offers")
    sys.exit(any(result[name] for name in wrong))


if __name__ == "__main__":
    main()
