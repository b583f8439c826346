"""Replaying a log on a real Kafka: the same counts and customers as embedded, kills included."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.integration.replaying import (
    command,
    customers,
    environment,
    kill_when,
    lines_of,
    replay,
    run,
    shop_log,
)
from tests.waiting import until


@pytest.fixture
def environ(kafka: str, topic_prefix: str) -> dict[str, str]:
    made = environment(
        OFFERSTREAM_BROKER=f"kafka://{kafka}",
        OFFERSTREAM_APP_ID=topic_prefix,
        OFFERSTREAM_TOPICS__PREFIX=topic_prefix,
        OFFERSTREAM_PARTITIONS="2",
    )
    run("topics", "apply", environ=made)
    return made


EMBEDDED = environment(OFFERSTREAM_PARTITIONS="2")


def test_on_kafka_and_embedded_all_counts_and_customers_are_equal(
    environ: dict[str, str], tmp_path: Path, seed: int
) -> None:
    log, mapping = shop_log(tmp_path, seed)
    broker = f"local://{tmp_path / 'log'}"
    offers = tmp_path / "offers.jsonl"
    there = replay(log, "--mapping", mapping, "--offers", offers, environ=environ)
    here = replay(log, "--mapping", mapping, "--broker", broker, environ=EMBEDDED)
    for part in ("rows", "events", "merged", "refused", "outcomes", "rejected", "spent_minor"):
        assert there[part] == here[part], part
    assert there["unaccounted"] == 0
    assert customers(environ=environ) == customers("--broker", broker, environ=EMBEDDED)
    assert len(lines_of(offers)) == there["offers"] > 0


def test_killed_in_the_middle_and_run_again_it_ends_as_if_nothing_had_been(
    environ: dict[str, str], tmp_path: Path, seed: int
) -> None:
    log, mapping = shop_log(tmp_path, seed)
    broker = f"local://{tmp_path / 'log'}"
    undisturbed = replay(log, "--mapping", mapping, "--broker", broker, environ=EMBEDDED)
    offers = tmp_path / "offers.jsonl"
    arguments = [log, "--mapping", mapping, "--offers", offers]
    kill_when(lambda: _is_begun(offers), *arguments, environ=environ)
    resumed = replay(*arguments, environ=environ)
    assert resumed["already_there"] > 0
    totals, expected = resumed["since_the_log_began"], undisturbed["since_the_log_began"]
    for outcome in ("applied", "duplicate", "late", "suppressed"):
        assert totals.get(outcome, 0) == expected.get(outcome, 0), outcome
    assert customers(environ=environ) == customers("--broker", broker, environ=EMBEDDED)
    ids = [offer["offer_id"] for offer in lines_of(offers)]
    assert len(ids) == len(set(ids))


def _is_begun(output: Path) -> bool:
    """Whether anything was written of an output, which has its name at the end only."""
    return any(file.stat().st_size for file in output.parent.glob(f".{output.name}.*"))


def test_published_without_a_worker_it_waits_for_one(
    environ: dict[str, str], tmp_path: Path, seed: int
) -> None:
    log, mapping = shop_log(tmp_path, seed, rows=400)
    sent = replay(log, "--mapping", mapping, "--no-worker", environ=environ)
    worked = replay(log, "--mapping", mapping, environ=environ)
    assert worked["published"] == 0
    counts = worked["since_the_log_began"]
    assert counts["applied"] + sum(
        n for name, n in counts.items() if name.startswith("rejected:")
    ) == sum(sent["events"].values())


def test_beside_a_worker_it_only_publishes(
    environ: dict[str, str], tmp_path: Path, seed: int
) -> None:
    log, mapping = shop_log(tmp_path, seed, rows=400)
    arguments = ["replay", log, "--mapping", mapping]
    worker = subprocess.Popen(
        command("worker"),
        env=environ | {"OFFERSTREAM_METRICS_PORT": "0"},
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    try:
        sent = replay(log, "--mapping", mapping, "--no-worker", environ=environ)
        decided = partial(_decided, environ, worker)
        until("all events, decided", decided, lambda count: count >= sent["published"])
        done = run(*arguments, code=2, environ=environ)
        assert f"other workers of app_id {environ['OFFERSTREAM_APP_ID']} hold" in done.stderr
        assert done.stderr.count("\n") == 1
    finally:
        worker.kill()
        worker.wait()


def _decided(environ: dict[str, str], worker: subprocess.Popen[bytes]) -> int:
    """Events that a worker has accounted for, by the ledgers in its changelog."""
    assert worker.poll() is None
    lines = [line.split(": ") for line in run("customers", environ=environ).stdout.splitlines()]
    counts = {name.strip(): int(count) for name, count in (line for line in lines if line[1:])}
    return sum(
        count
        for name, count in counts.items()
        if name in ("applied", "duplicate", "late", "suppressed") or name.startswith("rejected:")
    )


def test_rees46_is_the_same_on_both(
    environ: dict[str, str], shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    path = shared_data("rees46-2019-oct-01.csv.gz")
    broker = f"local://{tmp_path / 'log'}"
    there = replay(path, "--mapping", "rees46", environ=environ)
    here = replay(path, "--mapping", "rees46", "--broker", broker, environ=EMBEDDED)
    for told in (there, here):
        assert told["rows"] == told["published"] + 1 == 17_435  # the last row is cut off
        assert told["events"] == {"clicks": 17_220, "purchases": 214}
        assert sum(told["outcomes"].values()) == 17_434
        assert told["offers"] > 0
        assert told["customers"] == 4_504
    assert there["outcomes"] == here["outcomes"]
    assert there["spent_minor"] == here["spent_minor"]
    assert customers(environ=environ) == customers("--broker", broker, environ=EMBEDDED)
