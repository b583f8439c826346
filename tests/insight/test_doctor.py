"""The doctor: each thing that would keep a worker from its work is told, with the way out."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from stream.config import MetricsSettings, Settings
from stream.insight import doctor
from stream.insight.doctor import Finding, State, examined
from stream.worker.checks.topics import verify

NOW = 1_760_000_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        broker=f"local://{tmp_path / 'log'}",
        data_dir=tmp_path / "data",
        store="rocksdb",
        partitions=2,
    )


def by_subject(settings: Settings, now: int = NOW) -> dict[str, Finding]:
    """The worst that is told of each thing."""
    worst: dict[str, Finding] = {}
    order = (State.OK, State.UNKNOWN, State.ODD, State.FAULT)
    for finding in examined(settings, now):
        before = worst.get(finding.about, finding)
        worst[finding.about] = max(before, finding, key=lambda each: order.index(each.state))
    return worst


def test_where_nothing_is_yet_it_is_told_that_a_worker_makes_it_and_nothing_is_made(
    settings: Settings, tmp_path: Path
) -> None:
    found = by_subject(settings)
    assert {found["broker"].state, found["data_dir"].state} == {State.OK}
    assert "not there yet" in found["broker"].seen and "not there yet" in found["data_dir"].seen
    assert not list(tmp_path.iterdir())


def test_a_log_that_is_ready_is_found_well(settings: Settings) -> None:
    verify(settings)
    settings.data_dir.mkdir(mode=0o700)
    found = by_subject(settings)
    assert {name for name, one in found.items() if one.state is State.FAULT} == set()
    assert found["topics"].seen.startswith("all ")
    assert found["clock"].state is State.UNKNOWN
    assert "there are none" in found["campaigns"].seen


def test_partitions_that_differ_are_a_fault_with_its_way_out(settings: Settings) -> None:
    verify(settings)
    found = by_subject(replace(settings, partitions=3))["topics"]
    assert found.state is State.FAULT and "2 partitions" in found.seen
    assert "partitions" in found.way


def test_a_directory_that_others_may_read_or_nobody_may_write_is_told(
    settings: Settings, tmp_path: Path
) -> None:
    settings.data_dir.mkdir(mode=0o755)
    settings.data_dir.chmod(0o755)
    found = by_subject(settings)["data_dir"]
    assert found.state is State.ODD and f"chmod 700 {settings.data_dir}" in found.way
    file = tmp_path / "file"
    file.touch()
    found = by_subject(replace(settings, data_dir=file))["data_dir"]
    assert found.state is State.FAULT and str(file) in found.seen


def test_a_disk_with_little_room_is_told(settings: Settings) -> None:
    assert doctor._room(6 << 30, "/data").state is State.OK
    found = doctor._room(1 << 30, "/data")
    assert found.state is State.ODD and "1.0 GiB" in found.seen and found.way


def test_a_port_that_another_has_is_told(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = by_subject(replace(settings, metrics=MetricsSettings(port=port)))["metrics"]
    assert found.state is State.ODD and str(port) in found.seen


def test_without_a_broker_what_needs_it_is_told_as_not_looked_at() -> None:
    found = by_subject(Settings(broker="kafka://127.0.0.1:1"))
    assert found["broker"].state is State.FAULT and "127.0.0.1:1" in found["broker"].seen
    assert found["broker"].way
    assert {found[name].state for name in ("access", "topics", "clock", "campaigns")} == {
        State.UNKNOWN
    }
    assert found["versions"].state is State.OK
