"""A customer's record as Python reads it: the same bytes that kernels read.

Behind them stand the effects that are not yet known to be durable, of which kernels know nothing.
What rules ask is read where it stands; a part is changed by a copy with other bytes in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from operator import itemgetter, mul
from struct import Struct
from typing import Any, Final, NamedTuple

import numpy as np

from stream.config import CoreSettings
from stream.decide.rows.delivery import CLOSED
from stream.decide.rows.layout import (
    END,
    ENTRY,
    EXPOSURE,
    HEAD,
    LENGTH,
    MADE,
    MARK,
    NEVER,
    SIZE,
    TASTE,
    TIME,
    Table,
    tables,
)
from stream.decide.rows.parameters import rules_of
from stream.decide.rows.state import (
    TRIAL,
    Admission,
    CustomerState,
    Delivery,
    Effect,
    Exposure,
    History,
    Made,
    PendingOffer,
    Permission,
    Profile,
    Touch,
    Waiting,
)
from stream.decide.rows.track import track
from stream.decide.rows.traits import Fact, Told, after, packed_traits, told

_FRONT: Final = Struct("<14q")
_PERMISSION: Final = Struct("<5q")
_WAITS: Final = Struct("<2q8xq")
_COUNTS: Final = Struct("<17i")
_LETTERS: Final = Struct("<i")
_ENTRY: Final = Struct("<iiq")
_TASTE: Final = Struct("<iid")
_EXPOSURE: Final = Struct("<qi64s")
_NUMBER: Final = Struct("<i")
_SIZE: Final = Struct("<q")
_MADE: Final = Struct("<3q4i16s")
_OFFERED: Final = Struct("<3q")  # from the last dismissal on
_EFFECT: Final = Struct("<iiqq")  # source, kind, offset, bytes
_PLACES: Final = {name: place[1] for name, place in (HEAD.fields or {}).items()}
_FIELDS: Final = {
    name: (place[1], Struct("<d" if place[0].kind == "f" else "<q"))
    for name, place in (HEAD.fields or {}).items()
    if place[0].itemsize == 8
}
_PERMITTED, _PAGE = _PLACES["profiling_yes"], _PLACES["page"]
TIMER: Final = _PLACES["timer"]
_DUE: Final = _PLACES["due"]
_COUNTED = _PLACES["n_clicks"]
_NOW: Final = Struct("<d3q")  # from the usual price on
_USUAL: Final = _PLACES["log_price"]
_DISMISSED: Final = _PLACES["last_dismissed"]
_MARKS: Final = ("clicks", "placed", "responses", "updates")


class Front(NamedTuple):
    """The first fields of a record: what the protocol asks of every customer.

    Times are in ms; see :class:`stream.decide.rows.state.CustomerState`.
    """

    clicks: int
    purchases: int
    feedback: int
    customers: int
    erased: int
    profiling_yes: int
    profiling_no: int
    offers_yes: int
    offers_no: int
    profiling_since: int
    due: int
    page: int
    last_offer: int
    size: int

    @property
    def permission(self) -> Permission:
        """What the customer said."""
        return Permission(*self[5:10])


def waits_of(record: bytes) -> tuple[int, int, int]:
    """When a customer is due, on which page, and the bytes of the record that kernels read."""
    return _WAITS.unpack_from(record, _DUE)


def offered_of(record: bytes) -> tuple[int, int, int]:
    """When an offer was dismissed last, until when any is open, and any of a campaign's; in ms."""
    found: tuple[int, int, int] = _OFFERED.unpack_from(record, _DISMISSED)
    return found


def front(record: bytes) -> Front:
    """The first fields of a record."""
    return Front._make(_FRONT.unpack_from(record))


def said_of(record: bytes) -> bytes:
    """What the customer said of permission, as it stands in a record."""
    return record[_PERMITTED : _PERMITTED + _PERMISSION.size]


