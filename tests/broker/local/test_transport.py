"""Plain Faust on a local log: agents, tables and recovery as on Kafka."""

import asyncio
import tomllib
from importlib import import_module
from pathlib import Path

import faust
import pytest
from faust.types import TP

from stream.broker.local.log import Log, LogRecord
from stream.codec.partition import partition_for
from stream.config import ConfigError
from tests.waiting import eventually, within


class Order(faust.Record):
    customer: str
    amount: int


def shop(app, tally):
    """Count raw clicks per customer, sum JSON orders, and keep the last of each name globally."""
    clicks = app.topic("clicks", key_type=bytes, value_type=bytes, value_serializer="raw")
    orders = app.topic("orders", key_type=str, value_type=Order)
    names = app.topic("names", key_type=str, value_type=str, partitions=1, internal=True)
    counts = app.Table("counts", default=int, key_type=bytes, value_type=int)
    sums = app.Table("sums", default=int, key_type=str, value_type=int)
    latest = app.GlobalTable(
        "latest", partitions=1, recovery_buffer_size=1, key_type=str, value_type=str
    )

    @app.agent(clicks)
    async def count(stream):
        async for event in stream.events():
            counts[event.key] += 1
            tally.add(event)

    @app.agent(orders)
    async def total(stream):
        async for event in stream.events():
            sums[event.value.customer] += event.value.amount
            tally.add(event)

    @app.agent(names)
    async def remember(stream):
        async for event in stream.events():
            latest[event.key] = event.value
            tally.add(event)

    return clicks, orders, names, {"counts": counts, "sums": sums, "latest": latest}


def contents(tables):
    return {name: dict(table) for name, table in tables.items()}


async def settled(tables, expected):
    """What tables hold in the end: a global one meets what it wrote again, older values first."""

    async def held():
        return contents(tables)

    return await eventually("the tables' contents", held, lambda found: found == expected)


async def test_agents_and_tables_work_and_recover_after_a_restart(make_app, running, tally):
    expected = {
        "counts": {b"c%d" % n: 20 for n in range(5)},
        "sums": {"ann": 3, "bob": 70},
        "latest": {"shop": "open"},
    }
    app = make_app()
    clicks, orders, names, tables = shop(app, tally)
    async with running(app):
        for n in range(100):
            await clicks.send(key=b"c%d" % (n % 5), value=b"click %d" % n)
        await orders.send(key="ann", value=Order(customer="ann", amount=3))
        await orders.send(key="bob", value=Order(customer="bob", amount=70))
        for state in ("closed", "open"):
            await (await names.send(key="shop", value=state))
        await tally.reach(104)
        assert await settled(tables, expected) == expected

    app = make_app()
    clicks, *_, tables = shop(app, tally)
    async with running(app):
        assert contents(tables) == expected
        await clicks.send(key=b"c0", value=b"one more")
        seen = await tally.reach(105)
        assert seen[104].value == b"one more"  # and nothing that was committed came again
        assert tables["counts"][b"c0"] == 21


async def test_events_carry_what_was_sent_and_where_it_landed(make_app, running, tally):
    app = make_app()
    clicks, *_ = shop(app, tally)
    async with running(app):
        sent = await clicks.send(
            key=b"c7", value=b"x", timestamp=1_700_000_000.25, headers={"trace": b"abc"}
        )
        metadata = await sent
        (event,) = await tally.reach(1)
    message = event.message
    partition = partition_for(b"c7", 4)
    assert metadata.topic_partition == message.tp == TP("clicks", partition)
    assert metadata.offset == message.offset == 0
    assert message.timestamp == 1_700_000_000.25
    assert dict(message.headers) == {"trace": b"abc"}
    assert (message.serialized_key_size, message.serialized_value_size) == (2, 1)


async def test_offsets_are_committed_while_the_app_runs(make_app, running, tally):
    app = make_app(broker_commit_every=10)
    clicks, *_ = shop(app, tally)
    async with running(app):
        partition = partition_for(b"c", 4)
        for _ in range(50):
            await clicks.send(key=b"c", value=b"")
        await tally.reach(50)
        assert await app.consumer.commit()
        assert app.transport.log.committed("shop", "clicks", partition) == 50


async def test_a_new_group_begins_where_it_is_told(make_app, running, tally, tmp_path):
    with Log(tmp_path / "log") as log:
        log.create_topic("clicks", 4)
        log.append("clicks", 0, [LogRecord(b"c", b"old", 0)])
    app = make_app(consumer_auto_offset_reset="latest")
    clicks, *_ = shop(app, tally)
    async with running(app):
        await clicks.send(key=b"c", value=b"new", partition=0)
        (event,) = await tally.reach(1)
    assert event.value == b"new"


async def test_subscribing_again_goes_on_where_it_was(make_app, running, tally):
    app = make_app()
    clicks, *_, tables = shop(app, tally)
    async with running(app):
        await clicks.send(key=b"a", value=b"1")
        await tally.reach(1)
        await app.consumer.wait_empty()  # as on Kafka, what isn't committed would come again
        before = app.consumer_generation_id
        completed = asyncio.Event()

        @app.on_rebalance_complete.connect
        async def on_complete(*_, **__):
            completed.set()

        await app.consumer.subscribe({tp.topic for tp in app.consumer.assignment()})
        await within("the rebalance's end", completed.wait())
        assert app.consumer_generation_id == before + 1
        await clicks.send(key=b"a", value=b"2")
        seen = await tally.reach(2)
        assert [event.value for event in seen] == [b"1", b"2"]
        assert tables["counts"] == {b"a": 2}


