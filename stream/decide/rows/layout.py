"""A customer's record as bytes that kernels read and write: what it holds, and where.

A record is one `HEAD`, whose last fields count what follows: the lists in the order of `ROW`, each
packed end to end, and at last the texts. An item, a category or a campaign is named in the lists by
a number of the record's own: a place among its texts, each of which it holds once. So a record is
whole by itself, whichever worker reads it, and as long as what it holds.

A kernel unpacks a record into a `ROW`, which has room for whatever an event may add; changes it in
place; and packs it: texts that nothing names any more are left out.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from stream.models.base.kernel import kernel

NEVER: Final = -1
NOBODY: Final = -1  # the number of a text that is not there
FEATURES: Final = 16

Bytes: TypeAlias = npt.NDArray[np.uint8]
Table: TypeAlias = Any
"""An array of records, or one of its records: types cannot tell their fields."""

HEAD: Final = np.dtype(
    [
        ("stamps", "<i8", (4,)),  # the last offset applied of each source
        ("erased", "<i8"),
        ("profiling_yes", "<i8"),
        ("profiling_no", "<i8"),
        ("offers_yes", "<i8"),
        ("offers_no", "<i8"),
        ("profiling_since", "<i8"),
        ("due", "<i8"),
        ("page", "<i8"),
        ("last_offer", "<i8"),
        ("size", "<i8"),  # bytes of the record, from its head on
        ("tokens", "<f8"),
        ("filled", "<i8"),
        ("last_dismissed", "<i8"),
        ("open_until", "<i8"),  # when the last of the open offers expires, ms; 0 if none is open
        ("campaign_until", "<i8"),  # … of those that are a campaign's
        ("first_seen", "<i8"),
        ("last_seen", "<i8"),
        ("views", "<i8"),
        ("carts", "<i8"),
        ("orders", "<i8"),
        ("units", "<i8"),
        ("refunds", "<i8"),
        ("last_order", "<i8"),
        ("decayed", "<i8"),
        ("frequency", "<f8"),
        ("monetary", "<f8"),
        ("log_price", "<f8"),
        ("segment", "<i8"),
        ("session", "<i8"),
        ("session_start", "<i8"),
        ("session_last", "<i8"),
        ("session_clicks", "<i8"),
        ("offers_made", "<i8"),
        ("offers_shown", "<i8"),
        ("offers_clicked", "<i8"),
        ("dismissed", "<i8"),
        ("n_clicks", "<i4"),  # bytes of marks
        ("n_placed", "<i4"),
        ("n_responses", "<i4"),
        ("n_updates", "<i4"),
        ("n_recent", "<i4"),
        ("n_bought", "<i4"),
        ("n_tastes", "<i4"),
        ("n_spent", "<i4"),
        ("n_exposures", "<i4"),
        ("n_pending", "<i4"),
        ("n_slates", "<i4"),
        ("n_cooled", "<i4"),
        ("n_made", "<i4"),
        ("n_held", "<i4"),
        ("n_ends", "<i4"),
        ("n_letters", "<i4"),
        ("n_traits", "<i4"),  # bytes
        (
            "timer",
            "<i4",
        ),  # the page of the customer's timer (`stream.decide.rows.timers`); 0 for none
    ]
)
ENTRY: Final = np.dtype([("text", "<i4"), ("count", "<i4"), ("value", "<i8")])
TASTE: Final = np.dtype([("text", "<i4"), ("spare", "<i4"), ("weight", "<f8")])
EXPOSURE: Final = np.dtype([("time", "<i8"), ("text", "<i4"), ("features", "<u4", (FEATURES,))])
MADE: Final = np.dtype(
    [
        ("time", "<i8"),  # when the offer was made, ms
        ("expires", "<i8"),
        ("shown", "<i8"),  # when it was first seen; 0 if it was not, as far as is known
        ("text", "<i4"),  # its campaign
        ("items", "<i4"),  # how many of the list `held` are its own
        ("state", "<i4"),  # bits, see `stream.decide.rows.delivery`
        ("trial", "<i4"),  # what it tries (`stream.models.experiments.trials`); 0 for nothing
        ("mark", "u1", (16,)),  # its id
    ]
)
TIME: Final = np.dtype("<i8")
END: Final = np.dtype("<i4")  # where a text ends
MARK: Final = np.dtype("u1")
LENGTH: Final = np.dtype("<u2")

SIZE: Final = HEAD.itemsize
ENTRY_SIZE, EXPOSURE_SIZE, TASTE_SIZE = ENTRY.itemsize, EXPOSURE.itemsize, TASTE.itemsize
MADE_SIZE, END_SIZE, LENGTH_SIZE = MADE.itemsize, END.itemsize, LENGTH.itemsize
COUNTED: Final = HEAD.fields["n_clicks"][1] if HEAD.fields else 0
LARGEST: Final = 1 << 62
MOST: Final = 1 << 53  # of what is counted

RECENT: Final = 100  # entries at most of what settings bound
EXPOSED: Final = 100
SEEN: Final = 1_000
LINES: Final = 500  # of an order
CURRENCIES: Final = 200
OF_A_DAY: Final = 25
PENDING: Final = 3
SLATE: Final = 50
TASTES: Final = 8
SLATES: Final = PENDING * SLATE
HELD: Final = 3 * SLATE  # items of open offers
COOLED: Final = 64  # items and campaigns that rest
LONGEST: Final = 4 * 128  # bytes of a text
TRAITS: Final = 1 << 14  # bytes of what the shop told of a customer (`stream.decide.rows.traits`)
NAMED: Final = (
    2 * RECENT + EXPOSED + SLATES + CURRENCIES + OF_A_DAY + TASTES + PENDING + HELD + COOLED
)
_TEXTS: Final = NAMED + 2 * LINES + 1  # with an order's items, categories and currency
LETTERS: Final = 1 << 20  # more than such texts can hold

ROW: Final = np.dtype(
    [
        *((name, HEAD.fields[name][0]) for name in HEAD.names or () if HEAD.fields),
        ("recent", ENTRY, (RECENT + 1,)),  # items touched, oldest first: weight, time in ms
        ("bought", ENTRY, (RECENT + LINES,)),  # items bought, oldest first: -, time in ms
        ("spent", ENTRY, (CURRENCIES,)),  # currencies, by their text: -, net minor units
        ("pending", ENTRY, (PENDING,)),  # offers that wait to be shown: slates, time in ms
        ("cooled", ENTRY, (COOLED,)),  # what was dismissed: of which kind, time in ms
        ("exposures", EXPOSURE, (EXPOSED + 1,)),  # what waits for its label
        ("slates", EXPOSURE, (SLATES,)),
        ("tastes", TASTE, (TASTES + LINES,)),  # categories, the strongest first
        ("made", MADE, (OF_A_DAY,)),  # the newest offers, oldest first
        ("held", END, (HELD + SLATE,)),  # items of those that are open, in their order
        ("ends", END, (_TEXTS,)),  # where each text ends among the letters
        (
            "clicks",
            MARK,
            (6 * (SEEN + 1),),
        ),  # marks of what was seen (`stream.decide.rows.admission`)
        ("placed", MARK, (8 * (SEEN + 1),)),  # … of orders
        ("responses", MARK, (6 * (SEEN + 1),)),
        ("updates", MARK, (6 * (SEEN + 1),)),
        ("traits", MARK, (TRAITS,)),
        ("letters", MARK, (LETTERS,)),  # UTF-8
    ]
)


OUT: Final = np.dtype([("size", "<i8"), ("count", "<i8"), ("bytes", MARK, (LETTERS,))])
"""What a kernel writes: bytes of records, or of examples with their number."""


class Tables(NamedTuple):
    """Where kernels lay out what they work on.

    Attributes
    ----------
    rows : ROW (1,)
        The customer.
    packed : OUT (1,)
        The customer's new record.
    lessons : OUT (1,)
        What the event taught.
    point : float64 (6,)
        The customer's portrait.
    """

    rows: Table
    packed: Table
    lessons: Table
    point: Table


def tables() -> Tables:
    """New ones: some 3 MB, of which the system gives what is touched."""
    return Tables(np.zeros(1, ROW), np.zeros(1, OUT), np.zeros(1, OUT), np.zeros(6))


@kernel
def unpack(record: Bytes, rows: Table) -> None:
    """Unpack a record, uint8 (n,), into a `ROW` (1,)."""
    row = rows[0]
    rows.view(MARK)[:SIZE] = record[:SIZE]
    sizes = _sizes(record[:SIZE].view(HEAD)[0])
    at = _take(record, SIZE, row["recent"].view(MARK), sizes[0])
    at = _take(record, at, row["bought"].view(MARK), sizes[1])
    at = _take(record, at, row["spent"].view(MARK), sizes[2])
    at = _take(record, at, row["pending"].view(MARK), sizes[3])
    at = _take(record, at, row["cooled"].view(MARK), sizes[4])
    at = _take(record, at, row["exposures"].view(MARK), sizes[5])
    at = _take(record, at, row["slates"].view(MARK), sizes[6])
    at = _take(record, at, row["tastes"].view(MARK), sizes[7])
    at = _take(record, at, row["made"].view(MARK), sizes[8])
    at = _take(record, at, row["held"].view(MARK), sizes[9])
    at = _take_ends(record, at, row)
    at = _take(record, at, row["clicks"], sizes[11])
    at = _take(record, at, row["placed"], sizes[12])
    at = _take(record, at, row["responses"], sizes[13])
    at = _take(record, at, row["updates"], sizes[14])
    at = _take(record, at, row["traits"], sizes[15])
    _take(record, at, row["letters"], sizes[16])


@kernel
def pack(rows: Table, out: Table) -> None:
    """Pack a `ROW` (1,) into an `OUT`, without the texts that nothing names."""
    row, record = rows[0], out["bytes"]
    drop_unnamed(row)
    sizes = _sizes(rows.view(MARK)[:SIZE].view(HEAD)[0])
    at = _put(record, SIZE, row["recent"].view(MARK), sizes[0])
    at = _put(record, at, row["bought"].view(MARK), sizes[1])
    at = _put(record, at, row["spent"].view(MARK), sizes[2])
    at = _put(record, at, row["pending"].view(MARK), sizes[3])
    at = _put(record, at, row["cooled"].view(MARK), sizes[4])
    at = _put(record, at, row["exposures"].view(MARK), sizes[5])
    at = _put(record, at, row["slates"].view(MARK), sizes[6])
    at = _put(record, at, row["tastes"].view(MARK), sizes[7])
    at = _put(record, at, row["made"].view(MARK), sizes[8])
    at = _put(record, at, row["held"].view(MARK), sizes[9])
    at = _put_ends(record, at, row)
    at = _put(record, at, row["clicks"], sizes[11])
    at = _put(record, at, row["placed"], sizes[12])
    at = _put(record, at, row["responses"], sizes[13])
    at = _put(record, at, row["updates"], sizes[14])
    at = _put(record, at, row["traits"], sizes[15])
    at = _put(record, at, row["letters"], sizes[16])
    row["size"] = at
    record[:SIZE] = rows.view(MARK)[:SIZE]
    out["size"] = at


@kernel
def _sizes(head: Table) -> Table:
    """The bytes of each list, in their order; int64 (17,)."""
    sizes = np.empty(17, TIME)
    sizes[0] = head["n_recent"] * ENTRY_SIZE
    sizes[1] = head["n_bought"] * ENTRY_SIZE
    sizes[2] = head["n_spent"] * ENTRY_SIZE
    sizes[3] = head["n_pending"] * ENTRY_SIZE
    sizes[4] = head["n_cooled"] * ENTRY_SIZE
    sizes[5] = head["n_exposures"] * EXPOSURE_SIZE
    sizes[6] = head["n_slates"] * EXPOSURE_SIZE
    sizes[7] = head["n_tastes"] * TASTE_SIZE
    sizes[8] = head["n_made"] * MADE_SIZE
    sizes[9] = head["n_held"] * END_SIZE
    sizes[10] = head["n_ends"] * LENGTH_SIZE
    sizes[11] = head["n_clicks"]
    sizes[12] = head["n_placed"]
    sizes[13] = head["n_responses"]
    sizes[14] = head["n_updates"]
    sizes[15] = head["n_traits"]
    sizes[16] = head["n_letters"]
    return sizes


@kernel
def _take(record: Bytes, at: int, part: Bytes, size: int) -> int:
    """Take the bytes of a part from a record; where they end."""
    part[:size] = record[at : at + size]
    return at + size


@kernel
def _take_ends(record: Bytes, at: int, row: Table) -> int:
    """Take the lengths of the texts from a record; where they end."""
    end: int = at + row["n_ends"] * LENGTH_SIZE
    lengths, letters = record[at:end].view(LENGTH), np.int64(0)  # numpy adds in 16 bits else
    for number in range(len(lengths)):
        letters += lengths[number]
        row["ends"][number] = letters
    return end


@kernel
def _put_ends(record: Bytes, at: int, row: Table) -> int:
    """Put the lengths of the texts into a record; where they end."""
    end: int = at + row["n_ends"] * LENGTH_SIZE
    lengths, letters = record[at:end].view(LENGTH), 0
    for number in range(len(lengths)):
        lengths[number] = row["ends"][number] - letters
        letters = row["ends"][number]
    return end


@kernel
def _put(record: Bytes, at: int, part: Bytes, size: int) -> int:
    """Put the bytes of a part into a record; where they end."""
    record[at : at + size] = part[:size]
    return at + size


@kernel
def cut(entries: Table, n: int, first: int, end: int) -> int:
    """Take the entries from ``first`` to before ``end`` out of a list of n; how many are left."""
    if first < end:
        for at in range(end, n):
            entries[first + at - end] = entries[at]
    return n - (end - first)


@kernel
def keep_last(entries: Table, n: int, kept: int) -> int:
    """Keep the last entries of a list of n; how many there are then."""
    return cut(entries, n, 0, max(n - kept, 0))


# ------------------------------------------------------------------------------------------- texts


@kernel
def is_same(one: Bytes, other: Bytes) -> bool:
    """Whether two texts are the same: from behind, since names of a shop begin alike."""
    at = len(one) - 1
    if at + 1 != len(other):
        return False
    while at >= 0 and one[at] == other[at]:
        at -= 1
    return at < 0


@kernel
def find(row: Table, text: Bytes) -> int:
    """The number of a text in a record; `NOBODY` if it is not there."""
    ends, letters, start = row["ends"], row["letters"], 0
    for number in range(row["n_ends"]):
        end = ends[number]
        if is_same(letters[start:end], text):
            return number
        start = end
    return NOBODY


@kernel
def number_of(row: Table, text: Bytes) -> int:
    """The number of a text in a record, which is put there if it is not."""
    number = find(row, text)
    if number == NOBODY:
        number, start = row["n_ends"], row["n_letters"]
        end = start + len(text)
        row["letters"][start:end] = text
        row["ends"][number] = end
        row["n_ends"] = number + 1
        row["n_letters"] = end
    return number


@kernel
def text_of(row: Table, number: int) -> Any:
    """The text of a number."""
    start = row["ends"][number - 1] if number else 0
    return row["letters"][start : row["ends"][number]]


@kernel
def is_before(row: Table, one: int, other: int) -> bool:
    """Whether a text comes before another, by code points: UTF-8 keeps their order."""
    if one == other:
        return False
    a, b = text_of(row, one), text_of(row, other)
    for at in range(min(len(a), len(b))):
        if a[at] != b[at]:
            return bool(a[at] < b[at])
    return len(a) < len(b)


@kernel
def drop_unnamed(row: Table) -> None:
    """Leave out texts that no list names, and number the others anew, in their order."""
    n_texts = row["n_ends"]
    named = np.zeros(n_texts, END)
    _name(named, row["recent"]["text"], row["n_recent"])
    _name(named, row["bought"]["text"], row["n_bought"])
    _name(named, row["spent"]["text"], row["n_spent"])
    _name(named, row["pending"]["text"], row["n_pending"])
    _name(named, row["cooled"]["text"], row["n_cooled"])
    _name(named, row["made"]["text"], row["n_made"])
    _name(named, row["held"], row["n_held"])
    _name(named, row["exposures"]["text"], row["n_exposures"])
    _name(named, row["slates"]["text"], row["n_slates"])
    _name(named, row["tastes"]["text"], row["n_tastes"])
    if named.sum() == n_texts:
        return
    kept = end = start = 0
    for number in range(n_texts):
        stop = row["ends"][number]
        if named[number]:
            for at in range(start, stop):
                row["letters"][end + at - start] = row["letters"][at]
            end += stop - start
            row["ends"][kept] = end
            named[number] = kept
            kept += 1
        start = stop
    row["n_ends"] = kept
    row["n_letters"] = end
    _renumber(named, row["recent"]["text"], row["n_recent"])
    _renumber(named, row["bought"]["text"], row["n_bought"])
    _renumber(named, row["spent"]["text"], row["n_spent"])
    _renumber(named, row["pending"]["text"], row["n_pending"])
    _renumber(named, row["cooled"]["text"], row["n_cooled"])
    _renumber(named, row["made"]["text"], row["n_made"])
    _renumber(named, row["held"], row["n_held"])
    _renumber(named, row["exposures"]["text"], row["n_exposures"])
    _renumber(named, row["slates"]["text"], row["n_slates"])
    _renumber(named, row["tastes"]["text"], row["n_tastes"])


@kernel
def _name(named: Table, numbers: Table, n: int) -> None:
    for at in range(n):
        named[numbers[at]] = 1


@kernel
def _renumber(kept: Table, numbers: Table, n: int) -> None:
    for at in range(n):
        numbers[at] = kept[numbers[at]]


# ------------------------------------------------------------------------------------------- sense


@kernel
def is_sound(record: Bytes) -> bool:
    """Whether a record, uint8 (n,), is one that can be: no list beyond its end or its room.

    All that kernels rely on, whoever wrote the bytes.
    """
    head = record[:SIZE].view(HEAD)[0]
    if record[COUNTED:SIZE].view(END).min() < 0 or not _has_room(head) or not _is_possible(head):
        return False
    sizes = _sizes(head)
    if not SIZE + sizes.sum() == head["size"] <= len(record):
        return False
    return _lists_fit(record, head, sizes) and _texts_fit(record, head, sizes)


@kernel
def _has_room(head: Table) -> bool:
    """Whether a `ROW` has room for the lists, and for what one event more may add."""
    room = head["n_recent"] <= RECENT and head["n_bought"] <= RECENT and head["n_made"] < OF_A_DAY
    room = room and head["n_spent"] < CURRENCIES and head["n_pending"] <= PENDING
    room = room and head["n_exposures"] <= EXPOSED and head["n_slates"] <= SLATES
    room = room and head["n_tastes"] <= TASTES and head["n_cooled"] <= COOLED
    room = room and head["n_held"] <= HELD
    for size in (head["n_clicks"], head["n_responses"], head["n_updates"]):
        room = room and size <= 6 * SEEN and size % 6 == 0
    room = room and head["n_placed"] <= 8 * SEEN and head["n_placed"] % 8 == 0
    room = room and head["n_traits"] <= TRAITS
    return bool(room and head["n_ends"] <= NAMED)


@kernel
def _is_possible(head: Table) -> bool:
    """Whether the numbers of a head are such as decisions write."""
    for stamp in head["stamps"]:
        if stamp < NEVER or stamp > LARGEST:
            return False
    for time in (
        head["erased"],
        head["profiling_yes"],
        head["profiling_no"],
        head["offers_yes"],
        head["offers_no"],
        head["profiling_since"],
        head["due"],
        head["last_offer"],
        head["filled"],
        head["last_dismissed"],
        head["open_until"],
        head["campaign_until"],
        head["first_seen"],
        head["last_seen"],
        head["last_order"],
        head["decayed"],
        head["session"],
        head["session_start"],
        head["session_last"],
    ):
        if not 0 <= time < LARGEST:
            return False
    for count in (
        head["views"],
        head["orders"],
        head["refunds"],
        head["session_clicks"],
        head["offers_made"],
        head["offers_shown"],
        head["offers_clicked"],
        head["dismissed"],
    ):
        if not 0 <= count <= MOST:
            return False
    for total in (head["carts"], head["units"]):
        if not -LARGEST < total < LARGEST:
            return False
    for real in (head["tokens"], head["frequency"], head["monetary"], head["log_price"]):
        if not np.isfinite(real):
            return False
    if not -1.0 <= head["log_price"] <= 100.0 or head["frequency"] < 0.0:
        return False
    return bool(NEVER <= head["segment"] < 1_024 and NEVER <= head["page"] <= LARGEST)


@kernel
def _lists_fit(record: Bytes, head: Table, sizes: Table) -> bool:
    """Whether the lists name texts that there are, and hold numbers that can be added to."""
    n, starts = head["n_ends"], np.cumsum(sizes) - sizes + SIZE
    for entry in record[SIZE : starts[5]].view(ENTRY):
        if not 0 <= entry["text"] < n or not -LARGEST < entry["value"] < LARGEST:
            return False
    slates = 0
    for offer in record[starts[3] : starts[4]].view(ENTRY):
        if not 0 <= offer["count"] <= SLATE:
            return False
        slates += offer["count"]
    for exposure in record[starts[5] : starts[7]].view(EXPOSURE):
        if not 0 <= exposure["text"] < n or not 0 <= exposure["time"] < LARGEST:
            return False
    for taste in record[starts[7] : starts[8]].view(TASTE):
        if not 0 <= taste["text"] < n or not np.isfinite(taste["weight"]):
            return False
    held = 0
    for made in record[starts[8] : starts[9]].view(MADE):
        if not _is_made(made, n):
            return False
        held += made["items"]
    for item in record[starts[9] : starts[10]].view(END):
        if not 0 <= item < n:
            return False
    return bool(slates == head["n_slates"] and held == head["n_held"])


@kernel
def _is_made(made: Table, texts: int) -> bool:
    """Whether an offer that was made is one that can be."""
    for time in (made["time"], made["expires"], made["shown"]):
        if not 0 <= time < LARGEST:
            return False
    known = 0 <= made["text"] < texts and 0 <= made["items"] <= SLATE
    if made["trial"] == 0:
        return bool(known and 0 <= made["state"] < 16)
    return bool(known and made["trial"] > 0 and made["state"] >= 0)


@kernel
def _texts_fit(record: Bytes, head: Table, sizes: Table) -> bool:
    """Whether every text ends where the next begins; that they are UTF-8 is for Python to see."""
    ends, size = SIZE + sizes[:10].sum(), head["size"]
    start = size - head["n_letters"]
    for length in record[ends : ends + sizes[10]].view(LENGTH):
        end = start + length
        if length > LONGEST or end > size or (length and record[start] & 0xC0 == 0x80):
            return False
        start = end
    return bool(start == size)