def permission_of(said: bytes) -> Permission:
    """What the customer said, of how it stands in a record."""
    return Permission(*_PERMISSION.unpack(said))


def _empty() -> bytes:
    head = np.zeros(1, HEAD)
    head["stamps"] = head["page"] = head["segment"] = NEVER
    head["size"] = SIZE
    return head.tobytes()


NEW: Final = _empty()
"""The record of a customer of whom nothing is known."""


def begun(stamps: Iterable[int], permission: Permission, erased: int) -> bytes:
    """A record in which nothing was learned."""
    return _FRONT.pack(*stamps, erased, *_said(permission), 0, NEVER, 0, SIZE) + NEW[_FRONT.size :]


def with_stamp(record: bytes, source: int, offset: int) -> bytes:
    """A record with the last offset applied of a source."""
    return _with(record, 8 * source, offset.to_bytes(8, "little", signed=True))


def with_page(record: bytes, page: int) -> bytes:
    """A record that names the page of its newest entry of the queue of due labels."""
    return _with(record, _PAGE, page.to_bytes(8, "little", signed=True))


def timer_of(record: bytes) -> int:
    """The page of a customer's timer; 0 if none is set."""
    return int.from_bytes(record[TIMER : TIMER + 4], "little")


def with_timer(record: bytes, page: int) -> bytes:
    """A record that names the page of the customer's timer."""
    return _with(record, TIMER, page.to_bytes(4, "little"))


def with_permission(record: bytes, permission: Permission) -> bytes:
    """A record with other words of the customer's."""
    return _with(
        record,
        _PERMITTED,
        _PERMISSION.pack(*_said(permission)),
    )


def with_traits(record: bytes, facts: Iterable[tuple[str, Fact]], time: int) -> bytes:
    """A record after the shop told something of the customer, at a time in ms."""
    view = View(record)
    at, n = view.place("traits")
    kept = after(record[at : at + n], facts, time)
    changed = b"".join((record[:at], kept, record[at + n :]))
    size = view.front.size + len(kept) - n
    changed = _with(changed, _PLACES["n_traits"], _LETTERS.pack(len(kept)))
    return _with(changed, _PLACES["size"], _SIZE.pack(size))


def _said(permission: Permission) -> tuple[int, ...]:
    said = permission
    return (
        *(said.profiling_yes, said.profiling_no),
        *(said.offers_yes, said.offers_no),
        said.profiling_since,
    )


def _with(record: bytes, at: int, part: bytes) -> bytes:
    return record[:at] + part + record[at + len(part) :]


def letters_of(record: bytes) -> str:
    """The texts of a record, one behind the other.

    Raises
    ------
    UnicodeDecodeError
        If they are no UTF-8: then so is one of them, since none begins within a letter.
    """
    size = front(record).size
    return record[size - _LETTERS.unpack_from(record, _PLACES["n_letters"])[0] : size].decode()


# ----------------------------------------------------------------------------------------- effects


def effects_of(record: bytes, size: int) -> Iterator[Effect]:
    """The effects behind the ``size`` bytes of a record that kernels read.

    Raises
    ------
    ValueError
        If they are cut short, or more follows.
    """
    at, end = size, len(record)
    while at < end:
        if at + _EFFECT.size > end:
            raise ValueError("an effect is cut short")
        source, kind, offset, length = _EFFECT.unpack_from(record, at)
        start = at + _EFFECT.size
        at = start + length
        if length < 0 or at > end:
            raise ValueError("an effect is cut short")
        yield Effect(source, offset, kind, record[start:at])


def pending_of(record: bytes, size: int, durable: Sequence[int]) -> list[Effect]:
    """Those of `effects_of` that are not durable: beyond their source's place in ``durable``."""
    pending, at, end = [], size, len(record)
    while at < end:  # which was looked at when the record was read
        source, kind, offset, length = _EFFECT.unpack_from(record, at)
        at += _EFFECT.size
        if offset > durable[source]:
            pending.append(Effect(source, offset, kind, record[at : at + length]))
        at += length
    return pending


