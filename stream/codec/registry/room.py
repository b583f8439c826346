"""Room for what a payload becomes: counted down before memory is taken.

What is decoded is written as JSON, whose bytes are bounded as every value's are
(`stream.codec.events.opening.MAX_VALUE`). Each text, name, comma and bracket of it is counted here
when it is met, from below: a few bytes that would become gigabytes have used up their room first.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from stream.codec.events.opening import MAX_VALUE

LEVELS: Final = 64
"""Values in one another, at most."""
DIGITS: Final = 400
"""Of a decimal, beyond any money."""


class BadPayload(Exception):
    """Bytes that are not of their schema; the message holds nothing of them."""


class TooMuch(Exception):
    """Bytes that would become more than a value may be."""


class Unusable(Exception):
    """A schema that cannot be decoded by; the message says why."""


class Room:
    """Bytes of JSON, and levels, that are left.

    Attributes
    ----------
    left
        Bytes.
    """

    __slots__ = ("left",)

    def __init__(self, left: int = MAX_VALUE) -> None:
        self.left = left

    def take(self, size: int) -> None:
        """Use some of it.

        Raises
        ------
        TooMuch
            If there is less.
        """
        self.left -= size
        if self.left < 0:
            raise TooMuch


def single(value: float) -> float | str:
    """A number of single precision as the shortest decimal that means it.

    >>> single(12.300000190734863), single(float("nan"))
    (12.3, 'NaN')
    """
    return float(str(np.float32(value))) if math.isfinite(value) else double(value)


def double(value: float) -> float | str:
    """A number as JSON can say it: what is none becomes the word for it, which no field takes.

    >>> double(0.5), double(float("-inf"))
    (0.5, '-Infinity')
    """
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def decimal(unscaled: int, scale: int) -> str:
    """An exact decimal as the text that the grammar of money reads.

    Raises
    ------
    TooMuch
        If it has more than `DIGITS` digits.

    Examples
    --------
    >>> decimal(1290, 2), decimal(-5, 3), decimal(7, 0), decimal(7, -2)
    ('12.90', '-0.005', '7', '700')
    """
    if abs(scale) > DIGITS or unscaled.bit_length() > 3 * DIGITS:
        raise TooMuch
    if scale <= 0:
        return str(unscaled * 10**-scale)
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    return f"{'-' * (unscaled < 0)}{digits[:-scale]}.{digits[-scale:]}"
