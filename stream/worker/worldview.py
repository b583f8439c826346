"""The world as this worker knows it, from the compacted topics; swapped in whole.

Rules: an entry that its schema refuses changes nothing here (the agent of its topic sends it to
the dead letters); models that are damaged, do not fit, or have learned more than there is change
nothing either, and are counted.
What models publish, and what a catalog's descriptions say of new items, is read, checked and built
outside the event loop, apart from what is in use: a world that was handed to a batch never changes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import NamedTuple, TypeAlias, TypeVar

from mode import get_logger

from stream.broker.records import Record, Unreadable
from stream.codec.claims import decode_claim
from stream.codec.reference import ReferenceDecoder, ReferenceEntry
from stream.codec.snapshots.models import Collector, Parcel, Published, Reader, claimed
from stream.codec.snapshots.parts import PartError
from stream.codec.snapshots.snapshot import SnapshotError
from stream.config import CoreSettings
from stream.decide.campaigns.budgets import granted
from stream.decide.choice.alike import Fresh
from stream.decide.policy import by_priority
from stream.decide.witness import Witness
from stream.decide.world import Finds, Judges, World
from stream.domain.event import Campaign, CatalogItem
from stream.learn.editions import Editions
from stream.models.base.state import StateError

logger = get_logger(__name__)
DESCRIPTIONS = 131_072  # held at once: the newest of a larger catalog
T = TypeVar("T", CatalogItem, Campaign)
Judge: TypeAlias = Callable[[Mapping[str, int]], Awaitable[dict[str, int]]]
"""Says how far a publication can have learned of what it claims, or raises a `SnapshotError`."""


class Noted(NamedTuple):
    """An item's entry before and after a record of the catalog."""

    item_id: str
    before: CatalogItem | None
    now: CatalogItem | None


