"""The doctor: what keeps a worker from starting or from staying well, told before it is.

Rules: it changes nothing, and asks for nothing that a worker would not ask for. A check that finds
a fault does not keep the others from being made; those that need a broker that does not answer
are told as not made. Each fault says the way out.
"""

from __future__ import annotations

import asyncio
import platform
import resource
import shutil
import socket
import stat
from collections.abc import Iterator
from enum import StrEnum
from importlib.metadata import version
from typing import Final, NamedTuple

from faust.types import TP

import stream
from stream.broker.directory import ensure_writable, held
from stream.broker.opening import open_broker, open_cluster
from stream.broker.protocol import Broker
from stream.broker.topics import Cluster, Kind
from stream.codec.reference import ReferenceDecoder
from stream.codec.schema import load_schemas
from stream.config import ConfigError, Settings
from stream.insight.campaigns import read_campaigns
from stream.models.base.kernel import COMPILED
from stream.worker.checks.topic_faults import absent, settings_odd, settings_refused, widths_differ
from stream.worker.checks.topics import Plan, plan

GIB: Final = 1 << 30
LITTLE: Final = 5 * GIB  # bytes free, below which a store's compaction may not fit
FEW_DESCRIPTORS: Final = 4_096
AHEAD: Final = 2_000  # ms: more than two clocks that are kept right differ
LIBRARIES: Final = ("faust-streaming", "aiokafka", "river", "numpy", "rocksdict")


class State(StrEnum):
    """How something is."""

    OK = "ok"
    ODD = "odd"
    FAULT = "fault"
    UNKNOWN = "unknown"


class Finding(NamedTuple):
    """What was looked at, how it is, what was seen, and what to do about it."""

    about: str
    state: State
    seen: str
    way: str = ""


def examined(settings: Settings, now: int) -> Iterator[Finding]:
    """Look at everything, in the order in which a start would meet it.

    Parameters
    ----------
    settings
    now
        This machine's time, in ms since 1970.
    """
    yield versions()
    yield descriptors()
    if settings.table_store == "rocksdb":
        yield from disk(settings)
    if settings.metrics.port:
        yield port(settings)
    log = settings.embedded_log
    if log is not None and not log.exists():
        yield Finding("broker", State.OK, f"{log} is not there yet; a worker makes it")
        return
    yield from asyncio.run(_of_broker(settings, now))


def versions() -> Finding:
    """What runs here, and whether kernels are compiled."""
    told = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    seen = f"offerstream {stream.__version__}, Python {platform.python_version()}, {told}"
    if COMPILED:
        return Finding("versions", State.OK, seen)
    way = "install numba, or unset NUMBA_DISABLE_JIT: the answers are the same, many times slower"
    return Finding("versions", State.ODD, f"{seen}; kernels are not compiled", way)


