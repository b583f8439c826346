"""Whose labels are due: a queue of customers, kept in pages.

A customer's own events mature what waits for a label; of who never comes back there are none, and
those are the ones who did not buy. So each customer with an exposure that waits has one entry here,
and is looked at when all that one visit left must have matured. Rules:

- An entry is live while the customer's record names its time (``Waiting.due``); any other is stale.
- Entries are taken in the order in which they were put, which is the order of events: a batch may
  end anywhere. One that comes out of order waits for those before it.
- Entries are kept by pages, so that a batch writes a page or two and not the whole queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from stream.core.value import Value

PAGE = 64


class Due(Value, frozen=True):
    """A customer, and the time in ms of the oldest exposure that waited when this was put."""

    time: int
    customer_id: str


Page: TypeAlias = tuple[Due, ...]


class Ends(NamedTuple):
    """Where a queue begins and ends: the page read from, how many of it were taken, the last."""

    first: int = 0
    taken: int = 0
    last: int = 0


class DueQueue:
    """The queue while a batch is decided; ``read`` brings a page as it was before.

    >>> queue = DueQueue(Ends(), {}.get)
    >>> queue.put(Due(5, "anna"))
    >>> queue.take(4), queue.take(5), queue.take(5)
    (None, Due(time=5, customer_id='anna'), None)
    >>> queue.ends
    Ends(first=0, taken=1, last=0)
    """

    def __init__(self, ends: Ends, read: Callable[[int], Page | None]) -> None:
        self._first, self._taken, self._last = ends
        self._read = read
        self._pages: dict[int, Page] = {}
        #: The pages that were written; an empty one is done with.
        self.changed: dict[int, Page] = {}

    @property
    def ends(self) -> Ends:
        """Where it begins and ends now."""
        return Ends(self._first, self._taken, self._last)

    def take(self, until: int) -> Due | None:
        """Take the first entry, if its time is at most ``until``."""
        page = self._page(self._first)
        if self._taken == len(page) or page[self._taken].time > until:
            return None
        entry = page[self._taken]
        self._taken += 1
        if self._taken == PAGE:
            self._write(self._first, ())
            self._first, self._taken = self._first + 1, 0
        return entry

    def put(self, entry: Due) -> None:
        """Put an entry behind all others."""
        page = (*self._page(self._last), entry)
        self._write(self._last, page)
        if len(page) == PAGE:
            self._last += 1

    def _page(self, number: int) -> Page:
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = self._read(number) or ()
        return page

    def _write(self, number: int, page: Page) -> None:
        self._pages[number] = self.changed[number] = page
