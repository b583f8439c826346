"""A log file becomes records: the passes over it, and the account of every row.

Rules:

- No row is lost: rows = published + merged into orders + refused, checked at the end.
- What comes out is a function of the file, the mapping and the limit: the same each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from stream.replay.fields import Binder, wanted_names
from stream.replay.mapping import Mapping, RefusalReason
from stream.replay.orders import ConsecutiveLines, Joiner, LinesAnywhere, NoLines
from stream.replay.outcome import Published, Refused
from stream.replay.plan import Addresses, Glance, Plan, make_plan
from stream.replay.records import Row, explode, read_layout, records
from stream.replay.rows import RowMapper
from stream.replay.source import Lines, Source

_CHUNK = 65_536
_TICK = 8_192  # rows between two words about progress


@dataclass(slots=True)
class Account:
    """What became of the rows.

    ``published`` counts records by topic, ``refused`` rows by reason; ``merged`` are the lines of
    an order beyond the first of each event; ``catalog`` records are made beside the rows' own.
    """

    rows: int = 0
    published: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    merged: int = 0
    catalog: int = 0

    def add(self, outcome: Published | Refused) -> None:
        """Enter a record, or a row that is none."""
        if isinstance(outcome, Refused):
            self.refused[outcome.reason] += 1
        elif outcome.rows:
            self.published[outcome.kind] += 1
            self.merged += outcome.rows - 1
        else:
            self.catalog += 1

    def balances(self) -> bool:
        """Whether every row is accounted for."""
        return self.rows == self.published.total() + self.merged + self.refused.total()


class _Found(NamedTuple):
    """A row where it was found: ``number`` from 1, in the file."""

    number: int
    part: int
    offset: int
    raw: bytes
    row: Row | RefusalReason


class Replay:
    """A file and a mapping, ready to become records.

    Parameters
    ----------
    path
        The log: CSV or JSON lines, plain or compressed.
    mapping
        What it means.
    limit
        How many rows, from the start of the file; None for all.

    Raises
    ------
    ConfigError
        The file cannot be read, or lacks a column.
    """

    def __init__(self, path: Path, mapping: Mapping, limit: int | None = None) -> None:
        self.source = Source(path)
        self.mapping = mapping
        self.limit = limit
        self.account = Account()
        with self.source.forward() as (lines, _):
            self._layout = read_layout(lines, mapping, wanted_names(mapping), path.name)
        binder = Binder(mapping, self._layout, path.name)
        self._mapper = RowMapper(mapping, binder, self.source.fingerprint)

    @property
    def id(self) -> str:
        """Tell this replay from all others, by file, mapping and limit."""
        parts = f"{self.source.fingerprint} {self.mapping!r} {self.limit}"
        return blake2b(parts.encode(), digest_size=8).hexdigest()

    def plan(self, tick: Callable[[int, float], None] = lambda rows, share: None) -> Plan:
        """Look through the file; ``tick`` is told the rows so far and the share of the file."""

        def glances(orders: bool) -> Iterator[Glance]:
            with self.source.forward() as (lines, share):
                for rows, found in enumerate(self._forward(lines)):
                    if rows % _TICK == 0:
                        tick(rows, share())
                    yield self._glance(found, orders)

        return make_plan(glances, self.mapping.orders.lines == "consecutive")

    def outcomes(self, plan: Plan) -> Iterator[Published | Refused]:
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

    def _joined(self, plan: Plan) -> Iterator[Published | Refused]:
        joiner: Joiner
        match self.mapping.orders.lines:
            case "consecutive":
                joiner = ConsecutiveLines()
            case "anywhere":
                joiner = LinesAnywhere(plan.order_lines)
            case _:
                joiner = NoLines()
        listed: set[str] = set()
        time = plan.first_ms or 0
        for position, found in enumerate(self._found(plan), 1):
            self.account.rows = position
            outcome = self._mapper.map(found.number, position, found.row, found.raw, time)
            if not isinstance(outcome, Refused):
                time = outcome.time_ms
                if self.mapping.catalog:
                    yield from self._listing(found.row, listed, time, position)
            yield from joiner.take(outcome)
        yield from joiner.finish()

    def _listing(
        self, row: Row | RefusalReason, listed: set[str], time: int, position: int
    ) -> Iterator[Published]:
        """Make the catalog's record of an item that is seen for the first time."""
        if isinstance(row, RefusalReason):
            return
        item = self._mapper.item(row)
        if item is not None and item not in listed:
            listed.add(item)
            yield self._mapper.catalog_record(row, item, time, position)

    def _glance(self, found: _Found, orders: bool) -> Glance:
        order = self._mapper.order_key(found.row) if orders else None
        if isinstance(order, str):
            return Glance(found.offset, found.part, None, None, True)
        time = self._mapper.time(found.row, found.number)
        return Glance(found.offset, found.part, time, order, False)

    def _found(self, plan: Plan) -> Iterator[_Found]:
        if plan.addresses is not None:
            with self.source.by_position() as lines:
                yield from self._by_position(lines, plan.addresses)
        else:
            with self.source.forward() as (lines, _):
                yield from self._forward(lines)

    def _forward(self, lines: Lines) -> Iterator[_Found]:
        read_layout(lines, self.mapping, wanted_names(self.mapping), self.source.path.name)
        return islice(self._all(lines), self.limit)

    def _all(self, lines: Lines) -> Iterator[_Found]:
        path = self.mapping.file.explode
        number = 0
        for offset, raw, whole in records(lines, self.mapping.file, self._layout):
            for part, row in enumerate(explode(whole, path) if path else (whole,)):
                number += 1
                yield _Found(number, part, offset, raw, row)

    def _by_position(self, lines: Lines, addresses: Addresses) -> Iterator[_Found]:
        path = self.mapping.file.explode
        reader = records(lines, self.mapping.file, self._layout)
        for start in range(0, len(addresses.numbers), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            for number, offset, part in zip(
                *(column[chunk].tolist() for column in addresses), strict=True
            ):
                lines.seek(offset)
                record = next(reader)
                row = explode(record.row, path)[part] if path else record.row
                yield _Found(number + 1, part, offset, record.raw, row)
