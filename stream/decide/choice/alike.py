"""What is new in the catalog, found by what it is described like.

Rules: it follows from the catalog alone, which every worker reads whole; nobody has to learn it.
Only what is new is compared, and only when a description or what counts as new has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nlargest
from typing import Final

from stream.decide.world import Neighbours
from stream.domain.event import CatalogItem
from stream.models.recommend.content import Content

NEWEST: Final = 64
LEADS: Final = 12  # items that lead to one new item
FEW: Final = 4  # new items that one item leads to
LEAST: Final = 0.15  # a cosine below this is a common word or two


class Fresh:
    """The newest items, and the items that lead to them.

    Parameters
    ----------
    items
        Descriptions held at once.

    Examples
    --------
    >>> fresh = Fresh(items=100)
    >>> catalog = {
    ...     "pot": CatalogItem("pot", "Iron tea pot"),
    ...     "soap": CatalogItem("soap", "Olive soap"),
    ...     "jug": CatalogItem("jug", "Iron tea jug", added=1),
    ... }
    >>> for item in catalog.values():
    ...     fresh.note(item.item_id, None, item)
    >>> fresh.look(catalog)
    True
    >>> fresh.newest, list(fresh.alike)
    (('jug',), ['pot'])
    """

    def __init__(self, items: int) -> None:
        self.newest: tuple[str, ...] = ()
        self.alike: Mapping[str, Neighbours] = {}
        self._content = Content(items)
        self._unread: dict[str, None] = {}
        self._due = False

    def note(self, item_id: str, before: CatalogItem | None, now: CatalogItem | None) -> None:
        """Note that an item's entry changed."""
        if now is None or before is None or _words(before) != _words(now):
            self._unread[item_id] = None
            self._due = True
        elif before.added != now.added:
            self._due = True

    def look(self, catalog: Mapping[str, CatalogItem]) -> bool:
        """Find anew what is new, if that may have changed; whether it may."""
        if not self._due:
            return False
        self._due = False
        added = (item for item in catalog.values() if item.added is not None)
        newest = nlargest(NEWEST, added, key=lambda item: (item.added or 0, item.item_id))
        self.newest = tuple(item.item_id for item in newest)
        self.alike = {}
        if self.newest:
            self._read(catalog)
            self.alike = self._leads()
        return True

    def _read(self, catalog: Mapping[str, CatalogItem]) -> None:
        for item_id in self._unread:
            self._content.learn(item_id, _words(catalog[item_id]) if item_id in catalog else "")
        self._unread.clear()

    def _leads(self) -> dict[str, Neighbours]:
        found: dict[str, list[tuple[str, float]]] = {}
        for new in self.newest:
            for item, cosine in self._content.similar(new, LEADS):
                if cosine >= LEAST:
                    found.setdefault(item, []).append((new, cosine))
        return {
            item: sorted(led, key=lambda pair: (-pair[1], pair[0]))[:FEW]
            for item, led in found.items()
        }


def _words(item: CatalogItem) -> str:
    return " ".join(filter(None, (item.name, item.category, item.brand, item.text)))
