"""Features: one schema for serving and for learning alike.

A feature is the hash of ``name=value``;
numbers are put into bins that grow like powers of two. The hashes have 32 bits and stand in the
order of :data:`FEATURES`; crosses of features are the model's business.
"""

from __future__ import annotations

from functools import lru_cache
from math import log1p
from struct import Struct
from zlib import crc32

from stream.core.event import CatalogItem
from stream.core.history import CARTED
from stream.core.profile import usual_price
from stream.core.state import CustomerState

FEATURES_VERSION = 1
FEATURES = (
    "item",
    "category",
    "brand",
    "price",
    "relative_price",
    "touches",
    "carted",
    "bought",
    "taste",
    "origin",
    "discount",
    "orders",
    "idle",
    "session",
    "segment",
    "hour",
)
ORGANIC = "organic"
_DAY = 86_400_000


_PACKED = Struct(f"<{len(FEATURES)}I")


def pack(row: tuple[int, ...]) -> bytes:
    """A row as 4 bytes a feature, little-endian: how a customer's record keeps it."""
    return _PACKED.pack(*row)


def unpack(packed: bytes) -> tuple[int, ...]:
    """The row that was packed.

    >>> row = tuple(range(len(FEATURES)))
    >>> unpack(pack(row)) == row
    True
    """
    return _PACKED.unpack(packed)


def log_bin(value: float) -> int:
    """The number of binary digits of ``value``: bins that double, 0 for nothing.

    >>> [log_bin(n) for n in (0, 1, 2, 3, 4, 1000)]
    [0, 1, 2, 2, 3, 10]
    """
    return int(value).bit_length() if value > 0 else 0


@lru_cache(maxsize=1 << 16)
def feature(name: str, value: object) -> int:
    """The 32-bit hash of one feature (CRC-32, as in zlib)."""
    return crc32(f"{name}={value}".encode())


class Describer:
    """Describes items as one customer meets them at one moment, ``time`` in ms."""

    def __init__(self, state: CustomerState, time: int) -> None:
        profile, history = state.profile, state.history
        self._context = _context(state, time)
        self._touched = [touch.item_id for touch in history.recent]
        self._carted = [touch.item_id for touch in history.recent if touch.weight == CARTED]
        self._bought = dict(history.bought)
        self._tastes = [name for name, _ in profile.tastes]
        self._usual = log1p(usual_price(profile))

    def row(
        self, item_id: str, item: CatalogItem | None, origin: str = ORGANIC, discount: int = 0
    ) -> tuple[int, ...]:
        """The features of an item that came before the customer in a certain way."""
        category, brand, price = (
            (None, None, None) if item is None else (item.category, item.brand, item.price)
        )
        return (
            feature("item", item_id),
            feature("category", category),
            feature("brand", brand),
            feature("price", None if price is None else log_bin(price)),
            feature("relative_price", self._relative(price)),
            feature("touches", log_bin(self._touched.count(item_id))),
            feature("carted", item_id in self._carted),
            feature("bought", item_id in self._bought),
            feature("taste", self._taste(category)),
            feature("origin", origin),
            feature("discount", discount),
            *self._context,
        )

    def _taste(self, category: str | None) -> int | None:
        if category not in self._tastes:
            return None
        return log_bin(self._tastes.index(category) + 1)

    def _relative(self, price: int | None) -> str | int:
        if price is None or not self._usual:
            return "unknown"
        return round(2 * (log1p(price) - self._usual))


def _context(state: CustomerState, time: int) -> tuple[int, ...]:
    """The part of a row that is the same for every item of one moment."""
    profile = state.profile
    idle = (time - profile.last_order) / _DAY if profile.last_order else None
    return (
        feature("orders", log_bin(profile.orders)),
        feature("idle", "never" if idle is None else log_bin(idle)),
        feature("session", log_bin(state.history.session_clicks)),
        feature("segment", profile.segment),
        feature("hour", time // 3_600_000 % 24),
    )


def portrait(state: CustomerState, now: int) -> tuple[float, ...]:
    """A customer as a point for segmentation; the axes are :data:`PORTRAIT`."""
    profile = state.profile
    idle = (now - profile.last_order) / _DAY if profile.last_order else 365.0
    return (
        log1p(max(idle, 0.0)),
        log1p(profile.frequency),
        log1p(max(profile.monetary, 0.0) / 100),
        log1p(profile.views),
        log1p(max(profile.carts, 0)),
        profile.log_price,
    )


PORTRAIT = (
    "days since the last order",
    "orders",
    "money spent",
    "items viewed",
    "items put into the cart",
    "price level",
)
