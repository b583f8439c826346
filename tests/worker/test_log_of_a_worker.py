"""A worker's log: a line for each stage of its life, for people or for collectors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from tests.waiting import ended, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)
def test_each_stage_of_a_workers_life_is_one_line_and_one_object(tmp_path: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("OFFERSTREAM_")}
    settings = {
        "OFFERSTREAM_BROKER": f"local://{tmp_path / 'log'}",
        "OFFERSTREAM_DATA_DIR": str(tmp_path / "data"),
        "OFFERSTREAM_PARTITIONS": "3",
        "OFFERSTREAM_METRICS__PORT": "0",
        "OFFERSTREAM_LOG_FORMAT": "json",
        "PYTHONPATH": str(ROOT),
    }
    log = tmp_path / "words.log"
    with log.open("wb") as words:
        command = [sys.executable, "-m", "stream", "worker"]
        worker = subprocess.Popen(command, env=clean | settings, stderr=words)

    def told() -> str:
        assert worker.poll() is None, log.read_text()
        return log.read_text()

    try:
        until("a worker that is ready", told, lambda words: "ready: " in words)
        worker.send_signal(signal.SIGTERM)
        assert ended(worker) == 0
    finally:
        worker.kill()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(line.keys() == {"time", "level", "logger", "message"} for line in lines)
    times = [datetime.fromisoformat(line["time"]) for line in lines]
    assert all(time.tzinfo for time in times) and times == sorted(times)
    lines = [line for line in lines if not line["message"].startswith("kernels were compiled")]
    assert {line["level"] for line in lines} == {"info"}
    stages = [line["message"].partition(":")[0] for line in lines]
    assert stages == ["start", "health and metrics at http", "ready", "drain", "end"]
    assert lines[2]["message"] == "ready: takes partitions 0-2"
