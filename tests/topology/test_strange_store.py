"""A store that slept for too long, or is of another changelog: what it holds never comes back."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from faust.types import TP
from rocksdict import Options, Rdict

from stream.broker.local.log import Log
from stream.broker.records import Record
from stream.config import ConfigError, Settings
from stream.domain.event import Event
from stream.worker.faust.origin import HOUR as HOUR_MS
from stream.worker.faust.origin import decode_origin, encode_origin
from stream.worker.faust.store import ORIGIN, StoreFault
from stream.worker.faust.table import BatchTable
from tests.builders import HOUR, NOON, SECOND, a_click, an_update, consent
from tests.topology.embedded import Seen, look, publication, running, settings_in

DAY = 24 * HOUR
Clock = Callable[[float], None]


@pytest.fixture
def pass_hours(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Lets so many hours go by at once."""
    real, passed = time.time_ns, 0.0

    def pass_hours(hours: float) -> None:
        nonlocal passed
        passed += hours

    monkeypatch.setattr(time, "time_ns", lambda: real() + int(passed * 3_600e9))
    return pass_hours


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    """Settings of an app whose table is RocksDB's."""
    return replace(settings_in(tmp_path), store="rocksdb")


def elsewhere(settings: Settings) -> Settings:
    """The same app on another machine."""
    return replace(settings, data_dir=settings.data_dir.with_name("elsewhere"))


def clicks(first: int, number: int, customers: int = 7, at: int = NOON) -> list[Event]:
    made = range(first, first + number)
    return [a_click(n, f"c{n % customers}", time=at + n * SECOND) for n in made]


async def life(settings: Settings, events: Sequence[Event] = ()) -> Seen:
    """Start, decide events, look, and end."""
    async with running(settings) as engine:
        await engine.publish([publication(event) for event in events])
        return await look(engine)


def views(seen: Seen) -> dict[str, int]:
    return {name: state.profile.views for name, state in seen.customers.items()}


def compact(settings: Settings, pass_hours: Clock) -> None:
    """Let the changelog forget what was superseded, and deletions."""
    with Log(settings.embedded_log or "") as log:
        for hours in (0, 25):
            pass_hours(hours)
            for _ in log.compact(settings.customers_changelog, 0):
                pass


def path_of(settings: Settings) -> Path:
    return settings.data_dir / "v1" / "tables" / "customers-0.db"


def rewrite(settings: Settings, hours: float | None) -> None:
    """Let a store say that it was filled so much later, or nothing at all."""
    db = Rdict(str(path_of(settings)), options=Options(raw_mode=True))
    origin = decode_origin(db[ORIGIN])
    if hours is None:
        del db[ORIGIN]
    else:
        db[ORIGIN] = encode_origin(origin._replace(through=origin.through + int(hours * HOUR_MS)))
    db.close()


def emptied(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records]
    return [line for line in lines if "is filled again from the changelog" in line]


