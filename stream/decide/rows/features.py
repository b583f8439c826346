"""Features: one schema for serving and for learning alike.

A feature is the hash (CRC-32, as in zlib) of ``name=value``; numbers are put into bins that grow
like powers of two. The hashes stand in the order of :data:`FEATURES`; crosses of features are the
model's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log1p
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

from stream.decide.rows.arriving import NONE, UNPRICED, Arrival, brand_of, category_of, item_of
from stream.decide.rows.delivery import rests
from stream.decide.rows.history import CARTED as IN_CART
from stream.decide.rows.layout import NOBODY, Bytes, Table, find
from stream.models.base.kernel import kernel

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
ITEM, CATEGORY, BRAND, PRICE, RELATIVE_PRICE, TOUCHES, CARTED, BOUGHT = range(8)
OF_ITEMS: Final = 4  # which are the same for every customer
TASTE, ORIGIN, DISCOUNT, ORDERS, IDLE, SESSION, SEGMENT, HOUR = range(8, 16)
ORGANIC = "organic"
DAY_MS: Final = 86_400_000.0
ALL_BITS: Final = 0xFFFF_FFFF
POLYNOMIAL: Final = 0xEDB8_8320  # of CRC-32, reversed

PORTRAIT = (
    "days since the last order",
    "orders",
    "money spent",
    "items viewed",
    "items put into the cart",
    "price level",
)


def _table() -> npt.NDArray[np.int64]:
    """What CRC-32 makes of each byte."""
    table = np.arange(256, dtype=np.int64)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ POLYNOMIAL, table >> 1)
    return table


def _begun(text: str) -> npt.NDArray[np.int64]:
    """The hash of ``name=text`` for each feature, as a place to go on from."""
    return np.array([crc32(f"{name}={text}".encode()) for name in FEATURES], np.int64)


TABLE: Final = _table()
BEGUN: Final = _begun("")
OF_NONE: Final = _begun("None")
OF_FALSE, OF_TRUE = _begun("False"), _begun("True")
OF_UNKNOWN, OF_NEVER = _begun("unknown"), _begun("never")
OF_DISMISSED: Final = _begun("dismissed")


def hash_of(name: str, value: object) -> int:
    """The 32-bit hash of a feature's value.

    >>> hash_of("item", "i1") == crc32(b"item=i1")
    True
    """
    return crc32(f"{name}={value}".encode())


def pack(row: Sequence[int]) -> bytes:
    """A row as 4 bytes a feature, little-endian: how a customer's record keeps it."""
    return np.asarray(row, "<u4").tobytes()


def unpack(packed: Iterable[bytes]) -> npt.NDArray[np.uint32]:
    """Rows that were packed, shape (rows, features).

    >>> row = tuple(range(len(FEATURES)))
    >>> unpack([pack(row)]).tolist() == [list(row)]
    True
    """
    rows = np.frombuffer(bytearray().join(packed), dtype="<u4")
    return rows.astype(np.uint32, copy=False).reshape(-1, len(FEATURES))


def log_bin(value: float) -> int:
    """The number of binary digits of ``value``: bins that double, 0 for nothing.

    >>> [log_bin(n) for n in (0, 1, 2, 3, 4, 1000)]
    [0, 1, 2, 2, 3, 10]
    """
    return bits(int(value)) if value > 0 else 0


@kernel
def bits(value: int) -> int:
    """The number of binary digits of a number from 0 on."""
    n = 0
    while value > 0:
        value >>= 1
        n += 1
    return n


@kernel
def hash_text(begun: int, text: Bytes) -> int:
    """CRC-32 gone on with: of a text in UTF-8."""
    state = begun ^ ALL_BITS
    for letter in text:
        state = TABLE[(state ^ letter) & 255] ^ (state >> 8)
    return state ^ ALL_BITS


