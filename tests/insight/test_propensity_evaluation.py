from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.cli.evaluate.propensity import propensity
from stream.config import ConfigError
from stream.insight.evaluate.propensity import Evaluation, Examples, LabelReader
from stream.models.base.metrics import quality
from stream.models.propensity import Propensity
from stream.reading.format import FileFormat
from stream.reading.inputs import sources

HEADER = "age;job;balance;y"


def bank(path: Path, rows: int = 1_200, word: str = "yes") -> Path:
    """A campaign's file: those of one job with money say yes."""
    rng = np.random.default_rng(3)
    lines = [HEADER]
    for _ in range(rows):
        job, balance = rng.choice(["admin", "student", "retired"]), rng.normal(0, 2_000)
        said = rng.random() < (0.7 if job == "retired" and balance > 0 else 0.1)
        lines.append(f"{rng.integers(18, 90)};{job};{balance:.1f};{word if said else 'no'}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def told(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(propensity, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_the_report_has_what_is_promised(tmp_path: Path) -> None:
    file = bank(tmp_path / "bank.csv")
    report = told("--csv", str(file), "--label", "y", "--delimiter", ";")
    assert report["events"] == 1_200
    assert report["microseconds_per_event"] > 0
    for model in (report["champion"], *report["challengers"]):
        for part in ("all", "last_half"):
            assert {"auc", "log_loss", "ece", "accuracy", "recall", "f1"} <= model[part].keys()
        assert model["all"]["events"] == 1_200 and model["last_half"]["events"] == 600
    assert report["champion"]["last_half"]["auc"] > 0.7
    names = [model["name"] for model in report["challengers"]]
    assert len(names) == 6 and names[-1] == "neural_network"


def test_the_positive_value_may_be_any(tmp_path: Path) -> None:
    file = bank(tmp_path / "bank.csv", word="subscribed")
    usual = ["--csv", str(file), "--label", "y", "--delimiter", ";", "--champion-only"]
    report = told(*usual, "--positive", "subscribed")
    turned = told(*usual, "--positive", "no")
    positives = report["champion"]["all"]["positives"]
    assert turned["champion"]["all"]["positives"] == 1_200 - positives
    with pytest.raises(ConfigError, match="--positive"):
        CliRunner().invoke(propensity, usual, catch_exceptions=False)


def test_a_zipped_file_tells_the_same(tmp_path: Path) -> None:
    file = bank(tmp_path / "bank.csv", 300)
    packed = tmp_path / "bank.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    usual = ["--label", "y", "--delimiter", ";", "--champion-only"]
    reports = [told("--csv", str(path), *usual)["champion"] for path in (file, packed)]
    assert reports[0] == reports[1]


@pytest.mark.parametrize(
    "drop", [["--drop", "job"], ["--drop", "job,age"], ["--drop", "job", "age"],
             ["--drop", "job", "--drop", "age"]],
)  # fmt: skip
def test_columns_may_be_left_out(tmp_path: Path, drop: list[str]) -> None:
    file = bank(tmp_path / "bank.csv")
    usual = ["--csv", str(file), "--label", "y", "--delimiter", ";", "--champion-only"]
    assert told(*usual, *drop)["champion"]["all"]["auc"] < told(*usual)["champion"]["all"]["auc"]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    file = bank(tmp_path / "bank.csv", 50)
    wrong = {
        "no column 'z'": ["--csv", str(file), "--label", "z", "--delimiter", ";"],
        "there are: age;job;balance;y": [*("--csv", str(file), "--label", "y", "--delimiter", ",")],
        "cannot be read": ["--csv", str(tmp_path / "none.csv"), "--label", "y"],
        "no column 'q'": ["--csv", str(file), "--label", "y", "--drop", "q", "--delimiter", ";"],
    }
    for words, arguments in wrong.items():
        with pytest.raises(ConfigError, match=words):
            CliRunner().invoke(propensity, arguments, catch_exceptions=False)


def test_a_torn_row_is_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "torn.csv").write_text("a,y\n1,1\n2\n3,0,,\n4,1,5\n", encoding="utf-8")
    examples = Examples(sources([tmp_path / "torn.csv"]), LabelReader("y", None))
    assert [example.label for example in examples] == [1, 0]
    assert examples.left_out == {"ragged": 2}


class Remembering(Propensity):
    """Notes in which order it was asked and taught."""

    def __init__(self) -> None:
        super().__init__(bits=10)
        self.asked = 0
        self.ahead: list[int] = []

    def predict(self, rows: Any, segments: Any = None) -> Any:
        self.asked += len(rows.rows)
        return super().predict(rows, segments)

    def learn(self, rows: Any, labels: Any, segments: Any = None) -> Any:
        self.ahead.append(self.asked - self.examples)
        return super().learn(rows, labels, segments)


