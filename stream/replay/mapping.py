"""A mapping: what the columns of a shop's log mean, as frozen values.

Rules:

- A ``Column`` names where a value is found: a column of a CSV file, a dotted path in JSON lines.
- An empty value is no value, in any of the usual words (`stream.grammar.words`) or in those that
  the mapping gives (``missing``).
- A mapping says nothing about one file in particular; the same one serves a day and a year.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from stream.domain.event import Action, Response, Trade
from stream.grammar.numbers import NumberFormat
from stream.reading.format import FileFormat


class Target(NamedTuple):
    """What a row of a log becomes: a word of the event's schema, and the topic it goes to."""

    topic: Literal["clicks", "purchases", "feedback"]
    word: str


#: The words for event types that a mapping may use; ``ignore`` is one more, and maps to None.
TARGETS: Final[dict[str, Target | None]] = {
    **{action.value: Target("clicks", action.value) for action in Action},
    **{trade.value: Target("purchases", trade.value) for trade in Trade},
    "impression": Target("feedback", Response.IMPRESSION.value),
    "offer_click": Target("feedback", Response.CLICK.value),
    "dismiss": Target("feedback", Response.DISMISS.value),
    "ignore": None,
}


@dataclass(frozen=True, slots=True)
class Column:
    """Where a value is found: the first of ``names`` that has one, or all of them joined.

    ``joiner`` None means the first that has a value; a text means all of them with it in between.
    """

    names: tuple[str, ...]
    joiner: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each value is found; None means that the log does not have it."""

    time: Column | None = None
    item: Column | None = None
    customer: Column | None = None
    session: Column | None = None
    type: Column | None = None
    price: Column | None = None
    quantity: Column | None = None
    order: Column | None = None
    category: Column | None = None
    brand: Column | None = None
    currency: Column | None = None
    name: Column | None = None
    offer: Column | None = None
    consent: Column | None = None
    event: Column | None = None


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How times are written.

    ``formats`` are ``iso``, ``epoch_s``, ``epoch_ms``, ``epoch_us``, ``epoch_ns``, or a pattern of
    strptime. Of several, a file's own rows decide which of two it is where both fit.
    ``plus`` is a column with an amount of ``plus_unit`` to add, such as the time into a session.
    A log that has no time column is given one: ``start``, and ``step`` ms more for each row.
    """

    formats: tuple[str, ...] = ("iso",)
    zone: str = "UTC"  # of times that name none
    plus: Column | None = None
    plus_unit: Literal["ms", "s"] = "ms"
    start: int = 0
    step: int = 1_000


@dataclass(frozen=True, slots=True)
class PriceFormat:
    """How prices are written."""

    unit: Literal["major", "minor"] = "major"  # 12.34, or 1234 for the same
    decimal: Literal[".", ","] = "."
    thousands: str = ""  # what separates groups of digits, if anything does
    of: Literal["unit", "line"] = "unit"  # "line": the price is for the whole quantity
    zero: Literal["free", "unknown"] = "free"  # some shops write 0 where they know no price

    @property
    def numbers(self) -> NumberFormat:
        """How numbers are written, quantities among them."""
        return NumberFormat(self.decimal, self.thousands)


@dataclass(frozen=True, slots=True)
class QuantityFormat:
    """What to make of quantities that are not whole, such as 0.456 kg.

    ``keep`` publishes them as they stand, and the pipeline rejects them; ``one`` makes them one
    unit at the price of the line.
    """

    fraction: Literal["keep", "one"] = "keep"


@dataclass(frozen=True, slots=True)
class EventTypes:
    """Which event a row is: the same for all rows, or told by the type column's words.

    ``words`` are in lower case; a row's word is trimmed and compared without regard to case.
    The word ``*`` stands for all that have no word of their own. Rows that were ``sent`` are events
    already (`stream.replay.sent`).
    """

    constant: Target | None = None
    words: tuple[tuple[str, Target | None], ...] = ()
    sent: bool = field(default=False, repr=False)


@dataclass(frozen=True, slots=True)
class Orders:
    """How the lines of an order are told, and which of them bring goods back.

    ``lines`` is ``alone`` (each row is an order of its own), ``consecutive`` (rows of an order
    stand together) or ``anywhere`` (they may stand apart: their number is counted beforehand,
    some 200 bytes of memory an order).
    """

    lines: Literal["alone", "consecutive", "anywhere"] = "alone"
    refund_prefix: str = ""  # of the order's id
    refund_negative: bool = False  # a quantity below zero brings goods back


@dataclass(frozen=True, slots=True)
class RefuseRule:
    """Rows that are no event: those whose ``column`` matches the pattern as a whole."""

    reason: str
    column: Column
    matches: str


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a row without the value is given; ``customer`` may hold ``{session}``."""

    customer: str | None = None
    currency: str | None = None
    quantity: int = 1
    consent: bool | None = None  # None: the pipeline's own default, which is no


class RefusalReason(StrEnum):
    """Why a row cannot be a record at all; a mapping's own rules add theirs.

    What is no row in the first place has a `stream.reading.format.NoRow` instead.
    """

    NO_CUSTOMER = "no_customer"
    IGNORED_TYPE = "ignored_type"  # the mapping says that this event type is not wanted
    UNMAPPED_TYPE = "unmapped_type"  # the mapping says nothing of this event type


@dataclass(frozen=True, slots=True)
class Mapping:
    """All that replay needs to know of a kind of log."""

    name: str
    description: str = ""
    file: FileFormat = field(default_factory=FileFormat)
    columns: Columns = field(default_factory=Columns)
    time: TimeFormat = field(default_factory=TimeFormat)
    price: PriceFormat = field(default_factory=PriceFormat)
    quantity: QuantityFormat = field(default_factory=QuantityFormat)
    types: EventTypes = field(default_factory=EventTypes)
    orders: Orders = field(default_factory=Orders)
    refuse: tuple[RefuseRule, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)
    catalog: bool = False  # also publish each item to the catalog, when it is first seen
