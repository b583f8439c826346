"""TOML → ``Mapping``: every mistake is one line that names the file and the key.

Rules:

- A key that is not known is refused, with the nearest that is.
- What contradicts itself (a type column without words, an order without lines) is refused here,
  before a file is opened.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Final, Literal, cast
from zoneinfo import ZoneInfo

from stream.config import ConfigError
from stream.grammar.times import WORDS as TIME_WORDS
from stream.grammar.times import pattern_fault
from stream.reading.encodings import by_lines, text_of
from stream.reading.format import ESCAPES, FileFormat, NoRow, delimiter_of
from stream.replay.mapping import (
    TARGETS,
    Column,
    Columns,
    Defaults,
    EventTypes,
    Mapping,
    Orders,
    PriceFormat,
    QuantityFormat,
    RefusalReason,
    RefuseRule,
    Target,
    TimeFormat,
)
from stream.replay.section import Section, nearest

_NO_QUOTES: Final = tuple("\r\n\0\\\t ,;|")
_NO_GROUPS: Final = tuple("+-()\u2212")
_WHOLE: Final = ("utf-16-le", "utf-16-be")  # encodings whose lines cannot be told, and are read


def shipped_mappings() -> dict[str, str]:
    """The mappings that come with the project: name → TOML text."""
    folder = resources.files("stream.replay") / "mappings"
    texts = {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    }
    return dict(sorted(texts.items()))


def load_mapping(name: str) -> Mapping:
    """Read a shipped mapping by its name, or any by the path of its file.

    Raises
    ------
    ConfigError
        No such mapping, or a mistake in it.
    """
    shipped = shipped_mappings()
    if name in shipped:
        return parse_mapping(shipped[name], name, f"mapping {name}")
    path = Path(name)
    if path.suffix != ".toml" and not path.is_file():
        raise ConfigError(
            f"--mapping {name!r}: no such mapping; {nearest(name, shipped)}; "
            "or give the path of a .toml file"
        )
    try:
        text = text_of(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise ConfigError(f"--mapping {name}: cannot be read: {reason}") from error
    return parse_mapping(text, path.stem, name)


def parse_mapping(text: str, name: str, file: str) -> Mapping:
    """Read a mapping from TOML text; ``file`` is what error messages call it.

    Raises
    ------
    ConfigError
        A mistake in it, on one line.

    Examples
    --------
    >>> mapping = parse_mapping(
    ...     '''
    ... columns = {time = "ts", customer = "user", item = "sku"}
    ... time = {format = "epoch_ms"}
    ... events = {type = "view"}
    ... ''',
    ...     "clicks",
    ...     "clicks.toml",
    ... )
    >>> mapping.columns.item
    Column(names=('sku',), joiner=None)
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: is not TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{file}: is nested too deeply") from error
    top = Section(file, "", table)
    mapping = Mapping(
        name=name,
        description=top.text("description"),
        file=_file(top.section("file")),
        columns=_columns(top.section("columns")),
        time=_time(top.section("time")),
        price=_price(top.section("price")),
        quantity=_quantity(top.section("quantity")),
        types=_types(top.section("events")),
        orders=_orders(top.section("orders")),
        refuse=tuple(_rule(rule) for rule in top.sections("refuse")),
        defaults=_defaults(top.section("defaults")),
        catalog=top.flag("catalog"),
    )
    top.close()
    _check(mapping, top)
    return mapping


def _file(section: Section) -> FileFormat:
    plain = FileFormat()
    quote = section.text("quote", plain.quote)
    if len(quote) > 1 or not quote.isascii() or quote.isalnum() or quote in _NO_QUOTES:
        section.fail("quote", f"is {quote!r}; it must be one ASCII sign, or empty for none")
    try:
        delimiter = delimiter_of(section.text("delimiter", "auto"), quote)
    except ValueError as error:
        section.fail("delimiter", str(error))
    escape = section.choice("escape", tuple(ESCAPES), "auto")
    found = FileFormat(
        format=cast(
            Literal["auto", "csv", "jsonl"],
            section.choice("format", ("auto", "csv", "jsonl"), plain.format),
        ),
        delimiter=delimiter,
        quote=quote,
        escape=ESCAPES[escape],
        encodings=section.texts("encoding", plain.encodings),
        names=section.texts("names"),
        skip=section.integer("skip", 0),
        explode=section.text("explode") or None,
        missing=section.texts("missing") if "missing" in section else None,
        whole_ids=section.flag("whole_ids"),
    )
    if not found.encodings:
        section.fail("encoding", "names none; utf-8 and latin-1 are usual")
    for encoding in found.encodings:
        _check_encoding(section, encoding)
    if found.explode and found.format == "csv":
        section.fail("explode", "is for JSON lines; a CSV file has no arrays")
    section.close()
    return found


