"""Workers are killed in the middle of whatever they do; the oracle's count stands.

Two workers on a real Kafka, and an engine on a local log, are killed with SIGKILL again and again
while events arrive as fast as they are taken. In the end every customer's record says what the
oracle counted, every record is accounted for once, no offer's id has two contents, and no example
was learned twice. A worker that is asked to end under load ends well, and leaves nothing to do
again.
"""

from __future__ import annotations

import asyncio
import json
import operator
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream.broker.opening import open_cluster
from stream.broker.records import Record
from stream.broker.whole import read_topic
from stream.codec.offers import is_recall
from stream.codec.partition import partition_for
from stream.config import (
    CoreSettings,
    KafkaSettings,
    LearningSettings,
    PolicySettings,
    Settings,
    Topics,
    WorkerSettings,
)
from stream.insight.changelog import read_customers
from stream.worker.checks.topics import apply, plan
from tests.lessons import publications
from tests.oracle import Sent, a_history, kept_of, recount
from tests.waiting import ended, eventually, reading, until

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 4
POLICY = PolicySettings(consent_default=True, offer_gap=60.0, quiet_from=0, quiet_until=0)


def settings_of(broker: str, prefix: str, data_dir: Path) -> Settings:
    """Settings of a shop in which most customers may be offered something."""
    return Settings(
        broker=broker,
        app_id=prefix,
        partitions=PARTITIONS,
        data_dir=data_dir,
        topics=Topics(prefix=prefix),
        core=CoreSettings(policy=POLICY),
        learning=LearningSettings(propensity_bits=12, publish_interval=0.5),
        kafka=KafkaSettings(session_timeout=3.0, heartbeat_interval=1.0),
    )


def assignments(settings: Settings) -> list[str]:
    """What differs from the defaults, as options of the command."""
    set_to = {
        "app_id": settings.app_id,
        "partitions": settings.partitions,
        "topics.prefix": settings.topics.prefix,
        "core.policy.consent_default": "true",
        "core.policy.offer_gap": POLICY.offer_gap,
        "core.policy.quiet_from": 0,
        "core.policy.quiet_until": 0,
        "learning.propensity_bits": 12,
        "learning.publish_interval": 0.5,
        "kafka.session_timeout": settings.kafka.session_timeout,
        "kafka.heartbeat_interval": settings.kafka.heartbeat_interval,
        "metrics.port": 0,
        "worker.drain_timeout": 240,  # an end in order is asked for, and not a fast one
    }
    return [f"--set={name}={value}" for name, value in set_to.items()]


def clean_environment() -> dict[str, str]:
    """Nothing of the caller's settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("OFFERSTREAM_")}
    return clean | {"PYTHONPATH": str(ROOT)}


class Worker:
    """The command ``offerstream worker`` as a process that may be killed and started again."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        folder.mkdir()
        self.log = folder / "log"
        self._folder = folder
        self._command = [
            *(sys.executable, "-m", "stream", "worker", "--broker", settings.broker),
            *assignments(settings),
        ]
        self.start()

    def start(self) -> None:
        """Start, or start again."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=clean_environment(), cwd=self._folder, stderr=log
            )

    def kill(self) -> None:
        """Kill it in the middle of whatever it does."""
        self.process.kill()
        self.process.wait()

    async def get(self, path: str) -> str:
        """Ask for a page of metrics or health; empty while there is no answer."""
        addresses = re.findall(r"health and metrics at (\S+)", self.log.read_text())
        if not addresses:
            return ""
        try:
            answer = await asyncio.to_thread(urllib.request.urlopen, addresses[-1] + path, None, 30)
        except OSError:
            return ""
        with answer:
            text: str = answer.read().decode()
            return text

    async def ready(self) -> None:
        """Wait until it takes events."""

        async def look() -> str:
            assert self.process.poll() is None, self.log.read_text()
            return await self.get("/readyz") or self.log.read_text()

        await eventually("a worker that is ready", look, lambda seen: seen == "ready\n")

    async def ended(self) -> int:
        """Wait for its end: the exit code."""
        return await asyncio.to_thread(ended, self.process, self.log.read_text)


@asynccontextmanager
async def workers(settings: Settings, folder: Path, count: int) -> AsyncIterator[list[Worker]]:
    """Some workers, and their topics; killed in the end, if they still run."""
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
    started = [Worker(settings, folder / f"worker-{n}") for n in range(count)]
    try:
        yield started
    finally:
        for worker in started:
            worker.kill()


async def publish(settings: Settings, history: Iterable[Sent], rate: float) -> None:
    """Publish a history in its order, each record once, at most so many a second."""
    producer = AIOKafkaProducer(
        bootstrap_servers=list(settings.bootstrap_servers), enable_idempotence=True, linger_ms=5
    )
    async with producer:
        for n, (kind, key, value) in enumerate(history):
            topic = getattr(settings.topics, kind)
            shard = partition_for(key, PARTITIONS)
            await producer.send(topic, value, key=key, partition=shard)
            if n % 50 == 49:
                await asyncio.sleep(50 / rate)
        await producer.flush()


async def all_done(settings: Settings, running: Sequence[Worker]) -> None:
    """Wait until everything that was published is committed, examples too."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(settings.bootstrap_servers),
        group_id=settings.app_id,
        enable_auto_commit=False,
    )
    async with consumer:
        events = [TopicPartition(t, p) for t in settings.topics.events for p in range(PARTITIONS)]
        for tps in (events, [TopicPartition(settings.topics.examples, 0)]):
            look = partial(lag, consumer, tps, running)
            await eventually("no lag", look, operator.not_, left=total, every=0.2)