def descriptors() -> Finding:
    """How many descriptors a process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or most >= FEW_DESCRIPTORS:
        return Finding("descriptors", State.OK, "enough")
    way = f"let the service have {FEW_DESCRIPTORS} or more (LimitNOFILE, ulimit -n)"
    return Finding("descriptors", State.ODD, f"a process may have {most}", way)


def disk(settings: Settings) -> Iterator[Finding]:
    """The directory of the stores."""
    directory = settings.data_dir
    if not directory.exists():
        yield Finding("data_dir", State.OK, f"{directory} is not there yet; a worker makes it")
        return
    try:
        ensure_writable(directory, "data_dir")
        with held(directory, "data_dir"):
            pass
    except ConfigError as error:
        yield _refused("data_dir", error)
    else:
        yield Finding("data_dir", State.OK, f"{directory} can be written, and nobody has it")
    if stat.S_IMODE(directory.stat().st_mode) & 0o077:
        way = f"chmod 700 {directory}: it holds what customers did"
        yield Finding("data_dir", State.ODD, f"others may look into {directory}", way)
    yield _room(shutil.disk_usage(directory).free, f"{directory}'s disk")


def _room(free: int, where: str) -> Finding:
    seen = f"{free / GIB:.1f} GiB are free on {where}"
    if free >= LITTLE:
        return Finding("disk", State.OK, seen)
    return Finding(
        "disk", State.ODD, seen, "make room: a store takes twice its size while it is compacted"
    )


def port(settings: Settings) -> Finding:
    """Where health and metrics are to be told."""
    place = f"{settings.metrics.host}:{settings.metrics.port}"
    try:
        with socket.create_server((settings.metrics.host, settings.metrics.port)):
            return Finding("metrics", State.OK, f"{place} is free")
    except OSError as error:
        way = "if no worker of this machine has it, set metrics.port or metrics.host"
        return Finding("metrics", State.ODD, f"{place}: {error.strerror or error}", way)


async def _of_broker(settings: Settings, now: int) -> list[Finding]:
    try:
        async with open_cluster(settings) as cluster:
            found = [_answered(settings, await cluster.brokers())]
            found.append(await _access(cluster, settings))
            planned, more = await _topics(cluster, settings)
            found += more
    except ConfigError as error:
        unseen = "not looked at: there is no broker to ask"
        rest = ("access", "topics", "clock", "campaigns")
        return [
            _refused("broker", error),
            *(Finding(about, State.UNKNOWN, unseen) for about in rest),
        ]
    if planned is None or any(change.kind is Kind.MISSING for change in planned.changes):
        return found
    return [*found, *await _of_topics(settings, now)]


def _answered(settings: Settings, brokers: int) -> Finding:
    if settings.embedded_log is not None:
        return Finding("broker", State.OK, f"{settings.broker} can be opened")
    seen = f"{brokers} broker(s) at {settings.broker}"
    if brokers > 1:
        return Finding("broker", State.OK, seen)
    way = "what the disk of a single broker loses is lost: have three"
    return Finding("broker", State.ODD, seen, way)


async def _access(cluster: Cluster, settings: Settings) -> Finding:
    try:
        await cluster.refuse_without_access(settings)
    except ConfigError as error:
        return _refused("access", error)
    return Finding("access", State.OK, "the login may do all that a worker must")


async def _topics(cluster: Cluster, settings: Settings) -> tuple[Plan | None, list[Finding]]:
    try:
        found = await plan(cluster, settings, None)
    except ConfigError as error:
        return None, [_refused("topics", error)]
    return found, list(_judged(found, settings, cluster.makes_topics))


def _judged(found: Plan, settings: Settings, made_by_worker: bool) -> Iterator[Finding]:
    missing = [change.topic for change in found.changes if change.kind is Kind.MISSING]
    differing = [change for change in found.changes if change.kind is Kind.CONFIG]
    if missing and made_by_worker:
        yield Finding("topics", State.OK, f"{len(missing)} are not there yet; a worker makes them")
        return
    if missing:
        yield _told("topics", State.FAULT, absent(missing))
    refused = [
        widths_differ(found.specs, found.widths),
        settings_refused(differing, found.specs, found.states),
    ]
    yield from (_told("topics", State.FAULT, line) for line in refused if line)
    odd = list(settings_odd(differing, found.specs, found.states))
    yield from (_told("topics", State.ODD, line) for line in odd)
    if not (missing or any(refused) or odd):
        seen = (
            f"all {len(found.specs)} are as they should be, events in {settings.partitions} parts"
        )
        yield Finding("topics", State.OK, seen)


async def _of_topics(settings: Settings, now: int) -> list[Finding]:
    try:
        async with open_broker(settings) as broker:
            clock = await _clock(broker, settings, now)
        return [clock, await asyncio.to_thread(_campaigns, settings)]
    except ConfigError as error:
        return [_refused("topics", error)]


async def _clock(broker: Broker, settings: Settings, now: int) -> Finding:
    """Compare with the newest records: their times are the broker's, where it stamps them."""
    facts = await broker.topics(settings.topics.events)
    tps = [TP(topic, n) for topic, fact in facts.items() for n in range(fact.partitions)]
    bounds = await broker.bounds(tps)
    last = {tp: bound.end - 1 for tp, bound in bounds.items() if bound.end > bound.start}
    if not last:
        return Finding("clock", State.UNKNOWN, "nothing to compare with: no event has come yet")
    times = [one.timestamp or 0 for one in (await broker.records(last)).values()]
    ahead = max(times, default=0) - now
    if ahead <= AHEAD:
        return Finding("clock", State.OK, "the newest events are not ahead of this machine's clock")
    way = "see to the time service (NTP) of this machine and of the brokers"
    seen = f"the newest events are {ahead / 1e3:.0f} s ahead of this machine's clock"
    return Finding("clock", State.FAULT, seen, way)


def _campaigns(settings: Settings) -> Finding:
    decoder = ReferenceDecoder(load_schemas(), settings.core)
    in_force = read_campaigns(settings, decoder)
    if in_force.refused:
        names = ", ".join(in_force.refused[:3])
        seen = f"{len(in_force.refused)} on the topic are refused: {names}"
        return Finding("campaigns", State.FAULT, seen, "`offerstream dead-letters list` says why")
    if in_force.campaigns:
        return Finding("campaigns", State.OK, f"{len(in_force.campaigns)} are on their topic")
    seen = "there are none: offers are recommendations without an incentive"
    return Finding("campaigns", State.OK, seen)


def _refused(about: str, error: ConfigError) -> Finding:
    return _told(about, State.FAULT, str(error))


def _told(about: str, state: State, line: str) -> Finding:
    """A line whose way out stands behind its last semicolon."""
    seen, found, way = line.rpartition("; ")
    return Finding(about, state, seen, way) if found else Finding(about, state, line)
