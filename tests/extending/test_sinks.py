"""A sink of the shop's own: it gets every offer, in order, and none is passed over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from stream.broker.local.broker import LocalBroker
from stream.broker.local.log import Log
from stream.cli import main
from stream.client.piping import MOST, Pipe, SinkFailed
from stream.codec.partition import partition_for
from stream.config import ConfigError, Settings
from stream.extending import Delivered
from tests.builders import NOON, a_click
from tests.client.serving_offers import a_recall, an_offer
from tests.extending.installing import Site
from tests.topology.embedded import publication, running, settings_in, stored
from tests.waiting import within

GROUP = "offerstream-sink-some"


def put(log: Log, *records: tuple[bytes | None, bytes | None]) -> None:
    for key, value in records:
        log.append("offers", partition_for(key or b"", 4), [(key, value, NOON, ())])


def piped(*words: str) -> Result:
    return CliRunner().invoke(main, ["offers", "pipe", *words])


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path / "log")
    log.create_topic("offers", 4)
    return log


def pipe(log: Log, sink: object, **more: object) -> Pipe:
    return Pipe(Settings(), "some", sink, opened=LocalBroker(lambda: log), **more)  # type: ignore[arg-type]


async def offers_after(settings: Settings, number: int) -> list[bytes | None]:
    async with running(settings, lockstep=True) as engine:
        await engine.publish([publication(a_click(number, f"c{number}", item_id="cup"))])
        await engine.settle()
        return [record.value for record in stored(engine, "offers")]


def test_offers_of_a_worker_come_to_the_file_once(
    shop: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "offers.jsonl"
    monkeypatch.setenv("SHOP_OFFERS", str(file))
    settings = settings_in(tmp_path)
    told = ("--broker", settings.broker, "--set", "topics.prefix=shop.", "--until-now")
    for number in range(2):
        made = asyncio.run(offers_after(settings, number))
        for _ in range(2):  # the second time nothing is new
            ended = piped("to-file", *told)
            assert ended.exit_code == 0, ended.output
        assert len(made) == number + 1
        assert file.read_bytes().splitlines() == made


async def test_a_sink_that_raises_is_handed_the_same_again(log: Log) -> None:
    put(log, *(an_offer(f"o{n}", "c1", NOON + n) for n in range(3)), a_recall("o1", "c1"))
    calls: list[list[str]] = []
    waits: list[float] = []

    def sink(offers: Sequence[Delivered]) -> None:
        calls.append([orjson.loads(one.document)["offer_id"] for one in offers])
        assert [one.recalled for one in offers] == [False] * 3 + [True]
        assert {one.customer_id for one in offers} == {"c1"}
        if len(calls) < 2:
            raise OSError("away")

    piping = pipe(log, sink, failed=lambda _, wait: waits.append(wait))
    await within("the offers", piping.run(until_now=True))
    assert calls == [["o0", "o1", "o2", "o1"]] * 2 and waits == [1.0]
    assert piping.delivered == 4
    number = partition_for(b"c1", 4)
    assert log.committed(GROUP, "offers", number) == 4
    log.close()


async def test_what_it_gave_up_on_comes_first_the_next_time(log: Log) -> None:
    put(log, an_offer("o1", "c1"), (b"c1", None), (None, b"{}"), an_offer("o2", "c1"))

    def broken(offers: Sequence[Delivered]) -> None:
        raise ValueError("a secret")

    with pytest.raises(SinkFailed, match="it raised ValueError at each of 1 attempts") as told:
        await pipe(log, broken, attempts=1).run(until_now=True)
    assert "secret" not in str(told.value)
    number = partition_for(b"c1", 4)
    assert log.committed(GROUP, "offers", number) is None
    taken: list[Delivered] = []
    await pipe(log, taken.extend).run(until_now=True)
    assert [one.offset for one in taken if one.partition == number] == [0, 2]
    put(log, an_offer("o3", "c1"))
    await pipe(log, taken.extend).run(until_now=True)
    assert [one.offset for one in taken if one.partition == number] == [0, 2, 3]
    log.close()


async def test_many_are_handed_over_in_parts_and_in_order(log: Log) -> None:
    put(log, *(an_offer(f"o{n}", "c1") for n in range(2 * MOST + 10)))
    parts: list[list[int]] = []
    await pipe(log, lambda some: parts.append([one.offset for one in some])).run(until_now=True)
    assert max(map(len, parts)) <= MOST
    assert [*chain(*parts)] == list(range(2 * MOST + 10))
    log.close()


async def test_a_place_of_an_earlier_life_of_the_topic_does_not_count(log: Log) -> None:
    number = partition_for(b"c1", 4)
    log.commit(GROUP, {("offers", number): 77})
    put(log, an_offer("o1", "c1"))
    taken: list[Delivered] = []
    await pipe(log, taken.extend).run(until_now=True)
    assert [one.offset for one in taken] == [0]
    log.close()


async def test_a_topic_that_is_not_there_is_named(tmp_path: Path) -> None:
    with Log(tmp_path / "log") as log, pytest.raises(ConfigError, match="topic offers is missing"):
        await pipe(log, print).run(until_now=True)


def test_the_command_names_what_is_wrong(site: Site, log: Log, tmp_path: Path) -> None:
    put(log, an_offer("o1", "c1"))
    log.close()
    files = {"some_sinks.py": "def fails(offers): raise ValueError('secret')\ndef none(): ..."}
    entries = {"fails": "some_sinks:fails", "none": "some_sinks:none"}
    site.install(files, {"offerstream.sinks": entries})
    where = ("--broker", f"local://{tmp_path / 'log'}", "--until-now")
    for name, code, says in (
        ("failz", 2, "the sink 'failz' is not installed; did you mean fails?"),
        ("none", 2, "the sink 'none' of shop-extensions 1.0 (some_sinks:none) must be a function"),
        ("fails", 1, "the sink fails does not take its offers: it raised ValueError at each of 1"),
    ):
        told = piped(name, *where, "--attempts", "1")
        assert told.exit_code == code, told.output
        assert says in told.output and "secret" not in told.output
