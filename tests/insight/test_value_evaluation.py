from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.insight.evaluate.lifetimes import Histories, Lifetimes
from stream.insight.evaluate.value import deciles, gini
from tests.evaluating import Evaluating

EVALUATE = Evaluating("value")
told, refused = EVALUATE.told, EVALUATE.refused

START = datetime(2023, 1, 1)  # noqa: DTZ001 - a file tells no zone


def orders(path: Path, customers: int = 120, days: int = 200) -> Path:
    """Orders of customers who have a pace and a taste for spending, and end one day."""
    rng = np.random.default_rng(5)
    rows = []
    for customer in range(customers):
        pace, amount = rng.gamma(2.0, 12.0) + 3.0, np.exp(rng.normal(3.0, 0.8))
        at, end = rng.random() * 60, rng.exponential(200.0)
        while at < min(days, end + 5):
            when = START + timedelta(days=float(at))
            spent = amount * np.exp(rng.normal(0, 0.3))
            rows.append(f"c{customer},{when:%d/%m/%Y %H:%M},{spent / 2:.2f},2")
            at += rng.exponential(pace)
    rows += ["c1,02/03/2023 10:00,-3,1", ",01/01/2023 00:00,1,1", "c2,never,1,1", "c3"]
    path.write_text("\n".join(["who,when,price,quantity", *rows]), encoding="utf-8")
    return path


USUAL = ["--customer", "who", "--time", "when", "--amount", "price*quantity"]


def test_the_report_has_what_is_promised(tmp_path: Path) -> None:
    file = orders(tmp_path / "o.csv")
    report = told("--csv", str(file), *USUAL, "--plot", str(tmp_path / "c.svg"))
    assert (report["customers"], report["left_out"], report["horizon"]) == (106, 3, 30.0)
    for part in (report, report["past_average"], report["batch"]):
        assert part["mae"] > 0 and 0 < part["gini"] <= 1
        assert len(part["deciles"]) == 10
        assert {"predicted", "observed"} == part["deciles"][0].keys()
    assert report["mae"] < report["past_average"]["mae"]
    assert report["order"]["auc"] > 0.55
    assert "<polyline" in (tmp_path / "c.svg").read_text(encoding="utf-8")


def test_people_get_words_and_a_file_without_header_is_read_by_number(tmp_path: Path) -> None:
    file = orders(tmp_path / "o.csv", 40)
    lines = file.read_text(encoding="utf-8").splitlines()
    (tmp_path / "bare.csv").write_text("\n".join(lines[-2:0:-1]), encoding="utf-8")
    bare = ["--csv", str(tmp_path / "bare.csv"), "--no-header"]
    columns = ["--customer", "1", "--time", "2", "--amount", "3*4", "--horizon", "20"]
    named = told("--csv", str(file), *USUAL, "--horizon", "20")
    assert told(*bare, *columns)["predictions"] == named["predictions"]
    words = CliRunner().invoke(main, ["evaluate", "value", *bare, *columns])
    assert words.exit_code == 0 and "past average" in words.stdout


def test_nothing_of_the_next_days_is_known_before_they_are_over(tmp_path: Path) -> None:
    rows = [f"c{n % 9},{START + timedelta(days=n / 3)},10" for n in range(300)]
    rows += [f"c{n % 9},{START + timedelta(days=100 + n / 3)},1000" for n in range(90)]
    file = tmp_path / "jump.csv"
    file.write_text("\n".join(["who,when,paid", *rows]), encoding="utf-8")
    report = told("--csv", str(file), "--customer", "who", "--time", "when", "--amount", "paid")
    assert report["mae"] > 100  # who foresaw the jump would have looked


def test_what_is_wrong_is_named_in_one_line(tmp_path: Path) -> None:
    file = str(orders(tmp_path / "o.csv", 20, 50))
    (tmp_path / "few.csv").write_text("who,when,price\nc,2023-01-01,5\n", encoding="utf-8")
    (tmp_path / "none.csv").write_text("who,when,price\n", encoding="utf-8")
    rest = ["--customer", "who", "--time", "when", "--amount", "price"]
    assert "--horizon 300" in refused("--csv", file, *USUAL, "--horizon", "300")
    assert "--horizon" in refused("--csv", file, *USUAL, "--horizon", "0")
    assert "no customer's next days" in refused("--csv", str(tmp_path / "few.csv"), *rest)
    assert "has no rows" in refused("--csv", str(tmp_path / "none.csv"), *rest)
    assert "no column 'x'" in refused("--csv", file, *USUAL[:4], "--amount", "price*x")
    assert "is no time" in refused("--csv", file, *USUAL[:2], "--time", "who", "--amount", "price")
    assert "no row has" in refused("--csv", file, *USUAL[:4], "--amount", "who")


def test_gini_is_of_the_order_alone() -> None:
    came = np.array([0.0, 0.0, 1.0, 5.0])
    assert gini(came * 100, came) == 1.0
    assert gini(-came, came) == pytest.approx(-1.0)
    assert gini(np.ones(4), came) == pytest.approx(0.0)
    assert gini(np.ones(4), np.zeros(4)) is None
    assert [part["observed"] for part in deciles(came, came)] == [0.0, 0.0, 1.0, 5.0]


def test_the_reference_finds_the_parameters_of_customers_who_buy_till_they_die() -> None:
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(1_500):
        rate, odds = rng.gamma(0.8, 1 / 8.0), rng.beta(1.2, 3.0)
        age, at, repeats, last = rng.uniform(50, 300), 0.0, 0, 0.0
        while rng.random() >= odds or not repeats:
            at += rng.exponential(1 / rate)
            if at > age:
                break
            repeats, last = repeats + 1, at
        rows.append((repeats, last, age, np.exp(rng.normal(3, 0.4))))
    model = Lifetimes(Histories(*np.array(rows, dtype=float).T))
    assert 0.5 < model.r < 1.2 and 5 < model.alpha < 13
    told = model.orders(Histories(*np.array([(9.0, 90, 95, 20), (9.0, 10, 95, 20)]).T), 30.0)
    assert told[0] > 10 * told[1]
