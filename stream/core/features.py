"""Features: one schema for serving and for learning alike.

A feature is the hash of ``name=value``;
numbers are put into bins that grow like powers of two. The hashes have 32 bits and stand in the
order of :data:`FEATURES`; crosses of features are the model's business.
"""

from __future__ import annotations

from math import log1p
from struct import Struct
from zlib import crc32

from stream.core.event import CatalogItem
from stream.core.history import CARTED
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
KEPT = 1 << 16  # hashes kept of one feature: some 10 MB at most


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


class Hashes(dict[object, int]):
    """The 32-bit hashes (CRC-32, as in zlib) of one feature's values: ``name=value``.

    A dictionary that fills itself, and starts anew when it is full: looking a hash up costs a
    tenth of making it.

    >>> Hashes("item")["i1"] == crc32(b"item=i1")
    True
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __missing__(self, value: object) -> int:
        """Make the hash of a value that was not asked for before."""
        if len(self) >= KEPT:
            self.clear()
        made = self[value] = crc32(f"{self._name}={value}".encode())
        return made


_HASHES = tuple(map(Hashes, FEATURES))
_ITEM, _CATEGORY, _BRAND, _PRICE, _RELATIVE_PRICE, _TOUCHES, _CARTED, _BOUGHT = _HASHES[:8]
_TASTE, _ORIGIN, _DISCOUNT, _ORDERS, _IDLE, _SESSION, _SEGMENT, _HOUR = _HASHES[8:]


class Describer:
    """Describes items as one customer meets them at one moment, ``time`` in ms."""

    def __init__(self, state: CustomerState, time: int) -> None:
        profile, history = state.profile, state.history
        self._context = _context(state, time)
        self._recent = history.recent
        self._touched = [touch.item_id for touch in history.recent]
        self._bought = dict(history.bought)
        self._tastes = [name for name, _ in profile.tastes]
        self._usual = profile.log_price

    def row(
        self, item_id: str, item: CatalogItem | None, origin: str = ORGANIC, discount: int = 0
    ) -> tuple[int, ...]:
        """The features of an item that came before the customer in a certain way."""
        category, brand, price = (
            (None, None, None) if item is None else (item.category, item.brand, item.price)
        )
        touches = self._touched.count(item_id)
        return (
            _ITEM[item_id],
            _CATEGORY[category],
            _BRAND[brand],
            _PRICE[None if price is None else log_bin(price)],
            _RELATIVE_PRICE[self._relative(price)],
            _TOUCHES[touches.bit_length()],
            _CARTED[touches > 0 and self._was_carted(item_id)],
            _BOUGHT[item_id in self._bought],
            _TASTE[self._taste(category)],
            _ORIGIN[origin],
            _DISCOUNT[discount],
            *self._context,
        )

    def _was_carted(self, item_id: str) -> bool:
        return any(t.weight == CARTED for t in self._recent if t.item_id == item_id)

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
        _ORDERS[log_bin(profile.orders)],
        _IDLE["never" if idle is None else log_bin(idle)],
        _SESSION[log_bin(state.history.session_clicks)],
        _SEGMENT[profile.segment],
        _HOUR[time // 3_600_000 % 24],
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
