"""The learner's clock: the newest time that was learned, and how far a lesson may leap ahead of it.

What decays, decays with the time of what is learned. One lesson from another century would leave
nothing of what came before. So a lesson that leaps is refused, until another agrees: a shop that
was closed for long is believed with its second lesson.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stream.models.base.state import State, StateValue, integer

LEAP: Final = 35 * 86_400_000
"""Milliseconds between two lessons: five weeks, longer than shops close for holidays."""
_END: Final = 1 << 53


class Clock:
    """The newest time learned, in ms, and that of the last lesson that was refused; 0 for none.

    >>> clock, day = Clock(), 86_400_000
    >>> [clock.believes(n * day) for n in (1, 36, 7, 9_000, 37, 400, 399, 398)]
    [True, True, True, False, True, False, True, True]
    """

    def __init__(self) -> None:
        self.newest = 0
        self.doubted = 0

    def believes(self, time: int) -> bool:
        """Whether a lesson of this time may be learned; it is remembered if not."""
        leaps = self.newest and time - self.newest > LEAP
        if leaps and not (self.doubted and abs(time - self.doubted) <= LEAP):
            self.doubted = time
            return False
        if leaps:
            self.doubted = 0
        self.newest = max(self.newest, time)
        return True

    def state(self) -> State:
        """Both times."""
        return {"newest": self.newest, "doubted": self.doubted}

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Clock:
        """The clock that ``state`` was taken from.

        Raises
        ------
        StateError
            If it is something else.
        """
        clock = cls()
        clock.newest = integer(state, "newest", 0, _END)
        clock.doubted = integer(state, "doubted", 0, _END)
        return clock