async def lag(
    consumer: AIOKafkaConsumer, tps: Sequence[TopicPartition], running: Sequence[Worker]
) -> dict[TopicPartition, int]:
    """Where there is lag, and how much; who ended by itself is started again, as by systemd."""
    for worker in running:
        if worker.process.poll() is not None:
            worker.start()
    ends = await consumer.end_offsets(tps)
    left = {tp: end - (await consumer.committed(tp) or 0) for tp, end in ends.items()}
    return {tp: n for tp, n in left.items() if n}


def total(left: dict[TopicPartition, int]) -> int:
    """How much lag there is in all."""
    return sum(left.values())


def assert_as_the_oracle_says(settings: Settings, history: Sequence[Sent]) -> None:
    """Records, counts, offers and models are what the input alone must come to."""
    accounts, outcomes = recount(history)
    customers = read_customers(settings)
    kept = {name: kept_of(state) for name, state in customers.states.items()}
    assert kept.keys() == accounts.keys()
    wrong = {n: (k, accounts[n]) for n, k in kept.items() if k != accounts[n]}
    assert not wrong, next(iter(wrong.items()))
    counts: Counter[str] = Counter()
    for ledger in customers.ledgers:
        counts.update(ledger.counts)
    judged = ("applied", "duplicate", "rejected", "late", "suppressed")
    assert {name: counts[name] for name in judged if counts[name]} == outcomes
    assert sum(outcomes.values()) == len(history)

    contents: defaultdict[str, set[bytes]] = defaultdict(set)
    for value in values_of(settings, settings.topics.offers, PARTITIONS):
        if not is_recall(value):
            contents[json.loads(value)["offer_id"]].add(value)
    assert [name for name, different in contents.items() if len(different) > 1] == []
    assert len(contents) == counts["offers"] > 0
    made = sum(state.delivery.offers for state in customers.states.values())
    assert made == counts["offers"]
    letters: set[tuple[bytes, bytes, bytes]] = set()

    def bury(record: Record) -> None:
        headers = dict(record.headers)
        places = (
            headers[f"offerstream.{name}"] or b"" for name in ("topic", "partition", "offset")
        )
        topic, partition, offset = places
        letters.add((topic, partition, offset))

    read_topic(settings, settings.topics.dead_letters, PARTITIONS, bury)
    assert len(letters) == counts["rejected"]
    published = publications(settings)
    assert [one for one in published if one.learned != one.taught] == []
    assert published


def values_of(settings: Settings, topic: str, partitions: int) -> list[bytes]:
    """Every value in a topic."""
    found: list[bytes] = []
    read_topic(settings, topic, partitions, lambda record: found.append(record.value or b""))
    return found


# -------------------------------------------------------------------------------------------- Kafka


