"""Whose changelog a store caches, and up to when it lacks nothing of it.

Rules:

- A compacted changelog forgets deletions after a time. A store that lags by more than that may
  hold what was deleted, and nothing in the changelog would tell: it is filled from the start.
- A store that is being filled from the start lacks nothing of the moment in which that began.
- Offsets mean something in one life of one topic only: a store of another is never filled up.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from msgspec import MsgspecError, msgpack

HOUR: Final = 3_600_000  # ms


class StoreOrigin(NamedTuple):
    """What a store was filled from.

    Parameters
    ----------
    topic, topic_id
        The changelog; the id is empty where the broker tells none.
    through
        Wall time in ms: what was appended before is in the store, or behind its offset in the
        changelog for as long as that keeps deletions.
    mark
        The offset in the changelog of the ledger that the store has; -1 without one.
    """

    topic: str
    topic_id: str
    through: int
    mark: int = -1

    def reaching(self, time: int, mark: int) -> StoreOrigin:
        """The same, filled up to a time; never back, and never into the future."""
        through = max(self.through, min(time, wall_time()))
        return self._replace(through=through, mark=max(self.mark, mark))

    def is_of(self, other: StoreOrigin) -> bool:
        """Whether both are one life of one topic, as far as ids are told."""
        told = self.topic_id and other.topic_id
        return self.topic == other.topic and (not told or self.topic_id == other.topic_id)

    def outdated(self, lasting: int) -> str:
        """Why the changelog may have forgotten what this lacks; empty if it has not.

        A quarter of the time is left for clocks that differ, and for filling up.

        Parameters
        ----------
        lasting
            How long the changelog keeps deletions, in ms.

        >>> StoreOrigin("customers", "A", wall_time() - HOUR).outdated(24 * HOUR)
        ''
        >>> StoreOrigin("customers", "A", wall_time() - 20 * HOUR).outdated(24 * HOUR)
        'it was last filled up 20.0 h ago, and its changelog keeps deletions for 24.0 h'
        >>> StoreOrigin("customers", "A", wall_time() + 7 * HOUR).outdated(24 * HOUR)
        'it was last filled up 7.0 h from now, by a clock that was wrong'
        """
        age, margin = wall_time() - self.through, lasting // 4
        if age < -margin:
            return f"it was last filled up {-age / HOUR:.1f} h from now, by a clock that was wrong"
        if age < lasting - margin:
            return ""
        return (
            f"it was last filled up {age / HOUR:.1f} h ago, and its changelog keeps deletions for "
            f"{lasting / HOUR:.1f} h"
        )


def wall_time() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def encode_origin(origin: StoreOrigin) -> bytes:
    """As a store keeps it."""
    return msgpack.encode(origin)


def decode_origin(stored: bytes) -> StoreOrigin:
    """What a store kept.

    Raises
    ------
    ValueError
        If it is nothing of ours.
    """
    try:
        return msgpack.decode(stored, type=StoreOrigin)
    except MsgspecError as error:
        raise ValueError(f"its origin cannot be read: {error}") from error
