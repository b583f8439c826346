"""The features of candidates for an offer, for all of them at once."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from sys import intern
from typing import Any, Final

import numpy as np

from stream.decide.rows.arriving import arrived, brand_of, category_of, item_of, packed_lines
from stream.decide.rows.features import (
    OF_ITEMS,
    describe_item,
    describe_meeting,
    describe_moment,
    describe_offer,
    describe_price,
    hash_of,
)
from stream.decide.rows.layout import FEATURES, MARK, NOBODY, Table, unpack
from stream.decide.rows.record import View
from stream.domain.event import CatalogItem
from stream.domain.offer import Origin
from stream.domain.value import Value
from stream.models.base.kernel import kernel


class _Hashes(dict[Origin, bytes]):
    """The hashes of origins; that of a source of the shop's own is made when it is first met."""

    def __missing__(self, origin: Origin) -> bytes:
        return self.setdefault(origin, hash_of("origin", origin).to_bytes(4, "little"))


ORIGINS: Final = _Hashes()
MOST_KEPT: Final = 1 << 14  # items: popular ones are candidates again and again
KNOWN: Final = np.dtype([("features", "<u4", (OF_ITEMS,)), ("price", "<i8")])
"""What is the same of an item for every customer."""


class _Known(Value, frozen=True):
    """What was known of an item, its category, and a `KNOWN`."""

    item: CatalogItem | None
    category: str | None
    packed: bytes


_KEPT: Final[dict[str, _Known]] = {}


def described(
    customer: View,
    item_ids: Sequence[str],
    items: Sequence[CatalogItem | None],
    origins: Sequence[Origin],
    discount: int,
    now: int,
    rows: Table,
) -> Table:
    """The features of candidates as one customer meets them now, uint32 (candidates, features).

    Parameters
    ----------
    customer
    item_ids, items, origins
        Of each candidate, what is known of its item, and how it came.
    discount
        In percent.
    now
        In ms.
    rows : ROW (1,)
        Where the record is laid out.
    """
    told, numbers = _known(item_ids, items), customer.numbers
    met = [numbers.get(item_id, NOBODY) for item_id in item_ids]
    met += [numbers.get(known.category, NOBODY) for known in told]
    known = b"".join([known.packed for known in told])
    origin = b"".join(map(ORIGINS.__getitem__, origins))
    return describe(customer.record, known, array("q", met).tobytes(), origin, discount, now, rows)


def _known(item_ids: Sequence[str], items: Sequence[CatalogItem | None]) -> list[_Known]:
    """What is the same of items for every customer: it is kept, of items that stay as they were."""
    kept = list(map(_KEPT.get, item_ids))
    for n, (known, item) in enumerate(zip(kept, items, strict=True)):
        if known is None or (known.item is not item and known.item != item):
            if len(_KEPT) >= MOST_KEPT:
                _KEPT.clear()
            kept[n] = _KEPT[item_ids[n]] = _know(item_ids[n], item)
    return kept  # type: ignore[return-value]


def _know(item_id: str, item: CatalogItem | None) -> _Known:
    known = np.zeros(1, KNOWN)
    know(packed_lines(0, [item_id], [item]), known)
    category = None if item is None or item.category is None else intern(item.category)
    return _Known(item, category, known.tobytes())


@kernel
def know(line: Any, known: Table) -> None:
    """What is the same of an item for every customer.

    Parameters
    ----------
    line : bytes
        The item as the line of an event (see :mod:`stream.decide.rows.arriving`).
    known : KNOWN (1,)
    """
    arrival = arrived(line)
    item, category, brand = item_of(arrival, 0), category_of(arrival, 0), brand_of(arrival, 0)
    describe_item(known[0]["features"], item, category, brand, arrival.lines[0])
    known[0]["price"] = arrival.lines[0]["price"]


@kernel
def describe(
    record: Any, known: Any, met: Any, origins: Any, discount: int, now: int, rows: Table
) -> Table:
    """The features of candidates as one customer meets them now.

    Parameters
    ----------
    record : bytes
        The customer's.
    known : bytes
        Of each candidate's item: a `KNOWN`.
    met : bytes
        The numbers that the record has for the items, and then for their categories: 8 bytes each.
    origins : bytes
        Of each candidate: the hash of its origin.
    discount, now, rows
        As of `described`.

    Returns
    -------
    uint32 (n, features)
    """
    unpack(np.frombuffer(record, MARK), rows)
    items, customer = np.frombuffer(known, MARK).view(KNOWN), rows[0]
    came, n = np.frombuffer(origins, MARK).view(np.uint32), len(items)
    numbers = np.frombuffer(met, MARK).view(np.int64)
    told = np.empty((n, FEATURES), np.uint32)
    for at in range(n):
        row, item = told[at], items[at]
        if at:
            row[:] = told[at - 1]
        else:
            describe_moment(row, customer, now)
        row[:OF_ITEMS] = item["features"]
        describe_price(row, item["price"], customer["log_price"])
        describe_meeting(row, customer, numbers[at], numbers[n + at])
        describe_offer(row, came[at], discount)
    return told