def _check_encoding(section: Section, encoding: str) -> None:
    try:
        lines = by_lines(encoding)
    except (LookupError, ValueError):
        section.fail("encoding", f"is {encoding!r}, which is unknown; utf-8 and latin-1 are usual")
    if not lines and codecs.lookup(encoding).name not in _WHOLE:
        section.fail(
            "encoding", f"is {encoding!r}, in which lines cannot be told; convert the file to utf-8"
        )


def _column(section: Section, key: str) -> Column | None:
    """Read a name, a list (the first that has a value), or ``{join = […], with = "-"}``."""
    value = section.get(key)
    if value is None:
        return None
    if isinstance(value, dict):
        joined = section.section(key)
        column = Column(joined.texts("join"), joined.text("with", " "))
        joined.close()
    else:
        column = Column(section.texts(key))
    if not column.names or not all(column.names):
        section.fail(key, "names no column")
    return column


def _columns(section: Section) -> Columns:
    keys = Columns.__dataclass_fields__
    columns = Columns(**{key: _column(section, key) for key in keys})
    section.close()
    return columns


def _time(section: Section) -> TimeFormat:
    plain = TimeFormat()
    formats = tuple(dict.fromkeys(section.texts("format", plain.formats)))
    if not formats:
        section.fail("format", f"names none; {nearest('', TIME_WORDS)}; or a strptime pattern")
    for text in formats:
        if text in TIME_WORDS:
            continue
        if "%" not in text:
            section.fail(
                "format", f"is {text!r}; {nearest(text, TIME_WORDS)}; or a strptime pattern"
            )
        if fault := pattern_fault(text):
            section.fail("format", f"is {text!r}, which strptime does not know: {fault}")
    zone = section.text("zone", plain.zone)
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):  # a name unknown, malformed, or of a directory
        section.fail("zone", f"is {zone!r}, which is no time zone's name, such as Europe/London")
    found = TimeFormat(
        formats=formats,
        zone=zone,
        plus=_column(section, "plus"),
        plus_unit=cast(Literal["ms", "s"], section.choice("plus_unit", ("ms", "s"), "ms")),
        start=_start(section),
        step=section.integer("step", plain.step),
    )
    section.close()
    return found


def _start(section: Section) -> int:
    value = section.get("start")
    if value is None:
        return 0
    if not isinstance(value, datetime):
        section.fail("start", f"is {value!r}; it must be a date and time: 2024-01-01T00:00:00Z")
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1_000)


def _price(section: Section) -> PriceFormat:
    plain = PriceFormat()
    found = PriceFormat(
        unit=cast(
            Literal["major", "minor"], section.choice("unit", ("major", "minor"), plain.unit)
        ),
        decimal=cast(Literal[".", ","], section.choice("decimal", (".", ","), plain.decimal)),
        thousands=section.text("thousands"),
        of=cast(Literal["unit", "line"], section.choice("of", ("unit", "line"), plain.of)),
        zero=cast(
            Literal["free", "unknown"], section.choice("zero", ("free", "unknown"), plain.zero)
        ),
    )
    if found.thousands == found.decimal:
        section.fail("thousands", f"is {found.thousands!r}, and so is price.decimal")
    if len(found.thousands) > 1 or found.thousands.isalnum() or found.thousands in _NO_GROUPS:
        section.fail("thousands", f"is {found.thousands!r}; it must be one sign: '.' ',' ' ' \"'\"")
    section.close()
    return found


def _quantity(section: Section) -> QuantityFormat:
    fraction = section.choice("fraction", ("keep", "one"), "keep")
    section.close()
    return QuantityFormat(cast(Literal["keep", "one"], fraction))


