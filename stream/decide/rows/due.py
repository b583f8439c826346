"""Whose labels are due: a queue of customers, kept in pages.

A customer's own events mature what waits for a label; of who never comes back there are none, and
those are the ones who did not buy. So each customer with an exposure that waits has one entry here,
and is looked at when all that one visit left must have matured. Rules:

- An entry is live while the customer's record names its time (``Waiting.due``); any other is stale.
- Entries are taken in the order in which they were put, which is the order of events: a batch may
  end anywhere. One that comes out of order waits for those before it.
- Entries are kept by pages, so that a batch writes a page or two and not the whole queue.
- A customer's record names the page of its newest entry, and an older one can only be in the page
  that is read from. So a customer is scrubbed from the queue by rewriting two pages at most, with
  the very write that erases the record.
- The traces of erasures (:func:`stream.decide.consent.trace_of`) wait in such a queue of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from stream.decide.rows.layout import LARGEST
from stream.domain.value import Value

PAGE = 64


class Due(Value, frozen=True):
    """A customer, and the time in ms of the oldest exposure that waited when this was put.

    The id of a customer who was scrubbed is empty.
    """

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
    0
    >>> queue.take(4), queue.take(5), queue.take(5)
    (None, Due(time=5, customer_id='anna'), None)
    >>> queue.ends
    Ends(first=0, taken=0, last=0)
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

    @property
    def next_time(self) -> int:
        """The time of the first entry, `LARGEST` if there is none."""
        page = self._front()
        return page[self._taken].time if self._taken < len(page) else LARGEST

    def _front(self) -> Page:
        """The page of the first entry."""
        page = self._page(self._first)
        while self._taken >= len(page) and self._first < self._last:
            page = self._turn()  # the rest of it was lost: no page but the last is shorter
        self._taken = min(self._taken, len(page))
        return page

    def take(self, until: int) -> Due | None:
        """Take the first entry, if its time is at most ``until``."""
        page = self._front()
        if self._taken >= len(page) or page[self._taken].time > until:
            return None
        entry = page[self._taken]
        self._taken += 1
        if self._taken >= len(page) and (self._taken >= PAGE or self._first == self._last):
            self._write(self._first, ())
            self._first, self._taken = min(self._first + 1, self._last), 0
        return entry

    def put(self, entry: Due) -> int:
        """Put an entry behind all others; the number of its page."""
        number = self._last
        page = (*self._page(number), entry)
        self._write(number, page)
        if len(page) >= PAGE:
            self._last += 1
        return number

    def scrub(self, customer_id: str, number: int) -> None:
        """Take a customer's id out of the queue; ``number`` is the page of the newest entry."""
        for at in {self._first, number}:
            page = self._page(at)
            if any(entry.customer_id == customer_id for entry in page):
                self._write(at, tuple(_without(customer_id, entry) for entry in page))

    def _turn(self) -> Page:
        """Be done with the first page; the one behind it."""
        self._write(self._first, ())
        self._first, self._taken = self._first + 1, 0
        return self._page(self._first)

    def _page(self, number: int) -> Page:
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = self._read(number) or ()
        return page

    def _write(self, number: int, page: Page) -> None:
        self._pages[number] = self.changed[number] = page


def _without(customer_id: str, entry: Due) -> Due:
    return Due(entry.time, "") if entry.customer_id == customer_id else entry
