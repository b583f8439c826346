"""The world as this worker knows it, from the compacted topics; swapped in whole.

Rules: an entry that its schema refuses changes nothing here (the agent of its topic sends it to
the dead letters); models that are damaged or do not fit change nothing either, and are counted.
Models are built outside the event loop, the newest publication only.
"""

from __future__ import annotations

import asyncio
from heapq import nlargest
from typing import TypeVar

from mode import get_logger

from stream.codec.models import Assembler, Published
from stream.codec.reference import Entry, ReferenceDecoder
from stream.config import CoreSettings
from stream.core.event import Campaign, CatalogItem
from stream.core.learner import models_from
from stream.core.policy import by_priority
from stream.core.world import World
from stream.models.state import StateError
from stream.runtime.batching.records import Record

logger = get_logger(__name__)
NEWEST = 64
T = TypeVar("T", CatalogItem, Campaign)


class WorldView:
    """Catalog, campaigns and models, as far as they have been read.

    Attributes
    ----------
    published : Published or None
        The models' states behind it.
    """

    def __init__(
        self, settings: CoreSettings, decoder: ReferenceDecoder, learning: bool = True
    ) -> None:
        self._world = World(settings=settings, learning=learning)
        self.published: Published | None = None
        self._decoder = decoder
        self._catalog: dict[str, CatalogItem] = {}
        self._campaigns: dict[str, Campaign] = {}
        self._assembler = Assembler()
        self._catalog_due = False
        self._models_due = asyncio.Event()
        self._models_tried = asyncio.Event()
        self._tried = 0

    @property
    def world(self) -> World:
        """What decisions look at now; replaced, never changed."""
        if self._catalog_due:
            self._catalog_due = False
            items = [item for item in self._catalog.values() if item.added is not None]
            newest = nlargest(NEWEST, items, key=lambda item: (item.added or 0, item.item_id))
            self._world = self._world._replace(
                catalog=dict(self._catalog), newest=tuple(item.item_id for item in newest)
            )
        return self._world

    @property
    def published_through(self) -> int:
        """The examples that the newest publication has learned."""
        return 0 if self.published is None else self.published.learned

    @property
    def slot(self) -> str:
        """The slot of the models topic that the last full snapshot stands in."""
        return self._assembler.slot

    def take_item(self, record: Record) -> None:
        """Follow the catalog."""
        entry = self._decoder.decode_catalog(record.key, record.value, record.headers)
        if isinstance(entry, Entry):
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
        """Follow the models; a whole publication is built and swapped in soon."""
        if self._assembler.take(record.key, record.value):
            self.published = self._assembler.current
            self._models_due.set()

    async def build_models(self) -> None:
        """Build each publication that is current, until cancelled."""
        while True:
            await self._models_due.wait()
            self._models_due.clear()
            published = self.published
            assert published is not None
            try:
                models = await asyncio.to_thread(models_from, published.states, published.learned)
            except StateError as error:
                logger.error("models at %d are refused: %s", published.learned, error)
            else:
                self._world = self._world._replace(models=models)
            self._tried = published.learned
            self._models_tried.set()

    async def use(self, learned: int) -> None:
        """Return when models that have learned so many examples are in use, or were refused."""
        while self._tried < learned:
            self._models_tried.clear()
            await self._models_tried.wait()


def _put(table: dict[str, T], entry: Entry[T]) -> None:
    if entry.value is None:
        table.pop(entry.id, None)
    else:
        table[entry.id] = entry.value
