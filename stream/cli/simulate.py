"""``offerstream simulate``: simulated shoppers on a Kafka cluster, in real time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from time import time

import click

from stream.cli.options import settings_option
from stream.config import ConfigError, Settings
from stream.host.logs import start_logging
from stream.host.signals import interruptible


@click.command
@settings_option
@click.option(
    "--rate",
    default=50.0,
    show_default=True,
    type=click.FloatRange(0.1, 20_000),
    help="Events a second, on average; shoppers come as often as that takes.",
)
@click.option(
    "--seconds",
    default="forever",
    show_default=True,
    metavar="S|forever",
    help="How long; SIGTERM or Ctrl-C ends it, too.",
)
@click.option("--customers", default=20_000, show_default=True, type=click.IntRange(1, 1_000_000))
@click.option("--items", default=1_200, show_default=True, type=click.IntRange(97, 100_000))
@click.option("--seed", default=7, show_default=True, type=click.IntRange(0))
@click.option(
    "--noise",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of bad input: duplicates, malformed, late, bots.",
)
@click.option(
    "--wait",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds to wait for the broker and its topics at the start.",
)
@click.option(
    "--every",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0.1),
    help="Seconds between lines that tell how it goes.",
)
def simulate(
    settings: Settings,
    rate: float,
    seconds: str,
    customers: int,
    items: int,
    seed: int,
    noise: float,
    wait: float,
    every: float,
) -> None:
    """Write simulated shoppers' events to Kafka, and let them answer their offers.

    The topics must exist (`offerstream topics apply`); workers turn the events into offers.
    """
    if settings.embedded_log is not None:
        raise ConfigError(
            f"broker is {settings.broker!r}; shoppers are simulated on Kafka: "
            "--broker kafka://host:port (without a Kafka, try `offerstream demo`)"
        )
    limit = _seconds(seconds)
    from stream.simulate.feed import Feed
    from stream.simulate.people import EVENTS_A_CUSTOMER_DAY
    from stream.simulate.shoppers import Shoppers

    start_logging("critical")  # what aiokafka would say, we say in a line
    pace = rate * 86_400 / (customers * EVENTS_A_CUSTOMER_DAY)

    async def run() -> None:
        start = round(time() * 1000)
        shoppers = Shoppers(seed, customers, items, start, pace=pace, daily=False, noise=noise)
        with interruptible() as stop:
            feed = Feed(settings, shoppers, _say, time)
            await feed.run(stop, seconds=limit, every=every, wait=wait)

    asyncio.run(run())


def _seconds(text: str) -> float:
    """How long to simulate; 0 is for ever."""
    if text == "forever":
        return 0.0
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise click.BadParameter(f"{text!r} is neither a number above 0 nor 'forever'")
    return seconds


def _say(line: str) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {line}")
