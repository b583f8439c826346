"""``python -m bench.freshness``: from an event to models that know it, in use by every worker.

Rules: real Kafka; two workers share this process, its clock and its event loop, so that what is
measured is from before an event was sent to the moment in which the slower of them decides with
what it taught. The policy is the default one. A probe is a visit of two items that nobody ever saw,
under a steady load of clicks.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from stream.broker.opening import open_cluster
from stream.cli.progress import gauge
from stream.codec.events.decoding import encode
from stream.config import LearningSettings, Settings, Topics
from stream.domain.event import Action, Click, Consent
from stream.worker.checks.topics import apply, plan
from stream.worker.engine import Engine, Publication

PATIENCE = 60.0  # seconds for one probe
CONSENT = Consent(profiling=True, offers=True)


def view(n: int, customer: str, item: str) -> Publication:
    """A click that happens now."""
    now = time.time_ns() // 1_000_000
    event = Click(f"e{n}", customer, now, Action.VIEW, item, consent=CONSENT)
    return "clicks", customer.encode(), encode(event), (), now


@asynccontextmanager
async def workers(broker: str, interval: float, number: int) -> AsyncIterator[list[Engine]]:
    """So many workers of one group, on topics of their own."""
    name = f"bench-freshness-{time.time_ns()}"
    learning = replace(LearningSettings(), publish_interval=interval)
    with TemporaryDirectory() as folder:
        settings = Settings(
            broker=f"kafka://{broker}",
            app_id=name,
            topics=Topics(prefix=f"{name}."),
            partitions=number,
            learning=learning,
        )
        async with open_cluster(settings) as cluster:
            await apply(cluster, await plan(cluster, settings))
        async with AsyncExitStack() as stack:
            engines = [
                Engine(replace(settings, data_dir=Path(folder) / str(n))) for n in range(number)
            ]
            yield list(await asyncio.gather(*map(stack.enter_async_context, engines)))


async def load(engine: Engine, rate: int) -> None:
    """Clicks of a few thousand customers on a few thousand items, until cancelled."""
    draw = random.Random(1)
    for turn in itertools.count():
        began = time.monotonic()
        await engine.publish(
            [
                view(
                    turn * rate + k,
                    f"c{draw.randrange(3_000)}",
                    f"i{int(4e3 * draw.random() ** 3)}",
                )
                for k in range(max(1, rate // 20))
            ]
        )
        await asyncio.sleep(max(0.0, 0.05 - (time.monotonic() - began)))


async def known(engine: Engine, first: str, second: str) -> None:
    """Return when this worker recommends the second item after the first."""
    app = engine.app
    while True:
        recommender = app.view.world.models.recommender
        ranked = recommender.recommend([first], 5, (), -1, None, ())
        if any(one.item == second for one in ranked):
            return
        await app.view.next_models()


async def probe(engines: list[Engine], n: int) -> float:
    """Seconds from before a visit is sent until all workers know it."""
    first, second = f"new{n}a", f"new{n}b"
    began = time.monotonic()
    await engines[0].publish([view(-2 * n, f"p{n}", first), view(-2 * n - 1, f"p{n}", second)])
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(known(engine, first, second) for engine in engines))
    return time.monotonic() - began


async def measure(broker: str, interval: float, rate: int, probes: int, number: int) -> list[float]:
    """Seconds of each probe."""
    draw, taken = random.Random(2), []
    async with workers(broker, interval, number) as engines:
        busy = asyncio.create_task(load(engines[0], rate))
        await asyncio.sleep(5.0)
        with gauge("probes", probes, "probes", quiet=False) as progress:
            for n in range(1, probes + 1):
                await asyncio.sleep(draw.random() * interval)  # any place of the interval
                taken.append(await probe(engines, n))
                progress.show(n, f"{taken[-1]:.2f} s")
        busy.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await busy
    return taken


@click.command
@click.option("--broker", required=True, help="Kafka's HOST:PORT, on this machine.")
@click.option("--interval", default=LearningSettings().publish_interval, show_default=True)
@click.option("--rate", default=500, show_default=True, help="Clicks a second besides.")
@click.option("--probes", default=100, show_default=True)
@click.option("--workers", "number", default=2, show_default=True)
def main(broker: str, interval: float, rate: int, probes: int, number: int) -> None:
    """Measure how old models are: seconds from an event to its models in use everywhere."""
    taken = asyncio.run(measure(broker, interval, rate, probes, number))
    report = {
        "publish_interval": interval,
        "events_per_second": rate,
        "workers": number,
        "probes": len(taken),
        "seconds": {
            "p50": float(np.percentile(taken, 50)),
            "p99": float(np.percentile(taken, 99)),
            "worst": max(taken),
        },
    }
    click.echo(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
