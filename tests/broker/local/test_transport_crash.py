"""Plain Faust on a local log, killed at random: at least once, and nothing acknowledged is lost."""

import json
import random
import subprocess
import sys
from pathlib import Path

from stream.broker.local.log import Log
from tests.waiting import reading

ROOT = Path(__file__).parents[3]
EVENTS = 1_500

APP = f"""
import asyncio, sys
import faust
from faust.transport.drivers import TRANSPORTS
from stream.broker.local.log import LogRecord

TRANSPORTS.aliases["local"] = "stream.worker.faust.local.transport:Transport"
app = faust.App(
    "shop", broker=f"local://{{sys.argv[1]}}?partitions=4&segment_bytes=20000&compact_bytes=5000",
    store="memory://", topic_partitions=4, topic_disable_leader=True, web_enabled=False,
    broker_commit_interval=0.05, broker_commit_livelock_soft_timeout=60,
)
clicks = app.topic("clicks", key_type=bytes, value_type=bytes, value_serializer="raw")
offers = app.topic("offers", key_type=bytes, value_type=bytes, value_serializer="raw")
counts = app.Table("counts", default=int, key_type=bytes, value_type=int)
done = asyncio.Event()

@app.agent(clicks)
async def offer(stream):
    async for event in stream.events():
        counts[event.key] += 1
        await offers.send(key=event.key, value=event.value, partition=event.message.partition)
        if event.message.offset % 20 == 0:
            print("offered", event.value.decode(), flush=True)

async def publish():
    log = app.transport.log
    published = sum(log.highwater("clicks", p) for p in range(4))
    while published < {EVENTS}:
        partition = published // 10 % 4
        numbers = range(published, published + 10)
        batch = [LogRecord(b"c%d-%d" % (partition, n % 7), b"%d" % n, 0) for n in numbers]
        await app.producer.send_batch("clicks", partition, batch)
        published += 10
        print("published", published, flush=True)

def finished():
    log = app.transport.log
    ends = [("shop", "clicks", p) for p in range(4)]
    return all(log.committed(*end) == log.highwater(*end[1:]) for end in ends)

async def main():
    app.finalize()
    await app.start()
    app.transport.ensure_topic("clicks")
    await publish()
    while not finished():
        await asyncio.sleep(0.05)
    print("counts", sum(counts.values()), flush=True)
    await app.stop()

asyncio.run(main())
"""


def test_killed_again_and_again_every_event_is_taken_at_least_once(tmp_path):
    seed = 3
    print(f"seed {seed}")
    draw = random.Random(seed)
    published = 0
    for lines in (draw.randrange(5, 60), draw.randrange(5, 120), draw.randrange(5, 200), None):
        tear(tmp_path, draw)
        command = [sys.executable, "-c", APP, str(tmp_path)]
        with (
            subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process,
            reading(process),
        ):
            for number, line in enumerate(process.stdout):
                said, count = line.split()
                if said == "published":
                    assert int(count) > published  # what was acknowledged is still there
                    published = int(count)
                if number == lines:
                    process.kill()
    assert process.returncode == 0
    with Log(tmp_path) as log:
        clicks, offers = (
            [record.value for record in everything(log, topic)] for topic in ("clicks", "offers")
        )
        assert sorted(map(int, clicks)) == list(range(EVENTS))
        assert set(offers) == set(clicks)
        state = {
            record.key: json.loads(record.value)
            for record in everything(log, "shop-counts-changelog")
        }
        assert said == "counts"
        assert int(count) == sum(state.values()) >= EVENTS


def everything(log, topic):
    limits = {"max_records": 1 << 30, "max_bytes": 1 << 30}
    return [record for p in range(4) for record in log.read(topic, p, 0, **limits)]


def tear(directory, draw):
    """Leave half a batch at the end of some partitions, as a power cut may."""
    for partition in directory.glob("topics/*/*/"):
        path = max(partition.glob("*.log"), default=None)
        if path is not None and draw.random() < 0.5:
            with path.open("ab") as file:
                file.write(path.read_bytes()[20 : 20 + draw.randrange(1, 60)])
