from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from stream.cli.evaluate.policy import policy
from stream.config import ConfigError
from stream.insight.evaluate.policy import ColumnNames, log_of, outcome_of, report

ARMS = ["mens", "none", "womens"]


def draw(seed: int, rows: int, taste: float = 0.08) -> tuple[list[list[str]], Any]:
    """A log in which each sex buys by its own mail, and the rate of each arm in each row."""
    rng = np.random.default_rng(seed)
    arms, man = rng.integers(0, 3, rows), rng.random(rows) < 0.5
    age, town = rng.normal(40, 10, rows), rng.choice(["a", "b", "c"], rows)
    rates = np.full((rows, 3), 0.1)
    rates[:, 0] += np.where(man, taste, -taste / 2) + 0.02
    rates[:, 2] += np.where(man, -taste / 2, taste)
    bought = rng.random(rows) < rates[np.arange(rows), arms]
    told = [
        [ARMS[arms[n]], str(int(bought[n])), "m" if man[n] else "f", f"{age[n]:.0f}", town[n]]
        for n in range(rows)
    ]
    return told, rates


def file_of(path: Path, rows: list[list[str]]) -> Path:
    lines = ["arm,bought,sex,age,town", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


COLUMNS = ColumnNames("arm", "bought", ("sex", "age", "town"))


def test_choosing_by_context_is_worth_more_than_any_arm(tmp_path: Path, seed: int) -> None:
    file = file_of(tmp_path / "log.csv", draw(seed, 12_000)[0])
    arguments = ["--csv", str(file), "--arm", "arm", "--reward", "bought"]
    result = CliRunner().invoke(policy, [*arguments, "--context", "sex", "age", "town", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["policy"] == "linear"
    assert told["value"] > max(arm["value"] for arm in told["arms"].values())
    assert told["interval"][0] < told["value"] < told["interval"][1]
    assert told["uniform"]["value"] < told["value"]
    assert set(told["arms"]) == set(ARMS)
    assert {"value", "standard_error", "interval"} <= told["uniform"].keys()
    words = CliRunner().invoke(policy, [*arguments, "--context", "sex,age"])
    assert "chosen: by context" in words.stdout


def test_values_cover_the_truth_in_ninety_of_a_hundred(seed: int) -> None:
    rows, arms = 1_500, np.eye(3)
    hits = dict.fromkeys(("chosen", "uniform", *ARMS), 0)
    for n in range(100):
        told, rates = draw(seed + n, rows)
        log = log_of(told, COLUMNS)
        outcome = outcome_of(log, lambda _: None)
        found = report(log, outcome)
        chosen = outcome.linear if found["policy"] == "linear" else outcome.thompson
        policies = {"chosen": chosen, "uniform": np.full((rows, 3), 1 / 3)}
        policies |= {arm: np.tile(arms[k], (rows, 1)) for k, arm in enumerate(ARMS)}
        intervals = {"chosen": found, "uniform": found["uniform"], **found["arms"]}
        for name, what in policies.items():
            low, high = intervals[name]["interval"]
            hits[name] += low <= (what * rates).sum(axis=1).mean() <= high
    assert min(hits.values()) >= 88, hits  # 90 less two of chance


def test_without_an_effect_one_arm_is_chosen_for_everybody(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows: list[list[str]] = []
    for _ in range(4_000):
        arm = int(rng.integers(0, 3))
        rows.append([ARMS[arm], str(int(rng.random() < 0.05 + 0.1 * (arm == 1)))])
    log = log_of(rows, ColumnNames("arm", "bought"))
    found = report(log, outcome_of(log, lambda _: None))
    assert found["policy"] == "thompson" and found["choices"]["none"] == 1.0
    assert found["likely_best"]["none"] > 0.99


def test_given_propensities_undo_a_skewed_log(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(6_000):
        man = rng.random() < 0.5
        odds = 0.8 if man else 0.2  # men get the mail more often, and buy more anyway
        mailed = rng.random() < odds
        bought = rng.random() < (0.3 if man else 0.1) + 0.05 * mailed
        rows.append(["ny"[mailed], str(int(bought)), str(odds if mailed else 1 - odds)])
    log = log_of(rows, ColumnNames("arm", "bought", (), "p"))
    found = report(log, outcome_of(log, lambda _: None))
    assert found["arms"]["y"]["value"] - found["arms"]["n"]["value"] == pytest.approx(
        0.05, abs=0.04
    )


def test_faults_are_named() -> None:
    rows = [["a", "1"], ["b", "x"]] * 100
    with pytest.raises(ConfigError, match="'x' is no number"):
        log_of(rows, ColumnNames("arm", "bought"))
    with pytest.raises(ConfigError, match="too few"):
        log_of(rows[:10], ColumnNames("arm", "bought"))
    with pytest.raises(ConfigError, match="1 different values"):
        log_of([["a", "1"]] * 200, ColumnNames("arm", "bought"))
    with pytest.raises(ConfigError, match="above 0"):
        log_of([["a", "1", "0"], ["b", "1", "1"]] * 100, ColumnNames("arm", "bought", (), "p"))


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = file_of(tmp_path / "log.csv", draw(1, 200)[0])
    arguments = ["--csv", str(file), "--arm", "arm", "--reward", "spent"]
    result = CliRunner().invoke(policy, arguments)
    assert isinstance(result.exception, ConfigError)
    assert "no column 'spent'" in str(result.exception)
