"""The offer reader over a local log, and the commands that look at offers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from stream.broker.local.broker import LocalBroker
from stream.broker.local.log import Log
from stream.cli import main
from stream.client import OfferReader
from stream.client.reader import ReaderStopped
from stream.codec.partition import partition_for
from stream.config import ConfigError, Settings
from tests.builders import HOUR, NOON
from tests.client.serving_offers import a_recall, an_offer
from tests.waiting import eventually, line_with, within

ROOT = Path(__file__).resolve().parents[2]


def put(log: Log, *records: tuple[bytes, bytes]) -> None:
    for key, value in records:
        log.append("offers", partition_for(key, 4), [(key, value, NOON, ())])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A log with offers to three customers, one recalled, and one whose bytes are none."""
    with Log(tmp_path / "log") as log:
        log.create_topic("offers", 4)
        put(log, *(an_offer(f"of{n}", f"c{n}", NOON + n) for n in range(3)))
        put(log, an_offer("gone", "c2"), a_recall("gone", "c2"), (b"c2", b"{"))
    return tmp_path / "log"


async def test_it_knows_what_was_there_and_hears_what_comes(directory: Path) -> None:
    with Log(directory) as log:
        async with OfferReader(opened=LocalBroker(lambda: log), clock="stream") as offers:

            async def look() -> list[str]:
                return [offer.offer_id for offer in offers.for_customer("c2")]

            assert await look() == ["of2"]
            put(log, an_offer("new", "c2", NOON + 5), an_offer("of2", "c2", NOON + 2))
            put(log, a_recall("of2", "c2", NOON + 6))
            await eventually("the newest alone", look, lambda ids: ids == ["new"])
            assert offers.counts["duplicate"] == 1
            assert offers.counts["unreadable"] == 1
            put(log, an_offer("later", "c9", NOON + 2 * HOUR))
            await eventually("time to pass", look, lambda ids: ids == [])


async def test_a_reader_that_is_left_answers_no_more(directory: Path) -> None:
    reader = OfferReader(f"local://{directory}", clock="stream")
    with pytest.raises(ReaderStopped):
        reader.for_customer("c1")
    async with reader:
        assert reader.for_customer("c1")
    with pytest.raises(ReaderStopped):
        reader.for_customer("c1")
    Log(directory).close()  # nobody has it open any more


async def test_where_there_is_no_log_or_no_topic_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no local log in"):
        async with OfferReader(f"local://{tmp_path / 'log'}"):
            raise AssertionError
    Log(tmp_path / "log").close()
    with pytest.raises(ConfigError, match="topic offers is missing"):
        async with OfferReader(f"local://{tmp_path / 'log'}"):
            pass


async def test_a_broker_that_is_away_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"broker kafka://127\.0\.0\.1:1 doesn't answer"):
        async with OfferReader("kafka://127.0.0.1:1"):
            pass


async def test_a_reader_that_fails_says_so_to_whoever_asks(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Log(directory) as log:
        async with OfferReader(opened=LocalBroker(lambda: log), clock="stream") as offers:
            monkeypatch.setattr(offers._book, "take", lambda *_: 1 // 0)
            put(log, an_offer("new"))
            with pytest.raises(ZeroDivisionError):
                await within("the reader's fault", offers.wait())
            with pytest.raises(ReaderStopped) as stopped:
                offers.for_customer("c1")
            assert isinstance(stopped.value.__cause__, ZeroDivisionError)


# --------------------------------------------------------------------------------------- commands


def offers(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["offers", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_get_shows_what_is_open_at_a_time(directory: Path) -> None:
    broker = f"--broker=local://{directory}"
    words = offers("get", "c2", "--at", "stream", broker)
    until = "2023-11-15T13:00:00.002000+00:00"
    assert words.startswith(f"of2  campaign spring, 10 % off, until {until}")
    assert "  Washer for 17.99 EUR instead of 19.99: often bought together with p7" in words
    found = json.loads(offers("get", "c2", "--at", str(NOON + 1), "--json", broker))
    assert found == {"customer_id": "c2", "offers": []}  # one recalled by then, one not yet made
    shown = offers("get", "c2", broker)
    assert "of 2 offer(s) the last expired" in shown
    again = shown.split("--at ")[1].split()[0].strip('"')
    assert offers("get", "c2", "--at", again, broker) == words
    assert "no offer was made to c-none" in offers("get", "c-none", broker)
    assert json.loads(offers("get", "c2", "--at", "stream", "--openrtb", broker))["user"]["data"]


def test_tail_prints_each_offer_and_recall_once(directory: Path) -> None:
    with Log(directory) as log:
        put(log, an_offer("of0", "c0", NOON))
    broker = f"--broker=local://{directory}"
    lines = offers("tail", "--until-now", broker).splitlines()
    assert sorted(lines) == [
        "c0  of0  spring, 10 % off: Washer",
        "c1  of1  spring, 10 % off: Washer",
        "c2  gone  spring, 10 % off: Washer",
        "c2  of2  spring, 10 % off: Washer",
        "c2  recalled gone: purchase",
    ]
    records = [
        json.loads(line)
        for line in offers("tail", "--until-now", "--json", "--customer", "c1", broker).splitlines()
    ]
    assert [record["offer_id"] for record in records] == ["of1"]


def test_serve_answers_and_ends_in_order(directory: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "stream",
        "offers",
        "serve",
        "--port",
        "0",
        "--clock",
        "stream",
    ]
    process = subprocess.Popen(
        [*command, "--clock", "stream", "--broker", f"local://{directory}"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        line = line_with(process, "offers at http", process.stdout)
        address = line.split()[-1].replace("ID", "c1")
        with urllib.request.urlopen(address, timeout=60) as answer:
            found = json.load(answer)
        assert [offer["offer_id"] for offer in found["offers"]] == ["of1"]
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["get", "c1", "--at", "soon"], "give now, stream, or a time"),
        (["get", "c1", "--at", "2024-05-01T09:30:00"], "give now, stream, or a time"),
        (["tail", "--since", "1 day"], "give a number and s, m, h or d"),
        (["serve", "--host", "192.0.2.1"], "offers can't be served on 192.0.2.1:6068"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: str, tmp_path: Path) -> None:
    broker = f"--broker=local://{tmp_path / 'log'}"
    done = CliRunner().invoke(main, ["offers", *arguments, broker])
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_settings_may_be_given_whole(directory: Path) -> None:
    async def look() -> int:
        settings = Settings(broker=f"local://{directory}")
        async with OfferReader(settings, clock="stream") as reader:
            return len(reader.for_customer("c0"))

    assert asyncio.run(look()) == 1