def count_restored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records of the changelog go into stores from now on, fetch by fetch."""
    restored: list[int] = []
    absorb = BatchTable.absorb

    def counting(self: BatchTable, partition: int, records: Sequence[Record]) -> Sequence[Record]:
        restored.append(len(records))
        return absorb(self, partition, records)

    monkeypatch.setattr(BatchTable, "absorb", counting)
    return restored


# ---------------------------------------------------------------------------------- how old it is

DOUBTS: dict[str, tuple[float, float | None]] = {
    "slept": (0, 0),
    "an older release's": (0, None),
    "from the future": (0, 60),
}


@pytest.mark.parametrize("what", DOUBTS)
async def test_who_was_erased_while_a_store_slept_does_not_come_back(
    what: str, shop: Settings, pass_hours: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    _, said = DOUBTS[what]
    allowed = [an_update(n, name, time=NOON, consent=consent(True))
               for n, name in enumerate(("alice", "bob"))]  # fmt: skip
    await life(shop, [*allowed, *(a_click(10 + n, "alice", time=NOON + n) for n in range(5))])
    erasure = an_update(20, "alice", time=NOON + DAY, erase=True)
    later = [a_click(30 + n, "bob", time=NOON + DAY * (n + 2)) for n in range(6)]
    seen = await life(elsewhere(shop), [erasure, *later])
    assert "alice" not in seen.customers
    compact(shop, pass_hours)
    if said != 0:
        rewrite(shop, said)

    with caplog.at_level(logging.WARNING):
        seen = await life(shop)
    assert set(seen.customers) == {"bob"}
    assert seen.customers["bob"].profile.views == 6
    assert len(emptied(caplog)) == 1
    assert seen.metrics["store_rebuilt_total"] == 0  # no disk is to blame


async def test_a_store_that_lags_by_less_than_deletions_are_kept_is_filled_up_only(
    shop: Settings,
    pass_hours: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await life(shop, clicks(0, 500, customers=100))
    pass_hours(17)
    restored = count_restored(monkeypatch)
    seen = await life(shop)
    assert sum(restored) < 5  # the fence, and what was written as the first life ended
    assert sum(views(seen).values()) == 500
    assert emptied(caplog) == []


async def test_a_store_of_an_idle_partition_stays_young(
    shop: Settings, pass_hours: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(shop) as engine:
        await engine.publish([publication(event) for event in clicks(0, 20)])
        await engine.settle()
        for _ in range(3):
            pass_hours(17)
            await engine.app.table.stir()
    pass_hours(17)
    assert sum(views(await life(shop)).values()) == 20
    assert emptied(caplog) == []


async def test_a_fence_says_nothing_of_a_store_that_lacks_what_stands_before_it(
    shop: Settings, pass_hours: Clock
) -> None:
    async with running(shop) as engine:
        table, changelog = engine.app.table, TP(shop.customers_changelog, 0)
        await engine.settle()
        before, at = table.origin(0), table.persisted_offset(changelog)
        await (await table.send(0, [(b"c1", b"under way")]))
        pass_hours(1)
        await table.stir()
        await table.stir()
        assert (table.origin(0), table.persisted_offset(changelog)) == (before, at)


async def test_a_fence_that_is_durable_after_the_end_opens_no_store_again(shop: Settings) -> None:
    async with running(shop) as engine:
        table = engine.app.table
        await engine.settle()
        end = table.persisted_offset(TP(shop.customers_changelog, 0)) or 0
    table._passed(TP(shop.customers_changelog, 0), end + 1, 0)
    Rdict(str(path_of(shop)), options=Options(raw_mode=True)).close()  # nobody holds its lock


async def test_what_is_fetched_after_deletions_were_forgotten_is_not_put_on_top(
    shop: Settings, pass_hours: Clock
) -> None:
    async with running(shop) as engine:
        table = engine.app.table
        await engine.settle()
        await table.stir()
        log, topic = engine.app.open_log(), shop.customers_changelog
        late = log.read(topic, 0, log.highwater(topic, 0) - 1)
        pass_hours(30)
        with pytest.raises(StoreFault, match=r"30\.\d h ago.*keeps deletions for 24\.0 h") as old:
            table.absorb(0, late)
    assert old.value.outdated


async def test_stores_that_slept_twice_in_an_hour_are_no_failing_disk(
    shop: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    await life(shop, clicks(0, 20))
    async with running(shop) as engine:
        await engine.settle()
    for _ in range(3):
        rewrite(shop, -20)
        assert sum(views(await life(shop)).values()) == 20
    assert len(emptied(caplog)) == 3


# ------------------------------------------------------------------------------------ whose it is


@pytest.mark.parametrize("compacted", [True, False])
async def test_a_store_of_another_app_is_refused(
    compacted: bool, shop: Settings, pass_hours: Clock
) -> None:
    other = replace(shop, app_id="other", data_dir=shop.data_dir.with_name("others"))
    await life(other, clicks(0, 100, customers=3))
    await life(shop, clicks(100, 300, customers=50))
    if compacted:
        compact(shop, pass_hours)
        pass_hours(-24)  # its age is not what gives it away
    with pytest.raises(
        ConfigError, match=r"the store at \S+ holds other-\S+, and .* data_dir"
    ) as no:
        await life(replace(shop, data_dir=other.data_dir))
    assert "\n" not in str(no.value)
    assert sum(views(await life(shop)).values()) == 400


@pytest.mark.parametrize("compacted", [True, False])
async def test_a_store_of_the_changelogs_former_life_is_refused(
    compacted: bool, shop: Settings, pass_hours: Clock
) -> None:
    await life(shop, clicks(0, 100, customers=3))
    shutil.rmtree(Path(shop.embedded_log or "") / "topics" / shop.customers_changelog)
    now = elsewhere(shop)
    await life(now, clicks(100, 300, customers=50))
    if compacted:
        compact(now, pass_hours)
        pass_hours(-24)
    with pytest.raises(
        ConfigError, match=r"the store at \S+ holds .* made anew.*restore the"
    ) as no:
        await life(shop)
    assert "\n" not in str(no.value)
    shutil.rmtree(path_of(shop))
    assert sum(views(await life(shop)).values()) == 400


@pytest.mark.parametrize("compacted", [True, False])
async def test_where_no_ids_are_told_the_ledger_tells_of_a_store_of_a_former_life(
    compacted: bool,
    shop: Settings,
    pass_hours: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(Log, "topic_id", lambda *_: "")
    await life(shop, clicks(0, 300, customers=50))
    now = elsewhere(shop)
    shutil.rmtree(Path(shop.embedded_log or ""))
    made = [clicks(n, 100, customers=50) for n in range(500, 1_000, 100)]
    for events in made:
        await life(now, events)
    if compacted:
        compact(now, pass_hours)
        pass_hours(-24)
        assert sum(views(await life(shop)).values()) == 500
        assert len(emptied(caplog)) == 1
    else:
        with pytest.raises(ConfigError, match=r"the store at \S+ holds .*; restore the changelog"):
            await life(shop)
    caplog.clear()
    restored = count_restored(monkeypatch)
    assert sum(views(await life(now)).values()) == 500  # its own is known again
    assert sum(restored) < 10
    assert emptied(caplog) == []
