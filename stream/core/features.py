"""Features: one schema for serving and for learning alike.

A row is :func:`item_row` followed by :func:`context_row`. A feature is the hash of ``name=value``;
numbers are put into bins that grow like powers of two. The hashes have 32 bits and stand in the
order of :data:`FEATURES`; crosses of features are the model's business.
"""

from __future__ import annotations

from math import log1p
from struct import Struct
from zlib import crc32

from stream.core.event import CatalogItem
from stream.core.profile import usual_price
from stream.core.state import CustomerState, History

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


def feature(name: str, value: object) -> int:
    """The 32-bit hash of one feature (CRC-32, as in zlib)."""
    return crc32(f"{name}={value}".encode())


def context_row(state: CustomerState, time: int) -> tuple[int, ...]:
    """The part of a row that is the same for every candidate of one decision."""
    profile, history = state.profile, state.history
    idle = time - profile.last_order if profile.last_order else -1
    return (
        feature("orders", log_bin(profile.orders)),
        feature("idle", log_bin(idle / _DAY) if idle >= 0 else "never"),
        feature("session", log_bin(history.session_clicks)),
        feature("segment", profile.segment),
        feature("hour", time // 3_600_000 % 24),
    )


def item_row(
    state: CustomerState,
    item_id: str,
    item: CatalogItem | None,
    origin: str = ORGANIC,
    discount: int = 0,
) -> tuple[int, ...]:
    """The part of a row that belongs to one item, and to how it came before the customer."""
    category = item.category if item else None
    price = item.price if item else None
    touches, carted = _touches(state.history, item_id)
    return (
        feature("item", item_id),
        feature("category", category),
        feature("brand", item.brand if item else None),
        feature("price", log_bin(price) if price is not None else None),
        feature("relative_price", _relative(price, usual_price(state.profile))),
        feature("touches", log_bin(touches)),
        feature("carted", carted),
        feature("bought", any(item_id == bought for bought, _ in state.history.bought)),
        feature("taste", _taste(state, category)),
        feature("origin", origin),
        feature("discount", discount),
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


def _touches(history: History, item_id: str) -> tuple[int, bool]:
    weights = [touch.weight for touch in history.recent if touch.item_id == item_id]
    return len(weights), 2 in weights


def _relative(price: int | None, usual: int) -> str | int:
    if price is None or usual <= 0:
        return "unknown"
    return round(2 * (log1p(price) - log1p(usual)))


def _taste(state: CustomerState, category: str | None) -> int | None:
    for rank, (name, _) in enumerate(state.profile.tastes):
        if name == category:
            return log_bin(rank + 1)
    return None
