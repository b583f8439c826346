"""Timers: whose moment comes when, in stream time, with no event of theirs to begin it.

The moments are not due in the order in which they are set: a reminder waits for hours, a win-back
for weeks. So they stand in a calendar, in pages beside those of the queue of due labels. Rules:

- A customer has one entry at most, in the page that their record names (`HEAD` field ``timer``).
  One that the record does not name is stale, and dropped.
- A leaf holds the entries of some four seconds, the earliest first. A full one gives way to the
  next: what stands there is late by as much, and never early.
- Above the leaves stand three levels of pages and a root, each with the numbers of what is below it
  and not empty. So the next entry is found in five pages, however long nothing was due.
- Who is erased, or may not be profiled any more, is taken out by rewriting that one leaf.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Final

from stream.decide.rows.due import Due, Page
from stream.decide.rows.layout import LARGEST

SPAN: Final = 12  # bits of ms: a leaf's
BITS: Final = 6  # of what is below a page: 64 at most
LEVELS: Final = 4  # above the leaves; the last is the root
LEAF: Final = 1_024  # entries
MOST: Final = (1 << 31) - 1  # leaves: until the year 2248
PAGES: Final = 1 << 40
"""Numbers of pages from here on are those of timers; the queue of labels stays far below."""


class Timers:
    """The calendar while a batch is decided; ``read`` brings a page as it was before.

    >>> timers = Timers(0, {}.get)
    >>> page = timers.put(Due(9_000, "anna"))
    >>> timers.put(Due(5_000, "bert")) == 5_000 >> SPAN
    True
    >>> timers.next_time, timers.take(4_999), timers.take(5_000)
    (5000, None, (Due(time=5000, customer_id='bert'), 1))
    >>> timers.remove("anna", page)
    >>> timers.next_time == LARGEST
    True

    Parameters
    ----------
    next_time
        In ms, of the first entry; 0 if there is none.
    read
    """

    def __init__(self, next_time: int, read: Callable[[int], Page | None]) -> None:
        self._next: int | None = next_time or LARGEST
        self._read = read
        self._pages: dict[int, Page] = {}
        #: The pages that were written; an empty one is done with.
        self.changed: dict[int, Page] = {}

    @property
    def next_time(self) -> int:
        """The time in ms from which on to look for an entry, `LARGEST` if there is none."""
        if self._next is None:
            leaf = self._first()
            self._next = LARGEST if leaf is None else self._page(0, leaf)[0].time
        return self._next

    def put(self, entry: Due) -> int:
        """Put an entry; the number of its page, from 1 on, or 0 if there is no room for it."""
        leaf = max(entry.time >> SPAN, 1)
        while leaf <= MOST and len(self._page(0, leaf)) >= LEAF:
            leaf += 1
        if leaf > MOST or not self._name(leaf):
            return 0
        entries = list(self._page(0, leaf))
        insort(entries, entry, key=_order)
        self._write(0, leaf, tuple(entries))
        if self._next is not None:
            self._next = min(self._next, entry.time)
        return leaf

    def take(self, until: int) -> tuple[Due, int] | None:
        """Take the first entry, if its time is at most ``until``, with the number of its page."""
        if self.next_time > until:
            return None
        leaf = self._first()
        if leaf is None:
            self._next = LARGEST
            return None
        first, *others = self._page(0, leaf)
        if first.time > until:
            self._next = first.time
            return None
        self._next = None
        self._keep(leaf, tuple(others))
        return first, leaf

    def remove(self, customer_id: str, leaf: int) -> None:
        """Take a customer out of a page."""
        page = self._page(0, leaf)
        others = tuple([entry for entry in page if entry.customer_id != customer_id])
        if len(others) < len(page):
            self._next = None
            self._keep(leaf, others)

    def is_gone(self, leaf: int) -> bool:
        """Whether nothing can stand in a page: its time is over, and the next entry is later."""
        return (leaf + 1) << SPAN <= self.next_time

    def _first(self) -> int | None:
        """The first page that is not empty."""
        level, number = LEVELS, 0
        while True:
            page = self._page(level, number)
            if not page and level == LEVELS:
                return None
            if not page:  # lost: so is what was below it
                self._forget(level, number)
                level, number = LEVELS, 0
            elif not level:
                return number
            elif _is_below(page[0].time, level, number):
                level, number = level - 1, page[0].time
            else:  # none of ours
                self._write(level, number, page[1:])

    def _name(self, leaf: int) -> bool:
        """Name a page in those above it; False if the root has no room."""
        root = self._page(LEVELS, 0)
        top = leaf >> BITS * (LEVELS - 1)
        if len(root) >= 1 << BITS and not any(one.time == top for one in root):
            return False
        for level in range(1, LEVELS + 1):
            at, below = _above(leaf, level, level), leaf >> BITS * (level - 1)
            page = self._page(level, at)
            if not any(one.time == below for one in page):
                self._write(level, at, tuple(sorted([*page, Due(below, "")], key=_order)))
        return True

    def _keep(self, leaf: int, entries: Page) -> None:
        """Write a page; an empty one is named no more."""
        self._write(0, leaf, entries)
        if not entries:
            self._forget(0, leaf)

    def _forget(self, level: int, number: int) -> None:
        """Name an empty page no more in the one above it, which may be empty by that."""
        while level < LEVELS:
            level, below = level + 1, number
            number = _above(number, 1, level)
            page = self._page(level, number)
            others = tuple([one for one in page if one.time != below])
            if len(others) < len(page):
                self._write(level, number, others)
            if others:
                return

    def _page(self, level: int, number: int) -> Page:
        at = PAGES * (level + 1) + number
        page = self._pages.get(at)
        if page is None:
            page = self._pages[at] = self._read(at) or ()
        return page

    def _write(self, level: int, number: int, page: Page) -> None:
        at = PAGES * (level + 1) + number
        self._pages[at] = self.changed[at] = page


def _above(number: int, levels: int, level: int) -> int:
    """The number of the page so many levels up, of a ``level``; the root is one for all."""
    return 0 if level == LEVELS else number >> BITS * levels


def _is_below(number: int, level: int, above: int) -> bool:
    """Whether a page may be named in one of a level."""
    return 0 <= number <= MOST >> BITS * (level - 1) and _above(number, 1, level) == above


def _order(entry: Due) -> tuple[int, str]:
    return entry.time, entry.customer_id
