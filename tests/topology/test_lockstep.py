"""A lockstep: what is decided and learned depends on the records alone, and not on timing."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from stream.broker.local.sync import GroupSync
from tests.builders import NOON, a_click, a_purchase
from tests.topology.embedded import Publication, publication, running, settings_in, stored


def visits(chance: random.Random) -> list[Publication]:
    """More of some customers than of others, so that partitions differ in what they have to do."""
    made: list[Publication] = []
    for n in range(900):
        customer, item = f"c{int(40 * chance.random() ** 2)}", f"i{chance.randrange(12)}"
        make = a_purchase if chance.random() < 0.1 else a_click
        made.append(publication(make(n, customer, item, time=NOON + n * 20_000)))
    return made


async def test_the_log_of_lessons_is_the_same_however_long_the_disk_takes(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, found = visits(random.Random(seed)), []
    for life in range(3):
        chance = random.Random(f"{seed}/{life}")

        def durable(self: GroupSync, chance: random.Random = chance) -> asyncio.Future[None]:
            return asyncio.ensure_future(asyncio.sleep(chance.choice([0, 0, 0.01])))

        monkeypatch.setattr(GroupSync, "durable", durable)
        settings = settings_in(tmp_path / str(life), partitions=4)
        async with running(settings, lockstep=True) as engine:
            for at in range(0, len(records), 450):
                await engine.publish(records[at : at + 450])
                await engine.settle()
            found.append([record.value for record in stored(engine, "examples")])
            offers = [record.value for record in stored(engine, "offers")]
    assert len(set(found[0])) >= 8
    assert offers
    assert found[1:] == found[:1] * 2
