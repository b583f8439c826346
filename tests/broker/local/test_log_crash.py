"""A process that is killed, or whose disk is full, loses nothing that was appended."""

import random
import subprocess
import sys
from pathlib import Path

from stream.broker.local.log import Log
from tests.waiting import reading

ROOT = Path(__file__).parents[3]

APPENDER = """
import sys
from stream.broker.local.log import Log, LogRecord
log = Log(sys.argv[1], segment_bytes=30_000, compact_bytes=20_000)
log.create_topic("t", 1, compacted=True)
end = log.highwater("t", 0)
batch = int(log.read("t", 0, end - 1)[0].value) + 1 if end else 0
while True:
    log.append("t", 0, [LogRecord(b"%d" % (batch * 10 + i), b"%d" % batch, 0) for i in range(10)])
    print(batch, flush=True)
    batch += 1
    if batch % 60 == 0:
        for _ in log.compact("t", 0):
            pass
"""

FILLER = """
import resource, sys
from stream.broker.local.log import Log, LogRecord
log = Log(sys.argv[1])
log.create_topic("t", 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
while True:
    try:
        log.append("t", 0, [LogRecord(None, b"x" * 700, 0)] * 10)
    except OSError as error:
        print(error)
        break
log.append("t", 0, [LogRecord(None, b"small", 0)])
print(log.highwater("t", 0))
"""


def spawn(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )


def test_kill_9_loses_nothing_appended_and_leaves_no_half_batch(tmp_path):
    seed = 7
    draw = random.Random(seed)
    print(f"seed {seed}")
    for _ in range(6):
        process = spawn(APPENDER, tmp_path)
        with reading(process):
            for _ in range(draw.randrange(1, 300)):
                appended = int(process.stdout.readline())
        process.kill()
        process.wait()
        with Log(tmp_path) as log:
            records = log.read("t", 0, 0, max_records=1 << 30, max_bytes=1 << 30)
            batches = [int(record.value) for record in records]
            assert batches[-1] >= appended
            assert batches == [n for n in range(batches[-1] + 1) for _ in range(10)]


def test_a_full_disk_keeps_no_part_of_the_batch_and_says_which_file(tmp_path):
    process = spawn(FILLER, tmp_path)
    with reading(process):
        message, highwater = process.communicate()[0].splitlines()
    assert f"cannot append to {tmp_path}/topics/t/0/{0:020d}.log: File too large" in message
    assert int(highwater) % 10 == 1  # whole batches, and the small one that still had room
    with Log(tmp_path) as log:
        values = [record.value for record in log.read("t", 0, 0)]
    assert values == [b"x" * 700] * (int(highwater) - 1) + [b"small"]
