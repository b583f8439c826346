from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.insight.evaluate.next_item import Measure, Question, Tally, learn, session_steps
from stream.models.recommend.recommender import Recommender


def yoochoose(path: Path) -> list[list[str]]:
    """Items of each session in time order, sessions by their last click."""
    sessions: dict[str, list[tuple[float, str]]] = {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            sessions.setdefault(row["SessionId"], []).append((float(row["Time"]), row["ItemId"]))
    clicks = sorted((sorted(rows, key=lambda r: r[0]) for rows in sessions.values()), key=_last)
    return [[item for _, item in rows] for rows in clicks]


def _last(rows: list[tuple[float, str]]) -> float:
    return rows[-1][0]


def evaluate(*arguments: str) -> dict[str, object]:
    command = [sys.executable, "-m", "stream", "evaluate", "next-item", "--json", *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_one_pass_over_yoochoose_reaches_the_bar_on_all_test_positions(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    train, test = tmp_path / "train.txt", tmp_path / "test.tsv"
    sessions = yoochoose(shared_data("yoochoose-100k-train.tsv.gz"))
    train.write_text("".join(" ".join(items) + "\n" for items in sessions))
    with test.open("w") as file:
        for items in yoochoose(shared_data("yoochoose-100k-test.tsv.gz")):
            for place in range(1, len(items)):
                file.write(" ".join(items[:place]) + "\t" + items[place] + "\n")
    report = evaluate("--train", str(train), "--test", str(test))
    assert report["positions"] == 10_152
    allowed = report["seen_allowed"]
    assert allowed["hr_at_20"] >= 0.70
    assert allowed["mrr_at_20"] >= 0.375
    assert report["seen_excluded"]["positions"] == 10_152
    assert report["new_target_rows"]["positions"] == 6_677
    assert report["new_target_rows"]["hr_at_20"] >= 0.57
    assert set(report["microseconds_per_recommendation"]) == {"mean", "p99"}
    assert report["peak_rss_mb"] < 1_000


def test_a_tenth_of_the_sessions_costs_less_than_two_points(
    shared_data: Callable[[str], Path],
) -> None:
    train = yoochoose(shared_data("yoochoose-100k-train.tsv.gz"))
    test = yoochoose(shared_data("yoochoose-100k-test.tsv.gz"))
    rows = [Question(s[:n], s[n]) for s in test for n in range(1, len(s))][::5]

    def quality(sessions: int) -> Tally:
        model = Recommender(items=4_096, sessions=sessions, eager=8_000)
        learn(model, session_steps(train), lambda done: None)
        measure = Measure(model, lambda: 0.0)
        for row in rows:
            measure.ask(row)
        assert (model.evicted["sessions"] > 0) == (sessions < len(train))
        return measure.allowed

    whole, tenth = quality(2 * len(train)).report(), quality(len(train) // 10).report()
    assert tenth["hr_at_20"] >= whole["hr_at_20"] - 0.02
    assert tenth["mrr_at_20"] >= whole["mrr_at_20"] - 0.02


def test_a_log_is_asked_then_learned_in_time_order(tmp_path: Path) -> None:
    log, mapping, plot = tmp_path / "log.csv", tmp_path / "m.toml", tmp_path / "curve.svg"
    rows = ["time,who,what"]
    for n in range(300):
        rows += [f"{n * 60},c{n},tea", f"{n * 60 + 1},c{n},milk"]
    log.write_text("\n".join(rows) + "\n")
    mapping.write_text(
        '[columns]\ntime = "time"\ncustomer = "who"\nitem = "what"\n'
        '[time]\nformat = "epoch_s"\n[events]\ntype = "view"\n[defaults]\ncurrency = "EUR"\n'
    )
    report = evaluate("--events", str(log), "--mapping", str(mapping), "--plot", str(plot))
    assert report["positions"] == 300
    assert report["seen_allowed"]["hr_at_20"] > 0.7
    assert plot.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --train and --test"),
        (["--train", "x"], "give --train and --test"),
        (["--train", "missing.txt", "--test", "missing.tsv"], "missing.txt"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["evaluate", "next-item", *arguments])
    assert result.exit_code != 0
    assert words in result.output + str(result.exception or "")


def test_a_line_without_a_tab_is_named(tmp_path: Path) -> None:
    train, test = tmp_path / "train.txt", tmp_path / "test.tsv"
    train.write_text("a b c\n")
    test.write_text("a b c\n")
    command = ["evaluate", "next-item", "--train", str(train), "--test", str(test)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "line 1 is not prefix<TAB>target" in result.output
