"""Three workers, killed again and again under load: an oracle finds nothing lost or doubled."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(600)
def test_five_kills_under_load_lose_double_and_change_nothing(
    kafka_install: None, tmp_path: Path, seed: int
) -> None:
    output = tmp_path / "chaos.json"
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.chaos",
            *("--cycles", "5", "--rate", "200", "--seed", str(seed), "--output", str(output)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    result = json.loads(output.read_text())
    assert result["kills"] + result["pauses"] == 5
    assert result["events"] > 1_000
