"""Names as codes: small numbers, so that what is met often is looked up in arrays; 0 is none.

Rules: a code is good for as long as its `Names` are, and in no state: what is kept is kept by name.
Who collects names replaces all of them now and then, so that strangers cannot fill the memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.models.base.kernel import kernel

Codes = NDArray[np.int32]
Bytes = NDArray[np.uint8]
Book = tuple[Codes, NDArray[np.int64], Bytes]
"""A hash table of codes; where each one's spelling begins, and its bytes; all spellings."""
MOST: Final = 1 << 18
"""Names after which it is time for new ones: some 30 MB."""
LONG: Final = 1 << 23
"""Their characters, likewise."""
PROBES: Final = 32
"""Names of one hash, after which it is no longer looked for."""
OFFSET, PRIME, MASK = 2166136261, 16777619, 0xFFFFFFFF
"""Of the hash, FNV-1a: RFC 9923."""


@kernel
def enter(first: int, last: int, book: Any) -> bool:
    """Enter the codes ``first`` … ``last - 1``; whether there was a place for each.

    One without a spelling needs none.
    """
    slots, spans, text = book
    entered = True
    for code in range(first, last):
        begin, length = spans[code, 0], spans[code, 1]
        if begin == 0:
            continue
        mixed = np.int64(OFFSET)
        for byte in range(begin, begin + length):
            mixed = (mixed ^ np.int64(text[byte])) * PRIME & MASK
        place, probe = (mixed ^ mixed >> 15) & len(slots) - 1, 0
        while probe < PROBES and slots[place] != 0:
            place, probe = (place + 1) & len(slots) - 1, probe + 1
        if probe < PROBES:
            slots[place] = code
        entered &= probe < PROBES
    return entered


@kernel
def coded(data: Bytes, named: NDArray[np.int64], book: Any, codes: Codes, first: int) -> int:
    """Write the codes of names from the ``first`` on, up to one that has none; where that is.

    Parameters
    ----------
    data, named
        Bytes, and where in them each name is spelled, and how long it is; -1 for none.
    book
        Of the names that have a spelling.
    codes
        int32 ``[names]``.
    """
    slots, spans, text = book
    for at in range(first, len(named)):
        begin, length = named[at, 0], named[at, 1]
        if length < 0:
            continue
        mixed = np.int64(OFFSET)
        for byte in range(begin, begin + length):
            mixed = (mixed ^ np.int64(data[byte])) * PRIME & MASK
        place = (mixed ^ mixed >> 15) & len(slots) - 1
        for _ in range(PROBES):
            code = slots[place]
            if code == 0:
                return at
            if spans[code, 1] == length:
                known, same = spans[code, 0], 0
                while same < length and data[begin + same] == text[known + same]:
                    same += 1
                if same == length:
                    codes[at] = code
                    break
            place = (place + 1) & len(slots) - 1
        if codes[at] == 0:
            return at
    return len(named)


class Names:
    """Names, and their codes.

    Attributes
    ----------
    texts
        Names by code, to read only.

    Examples
    --------
    >>> names = Names()
    >>> names.codes(["tea", "milk", "tea"]).tolist(), names.code(None), names.texts[2]
    ([1, 2, 1], 0, 'milk')
    """

    def __init__(self) -> None:
        self.texts: list[str] = [""]
        self._codes: dict[str, int] = {}
        self._slots: Codes = np.zeros(1 << 6, np.int32)
        self._spans: NDArray[np.int64] = np.zeros((1 << 5, 2), np.int64)
        self._text: Bytes = np.zeros(1 << 9, np.uint8)
        self._end = 1  # no spelling is at 0
        self._long = 0

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def many(self) -> bool:
        """Whether it is time for new ones."""
        return len(self.texts) > MOST or self._long > LONG

    def code(self, name: str | None) -> int:
        """The code of a name, which may be new."""
        if name is None:
            return 0
        code = self._codes.get(name, 0)
        if not code:
            code = self._codes[name] = len(self.texts)
            self.texts.append(name)
            self._long += len(name)
        return code

    def codes(self, names: Iterable[str | None]) -> Codes:
        """The codes of several names, int32 ``[names]``."""
        return np.array(list(map(self.code, names)), np.int32)

    @property
    def book(self) -> Book:
        """The names that have a spelling, for kernels."""
        return self._slots, self._spans, self._text

    def spell(self, name: str) -> bool:
        """Let kernels know a name by its UTF-8; False if too many have its hash."""
        told, code = name.encode(), self.code(name)
        end = self._end + len(told)
        self._spans = grown(self._spans, len(self.texts))
        self._text = grown(self._text, end)
        self._text[self._end : end] = np.frombuffer(told, np.uint8)
        self._spans[code] = self._end, len(told)
        self._end = end
        if 2 * len(self.texts) <= len(self._slots):
            return bool(enter(code, code + 1, self.book))
        self._slots = np.zeros(1 << (2 * len(self.texts)).bit_length(), np.int32)
        return bool(enter(1, len(self.texts), self.book))


def grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    """An array of so many rows at least."""
    if size <= len(array):
        return array
    larger = np.zeros((2 * size, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