@pytest.mark.parametrize("delay", [0, 1, 100])
def test_no_label_is_known_before_its_time(tmp_path: Path, delay: int) -> None:
    champion = Remembering()
    evaluation = Evaluation(champion, [], lambda: 0.0, delay)
    examples = Examples(sources([bank(tmp_path / "b.csv", 500)]), LabelReader("y", None))
    for _ in evaluation.run(iter(examples)):
        pass
    while_reading = champion.ahead[: -(delay // 32 + 1)]
    assert (
        min(while_reading) >= delay + 32
    )  # a batch is predicted whole before any of it is learned
    assert champion.examples == champion.asked == 500


def test_labels_shuffled_cannot_be_foreseen(tmp_path: Path) -> None:
    lines = bank(tmp_path / "bank.csv", 4_000).read_text(encoding="utf-8").splitlines()
    labels = np.random.default_rng(0).permutation([line.rsplit(";", 1)[1] for line in lines[1:]])
    mixed = [f"{line.rsplit(';', 1)[0]};{y}" for line, y in zip(lines[1:], labels, strict=True)]
    (tmp_path / "mixed.csv").write_text("\n".join([HEADER, *mixed]), encoding="utf-8")
    usual = ["--label", "y", "--delimiter", ";", "--champion-only"]
    champion = told("--csv", str(tmp_path / "mixed.csv"), *usual)["champion"]
    assert 0.44 < champion["all"]["auc"] < 0.56
    assert champion["last_half"]["ece"] < 0.05


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("1,0\n" * 100, "all 100 values of y are no: there is nothing to tell apart"),
        ("1,1\n" * 9, "all 9 values of y are yes"),
        ("1,NULL\n", "no row has a value of y"),
        ("", "has no rows to foresee"),
    ],
)
def test_what_cannot_be_foreseen_is_no_success(tmp_path: Path, rows: str, words: str) -> None:
    (tmp_path / "one.csv").write_text("a,y\n" + rows, encoding="utf-8")
    usual = ["--csv", str(tmp_path / "one.csv"), "--label", "y", "--champion-only", "--json"]
    result = CliRunner().invoke(main, ["evaluate", "propensity", *usual])
    assert result.exit_code == 2
    assert words in result.stderr
    champion = json.loads(result.stdout)["champion"]["all"]
    assert champion["auc"] is None


def test_rows_without_a_label_are_counted_and_not_learned(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("a,y\n" + "1,1\n2,\n3,0\n4,n/a\n" * 25, encoding="utf-8")
    report = told("--csv", str(tmp_path / "some.csv"), "--label", "y", "--champion-only")
    assert (report["events"], report["unlabelled"]) == (100, 50)
    assert report["champion"]["all"]["events"] == 50


def test_wild_cells_are_no_harm(tmp_path: Path) -> None:
    cells = ["nan", "inf", "-1e308", "", "NULL", "1e-300", "0x1f", "größe", "1,5", "  7 "]
    rows = [f'"{cells[n % 10]}",{n % 3},{n % 2}' for n in range(400)]
    (tmp_path / "wild.csv").write_text("a,b,y\n" + "\n".join(rows), encoding="utf-8")
    report = told("--csv", str(tmp_path / "wild.csv"), "--label", "y")
    for model in (report["champion"], *report["challengers"]):
        assert np.isfinite(model["all"]["log_loss"])


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    file, chart = bank(tmp_path / "bank.csv"), tmp_path / "curve.svg"
    usual = ["--csv", str(file), "--label", "y", "--delimiter", ";", "--champion-only"]
    told(*usual, "--plot", str(chart))
    assert "<polyline" in chart.read_text(encoding="utf-8")


def test_people_get_a_table(tmp_path: Path) -> None:
    file = bank(tmp_path / "bank.csv", 200)
    usual = ["--csv", str(file), "--label", "y", "--delimiter", ";", "--delay", "50"]
    result = CliRunner().invoke(propensity, usual)
    assert result.exit_code == 0
    for words in ("labels 50 rows late", "hashed_ftrl_stack", "adaptive_forest", "µs a row"):
        assert words in result.stdout


def test_the_metrics_are_those_of_the_scores(tmp_path: Path) -> None:
    evaluation = Evaluation(Propensity(bits=10), [], lambda: 0.0)
    found = sources([bank(tmp_path / "b.csv", 300)])
    examples = Examples(found, LabelReader("y", None), file=FileFormat(delimiter=";"))
    for _ in evaluation.run(iter(examples)):
        pass
    kept = evaluation.scores
    told = quality(np.array(kept.labels), np.array(kept.scores))
    assert evaluation.report()["champion"]["all"] == told._asdict()