def sealed(record: bytes, size: int, effects: Iterable[Effect]) -> bytes:
    """The ``size`` bytes of a record that kernels read, with effects behind them."""
    parts = [record[:size]]
    for effect in effects:
        numbers = (effect.source, effect.kind, effect.offset, len(effect.payload))
        parts += (_EFFECT.pack(*numbers), effect.payload)
    return b"".join(parts)


# ------------------------------------------------------------------------------------------- views


class Desk:
    """Tables for kernels (:class:`.layout.Tables`), and what they laid on it as bytes.

    Whoever decides has one, since kernels may run in several threads at once.
    """

    def __init__(self) -> None:
        self.tables = tuple(tables())  # as kernels want them
        self.track = tuple(track())
        self.rows, self._packed, self._lessons, self.point = self.tables
        self.tape = memoryview(self.track[0])
        # As numbers: in an array of records to find one takes Python ten times as long.
        self.numbers = [memoryview(table.view(TIME)) for table in self.track[1:]]
        self._row = memoryview(self.rows.view(MARK))
        self._record = memoryview(self._packed["bytes"][0])
        self._examples = memoryview(self._lessons["bytes"][0])
        self._settings: CoreSettings | None = None
        self._learning = False
        self._rules: Table = None

    def rules(self, settings: CoreSettings, learning: bool) -> Table:
        """The settings for kernels."""
        if settings is not self._settings or learning is not self._learning:
            self._settings, self._learning = settings, learning
            self._rules = rules_of(settings, learning)
        return self._rules

    def take_page(self, record: bytes) -> None:
        """Have what is laid out name the pages of a record: it may have been given some since."""
        page = record[_PAGE : _PAGE + 8]
        self._row[_PAGE : _PAGE + 8] = self._record[_PAGE : _PAGE + 8] = page
        timer = record[TIMER : TIMER + 4]
        self._row[TIMER : TIMER + 4] = self._record[TIMER : TIMER + 4] = timer

    def record(self) -> bytes:
        """The record that was packed."""
        return bytes(self._record[: self._packed["size"].item()])

    def examples(self) -> tuple[int, bytes]:
        """How many examples were written, and their bytes."""
        lessons = self._lessons
        return lessons["count"].item(), bytes(self._examples[: lessons["size"].item()])


