"""Columns of a mapping, bound to a file: getters of a row's values.

Rules:

- A text is trimmed, and None where it is a word for no value: one of the usual, or, where the
  mapping gives its own, one of those. Who a customer is, is never told by one of the usual.
- Where a text is meant, a number becomes one.
- A column that the file's header lacks, or has twice, is the operator's mistake, unless an
  alternative is there.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any, Final, NamedTuple, TypeAlias

from stream.config import ConfigError
from stream.grammar.words import NOTHING, is_nothing
from stream.reading.layout import Layout
from stream.reading.records import Row
from stream.replay.mapping import Column, Columns, Mapping

#: Takes a value out of a row; None where it has none.
Getter: TypeAlias = Callable[[Any], Any]


_TEXTS: Final = frozenset(
    (
        *("item", "customer", "session", "order", "offer", "event", "type"),
        *("category", "brand", "currency", "name"),
    )
)
_IDS: Final = frozenset(("item", "customer", "session", "order", "offer", "event", "type"))
_PEOPLE: Final = frozenset(("customer", "session"))


class Fields(NamedTuple):
    """Getters of all that a row may hold, under the names of ``Columns``."""

    time: Getter
    item: Getter
    customer: Getter
    session: Getter
    type: Getter
    price: Getter
    quantity: Getter
    order: Getter
    category: Getter
    brand: Getter
    currency: Getter
    name: Getter
    offer: Getter
    consent: Getter
    event: Getter


def nothing(row: Row) -> None:
    """Get nothing: the getter of a column that the log does not have."""
    return


def wanted_names(mapping: Mapping) -> frozenset[str]:
    """All column names that the mapping speaks of."""
    columns = [getattr(mapping.columns, key) for key in Columns.__dataclass_fields__]
    columns += [mapping.time.plus, *(rule.column for rule in mapping.refuse)]
    return frozenset(name for column in columns if column for name in column.names)


class Binder:
    """Makes getters for the columns of one file."""

    def __init__(self, mapping: Mapping, layout: Layout, file: str, *, is_csv: bool = True) -> None:
        self._mapping = mapping
        self._layout = layout
        self._file = file
        missing = mapping.file.missing
        self._own = missing is not None
        self._missing = (
            NOTHING if missing is None else frozenset(t.strip().lower() for t in missing)
        )
        self._ends = frozenset(
            end for word in self._missing for end in (word[-1:], word[-1:].upper())
        )
        self._csv = is_csv

    def bind(self, column: Column | None, key: str) -> Getter:
        """Make the getter of a column; ``key`` is where the mapping names it.

        Raises
        ------
        ConfigError
            The file's header has none of the column's names.
        """
        if column is None:
            return nothing
        names = column.names
        if self._csv:
            there = [name for name in names if name in self._layout.names]
            if not there or (column.joiner is not None and len(there) < len(names)):
                absent = next(name for name in names if name not in there)
                raise ConfigError(
                    f"mapping {self._mapping.name}: {key} is {absent!r}, and {self._file} has no "
                    f"such column; it has: {', '.join(self._layout.names)}"
                )
            for name in there:
                if self._layout.names.count(name) > 1:
                    raise ConfigError(
                        f"mapping {self._mapping.name}: {key} is {name!r}, and {self._file} has "
                        f"{self._layout.names.count(name)} columns of that name: rename one of them"
                    )
            getters = [self._cell(self._layout.names.index(name)) for name in there]
        else:
            getters = [self._path(name) for name in names]
        if column.joiner is not None:
            return _joined(getters, column.joiner)
        return getters[0] if len(getters) == 1 else _first(getters)

    def fields(self) -> Fields:
        """Make the getters of all columns."""
        columns = self._mapping.columns
        return Fields(*(self._field(getattr(columns, key), key) for key in Fields._fields))

    def _field(self, column: Column | None, key: str) -> Getter:
        get = self.bind(column, f"columns.{key}")
        if get is nothing:
            return get
        if self._own and key in _PEOPLE:
            get = _somebody(get)
        if self._mapping.file.whole_ids and key in _IDS:
            return _whole_text(get)
        return _as_text(get) if key in _TEXTS and not self._csv else get

    def _cell(self, index: int) -> Getter:
        missing, ends = self._missing, self._ends

        def get(row: list[str]) -> str | None:
            value = row[index].strip()
            return None if value[-1:] in ends and value.lower() in missing else value

        return get

    def _path(self, path: str) -> Getter:
        missing, ends, keys = self._missing, self._ends, path.split(".")
        dotted = len(keys) > 1

        def get(row: dict[str, Any]) -> Any:
            value = row[path] if dotted and path in row else _at(row, keys)
            if isinstance(value, str):
                value = value.strip()
                return None if value[-1:] in ends and value.lower() in missing else value
            return None if isinstance(value, float) and isnan(value) else value

        return get


def _at(row: dict[str, Any], keys: list[str]) -> Any:
    """The value at a path; None where it leads nowhere."""
    value: Any = row
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _joined(getters: list[Getter], joiner: str) -> Getter:
    def get(row: Row) -> str | None:
        values = [getter(row) for getter in getters]
        return None if None in values else joiner.join(map(str, values))

    return get


def _first(getters: list[Getter]) -> Getter:
    def get(row: Row) -> Any:
        for getter in getters:
            value = getter(row)
            if value is not None:
                return value
        return None

    return get


def _somebody(get: Getter) -> Getter:
    """Get a value that tells who somebody is, which no word for no value does."""

    def get_somebody(row: Row) -> Any:
        value = get(row)
        return None if isinstance(value, str) and is_nothing(value) else value

    return get_somebody


def _as_text(get: Getter) -> Getter:
    def get_text(row: Row) -> Any:
        value = get(row)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        return value

    return get_text


def _whole_text(get: Getter) -> Getter:
    def get_whole(row: Row) -> Any:
        value = get(row)
        if isinstance(value, str):
            return value[:-2] if value[-2:] == ".0" and value[:-2].isdecimal() else value
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    return get_whole