async def test_a_table_recovers_from_a_compacted_changelog(make_app, running, tally):
    query = "&segment_bytes=5000"
    app = make_app(query)
    clicks, *_ = shop(app, tally)
    async with running(app):
        for n in range(400):
            await clicks.send(key=b"c%d" % (n % 3), value=b"")
        await tally.reach(400)
        await app.producer.flush()
        log = app.transport.log
        changelog = "shop-counts-changelog"
        before = sum(len(log.read(changelog, p, 0)) for p in range(4))
        for partition in range(4):
            for _ in log.compact(changelog, partition):
                pass
        after = sum(len(log.read(changelog, p, 0)) for p in range(4))
        assert (before, after) == (400, 3)
    app = make_app(query)
    *_, tables = shop(app, tally)
    async with running(app):
        assert tables["counts"] == {b"c0": 134, b"c1": 133, b"c2": 133}


async def test_the_compactor_works_while_the_app_runs(make_app, running, tally):
    app = make_app("&segment_bytes=5000&compact_bytes=2000")
    clicks, *_ = shop(app, tally)
    compacted = asyncio.Event()
    async with running(app):
        log, loop = app.transport.log, asyncio.get_running_loop()
        steps = log.compact

        def watched(topic, partition):
            yield from steps(topic, partition)
            loop.call_soon_threadsafe(compacted.set)

        log.compact = watched
        for _ in range(300):
            await clicks.send(key=b"c", value=b"")
        await tally.reach(300)
        await within("a compaction", compacted.wait())
        changelog = "shop-counts-changelog"
        assert len(log.read(changelog, partition_for(b'"c"', 4), 0)) < 300


# -------------------------------------------------------------------------------- with the program


async def test_a_log_that_was_handed_over_stays_open(make_app, running, tally, tmp_path):
    with Log(tmp_path / "log", fsync="never") as log:
        log.create_topic("clicks", 4)
        log.append("clicks", 1, [LogRecord(b"c", b"before", 0)])
        app = make_app()
        app.transport.log = log
        shop(app, tally)
        async with running(app):
            assert app.transport.log is log
            log.append("clicks", 2, [LogRecord(b"c", b"while", 0)])
            seen = await tally.reach(2)
            assert {event.value for event in seen} == {b"before", b"while"}
        assert log.committed("shop", "clicks", 1) == 1  # it can still be read
        with pytest.raises(ValueError, match="has a log already"):
            app.transport.log = log


async def test_the_log_is_released_when_the_app_has_stopped(make_app, running, tally, tmp_path):
    app = make_app()
    shop(app, tally)
    async with running(app):
        with pytest.raises(ConfigError, match="is open already"):
            Log(tmp_path / "log")
    Log(tmp_path / "log").close()
    with pytest.raises(ValueError, match="the app has stopped"):
        app.transport.log  # noqa: B018


# ---------------------------------------------------------------------------------------- operators


async def test_a_directory_in_use_stops_the_app_with_one_line(make_app, tally, tmp_path):
    app = make_app()
    shop(app, tally)
    app.finalize()
    with Log(tmp_path / "log"):
        with pytest.raises(ConfigError, match="is open already"):
            await app.start()
        await app.stop()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"processing_guarantee": "exactly_once"}, "processing_guarantee: a local log has no"),
        ({"producer_threaded": True}, "producer_threaded: "),
    ],
)
async def test_what_needs_a_cluster_is_refused(make_app, settings, message):
    with pytest.raises(ConfigError, match=message):
        make_app(**settings).transport  # noqa: B018


@pytest.mark.parametrize(
    "url",
    [
        "local://",
        "local:///",
        "local://host/path",
        "local:///p?fsync=maybe",
        "local:///p?partitions=many",
        "local:///p?colour=red",
    ],
)
async def test_a_url_that_says_what_it_cannot_is_refused(url):
    with pytest.raises(ConfigError, match="broker: "):
        faust.App("shop", broker=url).transport  # noqa: B018


async def test_a_store_ahead_of_a_cut_log_names_the_store_and_the_way_out(
    make_app, running, tally, monkeypatch
):
    app = make_app()
    *_, tables = shop(app, tally)
    async with running(app):
        changelog = TP("shop-counts-changelog", 1)
        monkeypatch.setattr(
            tables["counts"], "persisted_offset", lambda tp: 5 if tp == changelog else None
        )
        message = (
            "table counts: its store holds shop-counts-changelog-1 up to offset 5, but the log "
            "ends before 0: it lost its tail; delete the store and start again"
        )
        with pytest.raises(ConfigError, match=message):
            await app.consumer.highwaters(*app.assignor.assigned_actives())
        app.transport.log.append(*changelog, [LogRecord(b"k", b"v", 0)] * 6)
        await app.consumer.highwaters(changelog)


async def test_a_topic_with_other_partitions_than_declared_is_the_operators_mistake(
    make_app, running, tally, tmp_path
):
    with Log(tmp_path / "log") as log:
        log.create_topic("shop-counts-changelog", 3, compacted=True)
    app = make_app()
    shop(app, tally)
    app.finalize()
    with pytest.raises(ConfigError, match="partitions: topic shop-counts-changelog has 3, not 4"):
        await within("the refusal", app.start())
    await app.stop()


def test_the_entry_point_that_makes_local_urls_work_leads_to_the_transport():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    entry = project["entry-points"]["faust.transports"]["local"]
    module, name = entry.split(":")
    assert getattr(import_module(module), name).driver_version == "offerstream local log"