class WorldView:
    """Catalog, campaigns and models, as far as they have been read.

    Attributes
    ----------
    refused : int
        Publications of models that were damaged or did not fit.
    """

    def __init__(
        self,
        settings: CoreSettings,
        decoder: ReferenceDecoder,
        learning: bool = True,
        key: bytes | None = None,
        on_refused: Callable[[], None] = lambda: None,
        judged: Judge | None = None,
        on_claim_refused: Callable[[], None] = lambda: None,
        evidence: bool = False,
        rules: tuple[Judges, ...] = (),
        sources: tuple[Finds, ...] = (),
        on_stopped: Callable[[str, int], None] = lambda *_: None,
    ) -> None:
        witness = Witness() if evidence else None
        self._world = World(
            settings=settings, learning=learning, witness=witness, rules=rules, sources=sources
        )
        self.refused = 0
        self._decoder = decoder
        self._catalog: dict[str, CatalogItem] = {}
        self._fresh = Fresh(DESCRIPTIONS)
        self._campaigns: dict[str, Campaign] = {}
        self._campaigns_due = False
        self._collector, self._reader = Collector(), Reader(key)
        self._on_refused = on_refused
        self._judged = judged
        self._on_claim_refused = on_claim_refused
        self._on_stopped = on_stopped
        self._stops: dict[str, list[str]] = {}
        self._parcels: deque[Parcel] = deque()
        self._editions = Editions()
        self._noted: list[Noted] = []
        self._catalog_due = asyncio.Event()
        self._catalog_known = asyncio.Event()
        self._models_due = asyncio.Event()
        self._models_known = asyncio.Event()
        self._models_next = asyncio.Event()
        self._adopting = asyncio.Lock()

    @property
    def world(self) -> World:
        """What decisions look at now; replaced, never changed."""
        if self._campaigns_due:  # once for however many came
            self._campaigns_due = False
            campaigns = by_priority(tuple(self._campaigns.values()))
            self._world = self._world._replace(campaigns=campaigns)
        return self._world

    @property
    def slot(self) -> str:
        """The slot of the models topic that the last full snapshot stands in."""
        return self._reader.slot

    async def published(self) -> Published | None:
        """What the models in use are made of, whole."""
        async with self._adopting:
            known = self._editions.current
            if known is None:
                return None
            return Published(await asyncio.to_thread(known.states), known.through, known.learned)

    def take_item(self, record: Record) -> None:
        """Follow the catalog."""
        if isinstance(record, Unreadable):
            return
        entry = self._decoder.decode_catalog(record.key, record.value, record.headers)
        if isinstance(entry, ReferenceEntry):
            self._noted.append(Noted(entry.id, self._catalog.get(entry.id), entry.value))
            _put(self._catalog, entry)
            self._catalog_due.set()

    def take_campaign(self, record: Record) -> None:
        """Follow the campaigns."""
        if isinstance(record, Unreadable):
            return
        entry = self._decoder.decode_campaign(record.key, record.value, record.headers)
        if isinstance(entry, ReferenceEntry):
            _put(self._campaigns, entry)
            self._campaigns_due = True

    def take_claim(self, record: Record) -> None:
        """Follow the claims on budgets; all workers read them in the same order."""
        try:
            if isinstance(record, Unreadable):
                raise ValueError(record.aside.rejection.detail)
            claim = decode_claim(record.value)
        except ValueError as error:
            self._on_claim_refused()
            logger.warning("the budgets' record at %d is passed over: %s", record.offset, error)
            return
        self._world = self._world._replace(grants=granted(self._world.grants, claim))

    def take_models(self, record: Record) -> None:
        """Follow the models; a whole publication is in use soon."""
        try:
            if isinstance(record, Unreadable):
                raise PartError(record.aside.rejection.detail)
            parcel = self._collector.take(record.key, record.value)
        except PartError as error:
            self._refuse(error)
            return
        if parcel is not None:
            self._parcels.append(parcel)
            self._models_due.set()

    async def build(self) -> None:
        """Bring each publication, and what changed of the catalog, into use; until cancelled."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._build_catalog())
            both.create_task(self._build_models())

    async def known(self) -> None:
        """Return when all that was taken so far is in use, or was refused."""
        while self._models_due.is_set():
            self._models_known.clear()
            await self._models_known.wait()
        while self._catalog_due.is_set():
            self._catalog_known.clear()
            await self._catalog_known.wait()

    async def _build_catalog(self) -> None:
        while True:
            await self._catalog_due.wait()
            began = perf_counter()
            while self._noted:
                noted, self._noted = self._noted, []
                catalog = dict(self._catalog)
                await asyncio.to_thread(self._look, noted, catalog)
                self._world = self._world._replace(
                    catalog=catalog, newest=self._fresh.newest, alike=self._fresh.alike
                )
            self._catalog_due.clear()
            self._catalog_known.set()
            # A large catalog that changes all the time may have half of it.
            await asyncio.sleep(perf_counter() - began)

    def _look(self, noted: list[Noted], catalog: Mapping[str, CatalogItem]) -> None:
        """Read what is new, in a thread; one at a time."""
        for note in noted:
            self._fresh.note(*note)
        self._fresh.look(catalog)

    async def _build_models(self) -> None:
        while True:
            await self._models_due.wait()
            while self._parcels:
                try:
                    async with self._adopting:
                        await self._adopt(self._parcels[0])
                except Exception as error:  # whatever it is, the next publication is another
                    self._refuse(error)
                self._parcels.popleft()
            self._models_due.clear()
            self._models_known.set()

    async def next_models(self) -> None:
        """Return when other models than now are in use."""
        await self._models_next.wait()

    async def _adopt(self, parcel: Parcel) -> None:
        through = await asyncio.to_thread(claimed, parcel)
        if self._judged is not None:
            through = await self._judged(through)
        publication = await asyncio.to_thread(self._reader.read, parcel)
        if publication is None:
            return
        whole = isinstance(publication, Published)
        edit = self._editions.begin if whole else self._editions.advance
        try:
            models = await asyncio.to_thread(edit, *publication._replace(through=through))
        except Exception:
            self._reader.forget()
            raise
        self._world = self._world._replace(models=models)
        self._say_stops()
        self._models_next.set()
        self._models_next = asyncio.Event()

    def _say_stops(self) -> None:
        """Say which variants of the campaigns in force are stopped, once each."""
        known = self._editions.current
        if known is None or not (len(known.trials) or self._stops):
            return
        said, self._stops = self._stops, {}
        for campaign in self._campaigns.values():
            stopped = known.trials.stopped(campaign.campaign_id, campaign.edition)
            words = [stop.words(campaign.variants[stop.arm].name) for stop in stopped]
            if words:
                self._stops[campaign.campaign_id] = words
        for name in said.keys() | self._stops.keys():
            words = self._stops.get(name, [])
            self._on_stopped(name, len(words))
            for one in words:
                if one not in said.get(name, ()):
                    logger.warning("campaign %s: %s", name, one)

    def _refuse(self, error: Exception) -> None:
        self.refused += 1
        self._on_refused()
        known = isinstance(error, PartError | SnapshotError | StateError)
        why = str(error) if known else f"a bug: {type(error).__name__}"
        logger.error("models are refused, the last good ones stay in use: %s", why)


def _put(table: dict[str, T], entry: ReferenceEntry[T]) -> None:
    if entry.value is None:
        table.pop(entry.id, None)
    else:
        table[entry.id] = entry.value
