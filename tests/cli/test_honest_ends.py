"""A command ends with 0 only if something was done; no value of an option is a bug."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stream.cli import main
from stream.cli.replay_words import summary
from stream.replay.deadletters import DeadRow
from stream.replay.outcome import RefusedRow
from tests.cli.test_replay_told import report
from tests.reading.packing import MAPPING


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "d.csv"
    file.write_text("a,b,y\n" + "1,x,0\n2,y,1\n" * 9)
    return file


@pytest.mark.parametrize(
    "options",
    [
        ("propensity", "--csv", "@", "--label", "y", "--delay", "-1"),
        ("propensity", "--csv", "@", "--label", "y", "--threshold", "2"),
        ("propensity", "--csv", "@", "--label", "y", "--delimiter", ""),
        ("propensity", "--csv", "@", "--label", "y", "--delimiter", "a"),
        ("propensity", "--csv", "@", "--label", "y", "--encoding", "klingon"),
        ("propensity", "--csv", "@", "--label", "y", "--encoding", "rot13"),
        ("propensity", "--csv", "@", "--label", "y", "--drop", "y"),
        ("propensity", "--csv", "@", "--label", ""),
        ("segments", "--csv", "@", "--columns", ","),
        ("segments", "--csv", "@", "--columns", "a", "--k", "0"),
        ("segments", "--csv", "@", "--columns", "a", "--shuffles", "-3"),
        ("segments", "--csv", "@", "--columns", "a", "--delimiter", "\n"),
        ("rules", "--baskets", "@", "--window", "0"),
        ("rules", "--baskets", "@", "--neighbours", "-1"),
        ("rules", "--baskets", "@", "--min-support", "nan"),
        ("rules", "--baskets", "@", "--delimiter", '"'),
        ("next-item", "--train", "@", "--test", "@", "--items", "0"),
        ("next-item", "--train", "@", "--test", "@", "--sessions", "-1"),
        ("next-item", "--train", "@"),
        ("next-item", "--events", "@", "--mapping", "nothing"),
    ],
)
def test_a_value_that_cannot_be_is_one_line(data: Path, options: tuple[str, ...]) -> None:
    result = run("evaluate", *(str(data) if option == "@" else option for option in options))
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith("offerstream: "), result.output


def test_a_delimiter_is_refused_in_the_same_words_everywhere(data: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text('[file]\ndelimiter = "x"\n' + MAPPING)
    words = "is 'x', which cannot be a delimiter: give a sign such as ','"
    told = ["--delimiter", "x"]
    for result in (
        run("mappings", "check", mapping),
        run("evaluate", "propensity", "--csv", data, "--label", "y", *told),
        run("evaluate", "segments", "--csv", data, "--columns", "a", *told),
        run("evaluate", "rules", "--baskets", data, *told),
    ):
        assert words in result.stderr


def test_a_file_in_another_encoding_is_named_and_read_when_told(tmp_path: Path) -> None:
    file = tmp_path / "l.csv"
    file.write_bytes(("a,y\n" + "café,0\ncafè,1\n" * 40).encode("latin-1"))
    usual = ["evaluate", "propensity", "--csv", file, "--label", "y", "--champion-only"]
    result = run(*usual)
    assert result.exit_code == 2
    assert "l.csv: is not utf-8" in result.stderr and "--encoding latin-1" in result.stderr
    result = run(*usual, "--encoding", "latin-1")
    assert result.exit_code == 0, result.output


def test_an_empty_test_file_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("a b c\n" * 9)
    (tmp_path / "test").write_text("\n")
    both = ["--train", tmp_path / "train", "--test", tmp_path / "test"]
    result = run("evaluate", "next-item", *both, "--items", "64", "--sessions", "64")
    assert result.exit_code == 2
    assert "asks nothing" in result.stderr


def test_customers_makes_no_directory(tmp_path: Path) -> None:
    result = run("customers", "--broker", f"local://{tmp_path / 'shop'}")
    assert result.exit_code == 2
    assert "there is no local log in" in result.stderr
    assert not (tmp_path / "shop").exists()


def test_a_mapping_is_checked_by_what_it_makes_of_a_log(tmp_path: Path) -> None:
    mapping, log = tmp_path / "m.toml", tmp_path / "log.csv"
    mapping.write_text(MAPPING)
    log.write_text("ts,user,sku,price\n2024-01-01,ada,a,1\n2024-01-01,,a,1\nx,ada,a,1\n")
    result = run("mappings", "check", mapping, log)
    assert result.exit_code == 0
    assert "makes 1 events of 3 rows" in result.stdout
    assert "1 are none, such as row 2: no_customer" in result.stdout
    assert "such as row 3: schema: /timestamp" in result.stdout
    log.write_text("ts,user,sku,price\n2024-01-01,null,a,1\n")
    assert run("mappings", "check", mapping, log).exit_code == 2


def test_a_replay_that_came_to_nothing_says_why() -> None:
    account = report().account
    account.published.clear()
    account.examples["no_customer"] = RefusedRow(7, "no_customer", b"")
    nothing = report(account=account).nothing_done() or ""
    assert "not one of 10 rows became an event" in nothing
    assert "2 are refused as no_customer, such as row 7" in nothing
    dead = [DeadRow(3, "schema", "/price is not of type number", "{}", "b.csv")]
    counts = {"rejected:schema": 6}
    nothing = report(counts=counts, dead=dead).nothing_done() or ""
    assert "not one of 6 events was applied: 1 are dead letters for schema" in nothing
    assert "such as row 3 of b.csv: /price is not of type number" in nothing
    assert "all of 6 events came too late" in (report(counts={"late": 6}).nothing_done() or "")
    assert report().nothing_done() is None
    assert report(counts={"duplicate": 6}).nothing_done() is None


def test_hints_can_be_pasted() -> None:
    given = (("my log.csv", "b.csv"), "maps/m.toml")
    text = summary(report(given=given, kept=False), [])
    assert "offerstream replay 'my log.csv' b.csv --mapping maps/m.toml --broker local://" in text
    assert "1 events came late" in text
    assert "offerstream replay OTHER-FILES 'my log.csv' b.csv --mapping maps/m.toml" in text
