from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.evaluating import Evaluating

EVALUATE = Evaluating("outliers")
invoke, told, refused = EVALUATE.invoke, EVALUATE.told, EVALUATE.refused

COLUMNS = "id,amount,items,country,kind"


def payments(path: Path, rows: int = 900, header: bool = True) -> Path:
    rng = np.random.default_rng(2)
    lines = [COLUMNS] if header else []
    for n in range(rows):
        items, odd = int(rng.integers(1, 6)), n % 30 == 29
        amount = items * rng.lognormal(3.0, 0.3) * (25.0 if odd else 1.0)
        lines.append(f"{n},{amount:.2f},{items},{rng.choice(['de', 'fr'])},{'x' if odd else 'o'}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_report_has_what_is_promised(tmp_path: Path) -> None:
    file, chart = payments(tmp_path / "p.csv"), tmp_path / "c.svg"
    usual = ["--csv", str(file), "--label", "kind", "--positive", "x", "--drop", "id"]
    report = told(*usual, "--plot", str(chart))
    assert (report["rows"], report["outliers"], report["unlabelled"]) == (900, 30, 0)
    assert report["auc"] > 0.9 and report["isolation_forest"]["auc"] > 0.9
    assert len(report["oddest"]) == 5
    assert report["oddest"][0]["reason"].startswith("amount is")
    assert "<polyline" in chart.read_text(encoding="utf-8")
    words = invoke(*usual)
    assert words.exit_code == 0 and "isolation forest of the whole file" in words.stdout


def test_without_a_header_columns_are_numbers(tmp_path: Path) -> None:
    named = payments(tmp_path / "p.csv", 300)
    bare = payments(tmp_path / "b.csv", 300, header=False)
    rest = ["--positive", "x"]
    by_number = told("--csv", str(bare), "--no-header", "--label", "5", "--drop", "1", *rest)
    by_name = told("--csv", str(named), "--label", "kind", "--drop", "id", *rest)
    assert by_number["outliers"] == by_name["outliers"] == 10
    assert abs(by_number["auc"] - by_name["auc"]) < 0.1


def test_labels_do_not_reach_the_detector(tmp_path: Path) -> None:
    file = payments(tmp_path / "p.csv", 300)
    usual = ["--csv", str(file), "--label", "kind"]
    one, other = (told(*usual, "--positive", value) for value in "xo")
    assert one["auc"] + other["auc"] == 1.0


def test_what_is_wrong_is_named_in_one_line(tmp_path: Path) -> None:
    file = str(payments(tmp_path / "p.csv", 60))
    (tmp_path / "bare.csv").write_text("a,y\n", encoding="utf-8")
    (tmp_path / "blank.csv").write_text("a,y\n1,\n2,\n", encoding="utf-8")
    (tmp_path / "alone.csv").write_text("y\n1\n0\n", encoding="utf-8")
    label = ["--label", "y"]
    assert "no column 'z'" in refused("--csv", file, "--label", "z")
    assert "no column 'q'" in refused("--csv", file, "--label", "kind", "--drop", "q")
    assert "--positive" in refused("--csv", file, "--label", "kind")
    assert "no row is an outlier" in refused("--csv", file, "--label", "kind", "--positive", "?")
    assert "no row has a label" in refused("--csv", str(tmp_path / "bare.csv"), *label)
    assert "no row has a label" in refused("--csv", str(tmp_path / "blank.csv"), *label)
    assert "no column but" in refused("--csv", str(tmp_path / "alone.csv"), *label)
    assert "cannot be read" in refused("--csv", str(tmp_path / "none.csv"), *label)
    assert "--delimiter" in refused("--csv", file, "--label", "kind", "--delimiter", "")
