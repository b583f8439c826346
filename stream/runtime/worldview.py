"""The world as this worker knows it, from the compacted topics; swapped in whole.

Rules: an entry that its schema refuses changes nothing here (the agent of its topic sends it to
the dead letters); models that are damaged or do not fit change nothing either, and are counted.
What models publish is read, checked and, where it has to be, built outside the event loop; what
changed is then taken over in one go, between two batches, so that no decision sees half of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from mode import get_logger

from stream.codec.models import Changed, Collector, Parcel, Published, Reader
from stream.codec.parts import PartError
from stream.codec.reference import Entry, ReferenceDecoder
from stream.codec.snapshot import SnapshotError
from stream.config import CoreSettings
from stream.core.alike import Fresh
from stream.core.estimators import Estimators
from stream.core.event import Campaign, CatalogItem
from stream.core.policy import by_priority
from stream.core.world import World
from stream.models.state import StateError
from stream.runtime.batching.records import Record

logger = get_logger(__name__)
DESCRIPTIONS = 131_072  # held at once: the newest of a larger catalog
T = TypeVar("T", CatalogItem, Campaign)


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
    ) -> None:
        self._world = World(settings=settings, learning=learning)
        self.refused = 0
        self._decoder = decoder
        self._catalog: dict[str, CatalogItem] = {}
        self._fresh = Fresh(DESCRIPTIONS)
        self._campaigns: dict[str, Campaign] = {}
        self._collector, self._reader = Collector(), Reader(key)
        self._on_refused = on_refused
        self._parcels: deque[Parcel] = deque()
        self._estimators: Estimators | None = None
        self._catalog_due = False
        self._models_due = asyncio.Event()
        self._models_known = asyncio.Event()
        self._models_next = asyncio.Event()
        self._adopting = asyncio.Lock()

    @property
    def world(self) -> World:
        """What decisions look at now; replaced, never changed."""
        if self._catalog_due:
            self._catalog_due = False
            self._world = self._world._replace(catalog=dict(self._catalog))
            if self._fresh.look(self._catalog):
                self._world = self._world._replace(
                    newest=self._fresh.newest, alike=self._fresh.alike
                )
        return self._world

    @property
    def slot(self) -> str:
        """The slot of the models topic that the last full snapshot stands in."""
        return self._reader.slot

    async def published(self) -> Published | None:
        """What the models in use are made of, whole."""
        async with self._adopting:
            known = self._estimators
            if known is None:
                return None
            return Published(await asyncio.to_thread(known.states), known.through, known.learned)

    def take_item(self, record: Record) -> None:
        """Follow the catalog."""
        entry = self._decoder.decode_catalog(record.key, record.value, record.headers)
        if isinstance(entry, Entry):
            self._fresh.note(entry.id, self._catalog.get(entry.id), entry.value)
            _put(self._catalog, entry)
            self._catalog_due = True

    def take_campaign(self, record: Record) -> None:
        """Follow the campaigns."""
        entry = self._decoder.decode_campaign(record.key, record.value, record.headers)
        if isinstance(entry, Entry):
            _put(self._campaigns, entry)
        campaigns = by_priority(tuple(self._campaigns.values()))
        self._world = self._world._replace(campaigns=campaigns)

    def take_models(self, record: Record) -> None:
        """Follow the models; a whole publication is in use soon."""
        try:
            parcel = self._collector.take(record.key, record.value)
        except PartError as error:
            self._refuse(error)
            return
        if parcel is not None:
            self._parcels.append(parcel)
            self._models_due.set()

    async def build_models(self) -> None:
        """Bring each publication into use, until cancelled."""
        while True:
            await self._models_due.wait()
            while self._parcels:
                try:
                    async with self._adopting:
                        await self._adopt(self._parcels[0])
                except (PartError, SnapshotError, StateError) as error:
                    self._refuse(error)
                self._parcels.popleft()
            self._models_due.clear()
            self._models_known.set()

    async def models_known(self) -> None:
        """Return when every publication that was taken so far is in use, or was refused."""
        while self._models_due.is_set():
            self._models_known.clear()
            await self._models_known.wait()

    async def next_models(self) -> None:
        """Return when other models than now are in use."""
        await self._models_next.wait()

    async def _adopt(self, parcel: Parcel) -> None:
        publication = await asyncio.to_thread(self._reader.read, parcel)
        if publication is None:
            return
        try:
            if isinstance(publication, Published):
                self._estimators = await asyncio.to_thread(Estimators.from_states, *publication)
            else:
                await self._patch(publication)
        except StateError:
            self._reader.forget()
            raise
        assert self._estimators is not None
        self._world = self._world._replace(models=self._estimators.models())
        self._models_next.set()
        self._models_next = asyncio.Event()

    async def _patch(self, changed: Changed) -> None:
        known = self._estimators
        assert known is not None
        prepared = await asyncio.to_thread(known.prepared, changed.changes)
        known.patch(changed.changes, prepared, changed.through, changed.learned)

    def _refuse(self, error: Exception) -> None:
        self.refused += 1
        self._on_refused()
        logger.error("models are refused, the last good ones stay in use: %s", error)


def _put(table: dict[str, T], entry: Entry[T]) -> None:
    if entry.value is None:
        table.pop(entry.id, None)
    else:
        table[entry.id] = entry.value
