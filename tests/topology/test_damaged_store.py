"""A damaged store: it is rebuilt from the changelog, said once, and no event pays for it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal
from zlib import crc32

import pytest
from click.testing import CliRunner
from msgspec.structs import replace as changed
from rocksdict import Options, Rdict, WriteBatch

from stream.broker.local.log import Log
from stream.cli import main
from stream.codec.customers import VERSION
from stream.config import ConfigError, Settings
from stream.decide.rows.state import Profile
from stream.domain.event import Event
from stream.worker.faust.store import DiskStore, StoreFault
from stream.worker.partition import ledger_key, page_key
from tests.builders import HOUR, NOON, SECOND, a_click, a_purchase, an_update, consent
from tests.topology.embedded import Seen, look, publication, running, settings_in

CUSTOMERS = 60
FIELDS = b"fields that we do not know"


def of_version(version: int) -> bytes:
    """A whole record of a version."""
    return bytes([version]) + crc32(FIELDS).to_bytes(4, "big") + FIELDS


def events(chance: random.Random, first: int, size: int = 300) -> list[Event]:
    """Clicks and orders of all the customers, twenty seconds apart."""
    made: list[Event] = []
    for n in range(first, first + size):
        customer, item = f"c{n % CUSTOMERS:03}", f"i{chance.randrange(30)}"
        time = NOON + n * 20 * SECOND
        made.append(
            a_purchase(n, customer, item, time=time)
            if chance.random() < 0.2
            else a_click(n, customer, item, time=time, category=f"k{n % 3}")
        )
    return made


def on_disk(directory: Path) -> Settings:
    """Settings of an app whose table is RocksDB's."""
    return replace(settings_in(directory, partitions=2), store="rocksdb")


def store_of(settings: Settings, partition: int) -> Path:
    """The directory of a partition's store."""
    return settings.data_dir / "v1" / "tables" / f"customers-{partition}.db"


async def run(settings: Settings, made: list[Event]) -> None:
    """Let an engine decide events."""
    async with running(settings) as engine:
        await engine.publish([publication(event) for event in made])
        await engine.settle()


def known(seen: Seen) -> dict[str, tuple[object, ...]]:
    """What is known of each customer, but for what models of the moment, and so offers, made."""
    return {
        name: (
            changed(state.profile, segment=None),
            state.history,
            state.permission,
        )
        for name, state in seen.customers.items()
    }


async def run_on(settings: Settings, made: list[Event]) -> Seen:
    """Let an engine decide more events, and look at what came of them."""
    async with running(settings) as engine:
        await engine.publish([publication(event) for event in made])
        return await look(engine)


# --------------------------------------------------------------------------------------- the damage


def files(store: Path, kind: str) -> list[Path]:
    found = sorted(path for path in store.iterdir() if kind in path.name)
    assert found, sorted(path.name for path in store.iterdir())
    return found


def flip(kind: str, every: int) -> Callable[[Path, random.Random], None]:
    def damage(store: Path, chance: random.Random) -> None:
        for path in files(store, kind):
            content = bytearray(path.read_bytes())
            for at in range(chance.randrange(every), len(content), every):
                content[at] ^= 1 << chance.randrange(8)
            path.write_bytes(content)

    return damage


