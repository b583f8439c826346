"""What tests share: a run's seed, files of real shops, a real Kafka, a word on what was skipped.

Environment:

- ``OFFERSTREAM_TEST_BROKER=host:port``: use this Kafka instead of starting one;
- ``OFFERSTREAM_TEST_REQUIRE_KAFKA=1``: fail where there is no Kafka, instead of skipping;
- ``OFFERSTREAM_TEST_SEED=n``: repeat a run's random choices.
"""

from __future__ import annotations

import logging
import os
import random
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings

from tests.kafka import install, shared
from tests.kafka.broker import Broker
from tests.memory import Peaks

SHARED_DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
BROKER_FOLDER: Final = pytest.StashKey[Path]()

settings.register_profile("default", print_blob=True, deadline=None)  # machines are slow at times
settings.load_profile("default")


# ------------------------------------------------------------------------------------------- seeds


def pytest_configure(config: pytest.Config) -> None:
    """Draw the run's seed, in the first process: workers inherit it; watch their memory."""
    config.pluginmanager.register(Peaks(), "peaks")
    os.environ.setdefault("OFFERSTREAM_TEST_SEED", str(secrets.randbelow(2**32)))


def pytest_report_header() -> str:
    """Print the seed."""
    return f"seed: OFFERSTREAM_TEST_SEED={os.environ['OFFERSTREAM_TEST_SEED']}"


@pytest.fixture(autouse=True)
def levels_of_logs() -> Iterator[None]:
    """Have no test hear less because a command that ran in this process before set the levels."""
    loggers = [logging.getLogger(), logging.getLogger("stream")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed of the test's own, from the run's seed and the test's name; shown when it fails."""
    drawn = random.Random(os.environ["OFFERSTREAM_TEST_SEED"] + request.node.nodeid).getrandbits(32)
    print(f"seed {drawn}: repeat with OFFERSTREAM_TEST_SEED={os.environ['OFFERSTREAM_TEST_SEED']}")
    return drawn


# ---------------------------------------------------------------------------------------- real data


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Find a real shop's file by name, or skip aloud; the data are not part of the repository."""

    def find(name: str) -> Path:
        if not (path := SHARED_DATA / name).exists():
            pytest.skip(f"no data: {path} is not there")
        return path

    return find


# -------------------------------------------------------------------------------------------- Kafka


@pytest.fixture(scope="session")
def kafka_install() -> None:
    """Ask for what starting a broker takes; skip (or fail, where required) if it can't be had."""
    try:
        install.jars()
        install.java()
    except install.Unavailable as missing:
        absent = pytest.fail if os.environ.get("OFFERSTREAM_TEST_REQUIRE_KAFKA") else pytest.skip
        absent(f"no Kafka: {missing}")


@pytest.fixture(scope="session")
def kafka(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of the run's Kafka; all tests share it, so name topics by ``topic_prefix``."""
    if given := os.environ.get("OFFERSTREAM_TEST_BROKER"):
        yield given
        return
    request.getfixturevalue("kafka_install")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "kafka"
    request.config.stash[BROKER_FOLDER] = folder
    with shared.shared_broker(folder) as address:
        yield address


@pytest.fixture
def broker(kafka_install: None, tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own, which it may stop, kill and pause."""
    with Broker(tmp_path / "broker") as started:
        yield started


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """A prefix for topics, groups and app ids that nobody else uses: ``test-name-1f3a9c02-``."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40]
    return f"{name}-{secrets.token_hex(4)}-"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for a Kafka, so that ``-m 'not kafka'`` leaves it out, and begin with it.

    Its files take longest, and wait much: what others compute fits beside them. Then come whole
    apps, which need most memory, while a process holds little, and simulations: they are long, and
    nobody is to wait for the last of them alone.
    """
    for item in items:
        if {"kafka", "kafka_install"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")
    first = {item.path for item in items if item.get_closest_marker("kafka")}
    soon = {"topology", "properties"}
    items.sort(key=lambda item: (item.path not in first, item.path.parent.name not in soon))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the broker's last words with a test that failed on it."""
    report = yield
    if report.failed and "kafka" in getattr(item, "fixturenames", ()):
        folder = item.config.stash.get(BROKER_FOLDER, None)
        if folder is not None:
            report.sections.append(("Kafka broker's log", shared.log_of(folder)))
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say last, and loudly, what did not run and why."""
    yield
    skipped = terminalreporter.stats.get("skipped", [])
    counts = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in sorted(counts.items()):
        terminalreporter.write_sep("!", f"{count} did not run", red=True, bold=True)
        terminalreporter.write_line(reason, red=True)
