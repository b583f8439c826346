"""A wrong set-up, met as an operator meets it: the command's exit code and its one line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stream.broker.directory import held
from tests.waiting import run

ROOT = Path(__file__).resolve().parents[2]


class Shell:
    """Runs the command in a directory of the test's own, without the environment's settings."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("OFFERSTREAM_")}
        return run(
            [sys.executable, "-m", "stream", *arguments],
            cwd=self.directory,
            env={**clean, "PYTHONPATH": str(ROOT), **variables},
        )

    def refused(self, *arguments: str, **variables: str) -> str:
        """Run what must fail, and return its one line."""
        done = self.run(*arguments, **variables)
        assert done.returncode == 2, done
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("offerstream: ")
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_broker_that_is_away(shell: Shell) -> None:
    line = shell.refused("worker", "--broker", "kafka://127.0.0.1:1")
    assert "broker kafka://127.0.0.1:1 doesn't answer" in line
    assert "start it, or name another with --broker or OFFERSTREAM_BROKER" in line


def test_a_broker_that_is_no_broker(shell: Shell) -> None:
    line = shell.refused("worker", OFFERSTREAM_BROKER="localhost:9092")
    assert "it must be kafka://host:port" in line
    assert "environment OFFERSTREAM_BROKER" in line


def test_a_server_that_is_no_kafka(shell: Shell) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        broker = f"kafka://127.0.0.1:{silent.getsockname()[1]}"
        line = shell.refused("worker", "--broker", broker, "--set", "kafka.request_timeout=1")
    assert f"broker {broker} doesn't answer" in line


def test_a_data_directory_that_cannot_be_written(shell: Shell) -> None:
    (shell.directory / "file").touch()
    line = shell.refused("worker", OFFERSTREAM_DATA_DIR="file/state")
    assert "data_dir: cannot write to file/state" in line
    assert "choose a directory that can be written (OFFERSTREAM_DATA_DIR)" in line


def test_a_local_log_that_cannot_be_written(shell: Shell) -> None:
    (shell.directory / "file").touch()
    line = shell.refused("worker", "--broker", "local://./file/log")
    assert "cannot write to file/log" in line
    assert "choose a directory" in line


def test_a_local_log_with_other_partitions(shell: Shell) -> None:
    assert shell.run("topics", "apply", OFFERSTREAM_PARTITIONS="2").returncode == 0
    line = shell.refused("worker", OFFERSTREAM_PARTITIONS="3")
    assert "topic clicks has 2 partitions, and the settings ask for 3" in line
    assert "set partitions = 2 (OFFERSTREAM_PARTITIONS)" in line


def test_a_metrics_port_in_use(shell: Shell) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        line = shell.refused("worker", OFFERSTREAM_METRICS_PORT=port)
    assert f"127.0.0.1:{port}: the port is in use" in line
    assert "set another metrics.port (OFFERSTREAM_METRICS_PORT)" in line


def test_an_unknown_setting_in_the_environment(shell: Shell) -> None:
    line = shell.refused("worker", OFFERSTREAM_PARTITONS="4")
    assert "(environment OFFERSTREAM_PARTITONS); did you mean partitions?" in line


def test_an_unknown_setting_in_the_file(shell: Shell) -> None:
    (shell.directory / "shop.toml").write_text("[learning]\nsegment = 4\n")
    line = shell.refused("worker", "--config", "shop.toml")
    assert "learning.segment (file shop.toml); did you mean learning.segments?" in line


def test_an_unknown_setting_among_the_options(shell: Shell) -> None:
    line = shell.refused("worker", "--set", "metrics.prot=1")
    assert "metrics.prot (command line); did you mean metrics.port?" in line


def test_a_wrong_value(shell: Shell) -> None:
    line = shell.refused("worker", OFFERSTREAM_METRICS_PORT="http")
    assert "metrics.port (environment OFFERSTREAM_METRICS_PORT) is 'http'" in line
    assert "it must be a whole number from 0 to 65,535" in line


def test_a_file_that_is_no_toml(shell: Shell) -> None:
    (shell.directory / "shop.toml").write_text("partitions: 4\n")
    line = shell.refused("worker", OFFERSTREAM_CONFIG="shop.toml")
    assert "shop.toml is not valid TOML" in line
    assert "line 1" in line


def test_a_password_without_tls(shell: Shell) -> None:
    line = shell.refused(
        "worker",
        "--broker",
        "kafka://127.0.0.1:1",
        OFFERSTREAM_KAFKA__SASL_MECHANISM="PLAIN",
        OFFERSTREAM_KAFKA__SASL_USERNAME="shop",
        OFFERSTREAM_KAFKA__SASL_PASSWORD="hunter2",
    )
    assert "set kafka.tls = true, or allow it with kafka.sasl_without_tls = true" in line
    assert "hunter2" not in line


def test_topics_that_are_missing_or_too_narrow(shell: Shell, kafka: str, topic_prefix: str) -> None:
    variables = {
        "OFFERSTREAM_BROKER": f"kafka://{kafka}",
        "OFFERSTREAM_APP_ID": topic_prefix,
        "OFFERSTREAM_TOPICS__PREFIX": topic_prefix,
        "OFFERSTREAM_PARTITIONS": "2",
    }
    line = shell.refused("worker", **variables)
    assert f"topic {topic_prefix}clicks and 15 more are missing" in line
    assert "`offerstream topics apply`" in line
    assert shell.run("topics", "apply", **variables).returncode == 0
    line = shell.refused("worker", **variables | {"OFFERSTREAM_PARTITIONS": "5"})
    assert f"topic {topic_prefix}clicks has 2 partitions, and the settings ask for 5" in line
    assert "set partitions = 2 (OFFERSTREAM_PARTITIONS)" in line


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (("worker",), "clicks"),
        (("customers",), "customers-changelog"),
        (("verify-models",), "models"),
        (("topics", "renew", "{}clicks"), "customers-changelog"),
    ],
)
def test_commands_before_there_are_topics(
    command: tuple[str, ...], missing: str, shell: Shell, kafka: str, topic_prefix: str
) -> None:
    line = shell.refused(
        *(word.format(topic_prefix) for word in command),
        OFFERSTREAM_BROKER=f"kafka://{kafka}",
        OFFERSTREAM_APP_ID=topic_prefix,
        OFFERSTREAM_TOPICS__PREFIX=topic_prefix,
    )
    assert f"{missing} " in line and " missing on kafka://" in line
    assert "`offerstream topics apply`" in line


def test_a_data_directory_that_another_worker_has(shell: Shell, tmp_path: Path) -> None:
    with held(tmp_path / "offerstream-data" / "state", "data_dir"):
        line = shell.refused("worker", OFFERSTREAM_STORE="rocksdb")
    assert f"is open already, in process {os.getpid()}; stop that one" in line
    assert "OFFERSTREAM_DATA_DIR" in line


def test_what_a_command_writes_is_nobody_elses_to_read(shell: Shell, tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        done = shell.run("topics", "apply")
    finally:
        os.umask(mask)
    assert done.returncode == 0, done
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