def _types(section: Section) -> EventTypes:
    types = section.section("types")
    pairs = tuple((word.strip().lower(), _target(types, word)) for word in types.words())
    constant = _target(section, "type") if "type" in section else None
    if "type" in section and constant is None:
        section.fail("type", "is 'ignore', and all rows would be ignored")
    if constant is not None and pairs:
        section.fail("type", "and events.types cannot both be given")
    sent = section.flag("sent")
    if sent and (constant or pairs):
        section.fail("sent", "is true, and type or types are given: such events tell their own")
    section.close()
    return EventTypes(constant, pairs, sent)


def _target(section: Section, key: str) -> Target | None:
    word = section.text(key)
    if word not in TARGETS:
        section.fail(key, f"is {word!r}; {nearest(word, TARGETS)}")
    return TARGETS[word]


def _orders(section: Section) -> Orders:
    choices = ("alone", "consecutive", "anywhere")
    found = Orders(
        lines=cast(
            Literal["alone", "consecutive", "anywhere"], section.choice("lines", choices, "alone")
        ),
        refund_prefix=section.text("refund_prefix"),
        refund_negative=section.flag("refund_negative"),
    )
    section.close()
    return found


def _rule(section: Section) -> RefuseRule:
    reason = section.text("reason")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", reason):
        section.fail("reason", f"is {reason!r}; it must be a short snake_case word: not_a_product")
    if reason in (*RefusalReason, *NoRow):
        section.fail("reason", f"is {reason!r}, which has a meaning of its own; choose another")
    column = _column(section, "column")
    if column is None:
        section.fail("column", "is missing: which column's value refuses the row?")
    if "matches" not in section:
        section.fail("matches", "is missing: a regular expression for the whole value")
    pattern = section.text("matches")
    try:
        re.compile(pattern)
    except re.error as error:
        section.fail("matches", f"is no regular expression: {error}")
    section.close()
    return RefuseRule(reason, column, pattern)


def _defaults(section: Section) -> Defaults:
    customer = section.text("customer") or None
    if customer and "{session}" not in customer:
        section.fail("customer", f"is {customer!r}; it must hold {{session}}, or all would be one")
    currency = section.text("currency") or None
    if currency and not re.fullmatch(r"[A-Z]{3}", currency):
        section.fail("currency", f"is {currency!r}; it must be an ISO 4217 code such as EUR")
    found = Defaults(
        customer=customer,
        currency=currency,
        quantity=section.integer("quantity", 1, low=1),
        consent=section.flag("consent") if "consent" in section else None,
    )
    section.close()
    return found


def _check(mapping: Mapping, top: Section) -> None:
    """Refuse what contradicts itself."""
    columns, types = mapping.columns, mapping.types
    if types.sent:
        if columns != Columns():
            top.fail("columns", "are given, and events.sent is true: such events tell their own")
        return
    if columns.item is None:
        top.fail("columns.item", "is missing: which column names the item?")
    if columns.customer is None and not mapping.defaults.customer:
        top.fail(
            "columns.customer",
            "is missing: name its column, or make customers from sessions with "
            "defaults.customer = '{session}'",
        )
    if mapping.defaults.customer and columns.session is None:
        top.fail("defaults.customer", "is made from the session, and columns.session is missing")
    if columns.time is None and not mapping.time.start:
        top.fail("columns.time", "is missing; a log without times needs time.start and time.step")
    _check_types(mapping, top)
    if mapping.orders.lines != "alone" and columns.order is None:
        top.fail("orders.lines", f"is {mapping.orders.lines!r}, and columns.order is missing")
    if columns.offer is None and any(
        target and target.topic == "feedback"
        for target in (types.constant, *dict(types.words).values())
    ):
        top.fail("columns.offer", "is missing, and an event type is feedback on an offer")


def _check_types(mapping: Mapping, top: Section) -> None:
    types = mapping.types
    if types.constant is None and not types.words:
        top.fail("events", 'is missing: type = "purchase" for all rows, or [events.types]')
    if types.words and mapping.columns.type is None:
        top.fail("columns.type", "is missing, and events.types gives words to look for in it")
    if types.constant and mapping.columns.type is not None:
        top.fail("columns.type", "is given, and events.type makes all rows the same; remove one")