@kernel
def hash_number(begun: int, number: int) -> int:
    """CRC-32 gone on with: of a number's decimal digits."""
    state = begun ^ ALL_BITS
    if number < 0:
        state = TABLE[(state ^ 45) & 255] ^ (state >> 8)  # a minus
        number = -number
    power = 1
    while number // power > 9:
        power *= 10
    while power:
        state = TABLE[(state ^ (48 + number // power % 10)) & 255] ^ (state >> 8)
        power //= 10
    return state ^ ALL_BITS


@kernel
def describe_line(row: Table, customer: Table, arrival: Arrival, named: int, told: int) -> None:
    """The features of an item as a customer knows it.

    Parameters
    ----------
    row : uint32 (features,)
    customer : ROW
    arrival
        Its line ``named`` has the item, and its line ``told`` what is known of it.
    """
    item, category, line = item_of(arrival, named), category_of(arrival, told), arrival.lines[told]
    describe_item(row, item, category, brand_of(arrival, told), line)
    describe_price(row, line["price"], customer["log_price"])
    known = NOBODY if line["category"] == NONE else find(customer, category)
    describe_meeting(row, customer, find(customer, item), known)


@kernel
def describe_item(row: Table, item: Bytes, category: Bytes, brand: Bytes, line: Table) -> None:
    """The features of an item by itself, whoever looks at it.

    Parameters
    ----------
    row : uint32 (features,)
        Its first `OF_ITEMS` are written.
    item, category, brand : uint8 (n,)
    line : LINE
        Its price, and which of the texts there are.
    """
    row[ITEM] = hash_text(BEGUN[ITEM], item)
    if line["category"] == NONE:
        row[CATEGORY] = OF_NONE[CATEGORY]
    else:
        row[CATEGORY] = hash_text(BEGUN[CATEGORY], category)
    if line["brand"] == NONE:
        row[BRAND] = OF_NONE[BRAND]
    else:
        row[BRAND] = hash_text(BEGUN[BRAND], brand)
    if line["price"] == UNPRICED:
        row[PRICE] = OF_NONE[PRICE]
    else:
        row[PRICE] = hash_number(BEGUN[PRICE], bits(line["price"]))


@kernel
def describe_price(row: Table, price: int, usual: float) -> None:
    """What a price is to a customer; ``usual`` is ln(1 + price) as usually seen, 0 if unknown."""
    row[RELATIVE_PRICE] = OF_UNKNOWN[RELATIVE_PRICE]
    if price != UNPRICED and usual != 0.0:
        steps = int(np.rint(2 * (log1p(price) - usual)))
        row[RELATIVE_PRICE] = hash_number(BEGUN[RELATIVE_PRICE], steps)


@kernel
def describe_meeting(row: Table, customer: Table, item: int, category: int) -> None:
    """The features of what a customer has had to do with an item; numbers are the record's."""
    touches, carted, bought, taste = 0, False, False, 0
    for touch in customer["recent"][: customer["n_recent"]]:
        if touch["text"] == item:
            touches += 1
            carted |= touch["count"] == IN_CART
    for one in customer["bought"][: customer["n_bought"]]:
        bought |= one["text"] == item
    for place in range(customer["n_tastes"]):
        if customer["tastes"][place]["text"] == category and category != NOBODY:
            taste = place + 1
    row[TOUCHES] = hash_number(BEGUN[TOUCHES], bits(touches))
    row[CARTED] = OF_TRUE[CARTED] if carted else OF_FALSE[CARTED]
    row[BOUGHT] = OF_TRUE[BOUGHT] if bought else OF_FALSE[BOUGHT]
    row[TASTE] = hash_number(BEGUN[TASTE], bits(taste)) if taste else OF_NONE[TASTE]
    if customer["n_cooled"] and rests(customer, item):
        row[TASTE] = OF_DISMISSED[TASTE]


@kernel
def describe_moment(row: Table, customer: Table, time: int) -> None:
    """The features that are the same for every item of one moment, ``time`` in ms."""
    row[ORDERS] = hash_number(BEGUN[ORDERS], bits(customer["orders"]))
    if customer["last_order"]:
        idle = (time - customer["last_order"]) / DAY_MS
        row[IDLE] = hash_number(BEGUN[IDLE], bits(int(idle)) if idle > 0 else 0)
    else:
        row[IDLE] = OF_NEVER[IDLE]
    row[SESSION] = hash_number(BEGUN[SESSION], bits(customer["session_clicks"]))
    segment = customer["segment"]
    row[SEGMENT] = OF_NONE[SEGMENT] if segment < 0 else hash_number(BEGUN[SEGMENT], segment)
    row[HOUR] = hash_number(BEGUN[HOUR], time // 3_600_000 % 24)


@kernel
def describe_offer(row: Table, origin: int, discount: int) -> None:
    """The features of the way in which an item came: the hash of its origin, and percent."""
    row[ORIGIN] = origin
    row[DISCOUNT] = hash_number(BEGUN[DISCOUNT], discount)


@kernel
def portrait(customer: Table, now: int, point: Table) -> None:
    """A customer as a point for segmentation, float64 (6,); the axes are :data:`PORTRAIT`."""
    idle = (now - customer["last_order"]) / DAY_MS if customer["last_order"] else 365.0
    point[0] = log1p(max(idle, 0.0))
    point[1] = log1p(customer["frequency"])
    point[2] = log1p(max(customer["monetary"], 0.0) / 100)
    point[3] = log1p(float(customer["views"]))
    point[4] = log1p(float(max(customer["carts"], 0)))
    point[5] = customer["log_price"]
