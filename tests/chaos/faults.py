"""The experiments: what is done to workers and brokers under load, and what is measured then.

Each leaves the lab with everything done, ready to be judged, and returns its own figures.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.chaos.lab import SESSION, Lab, Watch
from tests.chaos.lives import Fleet, Life, Lived, engine, worker
from tests.chaos.points import POINTS, Doom
from tests.kafka.broker import Broker
from tests.waiting import InVain, eventually

Figures = dict[str, float]
WORKERS = 3


@dataclass(frozen=True)
class Load:
    """What the shop does meanwhile."""

    seed: int
    rate: float = 150.0
    customers: int = 1_000


async def kills(
    lab: Lab,
    load: Load,
    cycles: int,
    pause: float = 6.0,
    pauses: float = 0.2,
    lived: Lived = worker,
) -> Figures:
    """Kill workers at random (R2), or stop their clocks until their partitions have moved (R5)."""
    chance, fleet = random.Random(load.seed), lab.fleet(WORKERS, lived=lived)
    told = {"kills": 0, "pauses": 0}
    try:
        if lived is worker:
            await fleet.lives[0].ready()
        async with lab.under_load(load.seed, load.rate, load.customers):
            for cycle in range(cycles):
                await asyncio.sleep(chance.uniform(0.5, pause))
                fleet.revive()
                number = chance.randrange(WORKERS)
                if chance.random() < pauses:
                    await _paused(fleet, number, SESSION + chance.uniform(1.0, 4.0))
                    told["pauses"] += 1
                else:
                    fleet.lives[number].kill()
                    fleet.start(number)
                    told["kills"] += 1
                print(f"cycle {cycle + 1} of {cycles}", flush=True)
            await asyncio.sleep(pause)
        await lab.all_done(fleet)
    finally:
        fleet.end()
    return {"cycles": cycles, **told, "crashes": fleet.crashes}


async def _paused(fleet: Fleet, number: int, seconds: float) -> None:
    life = fleet.lives[number]
    life.send(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        life.send(signal.SIGCONT)


async def points(lab: Lab, load: Load, times: int, names: Sequence[str] = tuple(POINTS)) -> Figures:
    """Kill a worker at each named point (R3), so many times each, in random order."""
    dooms = _dooms(random.Random(load.seed), times, names, "kafka")
    # A name in the group: who comes back has its partitions at once, and no session to wait for.
    fleet = lab.fleet(0, {"OFFERSTREAM_KAFKA__GROUP_INSTANCE_ID": "the-only-one"})
    try:
        async with lab.under_load(load.seed, load.rate, load.customers):
            for doom in dooms:
                await _fulfilled(fleet.start(0, doom, fresh=POINTS[doom.point].fresh), doom)
        fleet.start(0)
        await lab.all_done(fleet)
    finally:
        fleet.end()
    return {"points": len(names), "kills": len(dooms), "crashes": fleet.crashes}


async def points_embedded(
    lab: Lab, load: Load, times: int, names: Sequence[str] = tuple(POINTS)
) -> Figures:
    """Kill an engine on a local log at each named point, so many times each, in random order."""
    dooms = _dooms(random.Random(load.seed), times, names, "local")
    for n, doom in enumerate(dooms):
        store = f"store-{n}" if POINTS[doom.point].fresh else "store"
        environ = lab.environ | {"OFFERSTREAM_DATA_DIR": str(lab.folder / store)}
        await _fulfilled(Life(_publishing(load, n), environ, lab.folder, doom), doom)
    environ = lab.environ | {"OFFERSTREAM_DATA_DIR": str(lab.folder / "store")}
    last = Life(_publishing(load, len(dooms)), environ, lab.folder)
    assert await last.ended() == 0, last.words()
    return {"points": len(names), "kills": len(dooms)}


def _publishing(load: Load, number: int) -> Lived:
    return partial(engine, seed=load.seed, number=number)


def _dooms(chance: random.Random, times: int, names: Sequence[str], transport: str) -> list[Doom]:
    dooms = [
        Doom(name, chance.randint(1, POINTS[name].often), transport)
        for name in names
        for _ in range(times)
    ]
    chance.shuffle(dooms)
    return dooms


async def _fulfilled(life: Life, doom: Doom) -> None:
    print(f"until {doom.crossing} times {doom.point}", flush=True)
    try:
        code = await life.ended()
    finally:
        life.kill()
    assert code == -signal.SIGKILL, f"{doom}: it ended with {code}\n{life.words()}"


async def restarts(lab: Lab, load: Load, brokers: Sequence[Broker], times: int) -> Figures:
    """Stop or kill a broker, and start it again (R4); how long until events are committed again."""
    chance, fleet, healed = random.Random(load.seed), lab.fleet(2), []
    try:
        async with Watch(lab) as watch, lab.under_load(load.seed, load.rate, load.customers):
            await watch.goes_on()
            for n in range(times):
                broker = chance.choice(brokers)
                hurt = broker.stop if n % 2 else broker.kill
                await asyncio.to_thread(hurt)
                await asyncio.sleep(chance.uniform(0.0, 5.0))
                fleet.revive()
                await asyncio.to_thread(broker.start)
                healed.append(await _on_again(watch, fleet))
                print(f"broker {n + 1} of {times}: on again in {healed[-1]:.1f} s", flush=True)
                await asyncio.sleep(chance.uniform(1.0, 4.0))
        await lab.all_done(fleet)
    finally:
        fleet.end()
    return {"restarts": times, "crashes": fleet.crashes, "slowest_healing_s": round(max(healed), 1)}


async def _on_again(watch: Watch, fleet: Fleet) -> float:
    """Wait for the first commit since now, while a supervisor starts again what has ended."""
    try:
        return await watch.goes_on(fleet)
    except InVain as vain:
        vain.add_note(fleet.words())
        raise


async def storm(lab: Lab, load: Load, times: int, every: float = 5.0) -> Figures:
    """Let a worker join or leave, again and again (R6); the longest time without a commit."""
    chance, fleet, stalls = random.Random(load.seed), lab.fleet(2), [0.0]
    codes: list[int] = []
    try:
        async with Watch(lab) as watch, lab.under_load(load.seed, load.rate, load.customers):
            await watch.goes_on()
            watching = asyncio.create_task(_longest_stall(watch, stalls))
            for n in range(times):
                await asyncio.sleep(every)
                if len(fleet.lives) < 2 or (len(fleet.lives) < 4 and chance.random() < 0.5):
                    fleet.start(2 + n)
                else:
                    codes.append(await fleet.dismiss(chance.choice([*fleet.lives])))
                print(f"change {n + 1} of {times}: {len(fleet.lives)} workers", flush=True)
            await watch.goes_on()
            watching.cancel()
        await lab.all_done(fleet)
    finally:
        fleet.end()
    assert not any(codes), codes
    return {
        "changes": times,
        "crashes": fleet.crashes,
        "longest_stall_s": round(max(stalls), 1),
    }


async def _longest_stall(watch: Watch, stalls: list[float]) -> None:
    last, since = await watch.done(), time.monotonic()
    while True:
        await asyncio.sleep(0.5)
        now = await watch.done()
        stalls.append(time.monotonic() - since)
        if now > last:
            last, since = now, time.monotonic()


async def ends(lab: Lab, load: Load, times: int) -> Figures:
    """Ask a worker to end under load (R12): how long that takes, and what is done again."""
    chance, fleet, took, replayed = random.Random(load.seed), lab.fleet(1), [0.0], 0.0
    try:
        async with lab.under_load(load.seed, load.rate, load.customers):
            for n in range(times):
                await fleet.lives[0].ready()
                await asyncio.sleep(chance.uniform(0.0, 5.0))  # its trainer starts, or has learned
                replayed += await _replayed(fleet)
                life, began = fleet.lives[0], time.monotonic()
                code = await fleet.dismiss(0)
                took.append(time.monotonic() - began)
                assert code == 0, life.words()
                assert "Traceback" not in life.words(), life.words()
                fleet.start(0)
                print(f"end {n + 1} of {times}: {took[-1]:.1f} s", flush=True)
        await lab.all_done(fleet)
        replayed += await _replayed(fleet)
    finally:
        fleet.end()
    return {
        "ends": times,
        "crashes": fleet.crashes,
        "slowest_end_s": round(max(took), 1),
        "replayed": replayed,
    }


async def bursts(lab: Lab, load: Load, times: int, seconds: float = 20.0) -> Figures:
    """Let ten times as much come for a while (R16): the worker's memory, and how the lag drains."""
    fleet, held, drained = lab.fleet(1), [0.0], [0.0]

    def few(lag: int) -> bool:
        return lag <= 2 * load.rate

    life = fleet.lives[0]
    try:
        await life.ready()
        async with (
            Watch(lab) as watch,
            lab.under_load(load.seed, load.rate, load.customers) as tide,
        ):
            await asyncio.sleep(2 * seconds)
            steady = life.resident_mb()
            for n in range(times):
                tide.floods = True
                await asyncio.sleep(seconds)
                tide.floods, ended = False, time.monotonic()

                async def lag() -> int:
                    held.append(life.resident_mb())
                    return sum((await watch.left(lab.inputs)).values())

                await eventually("a small lag", lag, few, left=float, every=0.1)
                drained.append(time.monotonic() - ended)
                held.append(life.resident_mb())
                print(f"burst {n + 1} of {times}: drained in {drained[-1]:.1f} s", flush=True)
                await asyncio.sleep(seconds / 2)
        await lab.all_done(fleet)
    finally:
        fleet.end()
    return {
        "bursts": times,
        "crashes": fleet.crashes,
        "steady_mb": round(steady, 1),
        "most_mb": round(max(held), 1),
        "slowest_drain_s": round(max(drained), 1),
    }


async def _replayed(fleet: Fleet) -> float:
    page = await fleet.lives[0].page("/metrics")
    (line,) = [x for x in page.splitlines() if x.startswith("offerstream_events_replayed_total ")]
    return float(line.rpartition(" ")[2])
