"""The command ``offerstream worker`` on a real Kafka: it comes up, is seen, and goes in order."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import PATIENCE, line_with, reading, run, until

ROOT = Path(__file__).resolve().parents[2]


class Worker:
    """A worker as a process of its own, and its address for probes and scrapes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        line = line_with(process, "health and metrics at ", process.stderr)
        self.address = re.findall(r"http://127\.0\.0\.1:\d+", line)[0]

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.address + path, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def ready(self) -> None:
        until("the worker, ready", lambda: self.get("/readyz"), lambda answer: answer[0] == 200)


@pytest.fixture
def environ(kafka: str, topic_prefix: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("OFFERSTREAM_")}
    return clean | {
        "PYTHONPATH": str(ROOT),
        "OFFERSTREAM_BROKER": f"kafka://{kafka}",
        "OFFERSTREAM_APP_ID": topic_prefix,
        "OFFERSTREAM_TOPICS__PREFIX": topic_prefix,
        "OFFERSTREAM_PARTITIONS": "2",
        "OFFERSTREAM_METRICS_PORT": "0",
    }


@pytest.fixture
def worker(environ: dict[str, str], tmp_path: Path) -> Iterator[Worker]:
    command = [sys.executable, "-m", "stream"]
    assert run([*command, "topics", "apply"], env=environ, cwd=tmp_path).returncode == 0
    process = subprocess.Popen(
        [*command, "worker"], env=environ, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        yield Worker(process)
    finally:
        process.kill()
        process.wait()


def test_it_is_seen_from_start_to_end_and_ends_in_order(worker: Worker) -> None:
    assert worker.get("/livez")[0] == 200  # while Faust is still being imported
    worker.ready()
    assert worker.get("/livez") == (200, "alive\n")
    _, text = worker.get("/metrics")
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    assert samples["offerstream_ready"] == "1.0"
    assert float(samples["offerstream_rebalances_total"]) >= 1
    assert [name for name in samples if name.startswith("offerstream_build_info{")]
    worker.process.send_signal(signal.SIGTERM)
    with reading(worker.process):
        _, rest = worker.process.communicate()
    assert worker.process.returncode == 0, rest
    assert "Traceback" not in rest
