"""The command itself: what it teaches, what it loads, and how it says a fault."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import stream
import stream.cli
from stream.cli import COMMANDS, main
from stream.cli.errors import OneLineGroup
from stream.config import ConfigError

NO_COMMANDS = {"errors", "lazy", "options"}  # modules that commands share


def present() -> list[str]:
    return main.list_commands(click.Context(main))


def test_without_arguments_it_teaches_and_succeeds() -> None:
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 0
    assert "clicks and purchases into personal offers" in result.stdout
    assert "Try first:" in result.stdout
    assert result.stdout == CliRunner().invoke(main, ["--help"]).stdout


def test_the_version_is_the_packages() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.stdout == f"offerstream, version {stream.__version__}\n"


def test_help_lists_the_commands_that_are_there_without_loading_them() -> None:
    script = (
        "import sys; from stream.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in sys.modules if m in ('faust', 'aiokafka', 'river', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    for name in present():
        assert f"  {name} " in done.stdout


def test_a_worker_that_has_ended_is_not_taken_apart_under_threads_that_still_run() -> None:
    script = (
        "import atexit, sys; from stream.cli import main\n"
        "atexit.register(print, 'taken apart')\n"
        "sys.argv[:] = ['offerstream', *sys.argv[1:]]\n"
        "print('said'); main()"
    )
    for command, printed in (("worker", "said\n"), ("topics", "said\ntaken apart\n")):
        arguments = [sys.executable, "-c", script, command, "--set", "no=1"]
        done = subprocess.run(arguments, capture_output=True, text=True)
        assert (done.stdout, done.returncode) == (printed, 2), done.stderr


@pytest.mark.parametrize(("told", "threads"), [(None, "1"), ("3", "3")])
def test_linear_algebra_takes_one_thread_unless_told_otherwise(
    told: str | None, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if told:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", told)
    script = (
        "import os, sys, stream.cli\n"
        "print('numpy' in sys.modules, os.environ['OPENBLAS_NUM_THREADS'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["False", threads], done.stderr


@pytest.mark.parametrize("name", present())
def test_every_command_loads_and_has_help(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"Usage: offerstream {name}")


def test_every_module_of_a_command_is_listed() -> None:
    modules = {module.name for module in pkgutil.iter_modules(stream.cli.__path__)}
    commands = {
        name.replace("_", "-")
        for name in modules - NO_COMMANDS
        if isinstance(
            getattr(importlib.import_module(f"stream.cli.{name}"), name, None), click.Command
        )
    }
    assert commands == set(present())
    assert commands <= COMMANDS.keys()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["--frobnicate"], "No such option"),
        (["config", "show", "--frobnicate"], "No such option"),
        (["config", "check"], "Missing argument 'FILE'"),
        (["config", "check", "/nowhere.toml"], "cannot read the settings file /nowhere.toml"),
        (["config", "show", "--broker", "x"], "broker is 'x'; it must be kafka://"),
        (["config", "show", "--set", "partitions=x"], "partitions (command line) is 'x'"),
        (["config", "show", "--set", "partitions"], "write --set partitions=VALUE"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("offerstream: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.fixture
def failing() -> click.Group:
    faults = {
        "settings": ConfigError("partitions is 0;\n  it must be more"),
        "disk": OSError(28, "No space left on device", "/data/log"),
        "interrupt": KeyboardInterrupt(),
        "bug": ZeroDivisionError("ours"),
    }

    @click.group(cls=OneLineGroup)
    @click.option("--debug", is_flag=True)
    def group(debug: bool) -> None: ...

    for name, fault in faults.items():

        def fail(fault: BaseException = fault) -> None:
            raise fault

        group.add_command(click.Command(name, callback=fail))
    return group


@pytest.mark.parametrize(
    ("name", "code", "line"),
    [
        ("settings", 2, "offerstream: partitions is 0; it must be more\n"),
        ("disk", 1, "offerstream: /data/log: No space left on device\n"),
        ("interrupt", 130, "offerstream: interrupted\n"),
    ],
)
def test_a_fault_in_a_command_is_one_line(
    failing: click.Group, name: str, code: int, line: str
) -> None:
    result = CliRunner().invoke(failing, [name])
    assert (result.exit_code, result.stderr.lstrip("\n")) == (code, line)


def test_with_debug_the_fault_itself_comes_through(failing: click.Group) -> None:
    result = CliRunner().invoke(failing, ["--debug", "settings"])
    assert isinstance(result.exception, ConfigError)


def test_a_bug_of_ours_keeps_its_traceback(failing: click.Group) -> None:
    result = CliRunner().invoke(failing, ["bug"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_config_show_tells_value_and_source_and_hides_the_password() -> None:
    environ = {
        "OFFERSTREAM_KAFKA__SASL_PASSWORD": "hunter2",
        "OFFERSTREAM_KAFKA__SASL_USERNAME": "shop",
        "OFFERSTREAM_KAFKA__SASL_MECHANISM": "PLAIN",
        "OFFERSTREAM_KAFKA__TLS": "true",
    }
    arguments = ["config", "show", "--set", "partitions=7", "--broker", "kafka://127.0.0.1:9"]
    table = CliRunner().invoke(main, arguments, env=environ)
    rows = json.loads(CliRunner().invoke(main, [*arguments, "--json"], env=environ).stdout)
    assert rows["partitions"] == {"value": 7, "source": "command line"}
    assert rows["broker"]["value"] == "kafka://127.0.0.1:9"
    assert rows["kafka.sasl_password"]["value"] == "***"
    assert rows["kafka.tls"]["source"] == "environment OFFERSTREAM_KAFKA__TLS"
    assert rows["app_id"] == {"value": "offerstream", "source": "default"}
    assert len(table.stdout.splitlines()) == len(rows)
    assert "hunter2" not in table.output + str(rows)


def test_config_check_says_that_a_file_is_right_whatever_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text("partitions = 8\n[metrics]\nport = 8080\n")
    result = CliRunner().invoke(
        main, ["config", "check", str(path)], env={"OFFERSTREAM_NONSENSE": "1"}
    )
    assert result.exit_code == 0
    assert "2 settings in it" in result.stdout
