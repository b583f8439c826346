"""Which offers a purchase is put down to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

Credit: TypeAlias = Literal["last", "first", "linear"]
CREDITS: Final[tuple[Credit, ...]] = ("last", "first", "linear")


def shares(touches: Sequence[int], time: int, window: float, credit: Credit) -> list[float]:
    """Return the share of a purchase that each touch gets; they sum to 1, or to 0 without any.

    Parameters
    ----------
    touches
        When each offer was seen, in ms, in any order.
    time
        Of the purchase, in ms.
    window
        Ms within which a purchase is put down to an offer.
    credit
        All to the last touch, all to the first, or the same to each.

    Examples
    --------
    >>> shares([1, 5, 9], 8, 5, "last"), shares([1, 5, 9], 8, 10, "linear")
    ([0.0, 1.0, 0.0], [0.5, 0.5, 0.0])
    """
    counted = [n for n, touch in enumerate(touches) if 0 <= time - touch <= window]
    found = [0.0] * len(touches)
    if not counted:
        return found
    if credit == "linear":
        for n in counted:
            found[n] = 1.0 / len(counted)
    else:
        pick = max if credit == "last" else min
        found[pick(counted, key=lambda n: (touches[n], n))] = 1.0
    return found
