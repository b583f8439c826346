"""Stamps: places in a topic that stay in order even when the topic is made anew.

A topic that is deleted and made again counts its offsets from 0. So a stamp holds an *epoch* above
its offset: 0 for the topic as it was first read, one more each time that it is read as new. Stamps
of a later epoch are greater, whatever the offsets; in epoch 0 a stamp is the offset itself.
"""

from __future__ import annotations

from typing import Final

EPOCH: Final = 1 << 44
"""Stamps in an epoch: more than a partition's offsets in 500 years at a thousand a second."""


def stamp(epoch: int, offset: int) -> int:
    """The stamp of an offset, which is at least -1: "before the first" of the epoch.

    >>> stamp(0, 7), stamp(1, 0) > stamp(0, 10**12)
    (7, True)
    """
    return epoch * EPOCH + offset


def offset_of(stamp: int) -> int:
    """The offset of the record that a stamp names.

    >>> offset_of(stamp(3, 7))
    7
    """
    return stamp % EPOCH


def next_place(stamp: int) -> tuple[int, int]:
    """The epoch, and the offset in it, of what comes behind a stamp.

    >>> next_place(-1), next_place(41), next_place(EPOCH - 1)
    ((0, 0), (0, 42), (1, 0))
    """
    return divmod(stamp + 1, EPOCH)
