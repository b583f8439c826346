"""Chance for the simulation: streams of draws that depend on their keys alone.

Rules:

- A stream is keyed by what it is for (a shopper's visit, an offer's answer), so what one shopper
  does never shifts the luck of another, and two runs can be compared shopper by shopper.
- Single draws are BLAKE2b (RFC 7693) in counter mode: eight for a microsecond.
- Noise that is wanted for every visit comes in stretches of a deck drawn once: a slice costs a
  fortieth of drawing it, and which slice is chance enough.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from math import log
from struct import Struct

import numpy as np
import numpy.typing as npt

_EIGHT = Struct("<8Q")
_UNIT = 2.0**-53
_DECK, _LONGEST = 1 << 16, 1 << 14

Floats = npt.NDArray[np.float64]


class Draws:
    """A stream of draws for the key ``parts``.

    >>> a, b = Draws(7, 1), Draws(7, 1)
    >>> [a.uniform() for _ in range(20)] == [b.uniform() for _ in range(20)]
    True
    >>> Draws(7, 1).uniform() == Draws(7, 2).uniform()
    False
    """

    __slots__ = ("_blocks", "_key", "_left")

    def __init__(self, *parts: int | str) -> None:
        self._key = repr(parts).encode()
        self._blocks = 0
        self._left: list[int] = []

    def uniform(self) -> float:
        """Draw one number in [0, 1)."""
        if not self._left:
            self._blocks += 1
            block = blake2b(self._key, salt=self._blocks.to_bytes(16, "little"))
            self._left.extend(_EIGHT.unpack(block.digest()))
        return (self._left.pop() >> 11) * _UNIT

    def chance(self, probability: float) -> bool:
        """Draw whether something of this probability happens."""
        return self.uniform() < probability

    def below(self, count: int) -> int:
        """Draw an integer in [0, ``count``)."""
        return int(self.uniform() * count)

    def exponential(self, mean: float) -> float:
        """Draw a waiting time with this mean."""
        return -mean * log(1.0 - self.uniform())

    def normal(self) -> float:
        """Draw a standard normal."""
        return float(self.normals(1)[0])

    def generator(self) -> np.random.Generator:
        """Start a generator of whole arrays, keyed like this stream."""
        key = int.from_bytes(blake2b(self._key, digest_size=16).digest(), "little")
        return np.random.Generator(np.random.PCG64(key))

    def normals(self, count: int) -> Floats:
        """Take ``count`` standard normals, shape (count,), from the deck."""
        start = self.below(_DECK)
        return _normal_deck()[start : start + count]

    def gumbels(self, count: int) -> Floats:
        """Take from the deck the noise that turns utilities into a logit choice (McFadden 1974)."""
        start = self.below(_DECK)
        return _gumbel_deck()[start : start + count]

    def choice(self, utilities: Floats) -> int:
        """Choose one alternative by a multinomial logit over its utility."""
        return int((utilities + self.gumbels(len(utilities))).argmax())


@cache
def _normal_deck() -> Floats:
    return Draws("normals").generator().standard_normal(_DECK + _LONGEST)


@cache
def _gumbel_deck() -> Floats:
    return Draws("gumbels").generator().gumbel(size=_DECK + _LONGEST)
