"""A customer is in one partition: what a producer puts elsewhere is refused, told, and obeyed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stream.codec.deadletters import restore
from stream.codec.events.decoding import encode
from stream.codec.partition import partition_for
from stream.domain.event import Event, RejectionCode
from stream.worker.engine import Engine
from tests.builders import a_click, a_purchase, an_update, consent
from tests.topology.embedded import look, running, settings_in

SHARDS = 3
RIGHT = partition_for(b"anna", SHARDS)
WRONG = (RIGHT + 1) % SHARDS


async def put(engine: Engine, kind: str, shard: int, event: Event) -> None:
    """Append an event to a partition, whatever its key says."""
    topic = getattr(engine.settings.topics, kind)
    record = (event.customer_id.encode(), encode(event), event.time, ())
    await (await engine.app.send_batch(topic, shard, [record]))
    await engine.settle()


async def test_a_record_in_anothers_partition_is_refused_with_the_way_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(settings_in(tmp_path, SHARDS)) as engine:
        await put(engine, "clicks", RIGHT, a_click(0, "anna"))
        for n in (1, 2):
            await put(engine, "clicks", WRONG, a_click(n, "anna"))
        await put(engine, "purchases", WRONG, a_purchase(3, "anna"))
        seen = await look(engine)
        assert seen.counts["applied"] == 1
        assert seen.counts["rejected:partition"] == seen.counts["rejected"] == 3
        letters = [restore(letter) for letter in seen.letters]
        assert {letter.rejection.code for letter in letters} == {RejectionCode.PARTITION}
        assert "partitioner=murmur2_random" in letters[0].rejection.detail
        assert seen.customers["anna"].profile.views == 1
    told = [line for line in caplog.messages if "murmur2_random" in line]
    assert len(told) == 2  # once for each topic


async def test_what_a_record_in_anothers_partition_takes_away_is_obeyed_there(
    tmp_path: Path,
) -> None:
    settings = settings_in(tmp_path, SHARDS)
    anything = replace(settings, topics=replace(settings.topics, partitioner="any"))
    async with running(anything) as engine:
        await put(engine, "clicks", WRONG, a_click(0, "anna", consent=consent(True)))
        assert (await look(engine)).customers["anna"].profile.views == 1
    async with running(settings) as engine:
        await put(engine, "customers", WRONG, an_update(5, "anna", erase=True))
        seen = await look(engine)
        assert seen.counts["rejected:partition"] == 1
        assert "anna" not in seen.customers
