"""Examples in MessagePack, read straight into columns.

Rules: this reads what `stream.codec.examples` writes, and nothing else: at anything that is out of
the ordinary, in form or in range, it gives up, and whoever asked decodes by the book. Names are
places in the bytes first, and get their codes by these; only one that was not met before becomes a
text, so its UTF-8 is checked once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.base.kernel import kernel
from stream.models.base.names import Bytes, Codes, Names, coded

Cells = NDArray[np.int64]

LABELLED, STEP, BASKET, PORTRAIT, TRIAL = range(5)  # tags
NIL, BINARY, DOUBLE = 0xC0, 0xC4, 0xCB
END: Final = 4_102_444_800_000
SEGMENTS, LOOK_BACK, FEATURES, AXES = 1_024, 32, 16, 6
PRICES: Final = 2**53
LONG: Final = 128  # characters of an item's name at most
ROOM: Final = 128  # bytes that may be read behind the last

EXAMPLES, STEPS, SPANS, LABELS, PORTRAITS, BASKETS, NEWEST, TRIALS = range(8)  # of a tally
TIME, SESSION, SEGMENT, PRICE, BEFORE = range(5)  # of a step


class Packed(NamedTuple):
    """Examples by kind, in their order.

    Attributes
    ----------
    tally
        int64 ``[8]``: how many there are, of all and of each kind; the latest time of those that
        are read here; how many trials.
    steps
        int64 ``[5, steps]``: time, session, segment, price, and how many items came before.
    spans
        int64 ``[names, 2]``: where each name is, and how long; -1 for none. Of each step its item,
        those before it, its category and its brand.
    labels
        int64 ``[4, labels]``: time, label, segment, and the ms waited for it, -1 for none.
    rows
        uint32 ``[labels, 16]``: their features.
    portraits
        uint64 ``[portraits, 6]``: the bits of float64.
    baskets
        int64 ``[baskets, 3]``: where each one's fields begin and end, and how many steps came
        before it.
    trials
        int64 ``[trials, 2]``: where each one's fields begin and end.
    """

    tally: Cells
    steps: Cells
    spans: Cells
    labels: Cells
    rows: NDArray[np.uint32]
    portraits: NDArray[np.uint64]
    baskets: Cells
    trials: Cells


def columns_of(data: bytearray, ends: Sequence[int], names: Names) -> tuple[Packed, Codes] | None:
    """Examples, and the codes of their names; None if they are out of the ordinary.

    Parameters
    ----------
    data
        Those of several events, one after the other, and ``ROOM`` more bytes.
    ends
        Where each event's end.
    """
    size = len(data)
    columns = Packed(
        np.zeros(8, np.int64),
        np.empty((5, size // 11 + 1), np.int64),
        np.empty((size, 2), np.int64),
        np.empty((4, size // 72 + 1), np.int64),
        np.empty((size // 72 + 1, FEATURES), np.uint32),
        np.empty((size // 59 + 1, AXES), np.uint64),
        np.empty((size // 6 + 1, 3), np.int64),
        np.empty((size // 9 + 1, 2), np.int64),
    )
    told = np.frombuffer(data, np.uint8)
    if not read(told, np.array(ends, np.int64), tuple(columns)):
        return None
    codes = _coded(told, columns.spans[: columns.tally[SPANS]], names)
    return None if codes is None else (columns, codes)


def _coded(told: Bytes, spans: Cells, names: Names) -> Codes | None:
    """The codes of names; None if one is too long, or no UTF-8, or many have its hash."""
    codes, done = np.zeros(len(spans), np.int32), 0
    while True:
        done = int(coded(told, spans, names.book, codes, done))
        if done == len(spans):
            return codes
        first, length = spans[done].tolist()
        try:
            name = told[first : first + length].tobytes().decode()
        except UnicodeDecodeError:
            return None
        if len(name) > LONG or not names.spell(name):
            return None


@kernel
def big_endian(data: Bytes, at: int, size: int) -> int:
    """The whole number of so many bytes."""
    value = np.int64(0)
    for byte in range(at, at + size):
        value = value << 8 | np.int64(data[byte])
    return int(value)


@kernel
def whole(data: Bytes, at: int) -> tuple[int, int]:
    """A whole number from 0 to 2**63 - 1, -1 for nil, -2 for anything else; and where it ends."""
    kind = int(np.int64(data[at]))
    if kind < 0x80:
        return kind, at + 1
    if kind == NIL:
        return -1, at + 1
    size = 1 << max(kind - 0xCC, 0)
    if kind < 0xCC or kind > 0xCF or (size == 8 and data[at + 1] > 0x7F):
        return -2, at + 1
    return big_endian(data, at + 1, size), at + 1 + size


@kernel
def sized(data: Bytes, at: int) -> tuple[int, int]:
    """How long an array is, -1 if it is none, and where its content begins."""
    kind = int(np.int64(data[at]))
    if kind >> 4 == 0x9:
        return kind - 0x90, at + 1
    if kind == 0xDC:
        return big_endian(data, at + 1, 2), at + 3
    return -1, at


@kernel
def texted(data: Bytes, at: int) -> tuple[int, int]:
    """How many bytes a text has, -1 for nil, -2 for anything else; and where they begin."""
    kind = int(np.int64(data[at]))
    if kind >> 5 == 0x5:
        return kind - 0xA0, at + 1
    if kind == NIL:
        return -1, at + 1
    if kind == 0xD9:
        return big_endian(data, at + 1, 1), at + 2
    if kind == 0xDA:
        return big_endian(data, at + 1, 2), at + 3
    return -2, at


@kernel
def read(data: Bytes, ends: Cells, columns: Any) -> bool:
    """Read the examples of several events; False if they are out of the ordinary.

    Parameters
    ----------
    data, ends
        As of `columns_of`, as arrays.
    columns
        Of `Packed`.
    """
    tally, steps, spans, labels, rows, portraits, baskets, trials = columns
    at = 0
    for end in ends:
        count, at = sized(data, at)
        for _ in range(count):
            if at >= end or data[at] != 0x92:
                return False
            tag, at = data[at + 1], at + 2
            if tag == STEP:
                at = read_step(data, at, end, tally, steps, spans)
            elif tag == LABELLED:
                at = read_label(data, at, tally, labels, rows)
            elif tag == PORTRAIT:
                at = read_portrait(data, at, tally, portraits)
            elif tag == BASKET:
                at = read_basket(data, at, end, tally, baskets)
            elif tag == TRIAL:
                at = read_trial(data, at, end, tally, trials)
            else:
                return False
            if at < 0 or at > end:
                return False
            tally[EXAMPLES] += 1
        if at != end:
            return False
    return True


@kernel
def read_step(data: Bytes, at: int, end: int, tally: Cells, steps: Cells, spans: Cells) -> int:
    """Read a session step; where it ends, -1 if it is none."""
    if data[at] != 0x98:
        return -1
    time, at = whole(data, at + 1)
    session, at = whole(data, at)
    segment, at = whole(data, at)
    if not 0 <= time < END or session < 0 or not -1 <= segment < SEGMENTS:
        return -1
    span, before, name = tally[SPANS], 0, 0
    while name < before + 3:
        if name == 1:
            before, at = sized(data, at)
            if not 0 <= before <= LOOK_BACK:
                return -1
        length, at = texted(data, at)
        if length < -(name > before) or at + length > end:
            return -1
        spans[span + name, 0], spans[span + name, 1] = at, length
        at += max(length, 0)
        name += 1
    price, at = whole(data, at)
    if not -1 <= price < PRICES:
        return -1
    step = tally[STEPS]
    steps[TIME, step], steps[SESSION, step], steps[SEGMENT, step] = time, session, segment
    steps[PRICE, step], steps[BEFORE, step] = price, before
    tally[STEPS] += 1
    tally[SPANS] += name
    tally[NEWEST] = max(tally[NEWEST], time)
    return at


@kernel
def read_label(data: Bytes, at: int, tally: Cells, labels: Cells, rows: Any) -> int:
    """Read what became of an exposure; where it ends, -1 if it is none."""
    whole_label = data[at] == 0x94
    if not whole_label and data[at] != 0x95:
        return -1
    time, at = whole(data, at + 1)
    label, at = whole(data, at)
    segment, at = whole(data, at)
    if not 0 <= time < END or not 0 <= label <= 1 or not -1 <= segment < SEGMENTS:
        return -1
    if data[at] != BINARY or data[at + 1] != 4 * FEATURES:
        return -1
    at, place = at + 2, tally[LABELS]
    labels[0, place], labels[1, place], labels[2, place] = time, label, segment
    for feature in range(FEATURES):
        value = np.int64(data[at + 3]) << 24 | np.int64(data[at + 2]) << 16
        rows[place, feature] = value | np.int64(data[at + 1]) << 8 | np.int64(data[at])
        at += 4
    labels[3, place] = -1
    if not whole_label:
        waited, at = whole(data, at)
        if not -1 <= waited < END:
            return -1
        labels[3, place] = waited
    tally[LABELS] += 1
    tally[NEWEST] = max(tally[NEWEST], time)
    return at


@kernel
def read_portrait(data: Bytes, at: int, tally: Cells, portraits: Any) -> int:
    """Read a customer's vector; where it ends, -1 if it is none."""
    if data[at] != 0x92:
        return -1
    time, at = whole(data, at + 1)
    if not 0 <= time < END or data[at] != 0x90 + AXES:
        return -1
    at, place = at + 1, tally[PORTRAITS]
    for axis in range(AXES):
        if data[at] != DOUBLE:
            return -1
        value = np.uint64(0)
        for byte in range(at + 1, at + 9):
            value = value << np.uint64(8) | np.uint64(data[byte])
        portraits[place, axis] = value
        at += 9
    tally[PORTRAITS] += 1
    tally[NEWEST] = max(tally[NEWEST], time)
    return at


@kernel
def read_basket(data: Bytes, at: int, end: int, tally: Cells, baskets: Cells) -> int:
    """Pass over an order; where it ends, -1 if it is none."""
    first = at
    if data[at] != 0x93:
        return -1
    _, at = whole(data, at + 1)
    _, at = whole(data, at)
    count, at = sized(data, at)
    for _ in range(count):
        length, at = texted(data, at)
        if length < 0 or at + length > end:
            return -1
        at += length
    place = tally[BASKETS]
    baskets[place, 0], baskets[place, 1], baskets[place, 2] = first, at, tally[STEPS]
    tally[BASKETS] += 1
    return at


@kernel
def read_trial(data: Bytes, at: int, end: int, tally: Cells, trials: Cells) -> int:
    """Pass over a word of a trial; where it ends, -1 if it is none."""
    first = at
    if data[at] != 0x96:
        return -1
    _, at = whole(data, at + 1)
    length, at = texted(data, at)
    if length < 0 or at + length > end:
        return -1
    at += length
    for _ in range(4):
        number, at = whole(data, at)
        if number < 0:
            return -1
    place = tally[TRIALS]
    trials[place, 0], trials[place, 1] = first, at
    tally[TRIALS] += 1
    return at
