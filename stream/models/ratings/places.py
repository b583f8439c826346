"""Places in arrays for names that come, in bounded number: who was longest away gives way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Self

import numpy as np

from stream.models.base.state import State, StateError, StateValue, array, integer, texts


class NamePlaces:
    """Which place each name has.

    Parameters
    ----------
    most
        Places that there are.

    Attributes
    ----------
    evicted
        Names that gave way so far.

    Examples
    --------
    >>> places = NamePlaces(most=2)
    >>> [places.take(name) for name in ("a", "b", "a", "c")]
    [(0, True), (1, True), (0, False), (1, True)]
    >>> places.find("b"), places.evicted
    (-1, 1)
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.evicted = 0
        self._places: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def find(self, name: str) -> int:
        """Return a name's place; -1 if it has none."""
        return self._places.get(name, -1)

    def take(self, name: str) -> tuple[int, bool]:
        """Return a name's place, and whether it is new there: what stood there is to be cleared."""
        place = self._places.get(name)
        if place is not None:
            self._places.move_to_end(name)
            return place, False
        if len(self._places) < self.most:
            place = len(self._places)
        else:
            _, place = self._places.popitem(last=False)
            self.evicted += 1
        self._places[name] = place
        return place, True

    def state(self) -> State:
        """Return the names, the one longest away first, and their places."""
        return {
            "most": self.most,
            "evicted": self.evicted,
            "names": list(self._places),
            "places": np.array(list(self._places.values()), dtype=np.int64),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return what `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        places = cls(integer(state, "most", 1, 100_000_000))
        places.evicted = integer(state, "evicted", 0, 2**62)
        names = texts(state, "names")
        taken = array(state, "places", np.int64, (len(names),)).tolist()
        if sorted(taken) != list(range(len(names))) or len(names) > places.most:
            raise StateError("places: one twice, or out of range")
        if len(set(names)) < len(names):
            raise StateError("names: one twice")
        places._places = OrderedDict(zip(names, taken, strict=True))
        return places
