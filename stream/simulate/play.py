"""The demo's play: shoppers and an engine on one stage, scene by scene.

Rules:

- First the past, as fast as the engine takes it, so that there is something to recommend; then
  the present, at a steady number of events a second, whatever the hour in the shop.
- No more is sent than the engine keeps up with: a slow machine shows fewer events a second, and
  not a growing wait.
- An offer reaches its shopper when the engine has made it durable, and no sooner.
- It ends by itself when its time is up, and early when it is asked to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import orjson

from stream.decide.rows.admission import Outcome
from stream.simulate.rhythm import DAY_MS, HOUR_MS
from stream.simulate.scene import Scene
from stream.simulate.shop import Counts
from stream.simulate.shoppers import Shoppers
from stream.simulate.timeline import EVENTS, TimedRecord
from stream.simulate.witness import ShopWitness
from stream.worker.engine import Publication, Status

_OPENING_HOUR = 7  # quiet hours end: a demo that begins in the night shows nothing
_TICK = 0.05  # s between steps, which an offer waits for its shopper at most
_LONGEST_STEP = 90.0  # s in the shop: an offer should come while its shopper is still there
_WARM_STEP = 600.0
_WARM_SHARE, _WARM_MOST = 0.25, 8.0  # of the demo's time, and in s
_WARM_AHEAD = 1_500  # events sent and not decided
_LIVE_AHEAD = 0.15  # of what is sent in a second
_SETTLING = 20.0  # s that the engine may take at the end for what it still has


class Stage(Protocol):
    """What the play needs of an engine."""

    async def publish(self, records: Sequence[Publication], /) -> None:
        """Append records; durable on return."""

    async def settle(self) -> None:
        """Wait until all is decided, learned and in use."""

    def drain_offers(self) -> list[bytes]:
        """The offers since the last call."""

    def status(self) -> Status:
        """What was done."""


class Clocks(Protocol):
    """Where the time of day and the passing of time come from."""

    def wall(self) -> int:
        """Milliseconds since the epoch."""

    def elapsed(self) -> float:
        """Seconds since the beginning."""

    async def sleep(self, seconds: float, /) -> None:
        """Let others work for so long."""


def opening(wall: int, events: float, a_day: float) -> int:
    """When to begin, so that a day and ``events`` later the shop's time is still past.

    Times are in ms, ``a_day`` is how many events a day has; it is seven in the morning then.

    >>> opening(1_760_000_000_000, events=15_000, a_day=4_600) % DAY_MS == 7 * HOUR_MS
    True
    """
    days = 2 + round(2 * events / a_day)
    return (wall // DAY_MS - days - 1) * DAY_MS + _OPENING_HOUR * HOUR_MS


def _unseen(scene: Scene) -> None:
    """Show a scene to nobody."""


class Play:
    """Shoppers against an engine, for ``seconds`` of wall time, at ``rate`` events a second.

    ``a_day`` is how many events to expect of a day in the shop.
    """

    def __init__(
        self,
        stage: Stage,
        shoppers: Shoppers,
        clocks: Clocks,
        *,
        held_out: Counts,
        seconds: float,
        rate: float,
        a_day: float,
    ) -> None:
        self._stage, self._shoppers, self._clocks = stage, shoppers, clocks
        self._seconds, self._rate = seconds, rate
        self._a_day = a_day
        self._sent = 0
        self._show: Callable[[Scene], None] = _unseen
        self._every, self._due = 1.0, 0.0
        self._witness = ShopWitness(shoppers, held_out, seconds)

    async def run(self, show: Callable[[Scene], None], every: float, stop: asyncio.Event) -> Scene:
        """Play, showing a scene each ``every`` seconds, and return the last one."""
        self._show, self._every = show, every
        await self._open()
        await self._tell_the_past(stop)
        await self._live(stop)
        await self._settle()
        return self.scene()

    def scene(self) -> Scene:
        """What there is to see now."""
        return self._witness.scene(self._clocks.elapsed(), self._stage.status())

    async def _open(self) -> None:
        await self._breathe(0.0)
        shop = self._shoppers
        records = shop.catalog_records() + shop.campaign_records() + shop.customer_records()
        await self._publish(records)
        await self._settle()

    async def _settle(self) -> None:
        async with asyncio.timeout(_SETTLING):
            await self._stage.settle()
        self._pass_offers_on()

    async def _tell_the_past(self, stop: asyncio.Event) -> None:
        until = self._shoppers.now + DAY_MS
        deadline = min(_WARM_SHARE * self._seconds, _WARM_MOST) + self._clocks.elapsed()
        while self._shoppers.now < until and not self._is_over(stop, deadline):
            if self._ahead() < _WARM_AHEAD:
                await self._publish(self._shoppers.step(_WARM_STEP))
            self._pass_offers_on()
            await self._breathe(0.0)
        await self._settle()
        self._witness.present_begins()

    async def _live(self, stop: asyncio.Event) -> None:
        density = self._a_day / (DAY_MS / 1000)
        while not self._is_over(stop, self._seconds):
            began, pause = self._clocks.elapsed(), _TICK
            step = min(self._rate * _TICK / density, _LONGEST_STEP)
            in_the_past = self._shoppers.now + step * 1000 < self._clocks.wall()
            if in_the_past and self._ahead() < self._rate * _LIVE_AHEAD:
                records = self._shoppers.step(step)
                density += 0.1 * (max(len(records), 1) / step - density)
                await self._publish(records)
                pause = len(records) / self._rate
            self._pass_offers_on()
            await self._breathe(max(pause - (self._clocks.elapsed() - began), 0.0))

    def _is_over(self, stop: asyncio.Event, deadline: float) -> bool:
        return stop.is_set() or self._clocks.elapsed() >= min(deadline, self._seconds)

    def _ahead(self) -> int:
        """How many events were sent and not decided yet."""
        counts = self._stage.status().counts
        return self._sent - sum(counts.get(outcome, 0) for outcome in Outcome)

    async def _publish(self, records: Sequence[TimedRecord]) -> None:
        wall = self._clocks.wall()
        await self._stage.publish([(r.topic, r.key, r.value, (), wall) for r in records])
        events = sum(record.topic in EVENTS for record in records)
        self._sent += events
        self._witness.published(events)

    def _pass_offers_on(self) -> None:
        for encoded in self._stage.drain_offers():
            offer = orjson.loads(encoded)
            self._witness.offered(offer)
            self._shoppers.receive(offer)

    async def _breathe(self, seconds: float) -> None:
        """Let the engine work for a while, and show a scene if one is due."""
        now = self._clocks.elapsed()
        if now >= self._due:
            self._due = now + self._every
            self._show(self.scene())
        await self._clocks.sleep(seconds)
