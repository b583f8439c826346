"""``offerstream demo``: simulated shoppers against the whole pipeline, in this terminal.

Everything is in one process and a temporary directory: no broker, nothing stays behind.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from time import perf_counter, time

import click
import numpy as np
import orjson
from rich.console import Console
from rich.live import Live

from stream.config import CoreSettings, PolicySettings, Settings
from stream.host.logs import start_logging
from stream.host.signals import interruptible
from stream.simulate.scene import Scene, as_json
from stream.simulate.words import line, summary

HOLDOUT = 0.2  # more than a shop would: the comparison has to fit into half a minute
RATE = 500.0  # events/s: well below what an engine takes, so that waiting shows its true length
PACE = 3.0  # visits come as often as that, so that the models get to know each customer
ITEMS = 1_200
NOISE = 0.02
_REDRAW, _PLAIN_LINE, _SLOW = 0.5, 2.0, 5.0  # s
Show = Callable[[Scene], None]


@click.command
@click.option("--seconds", default=30.0, show_default=True, type=click.FloatRange(5, 86_400))
@click.option("--customers", default=1_500, show_default=True, type=click.IntRange(100, 200_000))
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0))
@click.option("--json", "in_json", is_flag=True, help="Print nothing but the summary, as JSON.")
@click.option("--plain", is_flag=True, help="Print plain lines, as where there is no terminal.")
def demo(seconds: float, customers: int, seed: int, in_json: bool, plain: bool) -> None:
    """Watch simulated shoppers become offers, in this terminal.

    Shoppers with tastes of their own click, buy and answer their offers; the engine learns from
    each event. It ends by itself; Ctrl-C ends it early.
    """
    start_logging("error")
    _warm(in_json)
    display = _silent if in_json else _plain if plain or not sys.stdout.isatty() else _live
    with TemporaryDirectory(prefix="offerstream-demo-") as directory, display(seconds) as shown:
        show, every = shown
        last = asyncio.run(_play(Path(directory), seconds, customers, seed, show, every))
    click.echo(
        orjson.dumps(as_json(last), option=orjson.OPT_INDENT_2) if in_json else summary(last)
    )


def _warm(in_json: bool) -> None:
    """Have the kernels at hand before time counts: on a new machine each is compiled first."""
    from stream.decide.warm import warm

    words = Timer(_SLOW, click.echo, ["compiling kernels, once: a minute or two"], {"err": True})
    words.daemon = True
    if not in_json:
        words.start()
    try:
        warm()
    finally:
        words.cancel()


def demo_settings(directory: Path) -> Settings:
    """The demo's settings: a local log in ``directory``, and more customers held out."""
    return Settings(
        broker=f"local://{directory / 'log'}",
        data_dir=directory / "state",
        log_level="error",
        core=CoreSettings(policy=PolicySettings(holdout=HOLDOUT)),
    )


class _Clocks:
    def __init__(self) -> None:
        self._began = perf_counter()

    def wall(self) -> int:
        return round(time() * 1000)

    def elapsed(self) -> float:
        return perf_counter() - self._began

    async def sleep(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds)


async def _play(
    directory: Path, seconds: float, customers: int, seed: int, show: Show, every: float
) -> Scene:
    from stream.decide.policy import CONTROL, arm_of  # Faust takes half a second to import
    from stream.simulate.people import EVENTS_A_CUSTOMER_DAY, customer_id
    from stream.simulate.play import Play, opening
    from stream.simulate.shoppers import Shoppers
    from stream.worker.checks.topics import verify
    from stream.worker.engine import Engine

    clocks, settings = _Clocks(), demo_settings(directory)
    await asyncio.to_thread(verify, settings)
    a_day = customers * EVENTS_A_CUSTOMER_DAY * PACE
    start = opening(clocks.wall(), RATE * seconds, a_day)
    shoppers = Shoppers(seed, customers, ITEMS, start, pace=PACE, noise=NOISE)
    core = settings.core
    held_out = np.array(
        [
            number
            for number in range(customers)
            if arm_of(customer_id(number), core.seed, core.policy) == CONTROL
        ],
        dtype=np.int64,
    )
    with interruptible() as stop:
        async with Engine(settings) as engine:
            play = Play(
                engine,
                shoppers,
                clocks,
                held_out=held_out,
                seconds=seconds,
                rate=RATE,
                a_day=a_day,
            )
            return await play.run(show, every, stop)


@contextmanager
def _live(seconds: float) -> Iterator[tuple[Show, float]]:
    from stream.simulate.screen import screen

    console = Console()
    with Live(console=console, auto_refresh=False, screen=True) as live:

        def show(scene: Scene) -> None:
            live.update(screen(scene, *console.size), refresh=True)

        yield show, _REDRAW


@contextmanager
def _plain(seconds: float) -> Iterator[tuple[Show, float]]:
    click.echo(f"offerstream demo: {seconds:.0f} s of simulated shoppers; Ctrl-C ends it early")

    def show(scene: Scene) -> None:
        if scene.events:
            click.echo(line(scene))

    yield show, _PLAIN_LINE


@contextmanager
def _silent(seconds: float) -> Iterator[tuple[Show, float]]:
    yield lambda scene: None, _PLAIN_LINE