async def test_workers_killed_under_load_lose_double_and_change_nothing(
    kafka: str, topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    history = list(a_history(seed, 5_000))
    settings = settings_of(f"kafka://{kafka}", topic_prefix, tmp_path)
    async with workers(settings, tmp_path, 2) as running:
        await running[0].ready()
        load = asyncio.create_task(publish(settings, history, rate=500))
        for _ in range(4):
            await asyncio.sleep(chance.uniform(0.2, 4.0))
            victim = chance.choice(running)
            victim.kill()
            victim.start()
        await load
        await all_done(settings, running)
    await asyncio.to_thread(assert_as_the_oracle_says, settings, history)


async def test_a_worker_asked_to_end_under_load_ends_well_and_leaves_nothing_to_do_again(
    kafka: str, topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    history = list(a_history(seed, 4_000))
    settings = settings_of(f"kafka://{kafka}", topic_prefix, tmp_path)
    async with workers(settings, tmp_path, 1) as (worker,):
        await worker.ready()
        load = asyncio.create_task(publish(settings, history, rate=400))
        for _ in range(2):
            await asyncio.sleep(chance.uniform(0.5, 2.0))
            worker.process.send_signal(signal.SIGTERM)
            assert await worker.ended() == 0, worker.log.read_text()
            assert "Traceback" not in worker.log.read_text()
            worker.start()
            await worker.ready()
        await load
        await all_done(settings, [worker])
        assert "\nofferstream_events_replayed_total 0.0\n" in await worker.get("/metrics")
    await asyncio.to_thread(assert_as_the_oracle_says, settings, history)


async def test_a_trainer_that_is_killed_ends_its_worker_and_nothing_is_lost(
    kafka: str, topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    history, over = list[Sent](), asyncio.Event()
    settings = settings_of(f"kafka://{kafka}", topic_prefix, tmp_path)
    async with workers(settings, tmp_path, 1) as (worker,):
        await worker.ready()
        # There is something to learn as long as a trainer is waited for, however long that takes.
        load = asyncio.create_task(publish(settings, kept(history, seed, over), rate=400))
        trainer = await asyncio.to_thread(the_trainer_of, worker)
        os.kill(trainer, signal.SIGKILL)
        assert await worker.ended() == 1
        assert "the trainer's process ended with -9" in worker.log.read_text()
        worker.start()
        await worker.ready()
        trainer = await asyncio.to_thread(the_trainer_of, worker)
        worker.kill()
        await asyncio.to_thread(wait_for_the_end_of, trainer)
        worker.start()
        over.set()
        await load
        await all_done(settings, [worker])
    await asyncio.to_thread(assert_as_the_oracle_says, settings, history)


def kept(history: list[Sent], seed: int, over: asyncio.Event) -> Iterator[Sent]:
    """Events until it is over, kept in a history."""
    for sent in a_history(seed, sys.maxsize):
        if over.is_set():
            return
        history.append(sent)
        yield sent


def the_trainer_of(worker: Worker) -> int:
    """The process in which a worker learns, as soon as there is one; ps(1) is not everywhere."""

    def look() -> list[int]:
        assert worker.process.poll() is None, worker.log.read_text()
        return [child for child in children_of(worker.process.pid) if is_trainer(child)]

    (trainer,) = until("the process of a trainer", look)
    return trainer


def children_of(process: int) -> Iterator[int]:
    """The processes that a process has started, and that still run."""
    for about in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # one that has just ended
            if int((about / "stat").read_text().rpartition(")")[2].split()[1]) == process:
                yield int(about.name)


def is_trainer(process: int) -> bool:
    """Whether this is a process that learns, and still runs."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
    return b"stream.worker.learning.process" in command.split(b"\0")


def wait_for_the_end_of(trainer: int) -> None:
    """Return when it runs no more."""
    until("the trainer's end", lambda: not is_trainer(trainer))


# ----------------------------------------------------------------------------------------- embedded

ENGINE = '''
import asyncio, random, sys
from pathlib import Path
from stream.worker.faust.table import BatchTable
from stream.worker.engine import Engine
from stream.worker.pipeline import Pipeline
from stream.worker.checks.topics import verify
from tests.integration import test_kill_worker as ours
from tests.oracle import a_history

def hesitant(call):
    """Widen the gap in front of a step, so that a kill falls into it."""
    async def step(*args):
        await asyncio.sleep(random.uniform(0.0, 0.05))
        return await call(*args)
    return step

BatchTable.send = hesitant(BatchTable.send)
Pipeline._begin = hesitant(Pipeline._begin)

async def main(directory, seed, size, chunk):
    settings = ours.embedded(Path(directory))
    await asyncio.to_thread(verify, settings)
    async with Engine(settings) as engine:
        left = ours.unpublished(engine, list(a_history(seed, size)))
        for at in range(0, len(left), chunk):
            await engine.publish(left[at : at + chunk])
            await asyncio.sleep(0)
            print("published", flush=True)
        await engine.settle()
        print("settled", flush=True)

asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
'''


def embedded(directory: Path) -> Settings:
    """Settings of an engine in a directory."""
    settings = settings_of(f"local://{directory / 'log'}", "shop-", directory / "state")
    return replace(settings, worker=WorkerSettings(commit_interval=0.05))


def unpublished(engine: object, history: Sequence[Sent]) -> list[object]:
    """The records of a history that are not in the log yet, each with its number."""
    from tests.topology.embedded import stored

    present = {
        int(dict(record.headers)["number"] or b"")
        for kind in ("clicks", "purchases", "feedback", "customers")
        for record in stored(engine, kind)
    }
    return [
        (kind, key, value, (("number", b"%d" % n),), None)
        for n, (kind, key, value) in enumerate(history)
        if n not in present
    ]


def lives(directory: Path, seed: int, size: int) -> Iterator[subprocess.Popen[str]]:
    """The engine as a process, again and again."""
    while True:
        with subprocess.Popen(
            [sys.executable, "-c", ENGINE, str(directory), str(seed), str(size), "100"],
            env=clean_environment(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            yield process


def test_an_engine_killed_again_and_again_loses_doubles_and_changes_nothing(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    size = 5_000
    kills = [chance.randint(1, 12) for _ in range(5)]
    for process in lives(tmp_path, seed, size):
        assert process.stdout is not None
        last = kills.pop() if kills else None
        said = ""
        with reading(process):
            for number, said in enumerate(process.stdout):  # noqa: B007  # the last is asked for
                if number == last:
                    time.sleep(chance.uniform(0.0, 0.3))  # no matter when
                    process.kill()
        if last is None:
            assert said == "settled\n"
            assert ended(process) == 0
            break
    assert_as_the_oracle_says(embedded(tmp_path), list(a_history(seed, size)))