class View:
    """What rules ask of a customer: each part is read from the record when it is asked for."""

    def __init__(self, record: bytes) -> None:
        self.record = record
        self.front = front(record)

    @property
    def permission(self) -> Permission:
        """What the customer said."""
        return self.front.permission

    @property
    def last_offer(self) -> int:
        """When an offer was made, in ms; 0 for never."""
        return self.front.last_offer

    @property
    def segment(self) -> int | None:
        """The segment that the customer is in."""
        segment = self._now[1]
        return None if segment == NEVER else segment

    @property
    def session(self) -> int:
        """The open session, or the last."""
        return self._now[2]

    @property
    def usual(self) -> float:
        """The running mean of ln(1 + price seen); 0 if no price was seen."""
        return self._now[0]

    @cached_property
    def recent(self) -> list[Touch]:
        """The last items touched, oldest first."""
        texts = self._texts
        return [Touch(texts[n], time, weight) for n, weight, time in self._entries("recent")]

    @cached_property
    def purchases(self) -> list[tuple[str, int]]:
        """The last items bought, oldest first, each with its time in ms."""
        return [(self._texts[n], time) for n, _, time in self._entries("bought")]

    @cached_property
    def bought(self) -> dict[str, int]:
        """The last items bought, with the time of the last purchase of each in ms."""
        return dict(self.purchases)

    @property
    def session_start(self) -> int:
        """When the open session, or the last, began, in ms."""
        return self._now[3]

    @property
    def session_items(self) -> list[str]:
        """The items of the open session, oldest first, repeats kept."""
        start = self.session_start
        return [touch.item_id for touch in self.recent if touch.time >= start]

    @property
    def last_dismissed(self) -> int:
        """When an offer was dismissed, in ms; 0 for never."""
        return offered_of(self.record)[0]

    @cached_property
    def offers(self) -> list[Made]:
        """The newest offers that were made, oldest first."""
        if not self.place("made")[1]:
            return []
        texts, held = self._texts, [n for (n,) in self._rows("held", _NUMBER)]
        made, at = [], 0
        for *times, campaign, n, state, trial, mark in self._rows("made", _MADE):
            time, expires, shown = times
            items = tuple([texts[item] for item in held[at : at + n]])
            state |= trial << TRIAL
            made.append(Made(mark.hex(), texts[campaign], time, expires, items, shown, state))
            at += n
        return made

    @cached_property
    def tastes(self) -> list[tuple[str, float]]:
        """The categories that the customer likes with their weights, the strongest first."""
        return [(self._texts[n], weight) for n, _, weight in self._rows("tastes", _TASTE)]

    @cached_property
    def spent(self) -> dict[str, int]:
        """What was spent, less what came back, in minor units by currency."""
        return {self._texts[n]: amount for n, _, amount in self._entries("spent")}

    @cached_property
    def told(self) -> Told:
        """What the shop told of the customer, by name, and since when that is known in ms."""
        return told(self._marks("traits"))

    def number(self, name: str) -> float:
        """A number of the head, by its name in :data:`stream.decide.rows.layout.HEAD`."""
        at, packed = _FIELDS[name]
        (number,) = packed.unpack_from(self.record, at)
        return number  # type: ignore[no-any-return]

    @property
    def offers_known(self) -> int:
        """How many those are."""
        return self.place("made")[1]

    def counted(self, now: int) -> list[tuple[str, int]]:
        """Campaign and time in ms of the offers that caps count at a time.

        Those are the ones that were seen, and that may still be seen; where none of the newest was
        seen nobody may report it, and all count that were made.
        """
        offers = self.offers
        silent = not any(offer.shown for offer in offers)
        return [
            (offer.campaign_id, offer.shown or offer.time)
            for offer in offers
            if offer.shown or (not offer.state & CLOSED and (silent or offer.expires > now))
        ]

    @property
    def cooled(self) -> list[tuple[str, int, int]]:
        """What was dismissed: its id, its kind (see :mod:`.delivery`), when in ms."""
        return [(self._texts[n], kind, time) for n, kind, time in self._entries("cooled")]

    @property
    def value(self) -> CustomerState:
        """All of it, for people to look at, but for the page of the timer."""
        head, texts = self._head, self._texts
        stamps = tuple(head["stamps"].tolist())
        clicks, placed, responses, updates = map(self._marks, _MARKS)
        spent = tuple([(texts[n], amount) for n, _, amount in self._entries("spent")])
        return CustomerState(
            stamps=stamps,
            admission=Admission(
                clicks, placed, responses, updates, float(head["tokens"]), int(head["filled"])
            ),
            permission=self.permission,
            profile=Profile(
                **_numbers(head, int, "first_seen", "last_seen", "views", "carts", "orders"),
                **_numbers(head, int, "units", "refunds", "last_order", "decayed"),
                **_numbers(head, float, "frequency", "monetary", "log_price"),
                spent=spent,
                tastes=tuple(self.tastes),
                segment=self.segment,
                traits=tuple([(name, *known) for name, known in sorted(self.told.items())]),
            ),
            history=History(
                tuple(self.recent),
                tuple(self.purchases),
                **_numbers(head, int, "session", "session_start", "session_last", "session_clicks"),
            ),
            waiting=Waiting(self._exposures(), self._pending(), self.front.due, self.front.page),
            delivery=Delivery(
                int(head["offers_made"]),
                self.last_offer,
                tuple(self.offers),
                tuple(self.cooled),
                **_numbers(head, int, "offers_shown", "offers_clicked", "dismissed"),
                **_numbers(head, int, "last_dismissed", "open_until", "campaign_until"),
            ),
            effects=tuple(effects_of(self.record, self.front.size)),
            erased=self.front.erased,
        )

    @property
    def _head(self) -> Any:
        return np.frombuffer(self.record, HEAD, 1)[0]

    @property
    def _now(self) -> tuple[float, int, int, int]:
        """The usual price's logarithm, the segment, the session, and when it began."""
        now: tuple[float, int, int, int] = _NOW.unpack_from(self.record, _USUAL)
        return now

    @cached_property
    def _places(self) -> tuple[list[int], tuple[int, ...]]:
        """Where each list begins, and how many entries it has, in their order."""
        counts = _IN_ORDER(_COUNTS.unpack_from(self.record, _COUNTED))
        return list(accumulate(map(mul, _SIZES, counts), initial=SIZE)), counts

    def place(self, name: str) -> tuple[int, int]:
        """Where a list begins, and how many entries it has."""
        (starts, counts), which = self._places, _NUMBERS[name]
        return starts[which], counts[which]

    @cached_property
    def _texts(self) -> list[str]:
        at, n = self.place("ends")
        start, _ = self.place("letters")
        lengths = np.frombuffer(self.record, LENGTH, n, at).tolist()
        ends = list(accumulate(lengths, initial=0))
        letters = self.record[start : start + ends[-1]]
        if letters.isascii():  # so one decoding is enough
            text = letters.decode("ascii")
            return [text[a:b] for a, b in pairwise(ends)]
        return [letters[a:b].decode() for a, b in pairwise(ends)]

    @cached_property
    def numbers(self) -> dict[str | None, int]:
        """The number that each text has in the record."""
        texts = self._texts
        return dict(zip(reversed(texts), range(len(texts) - 1, -1, -1), strict=True))

    def _entries(self, name: str) -> Iterator[Any]:
        return self._rows(name, _ENTRY)

    def _rows(self, name: str, row: Struct) -> Iterator[Any]:
        at, n = self.place(name)
        return row.iter_unpack(self.record[at : at + n * row.size])

    def _marks(self, name: str) -> bytes:
        at, n = self.place(name)
        return self.record[at : at + n]

    def _exposures(self) -> tuple[Exposure, ...]:
        rows, texts = self._rows("exposures", _EXPOSURE), self._texts
        return tuple([Exposure(texts[n], time, row) for time, n, row in rows])

    def _pending(self) -> tuple[PendingOffer, ...]:
        texts, entries = self._texts, list(self._entries("pending"))
        slates = [(texts[n], row) for _, n, row in self._rows("slates", _EXPOSURE)]
        starts = accumulate([n for _, n, _ in entries], initial=0)
        return tuple(
            PendingOffer(texts[offer], time, tuple(slates[at : at + n]))
            for (offer, n, time), at in zip(entries, starts, strict=False)
        )


