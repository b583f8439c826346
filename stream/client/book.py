"""The open offers of every customer, in bounded memory.

Rules:

- An offer is open from when it was read until it expires or is recalled, whichever comes first.
- Workers say an offer again after a crash, with the same bytes under the same id. Its second coming
  changes nothing; that of one that was recalled does not open it again.
- Memory is bounded three ways: offers of a customer, customers, bytes in all. What goes is who got
  an offer least recently, and of one customer what expires first. What went before it expired is
  counted as ``evicted``.
- Any thread may ask while another one reads.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from enum import StrEnum
from heapq import heapify, heappop, heappush
from threading import Lock
from typing import Final, NamedTuple

from stream.client.offer import Offer, Recall, read_offer, read_record

RECALL_KEPT: Final = 86_400_000  # ms that a recall of an offer is remembered that nobody saw
OVERHEAD: Final = 400  # bytes that an offer takes beside its own


class Taken(StrEnum):
    """What became of a record, by which it is counted."""

    OPENED = "opened"
    RECALLED = "recalled"
    DUPLICATE = "duplicate"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"


class Limits(NamedTuple):
    """How much is kept at most; ``size`` in bytes, of all offers together."""

    customers: int = 100_000
    offers: int = 16
    size: int = 256 << 20


class _Kept(NamedTuple):
    """An offer's bytes, empty once it is recalled; times in ms."""

    issued: int
    expires: int
    value: bytes


class OfferBook:
    """Open offers by customer.

    Parameters
    ----------
    limits
        How much is kept.

    Attributes
    ----------
    counts : Counter[str]
        Records by `Taken`, and ``evicted`` offers.
    newest : int
        The latest stream time of an offer or a recall, in ms; 0 before the first.
    """

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008  # immutable
        self.counts: Counter[str] = Counter()
        self.newest = 0
        self._limits = limits
        self._kept: OrderedDict[str, dict[str, _Kept]] = OrderedDict()
        self._ends: list[tuple[int, str, str]] = []
        self._size = self._number = 0
        self._lock = Lock()

    def __len__(self) -> int:
        """How many offers and recalls are kept."""
        return self._number

    def take(self, key: bytes | None, value: bytes | None, now: int) -> Taken:
        """Take a record of the topic ``offers`` over; ``now`` in ms."""
        said = read_record(key, value)
        with self._lock:
            self._close(now)
            taken = self._take(said, value or b"", now)
            self.counts[taken] += 1
            return taken

    def open(self, customer_id: str, now: int) -> list[bytes]:
        """The bytes of a customer's offers that are open at ``now`` ms, newest first."""
        with self._lock:
            kept = list(self._kept.get(customer_id, {}).values())
        kept = [one for one in kept if one.value and one.expires > now]
        return [one.value for one in sorted(kept, key=lambda one: -one.issued)]

    def offers(self, customer_id: str, now: int) -> list[Offer]:
        """The same as values."""
        return [read_offer(value) for value in self.open(customer_id, now)]

    def _take(self, said: Offer | Recall | None, value: bytes, now: int) -> Taken:
        if said is None:
            return Taken.UNREADABLE
        known = self._kept.get(said.customer_id, {}).get(said.offer_id)
        if isinstance(said, Recall):
            self.newest = max(self.newest, said.recalled_at)
            return self._recall(said, known, now)
        self.newest = max(self.newest, said.issued)
        if known is not None:
            return Taken.DUPLICATE
        if said.expires <= now:
            return Taken.EXPIRED
        self._put(said.customer_id, said.offer_id, _Kept(said.issued, said.expires, value))
        return Taken.OPENED

    def _recall(self, said: Recall, known: _Kept | None, now: int) -> Taken:
        if known is not None and not known.value:
            return Taken.DUPLICATE
        expires = said.recalled_at + RECALL_KEPT if known is None else known.expires
        if expires <= now:
            return Taken.EXPIRED
        self._put(said.customer_id, said.offer_id, _Kept(said.recalled_at, expires, b""))
        return Taken.RECALLED

    def _put(self, customer_id: str, offer_id: str, one: _Kept) -> None:
        of_customer = self._kept.setdefault(customer_id, {})
        before = of_customer.get(offer_id)
        if before is None:
            heappush(self._ends, (one.expires, customer_id, offer_id))
            self._number += 1
            self._size += OVERHEAD
        else:
            self._size -= len(before.value)
        of_customer[offer_id] = one
        self._size += len(one.value)
        self._kept.move_to_end(customer_id)
        self._evict(customer_id)

    def _evict(self, customer_id: str) -> None:
        of_customer = self._kept[customer_id]
        while len(of_customer) > self._limits.offers:
            # a recall goes last: without it the offer, said again, would open again
            first = min(of_customer, key=lambda name: (not of_customer[name].value,
                                                       of_customer[name].expires))  # fmt: skip
            self._drop(customer_id, first)
        while len(self._kept) > self._limits.customers or (
            self._size > self._limits.size and len(self._kept) > 1
        ):
            oldest = next(iter(self._kept))
            for name in list(self._kept[oldest]):
                self._drop(oldest, name)
        if len(self._ends) > 2 * self._number + 1_000:
            self._ends = [
                (one.expires, customer, name)
                for customer, offers in self._kept.items()
                for name, one in offers.items()
            ]
            heapify(self._ends)

    def _drop(self, customer_id: str, offer_id: str) -> None:
        if self._remove(customer_id, offer_id).value:
            self.counts["evicted"] += 1

    def _remove(self, customer_id: str, offer_id: str) -> _Kept:
        of_customer = self._kept[customer_id]
        one = of_customer.pop(offer_id)
        self._number -= 1
        self._size -= len(one.value) + OVERHEAD
        if not of_customer:
            del self._kept[customer_id]
        return one

    def _close(self, now: int) -> None:
        """Let go of what has expired."""
        while self._ends and self._ends[0][0] <= now:
            _, customer_id, offer_id = heappop(self._ends)
            one = self._kept.get(customer_id, {}).get(offer_id)
            if one is not None and one.expires <= now:
                self._remove(customer_id, offer_id)
