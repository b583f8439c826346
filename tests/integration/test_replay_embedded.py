"""Replaying a log without a broker: all counted, the same each time, resumed after a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.replaying import (
    customers,
    kill_when,
    lines_of,
    replay,
    run,
    shop_log,
)


@pytest.fixture
def shop(tmp_path: Path, seed: int) -> tuple[Path, Path]:
    return shop_log(tmp_path, seed)


def test_every_row_is_accounted_for_and_offers_say_why(
    shop: tuple[Path, Path], tmp_path: Path
) -> None:
    log, mapping = shop
    offers, refused = tmp_path / "offers.jsonl", tmp_path / "refused.jsonl"
    told = replay(log, "--mapping", mapping, "--offers", offers, "--refused", refused)
    assert told["rows"] == told["rows_planned"] == 1_200
    assert told["rows"] == (
        sum(told["events"].values()) + told["merged"] + sum(told["refused"].values())
    )
    assert set(told["refused"]) == {"no_customer", "unmapped_type"}
    assert told["published"] == sum(told["events"].values()) == sum(told["outcomes"].values())
    assert told["outcomes"]["rejected"] == sum(told["rejected"].values()) > 0
    assert told["unaccounted"] == 0
    assert told["customers"] == 60
    assert told["spent_minor"]["GBP"] > 0
    assert told["catalog"] == 30
    reasons = Counter(line["reason"] for line in lines_of(refused))
    assert reasons == told["refused"] | told["rejected"]
    assert len(lines_of(offers)) == told["offers"] > 0
    assert all(item["reason"] for offer in lines_of(offers) for item in offer["items"])


def test_a_second_run_from_scratch_gives_the_same_offers(
    shop: tuple[Path, Path], tmp_path: Path
) -> None:
    log, mapping = shop
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    for offers in (first, second):
        replay(log, "--mapping", mapping, "--offers", offers)
    assert first.read_bytes() == second.read_bytes()


def test_killed_in_the_middle_and_run_again_it_ends_as_if_nothing_had_been(
    shop: tuple[Path, Path], tmp_path: Path
) -> None:
    log, mapping = shop
    whole, torn = f"local://{tmp_path / 'whole'}", f"local://{tmp_path / 'torn'}"
    undisturbed = replay(log, "--mapping", mapping, "--broker", whole)
    offers = tmp_path / "offers.jsonl"
    arguments = [log, "--mapping", mapping, "--broker", torn, "--offers", offers]
    kill_when(lambda: _bytes_in(tmp_path / "torn") > 100_000, *arguments)
    resumed = replay(*arguments)
    assert resumed["already_there"] > 0
    assert resumed["events"] == undisturbed["events"]
    totals, expected = resumed["since_the_log_began"], undisturbed["since_the_log_began"]
    for outcome in ("applied", "duplicate", "late", "suppressed"):
        assert totals.get(outcome, 0) == expected.get(outcome, 0), outcome
    assert customers("--broker", torn) == customers("--broker", whole)
    ids = [offer["offer_id"] for offer in lines_of(offers)]
    assert len(ids) == len(set(ids)) == totals["offers"]


def _bytes_in(log: Path) -> int:
    return sum(file.stat().st_size for file in log.rglob("*") if file.is_file())


def test_the_same_replay_again_changes_nothing(shop: tuple[Path, Path], tmp_path: Path) -> None:
    log, mapping = shop
    arguments = [log, "--mapping", mapping, "--broker", f"local://{tmp_path / 'log'}"]
    first, again = replay(*arguments), replay(*arguments)
    assert again["published"] == 0
    assert again["already_there"] == first["published"] + first["catalog"]
    assert again["since_the_log_began"] == first["since_the_log_began"]
    assert again["spent_minor"] == first["spent_minor"]


def test_published_without_a_worker_it_waits_for_one(
    shop: tuple[Path, Path], tmp_path: Path
) -> None:
    log, mapping = shop
    arguments = [log, "--mapping", mapping, "--broker", f"local://{tmp_path / 'log'}"]
    sent = replay(*arguments, "--no-worker")
    assert "outcomes" not in sent
    assert sent["published"] == sum(sent["events"].values())
    worked = replay(*arguments)
    assert worked["published"] == 0
    counts = worked["since_the_log_began"]
    became = ("applied", "duplicate", "late", "suppressed")
    rejected = sum(n for name, n in counts.items() if name.startswith("rejected:"))
    assert sum(counts.get(name, 0) for name in became) + rejected == sent["published"]


def test_the_summary_tells_people_what_happened_and_what_to_try(shop: tuple[Path, Path]) -> None:
    log, mapping = shop
    text = run("replay", log, "--mapping", mapping, "--limit", "500").stdout
    for words in (
        "What happened\n",
        "500 rows in",
        "refused rows",
        "without a customer",
        "dead letters:",
        "net ",
        "temporary directory, which is gone",
        "What to try next\n",
        "--broker local://./shop",
    ):
        assert words in text


def test_a_log_of_which_no_row_fits_is_a_failure_with_advice(
    shop: tuple[Path, Path], tmp_path: Path
) -> None:
    log, mapping = shop
    mapping.write_text(mapping.read_text().replace('"view"', '"ignore"').replace("view =", "v ="))
    text = mapping.read_text().replace("cart =", "c =").replace("buy =", "b =")
    mapping.write_text(text)
    done = run("replay", log, "--mapping", mapping, code=2)
    assert "not one of 1,200 rows became an event: does the mapping shop fit" in done.stderr
    assert "such as row 1 (--refused OUT" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--mapping is missing; the shipped ones are online-retail, rees46"),
        (["--mapping", "shopp"], "--mapping 'shopp': no such mapping; known: online-retail"),
        (["--mapping", "rees46"], "columns.time is 'event_time', and shop.csv has no such"),
        (["--speed", "fast"], "--speed is 'fast'; it must be max, or N"),
        (["--offers", "/nowhere/offers.jsonl"], "/nowhere/offers.jsonl: there is no directory"),
        (["--no-worker"], "--no-worker needs a --broker"),
        (["--broker", "kafka://127.0.0.1:1"], "broker kafka://127.0.0.1:1 doesn't answer"),
        (["--broker", "shop"], "broker is 'shop'; it must be kafka://host:port"),
    ],
)
def test_a_wrong_set_up_is_one_line(
    shop: tuple[Path, Path], options: list[str], message: str
) -> None:
    log, mapping = shop
    given = options if not options or "--mapping" in options else ["--mapping", mapping, *options]
    done = run("replay", log, *given, code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("offerstream: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert message in done.stderr


def test_the_mappings_are_listed_shown_and_checked(tmp_path: Path) -> None:
    assert "retailrocket" in run("mappings", "list").stdout
    mine = tmp_path / "mine.toml"
    mine.write_text(run("mappings", "show", "rees46").stdout)
    assert run("mappings", "check", mine).stdout == f"{mine} is right\n"
    assert "did you mean rees46?" in run("mappings", "show", "rees64", code=2).stderr
    mine.write_text(mine.read_text().replace("customer =", "costumer ="))
    assert "columns.costumer is not a setting" in run("mappings", "check", mine, code=2).stderr


def test_online_retail_goes_through_the_whole_pipeline(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    path = shared_data("online-retail.csv.gz")
    told = replay(path, "--mapping", "online-retail", "--limit", "40000")
    assert told["rows"] == 40_000
    assert sum(told["outcomes"].values()) == told["published"]
    assert told["unaccounted"] == 0
    assert told["outcomes"]["applied"] == told["published"]
    assert told["offers"] > 0
