from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.insight.evaluate.dates import time_reader
from stream.insight.evaluate.exponential import fitted, smoothed
from stream.insight.evaluate.periods import SeriesTable, period_of, read_series
from stream.reading.format import FileFormat
from stream.reading.inputs import sources
from stream.reading.table import Table
from tests.evaluating import Evaluating

EVALUATE = Evaluating("forecast")
told, refused = EVALUATE.told, EVALUATE.refused

START = datetime(2023, 1, 1)  # noqa: DTZ001 - a file tells no zone


def written(path: Path, rows: list[str], header: str | None = "when,what,value") -> Path:
    path.write_text("\n".join([*([header] if header else []), *rows]), encoding="utf-8")
    return path


def series_of(path: Path) -> SeriesTable:
    return read_series(Table(sources([path]), FileFormat(), ("when", "value")), "when", "value")


def daily(path: Path, days: int = 90, groups: int = 2) -> Path:
    rng = np.random.default_rng(1)
    rows = [
        f"{START + timedelta(days=day):%Y-%m-%d},g{group},"
        f"{50 + 20 * (day % 7 > 4) + rng.normal():.3f}"
        for day in range(days)
        for group in range(groups)
    ]
    return written(path, rows)


def test_the_report_has_what_is_promised(tmp_path: Path) -> None:
    file = daily(tmp_path / "d.csv")
    usual = ["--csv", str(file), "--time", "when", "--value", "value"]
    report = told(*usual, "--by", "what", "--plot", str(tmp_path / "c.svg"))
    assert (report["period"], report["series"], report["horizon"]) == ("day", 2, 1)
    assert {"mase", "smape", "coverage"} <= report.keys()
    assert report["seasonal_naive"]["mase"] == pytest.approx(1.0)
    assert report["mase"] < 0.9 and report["batch"]["mase"] < 1.0
    assert 0.8 < report["coverage"] <= 1.0
    assert "<polyline" in (tmp_path / "c.svg").read_text(encoding="utf-8")
    words = CliRunner().invoke(main, ["evaluate", "forecast", *usual, "--horizon", "3"])
    assert words.exit_code == 0 and "seasonal naive" in words.stdout


def test_without_a_header_columns_are_numbers_and_in_any_order(tmp_path: Path) -> None:
    file = daily(tmp_path / "d.csv", 40)
    lines = file.read_text(encoding="utf-8").splitlines()
    bare = written(tmp_path / "bare.csv", lines[:0:-1], header=None)
    named = told("--csv", str(file), "--time", "when", "--value", "value", "--by", "what")
    usual = ["--csv", str(bare), "--no-header", "--time", "1", "--by", "2", "--value", "3"]
    assert told(*usual) == named


@pytest.mark.parametrize(
    ("times", "period"),
    [
        ([f"{y}-{m:02}" for y in range(1949, 1952) for m in range(1, 13)], "month"),
        ([f"{m:02}/28/{y}" for y in range(1949, 1952) for m in range(1, 13)], "month"),
        ([str(y) for y in range(1950, 1990)], "year"),
        ([f"{y}Q{q}" for y in range(2000, 2010) for q in range(1, 5)], "quarter"),
        ([str((START + timedelta(days=7 * n)).date()) for n in range(30)], "week"),
        ([str((START + timedelta(days=n)).date()) for n in range(60) if n % 7 < 5], "day"),
        ([(START + timedelta(hours=n)).isoformat() for n in range(60)], "hour"),
        ([str(1_700_000_000 + 3_600 * n) for n in range(60)], "hour"),
        ([str(1_700_000_000_000 + 86_400_000 * n) for n in range(60)], "day"),
        ([(START + timedelta(hours=n * 7.7 + n * n % 7)).isoformat() for n in range(300)], "day"),
        ([str(n) for n in range(60)], "step"),
    ],
)  # fmt: skip
def test_periods_are_told_apart(times: list[str], period: str) -> None:
    read = time_reader(times)
    assert read is not None
    moments = [read(text) for text in times]
    assert None not in moments
    assert period_of(np.array(moments, dtype=np.float64)).name == period


def test_day_and_month_are_told_apart_by_their_order() -> None:
    days = [START + timedelta(days=n) for n in range(12)]
    for pattern in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%b-%y"):
        texts = [day.strftime(pattern) for day in days]
        read = time_reader(texts)
        assert read is not None
        moments = [read(text) for text in texts]
        assert np.diff(np.array(moments, dtype=float)).tolist() == [86_400.0] * 11


def test_days_without_orders_are_nothing_and_without_a_measurement_are_gaps(tmp_path: Path) -> None:
    orders = [f"{START + timedelta(days=n // 2 * 2, hours=n % 2 * 5)},x,1" for n in range(200)]
    sold = series_of(written(tmp_path / "o.csv", orders))
    assert sold.series[0].values[:4].tolist() == [2.0, 0.0, 2.0, 0.0]
    measured = [f"{START + timedelta(days=n):%Y-%m-%d},x,1" for n in range(60) if n % 10]
    gaps = series_of(written(tmp_path / "m.csv", measured)).series[0].values
    assert math.isnan(gaps[9]) and np.nansum(gaps) == 54


def test_gaps_and_holes_in_cells_are_no_harm(tmp_path: Path) -> None:
    rows = [f"{START + timedelta(days=n):%Y-%m-%d},x,{n % 7}" for n in range(90) if n % 11]
    rows += ["2023-02-30,x,1", "2023-01-05,x,none", "torn", ",x,2"]
    report = told(
        "--csv", str(written(tmp_path / "g.csv", rows)), "--time", "when", "--value", "value"
    )
    assert report["left_out"] == 4 and report["series"] == 1


def test_what_is_wrong_is_named_in_one_line(tmp_path: Path) -> None:
    file = str(daily(tmp_path / "d.csv", 20))
    short = str(written(tmp_path / "s.csv", ["2023-01-01,x,1", "2023-01-02,x,1"]))
    words = str(written(tmp_path / "w.csv", ["soon,x,1", "later,x,2"]))
    bare = str(written(tmp_path / "b.csv", []))
    (tmp_path / "empty.csv").write_bytes(b"")
    usual = ["--time", "when", "--value", "value"]
    assert "no column 'z'" in refused("--csv", file, "--time", "z", "--value", "value")
    assert "no column '9'" in refused("--csv", file, "--no-header", "--time", "9", "--value", "3")
    assert "no row has a time and a number" in refused(
        "--csv", file, "--time", "when", "--value", "what"
    )
    assert "no series is long enough" in refused("--csv", short, *usual)
    assert "is no time" in refused("--csv", words, *usual)
    assert "has no rows" in refused("--csv", bare, *usual)
    assert "is empty" in refused("--csv", str(tmp_path / "empty.csv"), *usual)
    assert "cannot be read" in refused("--csv", str(tmp_path / "none.csv"), *usual)
    assert "--horizon" in refused("--csv", file, *usual, "--horizon", "0")
    assert "--horizon" in refused("--csv", file, *usual, "--horizon", "x")
    assert "--delimiter" in refused("--csv", file, *usual, "--delimiter", "abc")


def test_the_batch_reference_finds_trend_and_season() -> None:
    t = np.arange(120.0)
    values = (50 + t) * (1 + 0.3 * np.sin(2 * np.pi * t / 12))
    fit = fitted(values[:96], (12,))
    made = smoothed(values, fit.parameters, fit.season, fit.kind, 1)
    assert np.abs(made[96:-1, 0] - values[97:]).mean() < 0.02 * values.mean()
