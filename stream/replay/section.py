"""One table of a TOML file, read key by key: what nobody asked for is a mistake.

Rules:

- Every mistake is a ``ConfigError`` of one line that names the file, the key and the way out.
- A value is never converted: a number in quotes is a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NoReturn, TypeVar

from stream.config import ConfigError

_T = TypeVar("_T")
_NAMES = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which of the known words may have been meant, and all of them.

    >>> nearest("custmer", ["time", "customer"])
    'did you mean customer? (known: customer, time)'
    >>> nearest("x", ["time", "customer"])
    'known: customer, time'
    """
    words = sorted(known)
    close = get_close_matches(word, words, n=1)
    listed = f"known: {', '.join(words)}"
    return f"did you mean {close[0]}? ({listed})" if close else listed


class Section:
    """A TOML table under the name that error messages give it."""

    def __init__(self, file: str, name: str, table: dict[str, object]) -> None:
        self.file = file
        self.name = name
        self._table = table
        self._asked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def words(self) -> list[str]:
        """The keys that the table has, where they are the file's own."""
        return list(self._table)

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise the one-line ``ConfigError`` about a key."""
        path = f"{self.name}.{key}" if self.name else key
        raise ConfigError(f"{self.file}: {path} {problem}")

    def get(self, key: str) -> object | None:
        """The value as it stands, or None."""
        self._asked.add(key)
        return self._table.get(key)

    def _typed(self, key: str, kind: type[_T], default: _T) -> _T:
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fail(key, f"is {value!r}; it must be {_NAMES[kind]}")
        return value

    def text(self, key: str, default: str = "") -> str:
        """A text."""
        return self._typed(key, str, default)

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        return self._typed(key, bool, default)

    def integer(self, key: str, default: int, low: int = 0) -> int:
        """A whole number of at least ``low``."""
        value = self._typed(key, int, default)
        if value < low:
            self.fail(key, f"is {value}; it must be at least {low}")
        return value

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        """One of the words."""
        value = self.text(key, default)
        if value not in choices:
            self.fail(key, f"is {value!r}; {nearest(value, choices)}")
        return value

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        """A text, or a list of texts."""
        value = self.get(key)
        if value is None:
            return tuple(default)
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
            self.fail(key, f"is {value!r}; it must be a text or a list of texts")
        return tuple(found)

    def section(self, key: str) -> Section:
        """A table in this one; empty if it is not there."""
        value = self.get(key)
        if value is not None and not isinstance(value, dict):
            self.fail(key, f"is {value!r}; it must be a table: [{key}]")
        return self._below(key, value or {})

    def sections(self, key: str) -> list[Section]:
        """An array of tables in this one."""
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
            self.fail(key, f"must be an array of tables: [[{key}]]")
        return [self._below(f"{key}[{number}]", table) for number, table in enumerate(value, 1)]

    def _below(self, key: str, table: dict[str, object]) -> Section:
        return Section(self.file, f"{self.name}.{key}" if self.name else key, table)

    def close(self) -> None:
        """Refuse whatever key was not asked for."""
        for key in self._table:
            if key not in self._asked:
                self.fail(key, f"is not a setting; {nearest(key, self._asked)}")
