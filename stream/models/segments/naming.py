"""Names of segments that stay: what a marketer wrote into a campaign still means the same.

Rules
-----
- A segment that has no name is called what describes it now; so is each in the first `EARLY`
  points.
- It is renamed when something else has described it all the while in which a third of all points
  came, and `LEAST` of them: so there are a handful of renames in the life of a shop, and chance
  around a threshold makes none.
- Names are kept by identity, which the segmenter carries over from fit to fit.
- A name holds places for what the coordinates are called, `{0}` … , and no share: shares move by
  the hour.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Self

import numpy as np

from stream.models.base.state import State, StateError, StateValue, array, integer, texts

LEAST: Final = 512
EARLY: Final = 256  # points up to which names are provisional: the first fits are rough
_NAME: Final = re.compile(r"(?:[^{}]|\{\d{1,6}\})*")


class Naming:
    """Names by identity, and since when each is contradicted.

    Attributes
    ----------
    names
        With places for coordinates; empty of an identity that there is not.
    renames
        How often a name was given up for another.

    Examples
    --------
    >>> naming = Naming()
    >>> naming.look(["far above average {0}"], 1_000)
    >>> naming.look(["below average {0}"], 2_000)
    >>> naming.named(["spend"])
    ['far above average spend']
    >>> naming.look(["below average {0}"], 3_000)
    >>> naming.named(["spend"]), naming.renames
    (['below average spend'], 1)
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.renames = 0
        self._since: list[int] = []  # points seen when it was first contradicted, -1 if it is not

    def look(self, described: Sequence[str], seen: int) -> None:
        """Hold names to what describes the segments now.

        Parameters
        ----------
        described
            By identity; empty of one that there is not.
        seen
            Points so far.
        """
        missing = len(described) - len(self.names)
        self.names += [""] * missing
        self._since += [-1] * missing
        for at, text in enumerate(described):
            if not text or text == self.names[at]:
                self._since[at] = -1
            elif not self.names[at] or seen <= EARLY:
                self.names[at] = text
            elif self._since[at] < 0:
                self._since[at] = seen
            elif seen - self._since[at] >= max(LEAST, seen // 3):
                self.names[at], self._since[at] = text, -1
                self.renames += 1

    def named(self, labels: Sequence[str]) -> list[str]:
        """Return the names, with what coordinates are called put in."""
        return [filled(name, labels) for name in self.names]

    def state(self) -> State:
        """Return names, and since when each is contradicted."""
        return {
            "names": list(self.names),
            "renames": self.renames,
            "since": np.array(self._since, np.int64),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the naming that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        naming = cls()
        naming.names = texts(state, "names")
        if not all(map(_NAME.fullmatch, naming.names)):
            raise StateError("names: not as a naming writes them")
        naming.renames = integer(state, "renames", 0, 2**62)
        naming._since = array(state, "since", np.int64, (len(naming.names),)).tolist()
        return naming


def places(count: int) -> list[str]:
    """Return places for what so many coordinates are called.

    >>> places(2)
    ['{0}', '{1}']
    """
    return [f"{{{at}}}" for at in range(count)]


def filled(name: str, labels: Sequence[str]) -> str:
    """Put what coordinates are called into a name.

    >>> filled("far above average {1}", ["orders", "money {0}"]), filled("below average {3}", [])
    ('far above average money {0}', 'below average coordinate 3')
    """
    parts = name.split("{")
    told = [parts[0]]
    for part in parts[1:]:
        number, _, rest = part.partition("}")
        at = int(number)
        told.append((labels[at] if at < len(labels) else f"coordinate {at}") + rest)
    return "".join(told)
