"""Nothing secret and nobody's data in a log, whoever logs it, at whatever level, in what form."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from aiokafka.protocol.admin import SaslAuthenticateRequest
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from stream.broker.local.frame import StoredRecord
from stream.config import ConfigError, Secret
from stream.host.discretion import keep_secret, told_trace
from stream.host.logs import FIRST, PERIOD, AsJson, Discreet, Sparing, start_logging
from stream.worker.faust.records import Arrived, Batch, Lane
from stream.worker.learning.process import Apart

ROOT = Path(__file__).resolve().parents[2]
WHO = "ann.smith-77"  # a customer
PASSWORD = "pa'ss w%rd\\5521"
LOGGERS = [
    *("stream.worker.pipeline", "faust.agents", "mode.services", "aiokafka.conn", "asyncio"),
    *("rocksdict", "py.warnings", "root", "somebody.else"),
]
LEVELS = ["debug", "info", "warning", "error", "critical"]


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """What was logged since the last call; all levels of all loggers are on."""
    handler = Sparing(io.StringIO())
    before = {name: logging.getLogger(name).level for name in (*LOGGERS, "stream")}
    start_logging("debug", [Secret(PASSWORD)], stream=handler.stream)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.DEBUG)

    def read() -> str:
        text = handler.stream.getvalue()
        handler.stream.truncate(0)
        return text

    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield read
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    logging.basicConfig(force=True)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def kafka_record() -> object:
    fields = {"topic": "clicks", "partition": 3, "offset": 17, "key": WHO.encode()}
    values = {"value": WHO.encode(), "headers": [("who", WHO.encode())], "timestamp": 0}
    sizes = {"timestamp_type": 0, "checksum": 0, "serialized_key_size": 1}
    return ConsumerRecord(**fields, **values, **sizes, serialized_value_size=1)


def kept_record() -> object:
    key = WHO.encode()
    return StoredRecord("clicks", 3, 17, 0, key, key, ((WHO, key),))


def a_batch() -> object:
    return Batch(Lane("events", 3), [Arrived(0, SimpleNamespace(topic="clicks", offset=1), WHO)])


DATA: list[Callable[[], object]] = [
    *(kafka_record, kept_record, a_batch),
    lambda: WHO.encode(),
    lambda: bytearray(WHO.encode()),
    lambda: memoryview(WHO.encode()),
    lambda: [WHO],
    lambda: (WHO, 1),
    lambda: {WHO: 1},
    lambda: frozenset({WHO}),
    lambda: SimpleNamespace(customer=WHO),
    lambda: SaslAuthenticateRequest(PASSWORD.encode()),
    lambda: ValueError(WHO),
    lambda: KeyError(WHO),
    lambda: OSError(WHO),
    lambda: UnicodeDecodeError("utf-8", WHO.encode(), 0, 1, WHO),
    lambda: ExceptionGroup(WHO, [ValueError(WHO)]),
    lambda: type("Own", (RuntimeError,), {"__str__": lambda _: WHO})(),
]


@pytest.mark.parametrize("name", LOGGERS)
@pytest.mark.parametrize("make", DATA)
def test_what_is_worked_on_is_cut_from_every_loggers_lines(
    name: str, make: Callable[[], object], logged: Callable[[], str]
) -> None:
    for form in ("took %s", "took %r", "took %a", "took %(it)s", "took %d"):
        for level in LEVELS:
            given: object = {"it": make()} if "(it)" in form else make()
            values = given if isinstance(given, dict | tuple) else (given,)
            logger = logging.getLogger(name)
            logger.log(logging.getLevelNamesMapping()[level.upper()], form, values)
            logger.log(logging.getLevelNamesMapping()[level.upper()], form, given)
            logger.log(logging.getLevelNamesMapping()[level.upper()], given)
            text = logged()
            assert "took" in text
            assert_silent(text)


def assert_silent(text: str) -> None:
    assert WHO not in text
    assert PASSWORD not in text
    assert repr(PASSWORD)[1:-1] not in text
    assert repr(PASSWORD.encode())[2:-1] not in text


@pytest.mark.parametrize("name", [name for name in LOGGERS if not name.startswith("stream")])
def test_what_a_library_filled_in_itself_is_cut_too(name: str, logged: Callable[[], str]) -> None:
    for value in [make() for make in DATA] + [WHO, {"key": WHO.encode()}]:
        logging.getLogger(name).warning(f"could not take {value!r} of {TP('clicks', 3)}")
        text = logged()
        assert "could not take" in text
        if not isinstance(value, SimpleNamespace | BaseException):
            assert_silent(text)


def test_a_secret_is_masked_in_whatever_spelling(logged: Callable[[], str]) -> None:
    for spelling in (PASSWORD, repr(PASSWORD), repr(b"\0shop\0" + PASSWORD.encode())):
        for name in LOGGERS:
            logging.getLogger(name).error("login with " + spelling.replace("%", "%%"), 1)
            logging.getLogger(name).error("login with %s", spelling)
            logging.getLogger(name).error(f"login with {spelling}")
            assert_silent(logged())


def test_the_login_in_an_address_is_masked(logged: Callable[[], str]) -> None:
    logging.getLogger("stream.x").error("no broker at %s", "kafka://ann:hunter2@shop:9092")
    assert "kafka://***@shop:9092" in (text := logged())
    assert "hunter2" not in text


def failing(deep: int = 2) -> None:
    if deep:
        try:
            failing(deep - 1)
        except ValueError as error:
            again = RuntimeError(f"could not take {WHO}")
            again.add_note(f"it was {WHO}")
            raise again from error
    raise ValueError(f"no age of {WHO}")


def test_a_trace_tells_where_and_never_on_what(logged: Callable[[], str]) -> None:
    for name in LOGGERS:
        try:
            failing()
        except RuntimeError:
            logging.getLogger(name).exception("failed")
        text = logged()
        assert "in failing" in text
        assert "ValueError" in text
        assert "RuntimeError" in text
        assert_silent(text)


def test_groups_and_validation_errors_are_told_by_their_types() -> None:
    try:
        msgspec.json.decode(f'{{"a": "{WHO}"}}'.encode(), type=dict[str, int])
    except msgspec.ValidationError as error:
        text = told_trace(ExceptionGroup(WHO, [error, KeyError(WHO)]))
        assert "ValidationError" in text
        assert "KeyError" in text
        assert_silent(text)


def test_what_an_operator_must_know_is_told() -> None:
    assert told_trace(ConfigError("partitions is 0")) == "ConfigError: partitions is 0"
    error = OSError(28, "No space left on device", "/data/x.sst")
    assert told_trace(error) == "OSError: No space left on device: /data/x.sst"


async def test_a_task_whose_failure_nobody_awaits_is_told_by_type(
    logged: Callable[[], str],
) -> None:
    async def fail() -> None:
        raise ValueError(WHO)

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    text = logged()
    assert "exception was never retrieved" in text
    assert "ValueError" in text
    assert_silent(text)


def test_a_flood_of_one_kind_is_a_few_lines_and_a_count() -> None:
    now = [0.0]
    handler = Sparing(io.StringIO(), lambda: now[0])
    handler.setFormatter(Discreet("%(levelname)s %(name)s %(message)s"))
    logger = logging.Logger("aiokafka.client")
    logger.addHandler(handler)
    for n in range(1_000):
        logger.error("Unable connect to node with id %s: %s", n % 3, OSError(111, "refused"))
        logger.error(f"Unable to update metadata from [{n}]")
    logger.error("something else")
    lines = handler.stream.getvalue().splitlines()
    assert len(lines) == 2 * FIRST + 1
    now[0] += PERIOD
    logger.info("back")
    more = handler.stream.getvalue().splitlines()[len(lines) :]
    assert [line.split(":")[0] for line in more] == [
        f"ERROR aiokafka.client {1_000 - FIRST} more like this within 10 s",
        f"ERROR aiokafka.client {1_000 - FIRST} more like this within 10 s",
        "INFO aiokafka.client back",
    ]
    for _ in range(FIRST + 7):
        logger.error("something else")
    handler.close()
    assert "7 more like this" in handler.stream.getvalue()


def test_kinds_without_end_take_bounded_memory() -> None:
    handler = Sparing(io.StringIO())
    logger = logging.Logger("x")
    logger.addHandler(handler)
    for n in range(3_000):
        word = "".join(chr(97 + int(digit)) for digit in str(n))
        logger.error(word)
    assert len(handler._repeats._seen) < 300


def test_an_object_a_line_holds_what_a_line_for_people_does_and_nothing_secret() -> None:
    handler = Sparing(io.StringIO())
    handler.setFormatter(AsJson())
    keep_secret([Secret(PASSWORD)])
    logger = logging.Logger("stream.worker")
    logger.addHandler(handler)
    logger.error("two\nlines of %s and %s", PASSWORD, WHO.encode())
    try:
        raise ValueError(WHO)
    except ValueError:
        logger.exception("a bug")
    first, second = (json.loads(line) for line in handler.stream.getvalue().splitlines())
    assert (first["level"], first["logger"]) == ("error", "stream.worker")
    assert first["message"].startswith("two\nlines of ")
    assert second["message"] == "a bug" and "ValueError" in second["trace"]
    assert PASSWORD not in handler.stream.getvalue() and WHO not in handler.stream.getvalue()


def test_what_services_do_one_by_one_is_told_where_one_asks_for_it(
    logged: Callable[[], str],
) -> None:
    service = "[^--ConsumerInLoop]: Starting..."
    logging.getLogger("stream.worker.faust").info(service)
    assert service in logged()
    stream = io.StringIO()
    start_logging("info", stream=stream)
    logging.getLogger("stream.worker.faust").info(service)
    logging.getLogger("stream.worker.faust").error("[^--ConsumerInLoop]: Crashed")
    assert service not in stream.getvalue() and "Crashed" in stream.getvalue()


UNCAUGHT = """
import gc, sys, threading
from stream.host.discretion import guard_tracebacks
guard_tracebacks()
who = "-".join(["ann.smith", "77"])
def fail():
    raise ValueError(f"no age of {who}")
class Dying:
    def __del__(self):
        fail()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Dying()
fail()
"""


def test_what_nobody_catches_in_any_thread_is_told_by_type(tmp_path: Path) -> None:
    script = tmp_path / "uncaught.py"
    script.write_text(UNCAUGHT)
    done = subprocess.run(
        [sys.executable, script], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines().count("ValueError") == 3
    assert done.stderr.count("in fail\n") == 3
    assert WHO not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")
async def test_the_learners_process_shows_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFERSTREAM_KAFKA__SASL_PASSWORD", PASSWORD)
    monkeypatch.setenv("OFFERSTREAM_LEARNING__SNAPSHOT_KEY", PASSWORD)
    training = await Apart.started()
    try:
        for place in ("environ", "cmdline"):
            text = await asyncio.to_thread(Path(f"/proc/{training.pid}/{place}").read_bytes)
            assert text
            assert PASSWORD.encode() not in text
    finally:
        await training.end()
