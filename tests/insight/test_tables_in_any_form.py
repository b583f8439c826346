"""Evaluations give the same figures whatever form a table has, and name its columns by number."""

from __future__ import annotations

import csv
import gzip
import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.insight.evaluate.periods import read_series
from stream.reading.format import FileFormat
from stream.reading.inputs import sources
from stream.reading.table import Table
from tests.reading.packing import ENCODINGS, PACKINGS, table

Rows = list[list[str]]
NAMES = ["when", "who", "what", "amount", "odd"]
COMMANDS = {
    "forecast": ["--time", "when", "--value", "amount", "--by", "what"],
    "value": ["--time", "when", "--customer", "who", "--amount", "amount*amount"],
    "ratings": ["--time", "when", "--user", "who", "--item", "what", "--rating", "amount"],
    "outliers": ["--label", "odd", "--drop", "when"],
    "propensity": ["--label", "odd", "--drop", "when", "--champion-only"],
    "segments": ["--columns", "amount,odd", "--k", "2", "--shuffles", "1"],
    "policy": ["--arm", "what", "--reward", "amount", "--context", "odd"],
}


@pytest.fixture(scope="module")
def rows() -> Rows:
    """A year of orders, with a place of more than one word and an accent."""
    rng = np.random.default_rng(7)
    return [
        [
            f"{13 + n % 14:02}/{1 + n // 24:02}/2024",
            f"u{rng.integers(30)}",
            ("tea, green", 'a "b"', "café")[rng.integers(3)],
            f"{3 + rng.integers(2) + (90 if n % 37 == 0 else 0)}.25",
            str(int(n % 37 == 0)),
        ]
        for n in range(280)
    ]


@cache
def told(command: str, *arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["evaluate", command, *arguments, "--json"])
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return {name: value for name, value in report.items() if "microseconds" not in name}


@pytest.fixture(scope="module")
def plain(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("plain") / "plain.csv"
    path.write_text(table([NAMES, *rows], ","), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def mixed(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same rows in a directory of files of four forms."""
    folder: Path = tmp_path_factory.mktemp("mixed")
    text = table([NAMES, *rows[:60]], ";", quote_all=True)
    (folder / "1").write_bytes(PACKINGS["zip of a Mac"](ENCODINGS["utf-16-le"](text)))
    objects = [dict(zip(NAMES, row, strict=True)) for row in rows[60:120]]
    (folder / "2").write_bytes(PACKINGS["xz"](json.dumps(objects).encode()))
    (folder / "3").write_bytes(gzip.compress(table([NAMES, *rows[120:200]], "\t").encode()))
    turned = [NAMES[::-1], *(row[::-1] for row in rows[200:])]
    (folder / "4").write_text(table(turned, ",", end="\r\n"), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("command", ["forecast", "value", "ratings"])
def test_the_figures_are_the_same_in_every_form(plain: str, mixed: str, command: str) -> None:
    columns = COMMANDS[command]
    assert told(command, "--csv", mixed, *columns) == told(command, "--csv", plain, *columns)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_without_a_header_columns_are_called_by_number(
    rows: Rows, plain: str, tmp_path: Path, command: str
) -> None:
    bare = tmp_path / "bare"
    bare.write_text(table(rows, ","), encoding="utf-8")
    numbers = [numbered(word) for word in COMMANDS[command]]
    report = told(command, "--csv", str(bare), "--no-header", *numbers)
    named = told(command, "--csv", plain, *COMMANDS[command])
    assert counts(report) == counts(named)
    assert report.keys() == named.keys()


def numbered(word: str) -> str:
    for number, name in enumerate(NAMES, 1):
        word = word.replace(name, str(number)) if not word.startswith("--") else word
    return word


def counts(report: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on how columns are called."""
    return {name: value for name, value in report.items() if isinstance(value, int)}


def test_ragged_rows_are_left_out_and_counted(rows: Rows, tmp_path: Path) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([NAMES, *rows, rows[0][:3], [*rows[0], "more"], [*rows[0], ""]])
    file = tmp_path / "x.csv"
    file.write_text(out.getvalue(), encoding="utf-8")
    for command in ("forecast", "outliers"):
        assert told(command, "--csv", str(file), *COMMANDS[command])["left_out"] == 2


def test_days_and_months_are_told_apart_by_all_rows(tmp_path: Path) -> None:
    days = [f"{day:02}/12/2010 08:26" for day in range(1, 15) for _ in range(500)]
    file = tmp_path / "x.csv"
    file.write_text("when,amount\n" + "".join(f"{day},1\n" for day in days), encoding="utf-8")
    read = read_series(Table(sources([file]), FileFormat(), ("when", "amount")), "when", "amount")
    assert (read.rows, read.left_out, read.period.name) == (7_000, 0, "day")
    assert len(read.series[0].values) == 14


@pytest.mark.parametrize("command", ["forecast", "value", "ratings", "outliers"])
def test_a_chart_is_never_drawn_over_a_file_that_is_read(
    rows: Rows, tmp_path: Path, command: str
) -> None:
    file = tmp_path / "x.csv"
    file.write_text(table([NAMES, *rows], ","), encoding="utf-8")
    before = file.read_bytes()
    arguments = ["--csv", str(tmp_path), *COMMANDS[command], "--plot", str(file)]
    result = CliRunner().invoke(main, ["evaluate", command, *arguments])
    assert result.exit_code == 2 and "name another file to write" in result.stderr
    assert file.read_bytes() == before


def test_what_has_names_has_no_numbers(tmp_path: Path) -> None:
    (tmp_path / "x").write_text('[{"a": 1}]', encoding="utf-8")
    arguments = ["--csv", str(tmp_path / "x"), "--no-header", "--time", "1", "--value", "1"]
    result = CliRunner().invoke(main, ["evaluate", "forecast", *arguments])
    assert result.exit_code == 2 and "leave out --no-header" in result.stderr
