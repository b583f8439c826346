"""What ``offerstream replay`` shows: progress on stderr, and a summary for people and machines."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from stream.cli import progress
from stream.cli.replay_words import summary
from stream.replay.replay import Account
from stream.replay.report import People, Report


def report(**changed: object) -> Report:
    account = Account(
        rows=10,
        published=Counter(clicks=5, purchases=1),
        refused=Counter(no_customer=2, deposit=1),
        merged=1,
    )
    told = Report("shop.csv", "shop", "local:///log", 10, account, seconds=2.0, published=6)
    told.counts = Counter({"applied": 4, "late": 1, "rejected:schema": 1, "denied:holdout": 2})
    told.people = People(3, 2, 1, {"EUR": 123_456, "JPY": 500})
    for name, value in changed.items():
        setattr(told, name, value)
    return told


def test_the_summary_says_each_number_in_words() -> None:
    text = summary(report(), [])
    for words in (
        "shop.csv as shop: 10 rows in 2.0 s (5 rows/s)",
        "6 (5 clicks, 1 purchases)",
        "merged into orders 1 rows",
        "refused rows       2 without a customer, 1 deposit",
        "Of 6 events, applied 4; dropped 0 duplicates, 1 late, 0 from bots; dead letters: 1 breaks",
        "no offer: 2 held out to compare",
        "3 customers, 2 orders, 1 refunds, net 1,234.56 EUR, 500 JPY",
        "too few labels",
        "everything    local:///log",
        "offerstream customers --broker local:///log",
        "--refused refused.jsonl",
    ):
        assert words in text, words
    assert "not accounted for" not in text


def test_the_summary_tells_what_is_special() -> None:
    assert "1 events are not accounted for" in summary(report(published=7), [])
    resumed = report(present=4, log_counts={"applied": 8, "offers": 2}, finished=False)
    text = summary(resumed, [])
    assert "there already      4 records of an earlier run" in text
    assert "Since the log began, applied 8" in text
    assert "go on where it ended" in text
    assert "temporary directory, which is gone" in summary(report(kept=False), [])
    quality = {"labels": 50, "auc": 0.75, "log_loss": 0.2, "calibration_ratio": 1.1}
    assert "AUC 0.750, log loss 0.200, calibration 1.10" in summary(report(quality=quality), [])


def test_the_numbers_for_machines_add_up() -> None:
    document = report().as_json()
    assert document["outcomes"] == {
        "applied": 4,
        "duplicate": 0,
        "late": 1,
        "suppressed": 0,
        "rejected": 1,
    }
    assert document["rejected"] == {"schema": 1}
    assert document["unaccounted"] == 0
    assert report(kept=False).as_json()["broker"] is None
    assert "outcomes" not in report(counts=None).as_json()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_progress_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "perf_counter", clock)
    with progress.gauge("replaying", 1_000, "rows", quiet=False) as shown:
        for clock.now, done in ((1.0, 100), (4.0, 400), (5.0, 500), (8.0, 800)):
            shown.show(done, "7 offers")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "replaying: 400 of 1,000 rows (100/s, 6 s left), 7 offers",
        "replaying: 800 of 1,000 rows (100/s, 2 s left), 7 offers",
    ]
    with progress.gauge("replaying", None, "rows", quiet=True) as shown:
        shown.show(1)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_progress_is_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "140")
    with progress.gauge("replaying", 1_000, "rows", quiet=True) as shown:
        shown.show(500, "7 offers")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "500/1000" in captured.err
    assert "7 offers" in captured.err
