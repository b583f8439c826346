from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner

from stream.cli.evaluate.calibration import calibration
from stream.insight.evaluate.calibration import Exposures, report

OPEN = ("--set", "core.policy.consent_default=true")


def told(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(calibration, [*arguments, *OPEN, "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_shops_log_is_foreseen_within_a_factor_of_two(shared_data: Callable[[str], Path]) -> None:
    file = shared_data("rees46-2019-oct-01.csv.gz")
    found = told(str(file), "--mapping", "rees46", "--limit", "9000")
    assert found["exposures"] > 5_000
    assert len(found["tenths"]) == 10
    assert sum(tenth["exposures"] for tenth in found["tenths"]) == found["exposures"] - 2_000
    assert 0.5 < found["all"]["expected_by_end"] / found["all"]["observed"] < 2.0
    assert 0.5 < found["all"]["ratio"] < 2.0


def test_who_only_looks_gives_no_ratio(tmp_path: Path) -> None:
    file = tmp_path / "looks.csv"
    rows = [
        f"2019-10-01 00:{n // 60:02}:{n % 60:02} UTC,view,{n % 9},1,,,9.5,{n},s" for n in range(300)
    ]
    head = "event_time,event_type,product_id,category_id,category_code,brand,price"
    head += ",user_id,user_session"
    file.write_text("\n".join([head, *rows]) + "\n")
    found = told(str(file), "--mapping", "rees46")
    assert found["exposures"] == 300
    assert found["warm_up"]["ratio"] is None and found["all"]["ratio"] is None
    words = CliRunner().invoke(calibration, [str(file), "--mapping", "rees46", *OPEN])
    assert "too few" in words.stdout


def test_nothing_looked_at_is_said(tmp_path: Path) -> None:
    none = np.zeros(0)
    found = report(Exposures(np.zeros(0, np.int64), none, none, 0, none), 86_400.0)
    assert found["exposures"] == 0 and found["all"]["ratio"] is None


def test_a_tenth_says_how_much_of_it_has_matured() -> None:
    times = np.arange(4_000) * 60_000
    exposures = Exposures(
        times, np.full(4_000, 0.25), np.arange(4_000) % 4 == 0, int(times[-1]), np.ones(4_000)
    )
    found = report(exposures, 60 * 1_000)
    assert [tenth["ratio"] for tenth in found["tenths"]] == [1.0] * 10
    assert found["tenths"][0]["matured"] == 1.0 and found["tenths"][-1]["matured"] == 0.0
