from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.evaluating import Evaluating

EVALUATE = Evaluating("ratings")
invoke, told, refused = EVALUATE.invoke, EVALUATE.told, EVALUATE.refused

USUAL = ["--user", "who", "--item", "what", "--rating", "stars", "--time", "when"]


def stars(path: Path, rows: int = 3_000, delimiter: str = ",", header: bool = True) -> Path:
    """Ratings out of order, of users and items with tastes in two directions."""
    rng = np.random.default_rng(4)
    liking, kind, good = (
        rng.normal(0, 1, (50, 2)),
        rng.normal(0, 1, (40, 2)),
        rng.normal(0, 0.5, 40),
    )
    lines = []
    for n in range(rows):
        u, i = int(rng.integers(50)), int(rng.integers(40))
        value = 3.5 + good[i] + 0.7 * liking[u] @ kind[i] + rng.normal(0, 0.3)
        cells = (f"u{u}", f"i{i}", f"{np.clip(round(value), 1, 5):g}", str(880_000_000 + 60 * n))
        lines.append(delimiter.join(cells))
    lines = rng.permutation(lines).tolist()
    first = [delimiter.join(("who", "what", "stars", "when"))] if header else []
    path.write_text("\n".join(first + lines), encoding="utf-8")
    return path


def test_the_report_has_what_is_promised(tmp_path: Path) -> None:
    file, chart = stars(tmp_path / "r.csv"), tmp_path / "c.svg"
    report = told("--csv", str(file), *USUAL, "--plot", str(chart))
    assert (report["ratings"], report["users"], report["items"]) == (3_000, 50, 40)
    assert report["rmse"] < 0.8 * report["mean"]["rmse"] and report["mae"] < report["rmse"]
    assert report["batch"]["rmse"] < report["mean"]["rmse"]
    assert report["rmse"] <= min(report["factors"]["rmse"], report["neighbours"]["rmse"]) + 0.01
    assert chart.read_text(encoding="utf-8").count("<polyline") == 6
    words = invoke("--csv", str(file), *USUAL)
    assert words.exit_code == 0 and "neighbours" in words.stdout


@pytest.mark.parametrize("delimiter", ["\t", "::", ";"])
def test_without_a_header_columns_are_numbers_and_delimiters_are_found(
    tmp_path: Path, delimiter: str
) -> None:
    file = stars(tmp_path / "u.data", 300, delimiter, header=False)
    columns = ["--user", "1", "--item", "2", "--rating", "3", "--time", "4"]
    report = told("--csv", str(file), "--no-header", *columns)
    named = told("--csv", str(stars(tmp_path / "r.csv", 300)), *USUAL)
    assert report == named


def test_what_is_wrong_is_named_in_one_line(tmp_path: Path) -> None:
    file = str(stars(tmp_path / "r.csv", 50))
    one, none = tmp_path / "one.csv", tmp_path / "none.csv"
    one.write_text("who,what,stars,when\nu,i,4,1\n", encoding="utf-8")
    none.write_text("who,what,stars,when\n", encoding="utf-8")
    assert "no column 'z'" in refused("--csv", file, *USUAL[:-1], "z")
    assert "is no time" in refused("--csv", file, *USUAL[:-1], "what")
    wrong = ["--user", "who", "--item", "what", "--rating", "what", "--time", "when"]
    assert "fewer than two rows" in refused("--csv", file, *wrong)
    assert "fewer than two rows" in refused("--csv", str(one), *USUAL)
    assert "has no rows" in refused("--csv", str(none), *USUAL)
    assert "--no-header" in refused("--csv", file, "--user", "1", *USUAL[2:])
    assert "columns are 1 … 4" in refused("--csv", file, "--no-header", "--user", "9", *USUAL[2:])
