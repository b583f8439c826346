"""A log becomes records: the passes over its files, and the account of every row.

Rules:

- No row is lost: rows = published + merged into orders + refused, checked at the end.
- Several files are one log: their rows come in the order of time, whichever file they are in.
- What comes out is a function of the files, the mapping and the limit: the same each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from stream.config import ConfigError
from stream.grammar.times import FormatChoice, Undecided, choice_of, decided
from stream.reading.document import Document, by_position
from stream.reading.format import NoRow
from stream.reading.inputs import sources, told
from stream.reading.layout import Empty, Layout, read_layout
from stream.reading.lines import Lines
from stream.reading.records import Row, explode, records
from stream.reading.source import InputSource
from stream.replay.fields import Binder, wanted_names
from stream.replay.mapping import Mapping
from stream.replay.orders import ConsecutiveLines, Joiner, LinesAnywhere, NoLines
from stream.replay.outcome import PublishedRecord, RefusedRow
from stream.replay.plan import Addresses, Glance, ReadingPlan, make_plan
from stream.replay.rows import RowMapper
from stream.replay.sent import SentMapper

_CHUNK = 65_536
_TICK = 8_192  # rows between two words about progress


@dataclass(slots=True)
class Account:
    """What became of the rows.

    ``published`` counts records by topic, ``refused`` rows by reason; ``merged`` are the lines of
    an order beyond the first of each event; ``catalog`` records are made beside the rows' own;
    ``examples`` has the first row refused for each reason.
    """

    rows: int = 0
    published: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    merged: int = 0
    catalog: int = 0
    examples: dict[str, RefusedRow] = field(default_factory=dict)

    def add(self, outcome: PublishedRecord | RefusedRow) -> None:
        """Enter a record, or a row that is none."""
        if isinstance(outcome, RefusedRow):
            self.refused[outcome.reason] += 1
            if outcome.reason not in self.examples:
                self.examples[outcome.reason] = outcome
        elif outcome.rows:
            self.published[outcome.kind] += 1
            self.merged += outcome.rows - 1
        else:
            self.catalog += 1

    def balances(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows == self.published.total() + self.merged + self.refused.total()


class _Found(NamedTuple):
    """A row where it was found: ``number`` from 1, in the file at the place ``file``."""

    file: int
    number: int
    part: int
    offset: int
    raw: bytes
    row: Row | NoRow


class _File(NamedTuple):
    """One file of the log, and the mapping bound to it."""

    document: Document
    layout: Layout
    mapper: RowMapper | SentMapper


Tick = Callable[[int, float], None]


class Replay:
    """Files and a mapping, ready to become records.

    Parameters
    ----------
    log
        CSV, JSON or Parquet, plain or packed: paths (also globs and directories), or sources that
        were found already.
    mapping
        What it means.
    limit
        How many rows, from the start of the first file; None for all.

    Raises
    ------
    ConfigError
        A file cannot be read, or lacks a column.
    """

    def __init__(
        self, log: Path | Sequence[Path | InputSource], mapping: Mapping, limit: int | None = None
    ) -> None:
        paths = [log] if isinstance(log, Path) else list(log)
        self.sources = [
            source
            for path in paths
            for source in ([path] if isinstance(path, InputSource) else sources([path]))
        ]
        self.mapping = mapping
        self.limit = limit
        self.account = Account()
        self._wanted = wanted_names(mapping)
        self._files = self._bound()

    def _bound(self) -> list[_File]:
        """Bind the mapping to each file; of several, those that are empty are passed over."""
        files, empty = [], None
        for source in self.sources:
            try:
                files.append(self._bind(Document(source, self.mapping.file)))
            except Empty as error:
                empty = error
        if empty is not None and not files:
            raise empty
        return files

    def _bind(self, document: Document) -> _File:
        mapping, name = self.mapping, document.source.short_name
        is_csv = document.shape.kind == "csv"
        if mapping.file.explode and is_csv:
            raise ConfigError(
                f"mapping {mapping.name}: file.explode is for JSON, and {name} is CSV: remove it"
            )
        with document.forward() as (lines, _):
            layout = read_layout(lines, document, self._wanted)
        if mapping.types.sent:
            if is_csv:
                raise ConfigError(
                    f"{name}: is CSV, and mapping {mapping.name} reads events as they are sent, in "
                    "JSON: name a mapping of its columns (offerstream mappings list)"
                )
            choice = choice_of(("iso",), ZoneInfo("UTC"))
            return _File(document, layout, SentMapper(choice))
        binder = Binder(mapping, layout, name, is_csv=is_csv)
        formats = mapping.time.formats
        if document.shape.kind == "parquet":  # whose times are times, and are written as such
            formats = tuple(dict.fromkeys((*formats, "iso")))
        times = choice_of(formats, ZoneInfo(mapping.time.zone))
        return _File(
            document, layout, RowMapper(mapping, binder, document.source.fingerprint, times)
        )

    @property
    def id(self) -> str:
        """Tell this replay from all others, by files, mapping and limit."""
        prints = " ".join(file.document.source.fingerprint for file in self._files)
        parts = f"{prints} {self.mapping!r} {self.limit}"
        return blake2b(parts.encode(), digest_size=8).hexdigest()

    @property
    def name(self) -> str:
        """What is read, in few words."""
        return told(self.sources)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(source.size for source in self.sources)

    def plan(self, tick: Tick = lambda rows, share: None) -> ReadingPlan:
        """Look through the files; ``tick`` is told the rows so far and the share of all bytes.

        Raises
        ------
        ConfigError
            Two formats of times fit a file, and none of its rows decides.
        """

        def glances(orders: bool) -> Iterator[Glance]:
            for found in self._forward(tick):
                yield self._glance(found, orders)

        together = self.mapping.orders.lines == "consecutive"
        try:
            return make_plan(glances, together)
        except Undecided:
            self._decide(tick)
        return make_plan(glances, together)

    def row_of(self, plan: ReadingPlan, position: int) -> tuple[str, int]:
        """The file, and the number of the row in it, that was read at a position from 1."""
        if plan.addresses is not None:
            at = position - 1
            number = int(plan.addresses.numbers[at]) + 1
            return self._files[int(plan.addresses.files[at])].document.name, number
        for file, rows in plan.spans:
            if position <= rows:
                return self._files[file].document.name, position
            position -= rows
        raise IndexError(position)

    def outcomes(self, plan: ReadingPlan) -> Iterator[PublishedRecord | RefusedRow]:
        """Read the rows as planned; the account is full when the last has come out.

        Raises
        ------
        AssertionError
            A row is not accounted for: a bug of ours.
        """
        self.account = Account()
        for outcome in self._joined(plan):
            self.account.add(outcome)
            yield outcome
        if self.account.rows != plan.rows or not self.account.balances():
            raise AssertionError(f"of {plan.rows} rows planned, some are lost: {self.account}")

    def _joined(self, plan: ReadingPlan) -> Iterator[PublishedRecord | RefusedRow]:
        joiner: Joiner
        match self.mapping.orders.lines:
            case "consecutive":
                joiner = ConsecutiveLines()
            case "anywhere":
                joiner = LinesAnywhere(plan.order_lines)
            case _:
                joiner = NoLines()
        listed: set[str] = set()
        several = len(self.sources) > 1
        time = plan.first_ms or 0
        for position, found in enumerate(self._found(plan), 1):
            self.account.rows = position
            file = self._files[found.file]
            outcome = file.mapper.map(found.number, position, found.row, found.raw, time)
            if not isinstance(outcome, RefusedRow):
                time = outcome.time_ms
                if self.mapping.catalog:
                    yield from _listing(file.mapper, found.row, listed, time, position)
            elif several:
                outcome = outcome._replace(file=file.document.name)
            yield from joiner.take(outcome)
        yield from joiner.finish()

    def _glance(self, found: _Found, orders: bool) -> Glance:
        mapper = self._files[found.file].mapper
        order = mapper.order_key(found.row) if orders else None
        if isinstance(order, str):
            return Glance(found.file, found.offset, found.part, None, None, True)
        time = mapper.time(found.row, found.number)
        return Glance(found.file, found.offset, found.part, time, order, False)

    def _decide(self, tick: Tick) -> None:
        """Decide among formats of times for each file, by its own rows, else by the others'."""
        made, open_ = [], []
        for number, file in enumerate(self._files):
            rows = self._rows_of(number, tick)
            choice, unsettled = decided(
                (file.mapper.time_value(found.row) for found in rows), file.mapper.times
            )
            made.append(choice)
            open_.append(unsettled)
        wins = frozenset(pair for choice in made for pair in choice.wins)
        for file, choice, unsettled in zip(self._files, made, open_, strict=True):
            for reading in unsettled:
                forth, back = reading.pair, reading.pair[::-1]
                if reading.both or (forth in wins) == (back in wins):
                    why = "its rows contradict each other" if reading.both else "no row decides"
                    raise ConfigError(
                        f"{file.document.name}: {reading}, and {why}: leave one of the two in "
                        f"time.format of a mapping of yours (offerstream mappings show NAME "
                        "prints one to begin with)"
                    )
                choice = _won(choice, forth if forth in wins else back)
            file.mapper.choose(choice)

    def _found(self, plan: ReadingPlan) -> Iterator[_Found]:
        if plan.addresses is not None:
            with by_position([file.document for file in self._files]) as lines:
                yield from self._by_position(lines, plan.addresses)
            return
        for file, rows in plan.spans:
            yield from islice(self._rows_of(file), rows)

    def _forward(self, tick: Tick) -> Iterator[_Found]:
        return islice(self._all(tick), self.limit)

    def _all(self, tick: Tick) -> Iterator[_Found]:
        before, rows = 0, 0
        for number, file in enumerate(self._files):
            size = file.document.source.size
            file.mapper.first = rows  # a log without times is given some, from row to row
            shown = _Shown(tick, rows, before, size, max(self.size, 1))
            rows += yield from self._rows_of(number, shown.tick)
            before += size

    def _rows_of(
        self, file: int, tick: Tick = lambda rows, share: None
    ) -> Generator[_Found, None, int]:
        """The rows of one file, as they stand; returns how many there are."""
        document, layout, _ = self._files[file]
        path = self.mapping.file.explode
        number = 0
        with document.forward() as (lines, share):
            read_layout(lines, document, self._wanted)
            for offset, raw, whole in records(lines, document, layout):
                for part, row in enumerate(explode(whole, path) if path else (whole,)):
                    if number % _TICK == 0:
                        tick(number, share())
                    number += 1
                    yield _Found(file, number, part, offset, raw, row)
        return number

    def _by_position(self, lines: list[Lines], addresses: Addresses) -> Iterator[_Found]:
        path = self.mapping.file.explode
        readers = [
            records(found, file.document, file.layout)
            for found, file in zip(lines, self._files, strict=True)
        ]
        for start in range(0, len(addresses.numbers), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            for number, file, offset, part in zip(
                *(column[chunk].tolist() for column in addresses), strict=True
            ):
                lines[file].seek(offset)
                record = next(readers[file])
                row = explode(record.row, path)[part] if path else record.row
                yield _Found(file, number + 1, part, offset, record.raw, row)


class _Shown(NamedTuple):
    """Tells how far the reading of all files is, from how far it is in one of them."""

    told: Tick
    rows: int
    before: int
    size: int
    total: int

    def tick(self, rows: int, share: float) -> None:
        """Tell of so many rows of the file, and the share of it that was read."""
        self.told(self.rows + rows, (self.before + share * self.size) / self.total)


def _won(choice: FormatChoice, pair: tuple[int, int]) -> FormatChoice:
    return choice._replace(wins=choice.wins | {pair})


def _listing(
    mapper: RowMapper | SentMapper, row: Row | NoRow, listed: set[str], time: int, position: int
) -> Iterator[PublishedRecord]:
    """Make the catalog's record of an item that is seen for the first time."""
    if isinstance(row, NoRow):
        return
    item = mapper.item(row)
    if item is not None and item not in listed:
        listed.add(item)
        yield mapper.catalog_record(row, item, time, position)
