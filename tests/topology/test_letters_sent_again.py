"""Dead letters sent again: after a mend, a run that failed equals one that never did."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from stream.broker.local.log import Log
from stream.cli import main
from stream.codec.partition import partition_for
from stream.config import Settings
from stream.worker.engine import Publication
from tests.builders import NOON, OPEN, SECOND, a_click, a_purchase
from tests.topology.embedded import look, publication, running, settings_in, unstamped

EVENTS = 120


def traffic(seed: int) -> list[Publication]:
    chance = random.Random(seed)
    events = []
    for n in range(EVENTS):
        customer, item, time = (
            f"c{chance.randrange(9)}",
            f"i{chance.randrange(9)}",
            NOON + n * SECOND,
        )
        event = (
            a_click(n, customer, item, time=time)
            if chance.random() < 0.8
            else a_purchase(n, customer, item, time=time)
        )
        events.append(publication(event))
    return events


def options(settings: Settings) -> list[str]:
    return [f"--broker={settings.broker}", "--set=partitions=4", "--set=topics.prefix=shop."]


async def invoked(settings: Settings, *arguments: str) -> Result:
    """A command, in a thread: it has an event loop of its own."""
    whole = ["dead-letters", *arguments, *options(settings)]
    return await asyncio.to_thread(CliRunner().invoke, main, whole)


async def run(settings: Settings, *arguments: str, code: int = 0) -> str:
    done = await invoked(settings, *arguments)
    assert done.exit_code == code, done.output
    return done.stdout


def misplaced(settings: Settings, events: list[Publication]) -> None:
    """Append events where another partitioner puts them: one behind the right one."""
    assert settings.embedded_log is not None
    with Log(settings.embedded_log) as log:
        for kind, key, value, _, _ in events:
            number = (partition_for(key, 4) + 1) % 4
            log.append(f"shop.{kind}", number, [(key, value, NOON, [("producer", b"till-9")])])


async def failed(directory: Path, events: list[Publication]) -> Settings:
    """A run whose producer put all events into wrong partitions."""
    settings = settings_in(directory, 4, replace(OPEN, offers_per_day=0))
    async with running(settings, lockstep=True):
        pass
    misplaced(settings, events)
    async with running(settings, lockstep=True) as engine:
        await engine.settle()
        assert engine.status().counts["rejected:partition"] == len(events)
    return settings


async def test_sent_again_after_a_mend_it_is_as_if_nothing_had_failed(
    tmp_path: Path, seed: int
) -> None:
    events = traffic(seed)
    settings = await failed(tmp_path / "failed", events)
    calm = settings_in(tmp_path / "calm", 4, replace(OPEN, offers_per_day=0))
    async with running(calm, lockstep=True) as engine:
        await engine.publish(events)
        undisturbed = await look(engine)

    kinds = (await run(settings, "list")).splitlines()
    assert all("shop." in kind and "from till-9: partition: the key" in kind for kind in kinds)
    assert "would be sent" in await run(settings, "replay", "--reason", "partition", "--dry-run")
    await run(settings, "replay", "--reason", "oversize", code=2)
    await run(settings, "replay", "--producer", "shop.clicks", code=2)
    done = json.loads(await run(settings, "replay", "--producer", "till-9", "--json"))
    assert done == {
        "sent": EVENTS, "failed": 0, "cut": 0, "often": 0, "elsewhere": 0, "dry_run": False,
    }  # fmt: skip

    async with running(settings, lockstep=True) as engine:
        mended = await look(engine)
    assert mended.counts["applied"] == undisturbed.counts["applied"] == EVENTS
    assert {name: unstamped(state) for name, state in mended.customers.items()} == {
        name: unstamped(state) for name, state in undisturbed.customers.items()
    }
    # sent once more, each counts once
    await run(settings, "replay", "--rate", "100000")
    async with running(settings, lockstep=True) as engine:
        again = await look(engine)
    assert again.counts["applied"] == EVENTS
    assert again.counts["duplicate"] == EVENTS


async def test_a_letter_goes_in_circles_only_so_often(tmp_path: Path, seed: int) -> None:
    events = traffic(seed)[:5]
    settings = await failed(tmp_path, events)
    assert settings.embedded_log is not None
    broken = [("clicks", b"c1", b"{", (), None)] * 3
    async with running(settings, lockstep=True) as engine:
        await engine.publish(broken)
        await engine.settle()
    sent = 0
    for _ in range(4):
        arguments = ["--reason", "decode", "--most-attempts", "2", "--json"]
        done = await invoked(settings, "replay", *arguments)
        sent += json.loads(done.stdout)["sent"]
        async with running(settings, lockstep=True) as engine:
            await engine.settle()
            deaths = engine.status().counts["rejected:decode"]
    # those of the first death go each time, those of the second never
    assert deaths == 3 + sent
    told = await run(settings, "list", "--reason", "decode", "--each", "--json")
    attempts = [json.loads(line)["attempt"] for line in told.splitlines()]
    assert max(attempts) == 2


@pytest.mark.parametrize("arguments", [["list"], ["list", "--each"], ["show", "0:0"]])
async def test_letters_are_shown(tmp_path: Path, arguments: list[str], seed: int) -> None:
    settings = await failed(tmp_path, traffic(seed)[:40])
    if arguments == ["show", "0:0"]:
        shown = await run(settings, *arguments)
        assert "partition" in shown
        assert "till-9" in shown
        document = json.loads(await run(settings, *arguments, "--json"))
        assert json.loads(document["value"])["customer_id"] == document["key"]
        assert "there is no dead letter '9:9'" in (await invoked(settings, "show", "9:9")).stderr
    else:
        lines = (await run(settings, *arguments)).splitlines()
        assert len(lines) == (40 if "--each" in arguments else len(lines)) >= 1