_COUNTED_NAMES: Final = [name[2:] for name in (HEAD.names or ()) if name.startswith("n_")]
WIDTHS: Final = (
    *((name, ENTRY.itemsize) for name in ("recent", "bought", "spent", "pending", "cooled")),
    *((name, EXPOSURE.itemsize) for name in ("exposures", "slates")),
    ("tastes", TASTE.itemsize),
    ("made", MADE.itemsize),
    ("held", END.itemsize),
    ("ends", LENGTH.itemsize),
    *((name, 1) for name in (*_MARKS, "traits", "letters")),
)
"""The lists of a record in their order, with the bytes of an entry of each."""

_NUMBERS: Final = {name: number for number, (name, _) in enumerate(WIDTHS)}
_SIZES: Final = [width for _, width in WIDTHS]
_IN_ORDER: Final = itemgetter(*map(_COUNTED_NAMES.index, _NUMBERS))


def _numbers(head: Table, kind: type, *names: str) -> dict[str, Any]:
    return {name: kind(head[name]) for name in names}


def record_of(state: CustomerState) -> bytes:
    """The record that holds a value: the other way round than :attr:`View.value`."""
    return _Packing(state).record()


class _Packing:
    """A value on its way into a record: numbers the texts as it meets them."""

    def __init__(self, state: CustomerState) -> None:
        self._state = state
        self._texts: dict[str, int] = {}

    def record(self) -> bytes:
        state = self._state
        profile, history, waiting = state.profile, state.history, state.waiting
        delivery, admission = state.delivery, state.admission
        recent = self._entries((t.item_id, t.weight, t.time) for t in history.recent)
        bought = self._entries((item, 0, time) for item, time in history.bought)
        spent = self._entries((currency, 0, amount) for currency, amount in profile.spent)
        pending = self._entries((o.offer_id, len(o.items), o.time) for o in waiting.offers)
        cooled = self._entries(delivery.cooled)
        exposures = self._exposed((e.item_id, e.time, e.features) for e in waiting.exposures)
        slates = self._exposed((item, 0, row) for o in waiting.offers for item, row in o.items)
        tastes = self._rows(_TASTE, ((name, 0, weight) for name, weight in profile.tastes))
        made = b"".join(map(self._made, delivery.made))
        held = self._rows(_NUMBER, ((item,) for offer in delivery.made for item in offer.items))
        texts = [text.encode() for text in self._texts]
        lengths = np.array(list(map(len, texts)), LENGTH).tobytes()
        marks = [admission.clicks, admission.orders, admission.responses, admission.updates]
        lists = [
            recent,
            bought,
            spent,
            pending,
            cooled,
            exposures,
            slates,
            tastes,
            made,
            held,
            lengths,
        ]
        traits = packed_traits({name: (fact, time) for name, fact, time in profile.traits})
        lists += [*marks, traits, b"".join(texts)]
        head = self._head()
        for (name, width), part in zip(WIDTHS, lists, strict=True):
            head[f"n_{name}"] = len(part) // width
        head["size"] = SIZE + sum(map(len, lists))
        return sealed(head.tobytes() + b"".join(lists), int(head["size"]), state.effects)

    def _head(self) -> Any:
        state = self._state
        head = np.zeros(1, HEAD)[0]
        parts: list[Any] = [state, state.admission, state.permission, state.profile]
        parts += [state.history, state.waiting, state.delivery]
        for part in parts:
            for name in part.__struct_fields__:
                value = getattr(part, name)
                if name in _PLACES and isinstance(value, int | float):
                    head[name] = value
        head["stamps"] = state.stamps
        segment = state.profile.segment
        head["segment"] = NEVER if segment is None else segment
        head["offers_made"] = state.delivery.offers
        return head

    def _number(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _entries(self, entries: Iterable[tuple[str, int, int]]) -> bytes:
        return self._rows(_ENTRY, entries)

    def _rows(self, row: Struct, entries: Iterable[tuple[object, ...]]) -> bytes:
        return b"".join([row.pack(self._number(str(text)), *more) for text, *more in entries])

    def _made(self, offer: Made) -> bytes:
        times, campaign = (offer.time, offer.expires, offer.shown), self._number(offer.campaign_id)
        mark = bytes.fromhex(offer.offer_id)
        state = offer.state & (1 << TRIAL) - 1
        return _MADE.pack(*times, campaign, len(offer.items), state, offer.trial, mark)

    def _exposed(self, exposures: Iterable[tuple[str, int, bytes]]) -> bytes:
        return b"".join(
            [_EXPOSURE.pack(time, self._number(text), row) for text, time, row in exposures]
        )
