"""After recovery the store equals the changelog, whichever store and broker it is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from stream.broker.opening import open_cluster
from stream.broker.records import Outgoing
from stream.codec.customers import encode_state
from stream.codec.partition import partition_for
from stream.config import Settings, Topics
from stream.decide.rows.state import CustomerState, Profile
from stream.domain.value import Value
from stream.worker.app import OfferstreamApp, build_app
from stream.worker.checks.topics import apply, plan
from stream.worker.telemetry.metrics import Metrics
from tests.waiting import within

PARTITIONS = 2


class Written(Value, frozen=True):
    """What a test wrote, and what must be left of it."""

    batches: list[tuple[int, list[Outgoing]]]
    left: dict[bytes, bytes]


def a_history(seed: int, writes: int = 5_000) -> Written:
    """Keys written over and over, and some deleted, in batches of one partition each."""
    chance = random.Random(seed)
    left: dict[bytes, bytes] = {}
    batches: list[tuple[int, list[Outgoing]]] = []
    for n in range(writes):
        key = b"c%d" % chance.randrange(700)
        value = (
            None if chance.random() < 0.1 else encode_state(CustomerState(profile=Profile(views=n)))
        )
        shard = partition_for(key, PARTITIONS)
        if not batches or batches[-1][0] != shard or len(batches[-1][1]) > 50:
            batches.append((shard, []))
        batches[-1][1].append((key, value, None, ()))
        if value is None:
            left.pop(key, None)
        else:
            left[key] = value
    return Written(batches, left)


def held(app: OfferstreamApp) -> dict[bytes, bytes]:
    """What the store holds of customers."""
    items = (item for number in range(PARTITIONS) for item in app.table.items_of(number))
    return {key: value for key, value in items if not key.startswith(b"\0")}


async def a_life(
    settings: Settings, batches: list[tuple[int, list[Outgoing]]]
) -> dict[bytes, bytes]:
    """Start a worker, note what it recovered, and write to its changelog as an owner does."""
    app = build_app(settings, metrics=Metrics())
    await app.start()
    try:
        await within("the recovery", app.recovered())
        found = held(app)
        for number, records in batches:
            await (await app.send_batch(settings.customers_changelog, number, records))
    finally:
        await app.stop()
    return found


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
@pytest.mark.parametrize("where", ["kafka", "local"])
async def test_a_recovered_store_equals_the_log(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    topic_prefix: str,
    seed: int,
    where: str,
    store: str,
) -> None:
    kafka = f"kafka://{request.getfixturevalue('kafka')}" if where == "kafka" else ""
    settings = Settings(
        broker=kafka or f"local://{tmp_path}/log",
        app_id=topic_prefix,
        topics=Topics(prefix=topic_prefix),
        partitions=PARTITIONS,
        store="memory" if store == "memory" else "rocksdb",
        data_dir=tmp_path / "state",
    )
    async with open_cluster(settings) as cluster:
        await apply(cluster, await plan(cluster, settings))
    written = a_history(seed)
    half = len(written.batches) // 2
    assert await a_life(settings, written.batches[:half]) == {}
    first = await a_life(settings, written.batches[half:])
    assert len(first) > 0
    assert await a_life(settings, []) == written.left
