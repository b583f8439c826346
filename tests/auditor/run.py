"""One audit, from the first record to the verdict."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from tests.auditor.books import Books
from tests.auditor.kafka import Wire
from tests.auditor.shop import DAY, ERASES, SETTLED, Shop
from tests.auditor.verdict import FAULTS, Verdict
from tests.auditor.workers import ROOT, Workers

HOUR: Final = 3_600_000  # ms
WAVE: Final = 5_000  # events at the most: what may be undecided is two waves
SHORTEST: Final = 20  # waves at the least, so that every story comes to its end
LONGEST_SPAN: Final = 11 * HOUR  # of event time: daylight, and below the grace of a day
TICK: Final = 40  # ms of event time from one event to the next, where there is room


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    ``prefix`` is of the topics' names. ``workers`` 0: somebody else runs them, with the settings
    of `environment`; nobody is killed.
    """

    broker: str
    prefix: str
    folder: Path
    seed: int
    events: int = 20_000
    customers: int = 2_000
    cycles: int = 5
    workers: int = 3
    partitions: int = 6
    app_id: str = ""

    @property
    def group(self) -> str:
        """The workers' consumer group."""
        return self.app_id or self.prefix

    @property
    def waves(self) -> int:
        """Into how many waves the events are cut."""
        return max(SHORTEST, self.cycles, -(-self.events // WAVE))

    def environment(self) -> dict[str, str]:
        """The settings that workers need for what the checker expects of them.

        All that permission rests on is left at its default.
        """
        return {
            "OFFERSTREAM_BROKER": f"kafka://{self.broker}",
            "OFFERSTREAM_APP_ID": self.group,
            "OFFERSTREAM_TOPICS__PREFIX": self.prefix,
            "OFFERSTREAM_PARTITIONS": str(self.partitions),
            "OFFERSTREAM_METRICS_PORT": "0",
            "OFFERSTREAM_KAFKA__SESSION_TIMEOUT": "6",
            "OFFERSTREAM_KAFKA__HEARTBEAT_INTERVAL": "2",
            "OFFERSTREAM_LEARNING__PROPENSITY_BITS": "12",
            "OFFERSTREAM_CORE__POLICY__OFFER_GAP": "60",
        }


Tell = Callable[[int, int, str], None]


class Audit:
    """An audit under way.

    Parameters
    ----------
    plan
        What is asked for.
    tell
        Called with how many waves are decided, of how many, and what happens, again and again.
    """

    def __init__(self, plan: Plan, tell: Tell = lambda done, of, what: None) -> None:
        self._plan, self._tell = plan, tell
        span = min(plan.events * TICK, LONGEST_SPAN)
        day = int(time.time() * 1000) // DAY * DAY - 2 * DAY
        shop = Shop(plan.seed, plan.customers, plan.events, plan.waves, day + 9 * HOUR, span)
        self.books = Books(shop)
        self._chance = random.Random(plan.seed)

    async def run(self) -> dict[str, Any]:
        """Send everything, kill workers meanwhile, look, and judge."""
        plan = self._plan
        workers = Workers(plan.environment(), plan.folder, 0)
        workers.said("topics", "apply")
        workers = Workers(plan.environment(), plan.folder, plan.workers)
        began = time.monotonic()
        try:
            async with Wire(plan.broker, plan.prefix, plan.group, plan.partitions) as wire:
                await self._live(wire, workers)
                took = time.monotonic() - began
                verdict = await self._seen(wire, workers)
        finally:
            workers.end()
        faults = verdict.concluded()
        return {
            "seed": plan.seed,
            "events": self.books.records,
            "customers": plan.customers,
            "workers": plan.workers,
            "kills": workers.kills,
            "crashes": workers.crashes,
            "seconds": round(took, 1),
            "offers": verdict.offers,
            "recalls": verdict.recalls,
            "offers_sent_again": verdict.repeated_offers,
            "faults": {name: faults[name] for name in FAULTS},
            "told": dict(verdict.told),
        }

    async def _live(self, wire: Wire, workers: Workers) -> None:
        """Wave after wave; each waits until the last but one is decided, and sees its kills."""
        shop, plan = self.books.shop, self._plan
        await wire.send_items({item: catalog_item(item, n) for n, item in enumerate(shop.items)})
        await wire.send(shop.preamble(), self.books)
        self._tell(0, plan.waves, "what customers allow at first is decided")
        await wire.decided(await wire.ends(), workers.revive)
        ends = []
        for number in range(plan.waves):
            due = plan.cycles * (number + 1) // plan.waves - plan.cycles * number // plan.waves
            killing = asyncio.create_task(self._kill(workers, due))
            await wire.send(shop.wave(number), self.books)
            ends.append(await wire.ends())
            await killing
            if number >= SETTLED - 1:
                await wire.decided(ends[number - SETTLED + 1], workers.revive)
            self._tell(
                number + 1, plan.waves, f"{self.books.records:,} sent, {workers.kills} kills"
            )
        await wire.decided(ends[-1], workers.revive)

    async def _kill(self, workers: Workers, due: int) -> None:
        for _ in range(due):
            await asyncio.sleep(self._chance.uniform(0.0, 4.0))
            workers.kill(self._chance)

    async def _seen(self, wire: Wire, workers: Workers) -> Verdict:
        plan = self._plan
        self._tell(plan.waves, plan.waves, "the offers and all else are read")
        schema = orjson.loads((ROOT / "schemas" / "offers" / "v1.json").read_bytes())
        gone = sum(one.story in ERASES and one.acted >= 0 for one in self.books.shop.customers)
        killed = workers.kills or not plan.workers  # whoever runs them himself may kill some
        verdict = Verdict(self.books, plan.prefix, schema, gone if killed else 0)
        await wire.read("offers", lambda r: verdict.take_offer(r.key, r.value))
        await wire.read("dead-letters", lambda r: verdict.take_letter(dict(r.headers), r.value))
        await wire.read("late", lambda record: verdict.take_late(record.value))
        for line in workers.said("customers", "--json").splitlines():
            verdict.take_customer(line)
        verdict.take_account(workers.said("customers"))
        return verdict


def catalog_item(item: str, number: int) -> bytes:
    """An entry of the catalog."""
    return orjson.dumps(
        {
            "product_id": item,
            "name": f"Item {number}",
            "category": f"category-{number % 12}",
            "price_minor": 500 + 45 * number,
            "currency": "EUR",
        }
    )
