from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stream.cli.evaluate.segments import segments
from stream.config import ConfigError


def customers(path: Path) -> Path:
    rng = np.random.default_rng(2)
    rows = ["id,recency,frequency,monetary"]
    for n in range(600):
        loyal = n % 3 == 0
        spend = np.exp(rng.normal(6 if loyal else 3, 0.5))
        rows.append(f"c{n},{rng.integers(1, 20 if loyal else 300)},{9 if loyal else 1},{spend:.2f}")
    rows += ["c900,,1,2", "c901,x,1,2", "c902,nan,1,2", "c903"]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(segments, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_report_has_what_is_promised(tmp_path: Path) -> None:
    file = customers(tmp_path / "rfm.csv")
    usual = ["--csv", str(file), "--columns", "recency,frequency,monetary", "--log"]
    report = json.loads(run(*usual, "--k", "4", "--shuffles", "3", "--json"))
    assert (report["points"], report["left_out"], report["shuffles"]) == (600, 4, 3)
    ratio = report["inertia_ratio"]
    assert 0.999 < ratio["mean"] <= ratio["worst"] < 1.1
    assert len(report["segments"]) == 4
    assert set(report["quality"]) == {"kmeans", "density", "hierarchical", "som"}
    for kind, quality in report["quality"].items():
        assert 0 < quality["silhouette"] <= 1 and quality["davies_bouldin"] > 0, kind
        assert 0.2 < quality["stability"] <= 1, kind
    pictures = ["--dendrogram", str(tmp_path / "d.svg"), "--map", str(tmp_path / "m.svg")]
    told = run(*usual, "--scale", "--shuffles", "1", "--plot", str(tmp_path / "c.svg"), *pictures)
    assert (tmp_path / "d.svg").read_text(encoding="utf-8").count("<path") == 47
    assert "U-matrix" in (tmp_path / "m.svg").read_text(encoding="utf-8")
    assert "Davies-Bouldin" in told
    assert "600 customers, 4 rows left out" in told and "average monetary" in told
    assert "<polyline" in (tmp_path / "c.svg").read_text(encoding="utf-8")


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    file = customers(tmp_path / "rfm.csv")
    wrong = {
        "no column 'spend'": ["--csv", str(file), "--columns", "spend"],
        "no row has numbers": ["--csv", str(file), "--columns", "id"],
        "names no column": ["--csv", str(file), "--columns", ","],
        "cannot be read": ["--csv", str(tmp_path / "none"), "--columns", "recency"],
    }
    for words, arguments in wrong.items():
        with pytest.raises(ConfigError, match=words):
            run(*arguments)


def test_too_few_customers_are_no_harm(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("a\n1\n2\n", encoding="utf-8")
    report = json.loads(run("--csv", str(tmp_path / "few.csv"), "--columns", "a", "--json"))
    assert report["inertia_ratio"]["mean"] is None and report["segments"] == []
    assert "too few" in run("--csv", str(tmp_path / "few.csv"), "--columns", "a")
