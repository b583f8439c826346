"""Recovery, resident memory and cost as customers grow: a changelog of so many, then events.

Rules: the changelog holds records as they are after few and many events, some of them superseded,
and tombstones. The worker starts with an empty directory, recovers, and then does the whole job,
each event another customer's and each a full decision. At the end its store must equal the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from rocksdict import AccessType, Options, Rdict

from bench.customer import StateJob
from bench.figures import window
from bench.lab import Child, Lab
from bench.results import Memory
from bench.run import Run
from bench.scrape import recovery_seconds
from bench.systems import OFFERSTREAM
from bench.workload import START_MS, Keyed, Shape, catalog, clicks
from stream.codec.customers import decode_state, encode_state
from stream.decide.ledger import UNSTAMPED
from stream.worker.faust.store import ERASED, ORIGIN

MB = 1_000_000
_OFFSET = b"__faust\0offset__"  # where the store keeps how far it has come
_OF_THE_STORE = (_OFFSET, ERASED, ORIGIN)
_SUPERSEDED, _GONE = 20, 100  # every so-many-th customer has an older record; … is deleted
_BEFORE = 7  # days: the visits that made the records
_KEPT = 19  # one in so many of their events gives a record


async def memory(lab: Lab, customers: int, events: int) -> Memory:
    """Recover so many customers, and take so many events of theirs."""
    async with lab.run("memory", "whole") as run:
        settings = run.settings()
        templates = _templates(run)
        changelog = list(_changelog(customers, templates))
        await lab.load(settings.customers_changelog, changelog)
        written = len(changelog)
        del changelog
        with Child(OFFERSTREAM.command(run), run.path) as child:
            seconds = await recovery_seconds(run, child)
            shape = Shape(events, customers, session=1, active=min(2_000, customers // 3))
            await lab.load(settings.topics.catalog, catalog(shape))
            await lab.load(settings.topics.clicks, clicks(shape))
            samples = await lab.watch(
                lambda: lab.offers(run), [child], lambda sample: sample.outputs >= events
            )
            resident = child.resident()
        found = window(samples)
        return Memory(
            customers=customers,
            changelog_records=written,
            record_bytes=sum(map(len, templates)) / len(templates),
            recovery_per_second=written / seconds if seconds else 0.0,
            resident_mb=resident / MB,
            events_per_second=found.rate,
            cpu=found.cpu,
            store_equals_log=await _store_equals_log(lab, run),
        )


def _templates(run: Run) -> list[bytes]:
    """Records of customers as they are after one to forty events, without stamps."""
    job, states, found = StateJob(run), dict[bytes, bytes](), list[bytes]()
    shape = Shape(4_000, customers=100, active=30, age=_BEFORE)
    for offset, (key, value) in enumerate(clicks(shape)):
        states[key], _ = job.take(0, offset, START_MS, key, value or b"", states.get(key))
        if offset % _KEPT == 0:
            found.append(encode_state(replace(decode_state(states[key]), stamps=UNSTAMPED)))
    return found


def _changelog(customers: int, templates: list[bytes]) -> Iterator[Keyed]:
    def record(number: int, at: int) -> Keyed:
        return Keyed(b"customer-%07d" % number, templates[at % len(templates)])

    yield from (record(number, number + 1) for number in range(0, customers, _SUPERSEDED))
    yield from (record(number, number) for number in range(customers + customers // _GONE))
    for number in range(customers, customers + customers // _GONE):
        yield Keyed(b"customer-%07d" % number, None)


async def _store_equals_log(lab: Lab, run: Run) -> bool:
    log: list[dict[bytes, bytes]] = [{} for _ in range(run.partitions)]
    topic = run.settings().customers_changelog
    async for partition, key, value in lab.records(topic, run.partitions):
        if value is None:
            log[partition].pop(key, None)
        else:
            log[partition][key] = _digest(value)
    stores = [await asyncio.to_thread(_stored, run.path, n) for n in range(run.partitions)]
    return stores == log


def _stored(directory: Path, partition: int) -> dict[bytes, bytes]:
    """What a partition's RocksDB holds, by key."""
    (path,) = directory.glob(f"state/**/customers-{partition}.db")
    store: Any = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
    return {key: _digest(value) for key, value in store.items() if key not in _OF_THE_STORE}


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=12).digest()