def cut(kind: str) -> Callable[[Path, random.Random], None]:
    def damage(store: Path, chance: random.Random) -> None:
        for path in files(store, kind):
            content = path.read_bytes()
            path.write_bytes(content[: chance.randrange(len(content) // 2)])

    return damage


def remove(kind: str) -> Callable[[Path, random.Random], None]:
    def damage(store: Path, chance: random.Random) -> None:
        for path in files(store, kind):
            path.unlink()

    return damage


def all_but_ssts(store: Path, chance: random.Random) -> None:
    for path in store.iterdir():
        if path.suffix != ".sst":
            path.unlink()


def overwrite(*keys: bytes) -> Callable[[Path, random.Random], None]:
    """Values that do not decode, under checksums that hold."""

    def damage(store: Path, chance: random.Random) -> None:
        db = Rdict(str(store), options=Options(raw_mode=True))
        known = {key for key, _ in db.items()}
        batch = WriteBatch(raw_mode=True)
        for key in keys or (key for key in known if key[:1] not in b"\0_"):
            if key in known:
                batch.put(key, chance.randbytes(40))
        assert len(batch), known
        db.write(batch)
        db.close()

    return damage


DAMAGE = {
    "a block of an SST": flip(".sst", 997),
    "the end of an SST": cut(".sst"),
    "an SST": remove(".sst"),
    "the list of files": flip("MANIFEST", 61),
    "the end of the list": cut("MANIFEST"),
    "the whole list": remove("MANIFEST"),
    "the name of the list": flip("CURRENT", 5),
    "that name, gone": remove("CURRENT"),
    "all but the SSTs": all_but_ssts,
    "values that do not decode": overwrite(),
    "the ledgers": overwrite(ledger_key(0), ledger_key(1)),
    "pages of due labels": overwrite(*(page_key(n, at) for n in (0, 1) for at in range(9))),
    "the offset": overwrite(b"__faust\0offset__"),
}


@pytest.mark.parametrize("what", DAMAGE)
async def test_a_damaged_store_is_rebuilt_and_no_event_pays_for_it(
    what: str, tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    made = events(random.Random(seed), 0, 600)
    sound = settings_in(tmp_path / "sound", partitions=2)
    await run(sound, made[:300])
    expected = known(await run_on(sound, made[300:]))

    damaged = on_disk(tmp_path / "damaged")
    await run(damaged, made[:300])
    for partition in (0, 1):
        DAMAGE[what](store_of(damaged, partition), random.Random(seed))
    with caplog.at_level(logging.WARNING):
        seen = await run_on(damaged, made[300:])

    assert seen.letters == []
    assert known(seen) == expected
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == seen.metrics["store_rebuilt_total"] == 2, errors
    assert all("emptied" in line and "\n" not in line for line in errors)
    assert not any(record.exc_info for record in caplog.records)


# ------------------------------------------------------------------------------ what fails in use


class Faulty:
    """A store that fails as RocksDB does, from its ``after``-th use of a kind on."""

    def __init__(self, db: Any, reasons: dict[str, str], after: int) -> None:
        self._db, self._reasons, self._left = db, reasons, after

    def __getattr__(self, name: str) -> Any:
        if name in self._reasons:
            self._left -= 1
            if self._left < 0:
                raise Exception(self._reasons[name])  # what rocksdict raises
        return getattr(self._db, name)


FULL = "IO error: No space left on device: While appending to file: 10.sst: No space left on device"
BROKEN = "IO error: While pread offset 1107 len 42: 000010.sst: Input/output error"


def let_fail(monkeypatch: pytest.MonkeyPatch, times: int, after: int, **reasons: str) -> None:
    """Let the first so many stores that are opened fail."""
    opened = DiskStore._open
    left = iter(range(times))

    def faulty(self: DiskStore, path: Path) -> Any:
        db = opened(self, path)
        return db if next(left, None) is None else Faulty(db, reasons, after)

    monkeypatch.setattr(DiskStore, "_open", faulty)


@pytest.mark.parametrize("kind", ["get", "write"])
async def test_an_error_of_the_disk_rebuilds_the_store(
    kind: str, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(on_disk(tmp_path), partitions=1)
    made = events(random.Random(seed), 0, 300)
    after = 0 if kind == "write" else random.Random(seed).randrange(3)
    let_fail(monkeypatch, 1, after, **{kind: BROKEN})
    async with running(settings) as engine:
        await engine.publish([publication(event) for event in made])
        seen = await look(engine)
    assert (seen.letters, seen.counts["applied"]) == ([], 300)
    assert seen.metrics["store_rebuilt_total"] == 1


async def test_a_disk_that_fails_again_ends_it_with_a_line_that_says_so(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(on_disk(tmp_path), partitions=1)
    made = [publication(event) for event in events(random.Random(seed), 0, 300)]
    let_fail(monkeypatch, 2, 25, get=BROKEN)  # both while events are decided
    with pytest.raises(StoreFault, match=r"the disk is failing.* data_dir") as failing:
        async with running(settings) as engine:
            await engine.publish(made)
            await engine.settle()
    assert "\n" not in str(failing.value)
    assert engine.metrics.registry.get_sample_value("offerstream_store_rebuilt_total") == 1


async def test_a_full_disk_ends_it_with_a_line_and_no_event_pays_for_it(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(on_disk(tmp_path), partitions=1)
    made = events(random.Random(seed), 0, 300)
    with monkeypatch.context() as patch:
        let_fail(patch, 1, 2, write=FULL)  # behind what an empty store begins with
        with pytest.raises(StoreFault, match="No space left on device"):
            async with running(settings, stocked=False) as engine:
                await engine.publish([publication(event) for event in made])
                await engine.settle()
    seen = await run_on(settings, [])
    assert (seen.letters, seen.counts["applied"]) == ([], 300)
    assert seen.metrics["store_rebuilt_total"] == 0


async def test_a_directory_that_cannot_be_used_is_left_alone_and_said(tmp_path: Path) -> None:
    settings = replace(on_disk(tmp_path), partitions=1)
    store = store_of(settings, 0)
    store.parent.mkdir(parents=True)
    store.write_text("mine")
    with pytest.raises(StoreFault, match=r"customers-0\.db"):
        async with running(settings):
            pass
    assert store.read_text() == "mine"


async def test_a_store_damaged_while_it_recovers_is_rebuilt(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(on_disk(tmp_path), partitions=1)
    await run(settings, events(random.Random(seed), 0, 300))
    rmtree(store_of(settings, 0))
    let_fail(monkeypatch, 1, 0, write=BROKEN)
    seen = await run_on(settings, events(random.Random(seed), 300, 300))
    assert (seen.letters, seen.counts["applied"]) == ([], 600)
    assert seen.metrics["store_rebuilt_total"] == 1


def test_reading_all_of_a_damaged_store_is_an_error_and_not_a_shorter_answer(
    tmp_path: Path, seed: int
) -> None:
    settings = replace(on_disk(tmp_path), partitions=1)
    asyncio.run(run(settings, events(random.Random(seed), 0, 300)))
    path = files(store_of(settings, 0), ".sst")[0]
    content = bytearray(path.read_bytes())
    content[100] ^= 1  # in the first block of values, which is read when it is asked for
    path.write_bytes(content)
    store = DiskStore.__new__(DiskStore)
    store._dbs = {0: Rdict(str(store_of(settings, 0)), options=Options(raw_mode=True))}
    store.partition_path = lambda partition: store_of(settings, partition)
    with pytest.raises(StoreFault, match="Corruption"):
        list(store.items_of(0))


# ------------------------------------------------------------------------ what the changelog lost


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
async def test_a_customer_whose_record_is_lost_is_nobodys_until_the_next_yes(
    store: Literal["memory", "rocksdb"],
    tmp_path: Path,
    seed: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = replace(on_disk(tmp_path), partitions=1, store=store)
    made = events(random.Random(seed), 0, 300)
    await run(settings, made)
    lost = b"\x01" + random.Random(seed).randbytes(30)
    with Log(settings.embedded_log or "") as log:
        log.append(settings.customers_changelog, 0, [(b"c007", lost, 0, ()), (b"c008", b"", 0, ())])
    more = events(random.Random(seed), 300, 300)
    with caplog.at_level(logging.ERROR):
        async with running(settings) as engine:
            await engine.publish([publication(event) for event in more])
            seen = await look(engine)
            yes = an_update(700, "c007", consent=consent(True), time=NOON + 13_000 * SECOND)
            back = a_click(701, "c007", "i1", time=NOON + 13_020 * SECOND)
            await engine.publish([publication(yes), publication(back)])
            after = await look(engine)
    assert (seen.letters, seen.counts["applied"]) == ([], 600)
    for name in ("c007", "c008"):
        assert seen.customers[name].profile == Profile()
        assert seen.customers[name].permission.profiling is False
    known_of = [s.profile.views + s.profile.orders for s in seen.customers.values()]
    assert sorted(known_of)[:3] == [0, 0, 10]
    assert seen.metrics["state_records_unreadable_total"] == 2
    assert len([r for r in caplog.records if "cannot be read" in r.getMessage()]) == 1
    assert not any("c007" in record.getMessage() for record in caplog.records)
    assert after.customers["c007"].profile.views == 1


@pytest.mark.parametrize("lost", ["ledger", "pages"])
async def test_a_partition_whose_own_record_is_lost_goes_on(
    lost: str, tmp_path: Path, seed: int
) -> None:
    settings = replace(on_disk(tmp_path), partitions=1)
    await run(settings, events(random.Random(seed), 0, 300))
    keys = [ledger_key(0)] if lost == "ledger" else [page_key(0, at) for at in range(9)]
    with Log(settings.embedded_log or "") as log:
        log.append(settings.customers_changelog, 0, [(key, b"\x01\xc1", 0, ()) for key in keys])
    hours = [
        changed(event, time=event.time + 24 * HOUR) for event in events(random.Random(seed), 300)
    ]
    seen = await run_on(settings, hours)
    assert seen.letters == []
    assert sum(s.profile.views + s.profile.orders for s in seen.customers.values()) == 600


def test_a_record_that_cannot_be_read_is_told_beside_all_others(tmp_path: Path, seed: int) -> None:
    settings = replace(on_disk(tmp_path), partitions=1)
    asyncio.run(run(settings, events(random.Random(seed), 0, 300)))
    with Log(settings.embedded_log or "") as log:
        lost = [(b"c007", b"\x01\xc1"), (b"\xff\xfe", b"\x02"), (ledger_key(0), b"")]
        log.append(settings.customers_changelog, 0, [(k, value, 0, ()) for k, value in lost])
    options = ["--broker", settings.broker, "--set", "partitions=1"]
    told = CliRunner().invoke(main, ["customers", "--json", *options])
    assert told.exit_code == 1
    assert len(told.stdout.splitlines()) == CUSTOMERS - 1
    assert len(told.stderr.splitlines()) == 3
    assert "customer 'c007' cannot be read" in told.stderr
    assert "ledger of partition 0 cannot be read" in told.stderr
    assert "Traceback" not in told.output


@pytest.mark.parametrize("version", [VERSION - 1, VERSION + 1])
@pytest.mark.parametrize("store", ["memory", "rocksdb"])
async def test_what_another_release_wrote_is_left_alone(
    store: Literal["memory", "rocksdb"],
    version: int,
    tmp_path: Path,
    seed: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = replace(on_disk(tmp_path), partitions=1, store=store)
    await run(settings, events(random.Random(seed), 0, 300))
    foreign = of_version(version)
    records = [(b"c%03d" % n, foreign, 0, ()) for n in range(CUSTOMERS)]
    with Log(settings.embedded_log or "") as log:
        changelog = settings.customers_changelog
        log.append(changelog, 0, [*records, (ledger_key(0), foreign, 0, ())])
        end = log.highwater(changelog, 0)
    with caplog.at_level(logging.ERROR), pytest.raises(ConfigError, match="run the release"):
        await run_on(settings, events(random.Random(seed), 300))
    assert not any(record.exc_info for record in caplog.records)
    with Log(settings.embedded_log or "") as log:
        written = log.read(changelog, 0, end)
    assert all((record.key or b"").startswith(b"\0fence") for record in written)
