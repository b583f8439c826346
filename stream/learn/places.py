"""How far each source partition was learned: a place that a misleading lesson cannot carry away.

A partition's stamps only grow, and what was learned already comes again as it was. So nothing true
ever comes from between two stamps that followed each other: a lesson from there proves that what
had jumped ahead of it was not true, and the place goes back. Rules:

- Of each partition the newest jump is known, and the widest few before it.
- A record makes one jump, its first: what stands in one record cannot hide it behind another.
  Only a wide one is known beside a first that is narrow.
- What is told to others (the *mark*) lies before the first wide jump that is known: behind that,
  places rest on the word of the log alone.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.domain.stamps import EPOCH
from stream.models.base.state import State, StateError, StateValue

NEAR: Final = 1_000
"""Stamps by which a mark may be ahead of what was written, as a jump no wider is not known for."""
LEAP: Final = 10**11  # offsets between two events that taught something: a decade of a busy topic
JUMPS: Final = 4
Stamps: TypeAlias = NDArray[np.int64]


class Jump(NamedTuple):
    """From one stamp to the next that was learned."""

    before: int
    after: int

    @property
    def is_wide(self) -> bool:
        """Whether it has to be told."""
        return self.after - self.before > NEAR


class Places:
    """The places of all partitions; ``marks`` is what is told of them, by partition.

    >>> marks = {}
    >>> places = Places()
    >>> [places.reach(marks, "0/0", at) for at in (5, 6, 6, 10**6, 10**6, 7, 8)]
    [True, True, False, True, False, True, True]
    >>> marks
    {'0/0': 8}
    """

    def __init__(self) -> None:
        self._jumps: dict[str, list[Jump]] = {}
        self._ahead: dict[str, int] = {}  # how far a place lies behind its mark, where it does

    def place(self, marks: Mapping[str, int], name: str) -> int:
        """The last stamp learned of a partition, -1 for none."""
        return marks.get(name, -1) + self._ahead.get(name, 0)

    def is_leap(self, marks: Mapping[str, int], name: str, at: int) -> bool:
        """Whether a stamp lies farther ahead of its place than a topic grows, in its epoch."""
        return at - max(self.place(marks, name), at // EPOCH * EPOCH) > LEAP

    def leaps(self, marks: Mapping[str, int], name: str, stamps: Stamps) -> bool:
        """Whether any stamp is a leap; int64 ``[stamps]``."""
        ahead = stamps - np.maximum(self.place(marks, name), stamps // EPOCH * EPOCH)
        return bool((ahead > LEAP).any())

    def is_of_earlier_epoch(self, marks: Mapping[str, int], name: str, at: int) -> bool:
        """Whether a stamp is of an earlier life of its topic than what was learned."""
        return at // EPOCH < self.place(marks, name) // EPOCH

    def reach(
        self, marks: MutableMapping[str, int], name: str, at: int, *, again: bool = False
    ) -> bool:
        """Go on to a stamp; False if it was learned before.

        ``again`` says that the same record went on in this partition before.
        """
        place, jumps = self.place(marks, name), self._jumps.setdefault(name, [])
        if at > place:
            _note(jumps, Jump(place, at), again)
        else:
            wrong = next((n for n, jump in enumerate(jumps) if jump.before < at < jump.after), None)
            if wrong is None:
                return False
            jumps[wrong:] = [Jump(jumps[wrong].before, at)]
        self._mark(marks, name, at)
        return True

    def reach_all(
        self, marks: MutableMapping[str, int], name: str, stamps: Stamps
    ) -> tuple[NDArray[np.bool_], bool]:
        """Go on to the stamps of one record, int64 ``[stamps]``.

        Where all that is left goes on as a topic does, its last stamp stands for all of it.

        Returns
        -------
        tuple[NDArray[np.bool_], bool]
            Which were not learned before; and whether any is of an earlier life of its topic.
        """
        reached, again, outlived = np.zeros(len(stamps), np.bool_), False, False
        for at, stamp in enumerate(stamps.tolist()):
            if again and self._go_on(marks, name, stamps[at:]):
                self._mark(marks, name, stamps.item(-1))
                reached[at:] = True
                break
            reached[at] = self.reach(marks, name, stamp, again=again)
            again |= bool(reached[at])
            outlived |= not reached[at] and self.is_of_earlier_epoch(marks, name, stamp)
        return reached, outlived

    def _mark(self, marks: MutableMapping[str, int], name: str, at: int) -> None:
        """Tell how far a partition is learned."""
        marks[name] = next((jump.before for jump in self._jumps[name] if jump.is_wide), at)
        self._ahead[name] = at - marks[name]

    def _go_on(self, marks: Mapping[str, int], name: str, stamps: Stamps) -> bool:
        """Whether stamps, of a record that went on before, are ahead, and none of them is noted."""
        steps = np.diff(stamps, prepend=self.place(marks, name))
        most = NEAR if self._jumps[name] else 1
        return bool(((steps > 0) & (steps <= most)).all())

    def state(self) -> State:
        """Everything that is not in the marks."""
        return {
            "places": [
                [name, self._ahead[name], *(at for jump in self._jumps[name] for at in jump)]
                for name in sorted(self._ahead)
            ]
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Places:
        """The places that ``state`` was taken from.

        Raises
        ------
        StateError
            If it is something else.
        """
        lines = state.get("places")
        if not isinstance(lines, list):
            raise StateError("places: not a list")
        self = cls()
        for line in lines:
            if not _is_line(line):
                raise StateError("places: not a name, and stamps that fit together")
            name, ahead, *ends = line
            self._ahead[name] = ahead
            self._jumps[name] = [Jump(*pair) for pair in zip(ends[::2], ends[1::2], strict=True)]
        return self


def _note(jumps: list[Jump], jump: Jump, again: bool) -> None:
    if jump.after - jump.before == 1:
        return  # nothing lies between
    if again and jumps and (jumps[-1].is_wide or not jump.is_wide):
        return
    jumps.append(jump)
    if len(jumps) > JUMPS:
        jumps.remove(min(jumps[:-1], key=lambda known: known.after - known.before))


def _is_line(line: object) -> bool:
    if not isinstance(line, list) or not 2 <= len(line) <= 2 + 2 * JUMPS or len(line) % 2:
        return False
    name, ahead, *ends = line
    whole = all(type(at) is int and -1 <= at < 1 << 62 for at in (ahead, *ends))
    return type(name) is str and whole and ahead >= 0 and ends == sorted(ends)
